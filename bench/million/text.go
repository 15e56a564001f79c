package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ringkit/ringkit/bench/internal/output"
)

// report writes the result where the options want it.
func (r *result) report(o *options, stdout io.Writer) error {
	return output.Write(r, r.text(), o.json, stdout)
}

func (r *result) text() string {
	var b strings.Builder
	if !r.Valid {
		b.WriteString("\nINVALID: these figures are of a run that failed\n")
	}
	kind := "real"
	if r.Machine.Direct {
		kind = "direct"
	}
	fmt.Fprintf(&b, "\n%d connections, %s, to one process on %s with %d loops and %s descriptors; %d client processes\n",
		r.Held, r.Protocol, r.Machine.Engine, r.Machine.Loops, kind, r.Processes)
	fmt.Fprintf(&b, "Linux %s, %d processors, %s\n", r.Machine.Kernel, r.Machine.CPUs, r.Machine.Go)
	for _, l := range r.Limits {
		fmt.Fprintf(&b, "of %d that were asked for: %s\n", r.Asked, l)
	}
	fmt.Fprintf(&b, "\nramp\n  %.1f s, %.0f connections per second\n", r.RampSeconds, float64(r.Held)/max(r.RampSeconds, 1e-9))
	b.WriteString("\nmemory, in bytes for each connection\n")
	r.Memory.text(&b, r.MemoryLoaded)
	if r.Idle != nil {
		fmt.Fprintf(&b, "\nidle\n  the server took %.2f %% of a processor\n", r.Idle.Percent)
	}
	if r.Load != nil {
		r.Load.text(&b, r)
	}
	b.WriteString("\nfailures\n")
	fmt.Fprintf(&b, "  %d connections failed, %d idle ones ended, %d requests unanswered, %d unsent\n", r.Failed, r.Lost, r.Missing, r.Unsent)
	for _, why := range slices.Sorted(maps.Keys(r.Errors)) {
		fmt.Fprintf(&b, "  %d × %s\n", r.Errors[why], why)
	}
	return b.String()
}

func (m memory) text(b *strings.Builder, after *memory) {
	row := func(what string, of func(*memory) float64) {
		fmt.Fprintf(b, "  %-34s %8.0f", what, of(&m))
		if after != nil {
			fmt.Fprintf(b, " %16.0f", of(after))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(b, "  %-34s %8s", "", "idle")
	if after != nil {
		fmt.Fprintf(b, " %16s", "after requests")
	}
	b.WriteByte('\n')
	row("server: RSS", func(m *memory) float64 { return m.RSS })
	row("server: PSS", func(m *memory) float64 { return m.PSS })
	row("server: Go heap in use", func(m *memory) float64 { return m.HeapInUse })
	row("server: Go heap objects", func(m *memory) float64 { return m.HeapLive })
	row("kernel: slabs, both ends", func(m *memory) float64 { return m.Kernel })
	row("kernel: vmalloc", func(m *memory) float64 { return m.Mapped })
	row("kernel: socket buffers", func(m *memory) float64 { return m.Sockets })
	if len(m.Caches) > 0 {
		b.WriteString("  of the slabs")
		for i, c := range m.Caches {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(b, " %s %.0f", c.Name, c.Bytes)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(b, "  the server had %.1f MiB before and %.1f MiB with them; %d MiB less are available on the machine\n",
		float64(m.ServerRSSFirst)/(1<<20), float64(m.ServerRSS)/(1<<20), m.Available>>20)
}

func (l *loaded) text(b *strings.Builder, r *result) {
	fmt.Fprintf(b, "\nrequests, each on a connection chosen at random\n  %d answered in %.0f s: %.0f per second of %.0f that were due\n",
		l.Answered, l.Seconds, l.Rate, r.Target)
	fmt.Fprintf(b, "  the server took %.1f µs of processor time for each, %.0f %% of a processor; the clients took %.1f µs\n", l.CPUMicros, l.Busy, l.ClientMicros)
	b.WriteString("  latency since they were due\n")
	for _, q := range []struct {
		name  string
		value int64
	}{{"50 %", l.Latency.P50}, {"90 %", l.Latency.P90}, {"99 %", l.Latency.P99}, {"99.9 %", l.Latency.P999}, {"max", l.Latency.Max}} {
		fmt.Fprintf(b, "  %8s  %10.3f ms\n", q.name, (time.Duration(q.value)*time.Microsecond).Seconds()*1e3)
	}
}
