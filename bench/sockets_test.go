package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/ringkit/ringkit/bench/internal/subject"
)

func TestSocketScenarios(t *testing.T) {
	for name, want := range map[string]string{
		"ws64":           "ws64: 64 connections, an echo of 64 bytes at a time on each",
		"ws1000-16k":     "ws1000-16k: 1000 connections, an echo of 16 KiB at a time on each",
		"broadcast10000": "broadcast10000: 10000 connections, messages of 64 bytes to all of them, one at a time",
	} {
		sc := findScenario(t, name)
		if got := sc.describe(77); got != want {
			t.Errorf("%s: %q", name, got)
		}
		if !slices.Equal(sc.subjects(), subject.Sockets()) || sc.unit() != "message" || sc.generator() != socketSource {
			t.Errorf("%s: %q, %s, %s", name, sc.subjects(), sc.unit(), sc.generator())
		}
		if sc.suits(subject.Subject{Floor: true}) {
			t.Errorf("%s: the floors have no WebSockets", name)
		}
	}
	if sc := findScenario(t, "plain"); sc.isSockets() || sc.unit() != "request" || sc.generator() != "" {
		t.Errorf("plain: %+v", sc)
	}
}

func TestSocketSummary(t *testing.T) {
	one := func(name string, cpu float64) outcome {
		return outcome{name, []sample{{Engine: "epoll", CPUMicros: cpu, Rate: 50_000, Busy: 0.5}}}
	}
	var b strings.Builder
	err := findScenario(t, "ws64").writeSummary(&b, []outcome{
		one(subject.Ringkit, 4),
		one(subject.Gorilla, 10),
		one("gws", 8),
		{"nbio", []sample{{Invalid: "no luck"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(b.String()) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	for i, want := range []string{
		2: "ringkit epoll 4.00 4.00–4.00 0.40 0.50 250000 50000 50 % 0.0",
		3: "gorilla epoll 10.00 10.00–10.00 1.00 1.25 100000 50000 50 % 0.0",
		4: "gws epoll 8.00 8.00–8.00 0.80 1.00 125000 50000 50 % 0.0",
		5: "nbio - invalid",
	} {
		if want != "" && lines[i] != want {
			t.Errorf("line %d: got %q, want %q", i, lines[i], want)
		}
	}
}
