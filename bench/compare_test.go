package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/bench/internal/report"
	"github.com/ringkit/ringkit/bench/internal/subject"
)

// testComparison has two scenarios that are measured by a function.
func testComparison(t *testing.T, measure func(sc scenario, s subject.Subject) (sample, error)) *comparison {
	c := &comparison{options: options{out: t.TempDir(), connections: 64}, started: time.Now(), progress: io.Discard, report: new(report.Report)}
	for _, name := range []string{"plain", "json"} {
		sc := findScenario(t, name)
		c.jobs = append(c.jobs, &job{scenario: sc, subjects: []subject.Subject{{Name: subject.Ringkit}, {Name: subject.NetHTTP}},
			measure: func(s subject.Subject) (sample, error) { return measure(sc, s) }})
	}
	c.plan = plan{rounds: 3, exact: true, duration: time.Second}
	return c
}

// The subjects of a scenario take turns, and rounds go over all scenarios.
func TestRunInterleaves(t *testing.T) {
	var order []string
	c := testComparison(t, func(sc scenario, s subject.Subject) (sample, error) {
		order = append(order, sc.name+"/"+s.Name)
		return sample{CPUMicros: 1}, nil
	})
	if err := c.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	one := []string{"plain/ringkit", "plain/nethttp", "json/ringkit", "json/nethttp"}
	if want := slices.Concat(one, one, one); !slices.Equal(order, want) {
		t.Errorf("got %q", order)
	}
	samples := c.report.Scenario("json").Find(subject.NetHTTP).Samples
	if len(samples) != 3 || samples[0].Round != 1 || samples[2].Round != 3 {
		t.Errorf("got %+v", samples)
	}
}

// What was measured until an interruption is in the report.
func TestInterruptedRunIsReported(t *testing.T) {
	n := 0
	c := testComparison(t, func(scenario, subject.Subject) (sample, error) {
		if n++; n == 6 {
			return sample{}, context.Canceled
		}
		return sample{CPUMicros: 1}, nil
	})
	if err := c.run(t.Context()); err != context.Canceled {
		t.Fatal(err)
	}
	if err := c.finish(io.Discard, true); err != nil {
		t.Fatal(err)
	}
	r, err := report.Read(filepath.Join(c.out, report.JSONFile))
	if err != nil || !r.Interrupted || len(r.Scenario("plain").Find(subject.Ringkit).Samples) != 2 || len(r.Scenario("json").Find(subject.Ringkit).Samples) != 1 {
		t.Errorf("%v, %+v", err, r)
	}
	for _, name := range []string{report.HTMLFile, report.MarkdownFile} {
		text, err := os.ReadFile(filepath.Join(c.out, name))
		if err != nil || !strings.Contains(string(text), "Interrupted") {
			t.Errorf("%s: %v, %.200s", name, err, text)
		}
	}
}

func TestUseless(t *testing.T) {
	c := testComparison(t, func(_ scenario, s subject.Subject) (sample, error) {
		if s.Name == subject.NetHTTP {
			return sample{Invalid: "3 timeouts"}, nil
		}
		return sample{CPUMicros: 1}, nil
	})
	if err := c.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(c.report.Scenario("plain").Find(subject.NetHTTP).Samples); n != 4 {
		t.Errorf("%d tries in 3 rounds, want another one in the first", n)
	}
	if err := c.useless(); err == nil || !strings.Contains(err.Error(), "plain/nethttp, json/nethttp") {
		t.Errorf("got %v", err)
	}
}

func TestAdvice(t *testing.T) {
	if got := advice(nil); got != "" {
		t.Errorf("nothing is missing: %q", got)
	}
	if got := advice(tools[:2]); !strings.Contains(got, "apt-get install wrk gcc libc6-dev\n") {
		t.Errorf("got %q", got)
	}
}

// Without wrk the requests are those of bench/load.
func TestWithoutTools(t *testing.T) {
	builder, err := subject.NewBuilder(t.Context(), t.TempDir(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir())
	absent := lookForTools()
	if len(absent) == 0 || absent[0].program != "wrk" {
		t.Fatalf("absent: %v", absent)
	}
	generator, err := chooseGenerator("")
	if err != nil {
		t.Fatal(err)
	}
	c := &comparison{options: options{subjects: []string{subject.Ringkit}, generator: generator}, builder: builder, progress: io.Discard, report: new(report.Report)}
	if _, err := c.job(t.Context(), findScenario(t, "plain"), nil); err == nil || !strings.Contains(err.Error(), "go") {
		t.Errorf("without Go there is no load: %v", err)
	}
	if _, err := c.job(t.Context(), findScenario(t, "idle-http"), nil); err != nil {
		t.Error(err)
	}
}

// Every peer gives the answers of all scenarios that it is measured in, and so does this
// project: otherwise it would not be in the table.
func TestPeersAnswer(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	dir := t.TempDir()
	builder, err := subject.NewBuilder(t.Context(), dir, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	generator, err := chooseGenerator("")
	if err != nil {
		t.Fatal(err)
	}
	c := &comparison{options: options{serverCPU: -1, loadCPU: -1, connections: 2, generator: generator}, dir: dir, progress: io.Discard,
		builder: builder, report: new(report.Report), plan: plan{duration: 100 * time.Millisecond}}
	for _, name := range []string{"plain", "json", "post1k", "post1m", "static", "tls"} {
		sc := findScenario(t, name)
		var subjects []subject.Subject
		for _, name := range sc.subjects() {
			s, err := builder.Build(t.Context(), name)
			if err != nil {
				t.Logf("%s: %v", name, err) // nginx, or gcc, is not there
				continue
			}
			subjects = append(subjects, s)
		}
		j, err := c.job(t.Context(), sc, subjects)
		if err != nil {
			t.Skip(err) // wrk is not there
		}
		for _, s := range j.subjects {
			if one, err := j.measure(s); err != nil || one.Invalid != "" && !strings.Contains(one.Invalid, "no request answered") {
				t.Errorf("%s, %s: %v, %s", name, s.Name, err, one.Invalid)
			}
		}
	}
}
