package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
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
