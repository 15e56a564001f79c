package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/client"
)

// maxTimeout bounds what a request may take.
const maxTimeout = time.Hour

// A histogram has three digits of latencies from a microsecond to longest. In an open loop
// a request may have been due for the whole run.
const (
	longest = maxDuration + maxTimeout
	digits  = 3
)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, longest.Microseconds(), digits)
}

// maxKinds bounds how many kinds of errors are told apart.
const maxKinds = 20

// counts are what has become of all requests or messages.
type counts struct {
	waiting atomic.Int64 // for an answer

	unit string // of what is counted

	mu       sync.Mutex
	start    time.Time
	end      time.Time
	latency  *hdrhistogram.Histogram // from when one was due
	service  *hdrhistogram.Histogram // from when it was sent
	answered int64
	inTime   int64 // before the end
	bytes    int64 // of bodies, before the end
	unsent   int64
	statuses map[int]int64
	errors   map[string]int64
	failed   int64
}

func newCounts(unit string) *counts {
	return &counts{unit: unit, latency: newHistogram(), service: newHistogram(), statuses: make(map[int]int64), errors: make(map[string]int64)}
}

// begin begins anew: what was counted before is forgotten.
func (c *counts) begin(start time.Time, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.start, c.end = start, start.Add(d)
	c.latency.Reset()
	c.service.Reset()
	c.answered, c.inTime, c.bytes, c.unsent, c.failed = 0, 0, 0, 0, 0
	clear(c.statuses)
	clear(c.errors)
}

// add counts a request or a message and its latency.
func (c *counts) add(o outcome, latency time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.err != nil {
		c.failed++
		kind := kindOf(o.err)
		if _, known := c.errors[kind]; !known && len(c.errors) >= maxKinds {
			kind = "others"
		}
		c.errors[kind]++
		return
	}
	if c.answered++; o.status != 0 {
		c.statuses[o.status]++
	}
	record(c.latency, latency)
	record(c.service, o.ended.Sub(o.sent))
	if !o.ended.After(c.end) {
		c.inTime++
		c.bytes += o.bytes
	}
}

// came counts what the server has sent by itself, and how old it is if it says so.
func (c *counts) came(now time.Time, data string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.start.IsZero() || now.After(c.end) {
		return
	}
	c.answered++
	c.inTime++
	c.bytes += int64(len(data))
	if sent, ok := stamp(data); ok {
		record(c.latency, now.Sub(sent))
	}
}

// record counts a latency; none is longer than the histogram has room for.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(1, d.Microseconds()), longest.Microseconds()))
}

// kindOf returns what is wrong, without what differs from one request to the next.
func kindOf(err error) string {
	var e *client.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	if errno := unix.Errno(0); errors.As(e.Err, &errno) {
		return e.Op + ": " + errno.Error()
	}
	return e.Op + ": " + e.Err.Error()
}

// missed counts requests that were due and are not sent any more.
func (c *counts) missed(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsent += n
}

// show has a line on a terminal say how it goes, each second until stop is called.
func (c *counts) show(w io.Writer) (stop func()) {
	f, ok := w.(*os.File)
	if !ok {
		return func() {}
	}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return func() {}
	}
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		last := int64(0)
		for {
			select {
			case now := <-tick.C:
				var line string
				line, last = c.line(now, last)
				fmt.Fprint(w, "\r\x1b[K", line)
			case <-over:
				fmt.Fprint(w, "\r\x1b[K")
				return
			}
		}
	}()
	return func() {
		close(over)
		<-ended
	}
}

// line says how it goes; last is how many had been answered a second ago.
func (c *counts) line(now time.Time, last int64) (text string, answered int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answered = c.answered
	text = fmt.Sprintf("%.0f s  %d %s/s  p50 %s  p99 %s  waiting %d", now.Sub(c.start).Seconds(), answered-last, c.unit,
		micros(c.latency.ValueAtQuantile(50)), micros(c.latency.ValueAtQuantile(99)), c.waiting.Load())
	if c.failed > 0 {
		text += fmt.Sprintf("  failed %d", c.failed)
	}
	return text, answered
}

// micros formats a latency.
func micros(n int64) string {
	d := time.Duration(n) * time.Microsecond
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", n)
	case d < time.Second:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
