package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// result is what a run found. Memory is in bytes.
type result struct {
	Machine   machine `json:"machine"`
	Protocol  string  `json:"protocol"`
	Asked     int     `json:"connections_asked"`
	Held      int64   `json:"connections_held"`
	Processes int     `json:"client_processes"`
	Limits    []limit `json:"limits,omitempty"` // why it is fewer than asked for

	Ramp         []sample `json:"ramp"`
	RampSeconds  float64  `json:"ramp_seconds"`
	CloseSeconds float64  `json:"close_seconds"`

	Memory       memory  `json:"memory"`                 // once all are idle
	MemoryLoaded *memory `json:"memory_after,omitempty"` // after the requests

	Idle   *idleUse `json:"idle,omitempty"`
	Load   *loaded  `json:"load,omitempty"`
	Target float64  `json:"target_requests_per_second,omitempty"`

	Lost    int64            `json:"lost"`       // connections that ended while nothing was asked
	Failed  int64            `json:"failed"`     // connections that ended, or were answered wrongly, otherwise
	Unsent  int64            `json:"unsent"`     // requests that found no free connection until the end
	Missing int64            `json:"unanswered"` // requests
	Errors  map[string]int64 `json:"errors,omitempty"`
	Left    int              `json:"left"` // connections that the server kept after their end
	Valid   bool             `json:"valid"`
}

// machine is where it ran, and on what.
type machine struct {
	Kernel string `json:"kernel"`
	CPUs   int    `json:"processors"`
	Go     string `json:"go"`
	Engine string `json:"engine"`
	Loops  int    `json:"loops"`
	Direct bool   `json:"direct_descriptors"`
}

// sample is how far the ramp is.
type sample struct {
	Seconds     float64 `json:"seconds"`
	Connections int64   `json:"connections"`
	Failed      int64   `json:"failed"`
	Rate        float64 `json:"connections_per_second"` // since the sample before
	RSS         int64   `json:"server_rss_bytes"`
	Slab        int64   `json:"kernel_slab_bytes"`
	Available   int64   `json:"available_bytes"`
}

func (s sample) String() string {
	text := fmt.Sprintf("%8d connections  %6.0f/s  server %.1f MiB  kernel %d MiB  available %d MiB",
		s.Connections, s.Rate, float64(s.RSS)/(1<<20), s.Slab>>20, s.Available>>20)
	if s.Failed > 0 {
		text += fmt.Sprintf("  %d failed", s.Failed)
	}
	return text
}

// memory is what a connection takes, in bytes, as what has grown since there were none.
type memory struct {
	RSS       float64 `json:"server_rss"`
	PSS       float64 `json:"server_pss"`
	HeapInUse float64 `json:"server_heap_in_use"` // spans of the Go heap
	HeapLive  float64 `json:"server_heap"`        // objects on it, with garbage
	Kernel    float64 `json:"kernel_slab"`        // at both ends
	Sockets   float64 `json:"kernel_socket_buffers"`
	Mapped    float64 `json:"kernel_vmalloc"`
	Caches    []cache `json:"kernel_caches,omitempty"`

	ServerRSS      int64 `json:"server_rss_total"`
	ServerRSSFirst int64 `json:"server_rss_before"`
	Available      int64 `json:"available_less"` // on the whole machine: what all of it takes
}

// cache is a slab cache of the kernel. Some are merged with others of the same size.
type cache struct {
	Name  string  `json:"name"`
	Bytes float64 `json:"bytes"` // for each connection
}

// caches that take less are not named.
const leastCache = 16

func perConnection(before, after view, held int64) memory {
	n := float64(held)
	k := after.kernel.Sub(before.kernel)
	m := memory{
		RSS:       float64(after.memory.RSS-before.memory.RSS) / n,
		PSS:       float64(after.memory.PSS-before.memory.PSS) / n,
		HeapInUse: (float64(after.inside.HeapInUse) - float64(before.inside.HeapInUse)) / n,
		HeapLive:  (float64(after.inside.HeapLive) - float64(before.inside.HeapLive)) / n,
		Kernel:    float64(k.Slab) / n,
		Sockets:   float64(k.Sockets) / n,
		Mapped:    float64(k.Mapped) / n,
		ServerRSS: after.memory.RSS, ServerRSSFirst: before.memory.RSS, Available: k.Available,
	}
	for name, grown := range k.Caches {
		if each := float64(grown) / n; each >= leastCache {
			m.Caches = append(m.Caches, cache{name, each})
		}
	}
	slices.SortFunc(m.Caches, func(a, b cache) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name)) })
	return m
}

func (m memory) line() string {
	return fmt.Sprintf("server %.0f B of RSS each, %.0f B of Go heap; kernel %.0f B, both ends", m.RSS, m.HeapInUse, m.Kernel)
}

// idleUse is what the server does with its connections idle.
type idleUse struct {
	Seconds float64 `json:"seconds"`
	Percent float64 `json:"percent_of_a_processor"`
}

// loaded is what the requests found.
type loaded struct {
	Seconds      float64   `json:"seconds"`
	Rate         float64   `json:"requests_per_second"` // answered in that time
	Answered     int64     `json:"answered"`
	Latency      latencies `json:"latency_us"` // from when requests were due
	CPUMicros    float64   `json:"server_cpu_us_per_request"`
	ClientMicros float64   `json:"client_cpu_us_per_request"`
	Busy         float64   `json:"server_percent_of_a_processor"`
	ThreadsEnded bool      `json:"threads_ended,omitempty"` // then processor time is in steps of 10 ms
	Starved      uint64    `json:"receives_starved"`
	Takeovers    uint64    `json:"takeovers"`
}

// latencies are in microseconds.
type latencies struct {
	Mean float64 `json:"mean"`
	P50  int64   `json:"p50"`
	P90  int64   `json:"p90"`
	P99  int64   `json:"p99"`
	P999 int64   `json:"p99_9"`
	Max  int64   `json:"max"`
}

func summarize(h *hdrhistogram.Histogram) latencies {
	return latencies{
		Mean: h.Mean(), Max: h.Max(),
		P50: h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90), P99: h.ValueAtQuantile(99), P999: h.ValueAtQuantile(99.9),
	}
}

// count adds up what went wrong.
func (r *result) count(c *crew) {
	r.Errors = make(map[string]int64)
	for _, m := range c.members {
		r.Lost += m.Last.Lost
		r.Failed += m.Last.Failed
		r.Unsent += m.Last.Unsent
		r.Missing += m.Last.Missing
		for why, n := range m.Last.Errors {
			r.Errors[why] += n
		}
	}
}

func (r *result) wrong() error {
	var all []error
	for _, w := range []struct {
		n    int64
		what string
	}{
		{r.Failed, "connections failed"}, {r.Lost, "idle connections ended"},
		{r.Missing, "requests were not answered"}, {r.Unsent, "requests were not sent in time: the rate is too high here"},
	} {
		if w.n > 0 {
			all = append(all, fmt.Errorf("%d %s", w.n, w.what))
		}
	}
	return errors.Join(all...)
}

// err is nil if all went well.
func (r *result) err() error {
	if r.Valid {
		return nil
	}
	return cmp.Or(r.wrong(), errors.New("the run did not come to its end"))
}
