package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/ringkit/ringkit/bench/internal/subject"
)

func TestClientScenarios(t *testing.T) {
	sc := findScenario(t, "client64")
	if got := sc.describe(77); got != "client64: clients with 64 requests in flight" {
		t.Errorf("%q", got)
	}
	if !slices.Equal(sc.subjects(), subject.Clients()) || sc.connections(77) != 64 || sc.unit() != "request" {
		t.Errorf("%q on %d connections", sc.subjects(), sc.connections(77))
	}
	sockets := findScenario(t, "wsclient64")
	if got := sockets.describe(77); got != "wsclient64: clients with 64 WebSockets, an echo of 64 bytes at a time on each" {
		t.Errorf("%q", got)
	}
	if !slices.Equal(sockets.subjects(), subject.SocketClients()) || sockets.connections(77) != 64 || sockets.unit() != "message" {
		t.Errorf("%q on %d connections", sockets.subjects(), sockets.connections(77))
	}
	if s := (subject.Subject{Client: true, Sockets: true}); sc.suits(s) || !sockets.suits(s) || sockets.suits(subject.Subject{Client: true}) {
		t.Error("clients of WebSockets are measured with requests, or others with messages")
	}
	plain := findScenario(t, "plain")
	for _, s := range []subject.Subject{{}, {Floor: true}} {
		if sc.suits(s) || !plain.suits(s) {
			t.Errorf("%+v is no client", s)
		}
	}
	if s := (subject.Subject{Client: true}); !sc.suits(s) || plain.suits(s) {
		t.Error("a client is no server")
	}
	for _, sc := range quickScenarios() {
		if sc.isClients() {
			t.Errorf("a quick run takes %s", sc.name)
		}
	}
}

func TestSocketClientSummary(t *testing.T) {
	one := func(name string, cpu, rate float64) outcome {
		return outcome{name, []sample{{Engine: "epoll", CPUMicros: cpu, Rate: rate}}}
	}
	var b strings.Builder
	err := findScenario(t, "wsclient1").writeSummary(&b, []outcome{
		one("client-dial", 4, 60_000), one(subject.GorillaClient, 10, 20_000), one(subject.GWSClient, 8, 30_000),
	})
	want := "client-dial epoll 4.00 4.00–4.00 0.40 0.50 60000 3.00 2.00"
	if got := strings.Join(strings.Fields(b.String()), " "); err != nil || !strings.Contains(got, want) || !strings.Contains(got, "CPU µs/msg") {
		t.Errorf("%v: %s", err, got)
	}
}

func TestClientsAreNoTargets(t *testing.T) {
	target := target{name: subject.NetHTTPClient, serverCPU: -1}
	if err := target.check(); err == nil || !strings.Contains(err.Error(), "is a client") {
		t.Errorf("got %v", err)
	}
}

func TestClientSummary(t *testing.T) {
	one := func(name string, cpu, rate float64) outcome {
		return outcome{name, []sample{{Engine: "epoll", CPUMicros: cpu, Rate: rate, Busy: 0.5}}}
	}
	var b strings.Builder
	err := findScenario(t, "client1").writeSummary(&b, []outcome{
		one("client-call", 4, 60_000),
		one(subject.NetHTTPClient, 10, 20_000),
		one(subject.FastHTTPClient, 5, 40_000),
		{"before", []sample{{Invalid: "3 requests have failed"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(b.String()) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	for i, want := range []string{
		2: "client-call epoll 4.00 4.00–4.00 0.40 0.80 60000 3.00 1.50 50 % 0.0",
		3: "nethttp-client epoll 10.00 10.00–10.00 1.00 2.00 20000 1.00 0.50 50 % 0.0",
		4: "fasthttp-client epoll 5.00 5.00–5.00 0.50 1.00 40000 2.00 1.00 50 % 0.0",
		5: "before - invalid",
	} {
		if want != "" && lines[i] != want {
			t.Errorf("line %d: got %q, want %q", i, lines[i], want)
		}
	}
}
