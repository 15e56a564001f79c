// Package load is a load generator for requests of which some take longer than
// others: unlike wrk it tells the latencies of the two kinds apart. It is a closed
// loop: each connection sends its next request when the last is answered.
package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"

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

// generator turns a few connections on one thread.
type generator struct {
	Config
	rng           *rand.Rand
	poll          int // epoll descriptor
	conns         []connection
	request, slow []byte
	start         time.Time
	waiting       int64 // requests without an answer
	answered      int64
	histograms    [2]histogram // of fast and slow requests
}

// connection has one request in flight or none.
type connection struct {
	socket  client.Socket
	sent    time.Duration // since the start
	waiting bool
	slow    bool // it was sent to the slow route
	have    int
	input   [1024]byte
}

// Run does what c says. An answer that is wrong, or a connection that ends, is an
// error.
func Run(c Config) (Result, error) {
	if err := c.check(); err != nil {
		return Result{}, err
	}
	g := &generator{
		Config:  c,
		rng:     rand.New(rand.NewPCG(c.Seed, 0)),
		request: client.Request(c.Path),
		slow:    client.Request(c.Slow),
		conns:   make([]connection, 0, c.Connections),
	}
	defer g.close()
	if err := g.connect(); err != nil {
		return Result{}, err
	}
	return g.run()
}

func (g *generator) connect() (err error) {
	if g.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	for i := range g.Connections {
		socket, err := client.DialSocket(g.Port)
		if err != nil {
			return err
		}
		g.conns = append(g.conns, connection{socket: socket})
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		err = errors.Join(
			unix.SetNonblock(int(socket), true),
			unix.SetsockoptInt(int(socket), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
			unix.EpollCtl(g.poll, unix.EPOLL_CTL_ADD, int(socket), &event),
		)
		if err != nil {
			return fmt.Errorf("connection %d: %w", i+1, err)
		}
	}
	return nil
}

func (g *generator) close() {
	for i := range g.conns {
		g.conns[i].socket.Close()
	}
	if g.poll > 0 {
		unix.Close(g.poll)
	}
}

func (g *generator) run() (Result, error) {
	g.start = time.Now()
	for i := range g.conns {
		if err := g.send(&g.conns[i]); err != nil {
			return Result{}, err
		}
	}
	if err := g.turn(g.Duration, true); err != nil {
		return Result{}, err
	}
	result := Result{Elapsed: time.Since(g.start), Answered: g.answered}
	if err := g.turn(g.Duration+drainTime, false); err != nil {
		return Result{}, err
	}
	g.countWaiting()
	result.Fast = g.histograms[0].latencies()
	result.Slow = g.histograms[1].latencies()
	result.Unanswered = g.waiting
	return result, nil
}

// turn handles answers until that time since the start, or until none are waited
// for, and lets each be followed by the next request if more is true.
func (g *generator) turn(until time.Duration, more bool) error {
	events := make([]unix.EpollEvent, 128)
	for g.waiting > 0 {
		left := until - time.Since(g.start)
		if left <= 0 {
			return nil
		}
		n, err := unix.EpollWait(g.poll, events, int(left.Milliseconds())+1)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("epoll: %w", err)
		}
		for _, event := range events[:n] {
			if err := g.ready(&g.conns[event.Fd], more); err != nil {
				return err
			}
		}
	}
	return nil
}

// ready reads what has come, and sends the next request if the answer is complete.
func (g *generator) ready(c *connection, more bool) error {
	n, err := unix.Read(int(c.socket), c.input[c.have:])
	switch {
	case err == unix.EINTR || err == unix.EAGAIN:
		return nil
	case err != nil:
		return fmt.Errorf("read: %w", err)
	case n == 0:
		return errors.New("the server has ended a connection, or its answer is too long")
	case !c.waiting:
		return fmt.Errorf("an answer without a request: %q", c.input[:n])
	}
	c.have += n
	size, slow, err := client.ParseMixed(c.input[:c.have])
	switch {
	case err != nil:
		return fmt.Errorf("wrong response: %w", err)
	case size == 0:
		return nil
	case size != c.have:
		return fmt.Errorf("%d bytes after the response", c.have-size)
	case g.Slow != "" && slow != c.slow:
		return fmt.Errorf("the answer to a request for the slow route (%v) says it was slow: %v", c.slow, slow)
	}
	g.count(c, slow)
	if !more {
		return nil
	}
	return g.send(c)
}

func (g *generator) count(c *connection, slow bool) {
	c.waiting, c.have = false, 0
	g.waiting--
	g.answered++
	g.of(slow).add(time.Since(g.start) - c.sent)
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
	for i := range g.conns {
		if c := &g.conns[i]; c.waiting && g.Slow != "" {
			h := g.of(c.slow)
			h.max = max(h.max, now-c.sent)
		}
	}
}

func (g *generator) send(c *connection) error {
	request := g.request
	if c.slow = g.Share > 0 && g.rng.Float64() < g.Share; c.slow {
		request = g.slow
	}
	c.waiting, c.sent = true, time.Since(g.start)
	g.waiting++
	// It is short, and the last one has been answered: there is room for it.
	if n, err := unix.Write(int(c.socket), request); err != nil || n < len(request) {
		return fmt.Errorf("write: %d of %d bytes: %w", n, len(request), err)
	}
	return nil
}
