package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/bench/internal/procfs"
	"github.com/ringkit/ringkit/bench/internal/subject"
	"github.com/ringkit/ringkit/bench/internal/wrk"
)

func TestNewSample(t *testing.T) {
	result := wrk.Result{Requests: 100_000, Elapsed: 2 * time.Second, P50: 300 * time.Microsecond, P99: 2 * time.Millisecond}
	cpu := procfs.CPU{Scheduled: time.Second, Waited: 200 * time.Millisecond, Accounted: 990 * time.Millisecond}
	s := newSample(result, cpu, 2*time.Second, procfs.Memory{RSS: 1 << 20})
	if s.CPUMicros != 10 || s.Rate != 50_000 || s.P50Micros != 300 || s.P99Micros != 2000 || s.Busy != 0.5 || s.Waited != 0.1 {
		t.Errorf("got %+v", s)
	}
	if s := newSample(wrk.Result{}, cpu, time.Second, procfs.Memory{}); s.CPUMicros != 0 {
		t.Errorf("without requests: %v µs", s.CPUMicros)
	}
}

func testOutcomes() []outcome {
	return []outcome{
		{subject: subject.Uring, samples: []sample{
			{Round: 1, Engine: "io_uring", CPUMicros: 5, Rate: 100_000, P50Micros: 250, P99Micros: 1000, Busy: 0.7},
			{Round: 2, CPUMicros: 4, Rate: 120_000, P50Micros: 240, P99Micros: 900, Busy: 0.8},
			{Round: 3, CPUMicros: 9, Rate: 90_000, P50Micros: 500, P99Micros: 3000, Busy: 0.9, Waited: 0.5},
		}},
		{subject: subject.NetHTTP, samples: []sample{
			{Round: 1, Engine: "epoll", CPUMicros: 20, Rate: 50_000, P50Micros: 900, Busy: 1, ThreadsEnded: true},
			{Round: 2, CPUMicros: 500, Invalid: "3 timeouts"},
		}},
		{subject: "broken", samples: []sample{{Round: 1, Invalid: "no luck"}}},
	}
}

func TestWriteSummary(t *testing.T) {
	var b strings.Builder
	if err := scenarios[0].writeSummary(&b, testOutcomes()); err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for line := range strings.Lines(b.String()) {
		rows = append(rows, strings.Fields(line))
	}
	for i, want := range []string{
		2: "uring io_uring 5.00 4.00–9.00 1.00 0.25 - 100000 0.250 1.000 80 % 0.0",
		3: "nethttp epoll 20.00 20.00–20.00 4.00 1.00 - 50000 0.900 - 100 % 0.0",
		4: "broken - invalid",
	} {
		if got := strings.Join(rows[i], " "); want != "" && got != want {
			t.Errorf("row %d: got %q, want %q", i, got, want)
		}
	}
	for _, want := range []string{
		"nethttp: 1 of 2 rounds invalid and left out: 3 timeouts\n",
		"nethttp: threads ended in 1 rounds",
		"broken: 1 of 1 rounds invalid",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no note %q in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "other work ran there") {
		t.Error("one disturbed round in three is no reason for a note")
	}
}

func TestNotesDisturbed(t *testing.T) {
	o := outcome{samples: []sample{{Waited: 0.3}, {Waited: 0.2}, {Waited: 0}}}
	if notes := o.notes(scenarios[0]); len(notes) != 1 || !strings.Contains(notes[0], "20 %") {
		t.Errorf("got %q", notes)
	}
	if notes := o.notes(scenario{two: true}); notes != nil {
		t.Errorf("the load runs there too: got %q", notes)
	}
}

func TestReport(t *testing.T) {
	r := newReport(options{rounds: 3, duration: time.Second}, []string{"x: no"})
	r.add(scenarios[0], testOutcomes())
	path := filepath.Join(t.TempDir(), "r.json")
	if err := r.write(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got report
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	first := got.Scenarios[0].Subjects[0]
	if first.CPUMicros != 5 || len(first.Samples) != 3 || got.Host.Kernel == "" || got.NotMeasured[0] != "x: no" {
		t.Errorf("got %s", data)
	}
}

func TestCPUModel(t *testing.T) {
	if got := cpuModel("processor\t: 0\nmodel name\t: A: B\nmodel name\t: C\n"); got != "A: B" {
		t.Errorf("got %q", got)
	}
	if got := cpuModel("processor : 0\n"); got != "" {
		t.Errorf("got %q", got)
	}
}
