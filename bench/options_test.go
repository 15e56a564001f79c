package main

import (
	"errors"
	"flag"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/bench/internal/subject"
)

// anyCPU makes the options valid on a machine with one processor.
var anyCPU = []string{"-server-cpu", "-1", "-load-cpu", "-1"}

func TestParseOptionsDefaults(t *testing.T) {
	o, err := parseOptions(anyCPU, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.rounds != 0 || o.duration != 0 || o.budget != wholeBudget || o.connections != 64 || len(o.scenarios) != len(scenarios)-len(otherScenarios(false)) {
		t.Errorf("got %+v", o)
	}
	for _, name := range slices.Concat(subject.Default(), subject.Mixed(), subject.Two(), subject.Files()) {
		if !slices.Contains(o.subjects, name) {
			t.Errorf("%s is not among %q", name, o.subjects)
		}
	}
}

func TestParseOptionsQuick(t *testing.T) {
	o, err := parseOptions(append(anyCPU, "-quick"), io.Discard)
	if err != nil || o.budget != quickBudget || !o.quick {
		t.Errorf("got a budget of %v, %v", o.budget, err)
	}
	for _, name := range []string{"plain", "json", "static", "tls", "mix2", "ws64", "client64", "wsclient64", "idle-http", "idle-ws"} {
		if !slices.Contains(o.scenarios, findScenario(t, name)) {
			t.Errorf("a quick run takes %s", scenarioNames(o.scenarios))
		}
	}
	for name, want := range map[string]bool{subject.Ringkit: true, subject.NetHTTP: true, "hertz": false, "broken": false} {
		if slices.Contains(o.subjects, name) != want {
			t.Errorf("a quick run takes %q", o.subjects)
		}
	}
	o, err = parseOptions(append(anyCPU, "-quick", "-scenario", "mix2,two"), io.Discard)
	if err != nil || scenarioNames(o.scenarios) != "mix2, two" {
		t.Errorf("named scenarios: got %s, %v", scenarioNames(o.scenarios), err)
	}
	o, err = parseOptions(append(anyCPU, "-quick", "-rounds", "3", "-duration", "1500ms", "-budget", "1m", "-subjects", "hertz"), io.Discard)
	if err != nil || o.rounds != 3 || o.duration != 1500*time.Millisecond || o.budget != time.Minute || !slices.Equal(o.subjects, []string{"hertz"}) {
		t.Errorf("explicit flags: got %+v, %v", o, err)
	}
}

func TestParseOptionsExtra(t *testing.T) {
	o, err := parseOptions(append(anyCPU, "-subjects", "", "-extra", "old=/a", "-extra", "new=/b=c -handler std"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if want := []extra{{"old", "/a"}, {"new", "/b=c -handler std"}}; !slices.Equal(o.extras, want) || len(o.subjects) != 0 {
		t.Errorf("got %v and subjects %q", o.extras, o.subjects)
	}
}

func TestParseOptionsRejects(t *testing.T) {
	for _, args := range []string{
		"-rounds -1", "-rounds 101", "-rounds x", "-duration 1ms", "-duration 1h", "-budget 0s", "-budget 100h",
		"-connections 0", "-scenario fancy", "-scenario plain,plain", "-scenario ,", "-subjects iis",
		"-subjects uring,uring", "-subjects ,", "-extra x", "-extra x=", "-extra =y", "-extra uring=/x",
		"-extra a=/x -extra a=/y", "-gomaxprocs -1", "-server-cpu 3 -load-cpu 3", "-load-cpu 100000",
		"-nonsense", "surplus",
	} {
		_, err := parseOptions(append(slices.Clone(anyCPU), strings.Fields(args)...), io.Discard)
		var usage usageError
		if !errors.As(err, &usage) {
			t.Errorf("%s: got %v", args, err)
		}
	}
}

func TestIncludes(t *testing.T) {
	plain, mixed, two := findScenario(t, "plain"), findScenario(t, "mix2"), findScenario(t, "two")
	file, overTLS := findScenario(t, "static"), findScenario(t, "tls")
	named := options{named: true}
	chosen := options{extras: []extra{{"old", "/a"}}}
	for _, test := range []struct {
		o    options
		sc   scenario
		s    subject.Subject
		want bool
	}{
		{chosen, plain, subject.Subject{Name: "uring", Floor: true}, true},
		{chosen, plain, subject.Subject{Name: "ringkit-std"}, true},
		{chosen, plain, subject.Subject{Name: "ringkit-std-inline"}, false},
		{chosen, mixed, subject.Subject{Name: "ringkit-std"}, true},
		{chosen, mixed, subject.Subject{Name: "old"}, true},
		{chosen, two, subject.Subject{Name: "ringkit-std-inline"}, false},
		{named, plain, subject.Subject{Name: "ringkit-std"}, true},
		{named, two, subject.Subject{Name: "ringkit-std-inline"}, true},
		{named, two, subject.Subject{Name: "uring", Floor: true}, false},
		{named, mixed, subject.Subject{Name: "uring", Floor: true}, false},
		{chosen, file, subject.Subject{Name: "ringkit"}, false},
		{named, file, subject.Subject{Name: "ringkit"}, true},
		{named, file, subject.Subject{Name: "uring", Floor: true}, false},
		{chosen, overTLS, subject.Subject{Name: "nethttp"}, true},
		{chosen, overTLS, subject.Subject{Name: "fasthttp"}, true},
		{chosen, overTLS, subject.Subject{Name: "hertz"}, false},
		{named, overTLS, subject.Subject{Name: "uring", Floor: true}, false},
		{chosen, plain, subject.Subject{Name: "gnet", Canned: true}, true},
		{named, overTLS, subject.Subject{Name: "gnet", Canned: true}, false},
	} {
		if got := test.o.includes(test.sc, test.s); got != test.want {
			t.Errorf("%s in %s, subjects named %v: got %v", test.s.Name, test.sc.name, test.o.named, got)
		}
	}
}

func TestPlace(t *testing.T) {
	o := options{serverCPU: 3, loadCPU: 4}
	if got, want := o.place(findScenario(t, "mix2")), (place{3, 4, 0, 1, 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	two := findScenario(t, "two")
	if got, want := o.place(two), (place{-1, -1, 2, 2, 2}); got != want {
		t.Errorf("two: got %+v, want %+v", got, want)
	}
	o.goMaxProcs = 1
	if got := o.place(two); got.goMaxProcs != 1 {
		t.Errorf("two, -gomaxprocs 1: got %+v", got)
	}
}

func findScenario(t *testing.T, name string) scenario {
	t.Helper()
	found, err := findScenarios([]string{name}, false)
	if err != nil {
		t.Fatal(err)
	}
	return found[0]
}

func TestDescribeScenario(t *testing.T) {
	for name, want := range map[string]string{
		"close":      "10 connections, a new one for each request",
		"pipeline":   "10 connections, 16 requests per write",
		"two":        "10 connections, one request at a time on each, server and load on two processors",
		"mix2":       "10 connections, one request at a time on each, 2 % of the requests sleep 2 ms, on a route of their own",
		"mix1s-same": "40 connections, one request at a time on each, 0.1 % of the requests sleep 1 s, on the same route",
		"plain1":     "1 connection, one request at a time on each",
		"plain1024":  "1024 connections, one request at a time on each",
		"json":       "10 connections, one request at a time on each, JSON that is encoded for each",
		"post1m":     "16 connections, one request at a time on each, a POST of 1 MiB",
		"idle-ws":    "WebSockets that do nothing after one echo each",
	} {
		if got := findScenario(t, name).describe(10); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"-h"}, {"idle", "-h"}, {"churn", "-help"}, {"slow", "-h"}} {
		var out, errs strings.Builder
		if code := run(t.Context(), args, &out, &errs); code != 0 || errs.Len() > 0 {
			t.Errorf("%q: exit status %d, errors %q", args, code, errs.String())
		}
		if !strings.Contains(out.String(), "-server-cpu") {
			t.Errorf("%q does not explain the flags:\n%s", args, out.String())
		}
	}
}

func TestWrongArguments(t *testing.T) {
	for _, args := range [][]string{{"-x"}, {"idle", "-n", "0"}, {"idle", "-subject", "x"}, {"churn", "-requests", "0"}, {"churn", "more"}, {"report"}} {
		var out, errs strings.Builder
		if code := run(t.Context(), args, &out, &errs); code != 2 || !strings.Contains(errs.String(), "-h shows") {
			t.Errorf("%q: exit status %d, errors %q", args, code, errs.String())
		}
	}
}

func TestSetFlag(t *testing.T) {
	flags := flag.NewFlagSet("x", flag.ContinueOnError)
	flags.Int("a", 1, "")
	flags.Int("b", 1, "")
	if err := flags.Parse([]string{"-a", "1"}); err != nil {
		t.Fatal(err)
	}
	if !wasSet(flags, "a") || wasSet(flags, "b") {
		t.Error("wasSet does not tell a given flag from a default")
	}
}
