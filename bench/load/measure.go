package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/client"
)

// backOff is for how long a slot does nothing after a failure: a server that refuses
// connections is not asked in an endless loop.
const backOff = 10 * time.Millisecond

// generator has a slot for each request or message in flight.
type generator struct {
	*options
	control
	client *client.Client
	dialer *dialer // of WebSockets
	counts *counts
	start  time.Time
	length time.Duration  // from then
	over   atomic.Bool    // also if length has not passed
	busy   sync.WaitGroup // slots with requests
}

// measure does what the options say, and reports what it has measured. It ends early with
// ctx. An error says what was wrong with the load, or that there was none.
func measure(ctx context.Context, o *options, stdin io.Reader, stdout, stderr io.Writer) error {
	g := newGenerator(o)
	g.control = control{bufio.NewReader(stdin), stdout, stderr}
	defer g.client.Transport.Close()
	switch {
	case o.publish != "":
		return g.fanOut(ctx)
	case o.receive:
		return g.count(ctx)
	case o.room:
		return g.broadcast(ctx)
	}
	slots, end, err := g.slots()
	if err != nil {
		return err
	}
	defer end()
	if err := g.connect(ctx, slots[:o.connections]); err != nil {
		return err
	}
	if o.warmUp > 0 {
		if err := g.send(ctx, slots, o.warmUp).err(); err != nil {
			return fmt.Errorf("warming up: %w", err)
		}
	}
	if err := g.ready(o); err != nil {
		return err
	}
	stop := g.counts.show(g.stderr)
	r := g.send(ctx, slots, o.duration)
	stop()
	return g.report(o, r)
}

// send sends for d, and waits for the answers.
func (g *generator) send(ctx context.Context, slots []*slot, d time.Duration) *result {
	g.begin(d)
	if g.rate > 0 {
		g.open(ctx, slots)
	} else {
		g.closed(ctx, slots)
	}
	elapsed := min(time.Since(g.start), d)
	unanswered := g.drain(ctx)
	return g.counts.result(g.options, elapsed, unanswered)
}

func newGenerator(o *options) *generator {
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
	if o.publish != "" {
		t.MaxConnsPerHost++ // for who publishes
	}
	if o.insecure {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	}
	c := &client.Client{Transport: t, MaxRedirects: -1, Timeout: o.timeout}
	if o.receive && !o.sockets() {
		// A stream lasts; only its head has to come in time.
		c.Timeout, t.ResponseHeaderTimeout, t.ReadTimeout = 0, o.timeout, -1
	}
	g := &generator{options: o, client: c, counts: newCounts(o.unit())}
	if o.sockets() {
		g.dialer = newDialer(o, c)
	}
	return g
}

// slots returns the slots, the first ones on a connection each, and what ends them.
func (g *generator) slots() (slots []*slot, end func(), err error) {
	if g.sockets() {
		slots, end = g.socketSlots()
		return slots, end, nil
	}
	slots, err = g.requestSlots()
	return slots, func() {}, err
}

// begin begins to count, for d.
func (g *generator) begin(d time.Duration) {
	g.over.Store(false)
	g.start, g.length = time.Now(), d
	g.counts.begin(g.start, d)
}

// connect uses each connection once, so that connecting is not measured. It is an error
// that there is no answer on any.
func (g *generator) connect(ctx context.Context, slots []*slot) error {
	outcomes := make(chan error, len(slots))
	for _, s := range slots {
		s.done = func(o outcome) { outcomes <- o.err }
		s.send()
	}
	return anyOf(ctx, outcomes, len(slots))
}

// anyOf waits for n outcomes. It is an error that none was good.
func anyOf(ctx context.Context, outcomes <-chan error, n int) error {
	answered := false
	var last error
	for range n {
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

// closed has each slot send again when it has been answered.
func (g *generator) closed(ctx context.Context, slots []*slot) {
	g.busy.Add(len(slots))
	for _, s := range slots {
		s.done = func(o outcome) {
			g.counts.add(o, o.ended.Sub(o.sent))
			s.rest(o.err, s.again)
		}
		s.send()
	}
	wait(ctx, g.length)
	g.over.Store(true)
}

// open has slots send when that is due. What finds no free slot waits for one, as does all
// behind it, and the time counts.
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
	end := time.NewTimer(g.length)
	defer end.Stop()
	runtime.LockOSThread() // for sleepUntil
	defer runtime.UnlockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // without it, sleeps last 50 µs longer
	last := int64(math.Ceil(g.length.Seconds() * g.rate))
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
	sleepUntil(ctx, g.start.Add(g.length))
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

// slot sends one request or message at a time.
type slot struct {
	g    *generator
	put  func(*slot) // on its way; finish is called when the answer is there
	due  time.Time   // in an open loop
	sent time.Time
	done func(outcome) // told when there is an answer, or none to come
}

// outcome is what became of a request or a message.
type outcome struct {
	sent, ended time.Time
	status      int   // 0 for a message
	bytes       int64 // of the body
	err         error
}

func (s *slot) send() {
	s.sent = time.Now()
	s.g.counts.waiting.Add(1)
	s.put(s)
}

func (s *slot) finish(o outcome) {
	o.sent, o.ended = s.sent, time.Now()
	s.g.counts.waiting.Add(-1)
	s.done(o)
}

// again sends the next of a closed loop.
func (s *slot) again() {
	if s.g.over.Load() || time.Since(s.g.start) > s.g.length {
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
