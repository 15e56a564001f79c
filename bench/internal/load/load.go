// Package load is a load generator for requests of which some take longer than
// others: unlike wrk it tells the latencies of the two kinds apart. It is a closed
// loop on this project's client: each connection sends its next request when the last is
// answered.
package load

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	ringkit "github.com/ringkit/ringkit/client"

	"github.com/ringkit/ringkit/bench/internal/client"
)

// Config is what to do.
type Config struct {
	Port        int // on 127.0.0.1
	Connections int
	Duration    time.Duration

	// Path is where most requests go, and Slow where a random share of them go,
	// each of which must be late then. Without Slow the server decides.
	Path, Slow string
	Share      float64

	Seed uint64
}

// Bounds of a run.
const (
	maxConnections = 100_000
	maxDuration    = 5 * time.Minute

	// drainTime is how long answers are waited for after the end. A server that is
	// stalled would take much longer.
	drainTime = 2 * time.Second
)

// Result is what a run found. Latencies go from sending to having read the answer.
type Result struct {
	Elapsed    time.Duration `json:"elapsed"`    // until the last request was sent
	Answered   int64         `json:"answered"`   // during that time
	Fast       Latencies     `json:"fast"`       // of requests answered at once
	Slow       Latencies     `json:"slow"`       // of those that took longer
	Unanswered int64         `json:"unanswered"` // even drainTime later
}

// Latencies are those of one kind of requests, the ones answered while draining
// included. What is known to have waited for nothing counts for Max.
type Latencies struct {
	Requests int64         `json:"requests"`
	P50      time.Duration `json:"p50"`
	P99      time.Duration `json:"p99"`
	Max      time.Duration `json:"max"`
}

// Requests returns how many were answered.
func (r Result) Requests() int64 { return r.Fast.Requests + r.Slow.Requests }

// Rate returns requests per second.
func (r Result) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Answered) / r.Elapsed.Seconds()
}

func (c Config) check() error {
	switch {
	case c.Port < 1 || c.Port > 65535:
		return fmt.Errorf("port %d", c.Port)
	case c.Connections < 1 || c.Connections > maxConnections:
		return fmt.Errorf("%d connections: want 1 to %d", c.Connections, maxConnections)
	case c.Duration <= 0 || c.Duration > maxDuration:
		return fmt.Errorf("duration %v: want up to %v", c.Duration, maxDuration)
	case c.Path == "" || c.Path[0] != '/' || c.Slow != "" && c.Slow[0] != '/':
		return fmt.Errorf("paths %q and %q: want them to start with a slash", c.Path, c.Slow)
	case c.Share < 0 || c.Share > 1 || c.Share > 0 && c.Slow == "":
		return fmt.Errorf("share %v of the requests for path %q", c.Share, c.Slow)
	}
	return nil
}

// generator has a slot for each connection.
type generator struct {
	Config
	client *ringkit.Client
	slots  []*slot
	start  time.Time
	failed chan error    // gets the first failure
	rest   chan struct{} // closed when nothing is sent any more and all is answered

	mu         sync.Mutex
	rng        *rand.Rand
	over       bool  // nothing counts any more
	waiting    int64 // requests without an answer
	answered   int64
	histograms [2]histogram // of fast and slow requests
}

// slot has one request in flight or none.
type slot struct {
	g       *generator
	fast    *http.Request
	slow    *http.Request // nil if the server decides
	call    func(*http.Response, error)
	opened  func(error)   // told of the first answer, which does not count
	sent    time.Duration // since the start
	waiting bool
	isSlow  bool // it was sent to the slow route
	input   [2 * len(client.Body)]byte
}

// Run does what c says. An answer that is wrong, or a connection that ends, is an
// error.
func Run(c Config) (Result, error) {
	if err := c.check(); err != nil {
		return Result{}, err
	}
	t := &ringkit.Transport{Loops: 1, MaxConnsPerHost: c.Connections, MaxIdleConns: c.Connections, MaxIdleConnsPerHost: c.Connections,
		MaxQueued: c.Connections, DisableCompression: true}
	defer t.Close()
	g := &generator{
		Config: c,
		client: &ringkit.Client{Transport: t},
		rng:    rand.New(rand.NewPCG(c.Seed, 0)),
		failed: make(chan error, 1),
		rest:   make(chan struct{}),
	}
	if err := g.connect(); err != nil {
		return Result{}, err
	}
	result, err := g.run()
	if n := t.Stats().Repeated; n > 0 && err == nil {
		err = fmt.Errorf("the server has ended %d connections", n)
	}
	return result, err
}

// connectTime is what opening all connections may take.
const connectTime = 20 * time.Second

