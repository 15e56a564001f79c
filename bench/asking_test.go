package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/ringkit/ringkit/bench/internal/subject"
)

func TestClientScenarios(t *testing.T) {
	sc := findScenario(t, "client64")
	if got := sc.describe(77); got != "clients with 64 requests in flight" {
		t.Errorf("%q", got)
	}
	if !slices.Equal(sc.subjects(), subject.Clients()) || sc.connections(77) != 64 || sc.unit() != "request" {
		t.Errorf("%q on %d connections", sc.subjects(), sc.connections(77))
	}
	sockets := findScenario(t, "wsclient64")
	if got := sockets.describe(77); got != "clients with 64 WebSockets, an echo of 64 bytes at a time on each" {
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
}

func TestClientsAreNoTargets(t *testing.T) {
	target := target{name: subject.NetHTTPClient, serverCPU: -1}
	if err := target.check(); err == nil || !strings.Contains(err.Error(), "is a client") {
		t.Errorf("got %v", err)
	}
}
