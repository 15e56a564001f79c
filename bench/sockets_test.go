package main

import (
	"slices"
	"testing"

	"github.com/ringkit/ringkit/bench/internal/own"
	"github.com/ringkit/ringkit/bench/internal/subject"
)

func TestSocketScenarios(t *testing.T) {
	for name, want := range map[string]string{
		"ws64":           "64 connections, an echo of 64 bytes at a time on each",
		"ws1000-16k":     "1000 connections, an echo of 16 KiB at a time on each",
		"broadcast10000": "10000 connections, messages of 64 bytes to all of them, one at a time",
	} {
		sc := findScenario(t, name)
		if got := sc.describe(77); got != want {
			t.Errorf("%s: %q", name, got)
		}
		if !slices.Equal(sc.subjects(), subject.Sockets()) || sc.unit() != "message" || sc.generator() != own.Source {
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