// connect has each slot send a fast request, so that connecting is not measured.
func (g *generator) connect() error {
	outcomes := make(chan error, g.Connections)
	for range g.Connections {
		s := &slot{g: g, opened: func(err error) { outcomes <- err }}
		s.call = s.answer
		var err error
		if s.fast, err = g.request(g.Path); err != nil {
			return err
		}
		if g.Slow != "" {
			if s.slow, err = g.request(g.Slow); err != nil {
				return err
			}
		}
		g.slots = append(g.slots, s)
		g.client.Call(s.fast, s.call)
	}
	timer := time.NewTimer(connectTime)
	defer timer.Stop()
	for range g.slots {
		select {
		case err := <-outcomes:
			if err != nil {
				return err
			}
		case <-timer.C:
			return errors.New("connections take too long")
		}
	}
	return nil
}

func (g *generator) request(path string) (*http.Request, error) {
	return http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", g.Port, path), nil)
}

func (g *generator) run() (Result, error) {
	g.begin()
	if err := g.wait(time.NewTimer(g.Duration).C); err != nil {
		return Result{}, err
	}
	g.mu.Lock()
	result := Result{Elapsed: time.Since(g.start), Answered: g.answered}
	g.mu.Unlock()
	if err := g.wait(time.NewTimer(drainTime).C); err != nil {
		return Result{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
	g.countWaiting()
	result.Fast = g.histograms[0].latencies()
	result.Slow = g.histograms[1].latencies()
	result.Unanswered = g.waiting
	return result, nil
}

// begin has all slots send.
func (g *generator) begin() {
	g.mu.Lock()
	g.start = time.Now()
	requests := make([]*http.Request, len(g.slots))
	for i, s := range g.slots {
		s.opened = nil
		requests[i] = s.next()
	}
	g.mu.Unlock()
	for i, s := range g.slots {
		g.client.Call(requests[i], s.call)
	}
}

// wait waits until then, or until nothing is sent any more and all is answered.
func (g *generator) wait(until <-chan time.Time) error {
	select {
	case err := <-g.failed:
		return err
	case <-g.rest:
	case <-until:
	}
	select {
	case err := <-g.failed:
		return err
	default:
		return nil
	}
}

// next returns the next request of a slot; mu is held.
func (s *slot) next() *http.Request {
	g := s.g
	s.isSlow = g.Share > 0 && g.rng.Float64() < g.Share
	s.waiting, s.sent = true, time.Since(g.start)
	g.waiting++
	if s.isSlow {
		return s.slow
	}
	return s.fast
}

// answer takes an answer, and sends the next request if it is not too late.
func (s *slot) answer(resp *http.Response, err error) {
	slow, err := s.read(resp, err)
	if s.opened != nil {
		s.opened(err)
		return
	}
	if next := s.count(slow, err); next != nil {
		s.g.client.Call(next, s.call)
	}
}

// read reads an answer, and reports whether it says that it was slow.
func (s *slot) read(resp *http.Response, err error) (slow bool, _ error) {
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("wrong response: status %d", resp.StatusCode)
	}
	n, err := io.ReadFull(resp.Body, s.input[:])
	if err != io.ErrUnexpectedEOF {
		return false, fmt.Errorf("wrong response: body %q: %w", s.input[:n], err)
	}
	return client.IsSlow(s.input[:n])
}

// count counts an answer and returns the next request, if there is to be one.
func (s *slot) count(slow bool, err error) *http.Request {
	g := s.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return nil
	}
	if err == nil && g.Slow != "" && slow != s.isSlow {
		err = fmt.Errorf("the answer to a request for the slow route (%v) says it was slow: %v", s.isSlow, slow)
	}
	if err != nil {
		select {
		case g.failed <- err:
		default:
		}
		return nil
	}
	s.waiting = false
	g.waiting--
	g.answered++
	now := time.Since(g.start)
	g.of(slow).add(now - s.sent)
	if now < g.Duration {
		return s.next()
	}
	if g.waiting == 0 {
		close(g.rest)
	}
	return nil
}

func (g *generator) of(slow bool) *histogram {
	if slow {
		return &g.histograms[1]
	}
	return &g.histograms[0]
}

// countWaiting has the requests that were never answered count for the greatest
// latency, if it is known which kind they are: without them a server that stalls
// would look better the longer it stalls.
func (g *generator) countWaiting() {
	now := time.Since(g.start)
	for _, s := range g.slots {
		if s.waiting && g.Slow != "" {
			h := g.of(s.isSlow)
			h.max = max(h.max, now-s.sent)
		}
	}
}
