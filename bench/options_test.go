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
	if o.rounds != 5 || o.duration != 5*time.Second || o.connections != 64 || len(o.scenarios) != len(scenarios) {
		t.Errorf("got %+v", o)
	}
	if !slices.Equal(o.subjects, subject.Default()) {
		t.Errorf("subjects %q", o.subjects)
	}
}

func TestParseOptionsQuick(t *testing.T) {
	o, err := parseOptions(append(anyCPU, "-quick"), io.Discard)
	if err != nil || o.rounds != 2 || o.duration != time.Second {
		t.Errorf("got %d rounds of %v, %v", o.rounds, o.duration, err)
	}
	o, err = parseOptions(append(anyCPU, "-quick", "-rounds", "3", "-duration", "4s"), io.Discard)
	if err != nil || o.rounds != 3 || o.duration != 4*time.Second {
		t.Errorf("explicit flags: got %d rounds of %v, %v", o.rounds, o.duration, err)
	}
}

func TestParseOptionsExtra(t *testing.T) {
	o, err := parseOptions(append(anyCPU, "-subjects", "", "-extra", "old=/a", "-extra", "new=/b=c"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if want := []extra{{"old", "/a"}, {"new", "/b=c"}}; !slices.Equal(o.extras, want) || len(o.subjects) != 0 {
		t.Errorf("got %v and subjects %q", o.extras, o.subjects)
	}
}

func TestParseOptionsRejects(t *testing.T) {
	for _, args := range []string{
		"-rounds 0", "-rounds 101", "-rounds x", "-duration 1500ms", "-duration 0s", "-duration 1h",
		"-connections 0", "-scenario fancy", "-scenario plain,plain", "-scenario ,", "-subjects iis",
		"-subjects uring,uring", "-subjects ,", "-extra x", "-extra =y", "-extra uring=/x",
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

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"-h"}, {"idle", "-h"}, {"churn", "-help"}} {
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
	for _, args := range [][]string{{"-x"}, {"idle", "-n", "0"}, {"idle", "-subject", "x"}, {"churn", "-requests", "0"}, {"churn", "more"}} {
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
