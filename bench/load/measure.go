package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"math"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/client"
)

// backOff is for how long a slot does nothing after a request that failed: a server that
// refuses connections is not asked in an endless loop.
const backOff = 10 * time.Millisecond

// generator has a slot for each request in flight.
type generator struct {
	*options
	client *client.Client
	counts *counts
	start  time.Time
	over   atomic.Bool    // also if duration has not passed
	busy   sync.WaitGroup // slots with requests
}

// measure does what the options say. It ends early with ctx; an error means that
// nothing was measured.
func measure(ctx context.Context, o *options, progress io.Writer) (*result, error) {
	t := &client.Transport{
		Engine:              o.engine,
		Loops:               o.loops,
		Pipeline:            o.pipeline,
		MaxConnsPerHost:     o.connections,
		MaxIdleConns:        o.connections,
		MaxIdleConnsPerHost: o.connections,
		MaxQueued:           -1, // it is not more than slots
		MaxBodyBytes:        -1,
		DisableCompression:  true,
	}
	if o.insecure {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	}
	defer t.Close()
	g := &generator{options: o, client: &client.Client{Transport: t, MaxRedirects: -1, Timeout: o.timeout}, counts: newCounts()}
	slots := make([]*slot, o.inFlight())
	for i := range slots {
		s, err := g.slot()
		if err != nil {
			return nil, err
		}
		slots[i] = s
	}
	if err := g.connect(ctx, slots[:o.connections]); err != nil {
		return nil, err
	}

	g.start = time.Now()
	g.counts.begin(g.start, g.duration)
	shown := g.counts.show(progress)
	defer shown()
	if o.rate > 0 {
		g.open(ctx, slots)
	} else {
		g.closed(ctx, slots)
	}
	elapsed := min(time.Since(g.start), g.duration)
	unanswered := g.drain(ctx)
	return g.counts.result(o, elapsed, unanswered), nil
}

// connect sends a request on each connection, so that connecting is not measured. It is
// an error that none is answered.
func (g *generator) connect(ctx context.Context, slots []*slot) error {
	outcomes := make(chan error, len(slots))
	for _, s := range slots {
		s.done = func(o outcome) { outcomes <- o.err }
		s.send()
	}
	answered := false
	var last error
	for range slots {
		select {
		case err := <-outcomes:
			if answered = answered || err == nil; err != nil {
				last = err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if answered {
		return nil
	}
	return last
}

// closed has each slot send its next request when the last has been answered.
func (g *generator) closed(ctx context.Context, slots []*slot) {
	g.busy.Add(len(slots))
	for _, s := range slots {
		s.done = func(o outcome) {
			g.counts.add(o, o.ended.Sub(o.sent))
			s.rest(o.err, s.again)
		}
		s.send()
	}
	wait(ctx, g.duration)
	g.over.Store(true)
}

// open has requests sent when they are due. One that finds no free slot waits for one,
// as do those behind it, and the time counts.
func (g *generator) open(ctx context.Context, slots []*slot) {
	free := make(chan *slot, len(slots))
	for _, s := range slots {
		s.done = func(o outcome) {
			g.counts.add(o, o.ended.Sub(s.due))
			s.rest(o.err, func() {
				free <- s
				g.busy.Done()
			})
		}
		free <- s
	}
	end := time.NewTimer(g.duration)
	defer end.Stop()
	runtime.LockOSThread() // for sleepUntil
	defer runtime.UnlockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // without it, sleeps last 50 µs longer
	last := int64(math.Ceil(g.duration.Seconds() * g.rate))
	for n := int64(0); n < last; n++ {
		due := g.start.Add(time.Duration(float64(n) / g.rate * float64(time.Second)))
		if !sleepUntil(ctx, due) {
			return
		}
		var s *slot
		select {
		case s = <-free:
		default:
			select {
			case s = <-free:
			case <-ctx.Done():
				return
			case <-end.C:
				g.counts.missed(last - n)
				return
			}
		}
		g.busy.Add(1)
		s.due = due
		s.send()
	}
	sleepUntil(ctx, g.start.Add(g.duration))
}

// wait waits for d, or the end of ctx.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// longestSleep is after how long sleepUntil looks at its context.
const longestSleep = 20 * time.Millisecond

// sleepUntil sleeps until t, and reports whether ctx has not ended. The timers of the Go
// runtime would be up to a millisecond late, which is for the requests to bear.
func sleepUntil(ctx context.Context, t time.Time) bool {
	for ctx.Err() == nil {
		left := time.Until(t)
		if left <= 0 {
			return true
		}
		spec := unix.NsecToTimespec(int64(min(left, longestSleep)))
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &spec, nil) // a signal ends it early
	}
	return false
}

// drain waits for the answers that are under way, and returns how many do not come. After
// an interrupt it does not wait.
func (g *generator) drain(ctx context.Context) (unanswered int64) {
	ended := make(chan struct{})
	go func() {
		g.busy.Wait()
		close(ended)
	}()
	timer := time.NewTimer(g.timeout + backOff)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	case <-ctx.Done():
	}
	return g.counts.waiting.Load()
}

// slot sends one request at a time.
type slot struct {
	g    *generator
	req  *http.Request
	due  time.Time // in an open loop
	sent time.Time
	done func(outcome)               // told when the request has been answered, or has failed
	call func(*http.Response, error) // answered
}

// outcome is what became of a request.
type outcome struct {
	sent, ended time.Time
	status      int
	bytes       int64 // of the body
	err         error
}

func (g *generator) slot() (*slot, error) {
	req, err := http.NewRequest(g.method, g.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header, req.Host = g.header, g.host
	if len(g.body) > 0 {
		req.ContentLength = int64(len(g.body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(g.body)), nil }
	}
	s := &slot{g: g, req: req}
	s.call = s.answered
	return s, nil
}

// send sends the request.
func (s *slot) send() {
	if s.req.GetBody != nil {
		s.req.Body, _ = s.req.GetBody()
	}
	s.sent = time.Now()
	s.g.counts.waiting.Add(1)
	s.g.client.Call(s.req, s.call)
}

// longBody is from where a body is not read by the loop that brings it.
const longBody = 64 << 10

func (s *slot) answered(resp *http.Response, err error) {
	if err == nil && resp.ContentLength >= longBody {
		go s.finish(resp, nil)
		return
	}
	s.finish(resp, err)
}

func (s *slot) finish(resp *http.Response, err error) {
	o := outcome{sent: s.sent, err: err}
	if err == nil {
		o.status = resp.StatusCode
		o.bytes, o.err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	o.ended = time.Now()
	s.g.counts.waiting.Add(-1)
	s.done(o)
}

// again sends the next request of a closed loop.
func (s *slot) again() {
	if s.g.over.Load() || time.Since(s.g.start) > s.g.duration {
		s.g.busy.Done()
		return
	}
	s.send()
}

// rest calls next, later if there was an error.
func (s *slot) rest(err error, next func()) {
	if err != nil {
		time.AfterFunc(backOff, next)
		return
	}
	next()
}
