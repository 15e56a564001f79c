package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/bench/internal/load"
	"github.com/ringkit/ringkit/bench/internal/mix"
	"github.com/ringkit/ringkit/bench/internal/procfs"
	"github.com/ringkit/ringkit/bench/internal/server"
)

func TestNewMixSample(t *testing.T) {
	result := load.Result{
		Elapsed:    2 * time.Second,
		Answered:   1000,
		Fast:       load.Latencies{Requests: 900, P50: time.Millisecond, P99: 2 * time.Millisecond, Max: 3 * time.Millisecond},
		Slow:       load.Latencies{Requests: 110, P50: 4 * time.Millisecond},
		Unanswered: 5,
	}
	cpu := procfs.CPU{Scheduled: 1010 * time.Millisecond, Waited: 200 * time.Millisecond, Accounted: time.Second}
	s := newMixSample(result, cpu, procfs.Memory{})
	if s.Requests != 1010 || s.CPUMicros != 1000 || s.Rate != 500 || s.Busy != 0.505 || s.Waited != 0.1 {
		t.Errorf("got %+v", s)
	}
	if s.P50Micros != 1000 || s.P99Micros != 2000 || s.Mix.MaxMicros != 3000 || s.Mix.SlowP50Micros != 4000 || s.Mix.Unanswered != 5 {
		t.Errorf("got %+v, %+v", s, s.Mix)
	}
}

func TestMixSummary(t *testing.T) {
	figures := func(longest float64, takeovers, later uint64) *mixFigures {
		return &mixFigures{AllFastRate: 50_000, AllFastCPUMicros: 10, MaxMicros: longest, SlowP50Micros: 2500,
			Counters: &mix.Counters{Takeovers: takeovers}, Later: &mix.Counters{Takeovers: later}}
	}
	others := figures(9000, 0, 0)
	others.Counters, others.Later, others.Unanswered = nil, nil, 7
	var b strings.Builder
	err := findScenario(t, "mix2").writeSummary(&b, []outcome{
		{subject: "ringkit-std", samples: []sample{
			{Engine: "io_uring", CPUMicros: 11, Rate: 40_000, P50Micros: 1000, P99Micros: 3000, Busy: 0.9, Mix: figures(5000, 3, 1)},
			{CPUMicros: 12, Rate: 45_000, P50Micros: 1000, P99Micros: 3000, Busy: 0.9, Mix: figures(8000, 4, 0)},
			{CPUMicros: 13, Rate: 50_000, P50Micros: 1000, P99Micros: 3000, Busy: 0.9, Mix: figures(7000, 9, 0)},
			{Invalid: "no luck"},
		}},
		{subject: "nethttp", samples: []sample{{Engine: "epoll", CPUMicros: 20, Rate: 25_000, Mix: others}}},
		{subject: "broken", samples: []sample{{Invalid: "no luck"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(b.String()) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	for i, want := range []string{
		2: "ringkit-std io_uring 45000 0.90 12.00 1.20 1.000 3.000 8.000 2.500 4 0 90 %",
		3: "nethttp epoll 25000 0.50 20.00 2.00 - - 9.000 2.500 - - 0 %",
		4: "broken - invalid",
		6: "nethttp: 7 requests had no answer 2 s after the end",
	} {
		if want != "" && lines[i] != want {
			t.Errorf("line %d: got %q, want %q", i, lines[i], want)
		}
	}
}

func TestReadCounters(t *testing.T) {
	answer := `{"takeovers":4,"released":3,"predicted":2,"spawned":1}`
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == mix.Stats {
			io.WriteString(w, answer)
		}
	}))
	defer web.Close()
	srv := &server.Server{Port: web.Listener.Addr().(*net.TCPAddr).Port}
	if got := readCounters(t.Context(), srv); got == nil || *got != (mix.Counters{Takeovers: 4, Released: 3, Predicted: 2, Spawned: 1}) {
		t.Errorf("got %+v", got)
	}
	answer = "Hello, World!"
	if got := readCounters(t.Context(), srv); got != nil {
		t.Errorf("from a server that has none: %+v", got)
	}
	web.Close()
	if got := readCounters(t.Context(), srv); got != nil {
		t.Errorf("from nobody: %+v", got)
	}
}

func TestBetween(t *testing.T) {
	one := &mix.Counters{Takeovers: 1}
	if got := between(one, &mix.Counters{Takeovers: 5}); got == nil || got.Takeovers != 4 {
		t.Errorf("got %+v", got)
	}
	if between(nil, one) != nil || between(one, nil) != nil {
		t.Error("a reading that is missing counts")
	}
}
