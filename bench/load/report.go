package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ringkit/ringkit/bench/internal/output"
)

// result is what a run found.
type result struct {
	URL         string           `json:"url"`
	Unit        string           `json:"unit"` // of what is counted: requests, messages or events
	Connections int              `json:"connections"`
	Pipeline    int              `json:"pipeline"`
	Receive     bool             `json:"receive,omitempty"`                    // the server sent by itself
	Target      float64          `json:"target_requests_per_second,omitempty"` // of an open loop
	Seconds     float64          `json:"seconds"`
	Requests    int64            `json:"requests"` // answered in that time; or messages that came back; or what came
	Rate        float64          `json:"requests_per_second"`
	Answered    int64            `json:"answered"` // with those that were later
	Bytes       int64            `json:"body_bytes"`
	Statuses    map[int]int64    `json:"statuses,omitempty"` // of requests, with those answered later
	Errors      map[string]int64 `json:"errors,omitempty"`
	Failed      int64            `json:"failed"`
	Unsent      int64            `json:"unsent"`     // were due, and found no free connection
	Unanswered  int64            `json:"unanswered"` // even later
	Latency     latencies        `json:"latency_us"`
	Service     *latencies       `json:"service_us,omitempty"` // of an open loop, from when requests were sent
}

// latencies are in microseconds.
type latencies struct {
	Mean  float64 `json:"mean"`
	Min   int64   `json:"min"`
	P50   int64   `json:"p50"`
	P75   int64   `json:"p75"`
	P90   int64   `json:"p90"`
	P99   int64   `json:"p99"`
	P999  int64   `json:"p99_9"`
	P9999 int64   `json:"p99_99"`
	Max   int64   `json:"max"`
}

func summarize(h *hdrhistogram.Histogram) latencies {
	return latencies{
		Mean: h.Mean(), Min: h.Min(), Max: h.Max(),
		P50: h.ValueAtQuantile(50), P75: h.ValueAtQuantile(75), P90: h.ValueAtQuantile(90),
		P99: h.ValueAtQuantile(99), P999: h.ValueAtQuantile(99.9), P9999: h.ValueAtQuantile(99.99),
	}
}

func (c *counts) result(o *options, elapsed time.Duration, unanswered int64) *result {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &result{
		URL: o.url, Unit: o.unit(), Connections: o.connections, Pipeline: o.pipeline, Receive: o.receive && o.publish == "", Target: o.rate,
		Seconds: elapsed.Seconds(), Requests: c.inTime, Answered: c.answered, Rate: float64(c.inTime) / elapsed.Seconds(), Bytes: c.bytes,
		Statuses: maps.Clone(c.statuses), Errors: maps.Clone(c.errors), Failed: c.failed,
		Unsent: c.unsent, Unanswered: unanswered, Latency: summarize(c.latency),
	}
	if o.rate > 0 {
		service := summarize(c.service)
		r.Service = &service
	}
	return r
}

// err is nil if all went well.
func (r *result) err() error {
	switch {
	case r.Failed > 0:
		return fmt.Errorf("%d failures", r.Failed)
	case r.Unanswered > 0:
		return fmt.Errorf("%d %s were not answered", r.Unanswered, r.Unit)
	case r.Unsent > 0:
		return fmt.Errorf("%d %s were not sent in time: want more connections, or a lower rate", r.Unsent, r.Unit)
	case r.Requests == 0:
		return fmt.Errorf("no %s in that time", r.Unit)
	}
	return nil
}

// report writes the result where the options want it.
func (r *result) report(o *options, stdout io.Writer) error {
	return output.Write(r, r.text(), o.json, stdout)
}

func (r *result) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d connections", r.URL, r.Connections)
	if r.Pipeline > 1 {
		fmt.Fprintf(&b, " with %d %s in flight on each", r.Pipeline, r.Unit)
	}
	fmt.Fprintf(&b, ", %.1f s\n\n", r.Seconds)
	fmt.Fprintf(&b, "  %d %s, %.0f/s", r.Requests, r.Unit, r.Rate)
	if r.Target > 0 {
		fmt.Fprintf(&b, " of %.0f/s", r.Target)
	}
	fmt.Fprintf(&b, ", %.1f MiB received in them\n", float64(r.Bytes)/(1<<20))
	for _, status := range slices.Sorted(maps.Keys(r.Statuses)) {
		fmt.Fprintf(&b, "  status %d: %d\n", status, r.Statuses[status])
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Errors)) {
		fmt.Fprintf(&b, "  failed: %d: %s\n", r.Errors[kind], kind)
	}
	if r.Unsent > 0 {
		fmt.Fprintf(&b, "  not sent in time: %d\n", r.Unsent)
	}
	if r.Unanswered > 0 {
		fmt.Fprintf(&b, "  not answered: %d\n", r.Unanswered)
	}
	switch {
	case r.Receive && r.Latency == latencies{}:
		b.WriteString("\n  no latencies: nothing began with the time at which it was made\n")
		return b.String()
	case r.Receive:
		b.WriteString("\n  latency since they were made\n")
	case r.Service == nil:
		b.WriteString("\n  latency, of a closed loop\n")
	default:
		b.WriteString("\n  latency since requests were due, and since they were sent\n")
	}
	row := func(name string, of func(latencies) int64) {
		fmt.Fprintf(&b, "  %8s  %10s", name, micros(of(r.Latency)))
		if r.Service != nil {
			fmt.Fprintf(&b, "  %10s", micros(of(*r.Service)))
		}
		b.WriteByte('\n')
	}
	row("mean", func(l latencies) int64 { return int64(l.Mean) })
	row("min", func(l latencies) int64 { return l.Min })
	row("50 %", func(l latencies) int64 { return l.P50 })
	row("75 %", func(l latencies) int64 { return l.P75 })
	row("90 %", func(l latencies) int64 { return l.P90 })
	row("99 %", func(l latencies) int64 { return l.P99 })
	row("99.9 %", func(l latencies) int64 { return l.P999 })
	row("99.99 %", func(l latencies) int64 { return l.P9999 })
	row("max", func(l latencies) int64 { return l.Max })
	return b.String()
}
