package ringkit

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
)

const (
	// outputHigh is how much may be queued on a connection before its next
	// pipelined request waits, or its streaming handler does.
	outputHigh = 256 << 10

	// sparesKept bounds the pool of sessions of a loop; their buffers are kept up
	// to contentKept bytes.
	sparesKept  = 256
	contentKept = 64 << 10
)

// worker serves the HTTP connections of one loop: its methods are those of
// conn.Protocol. All of it belongs to the goroutine that turns the loop.
type worker struct {
	srv      *Server
	engine   string // what its ring is, and why not a better one
	loop     *conn.Loop
	load     atomic.Int64 // connections given to this loop, for balancing
	spares   []*session
	exchange Exchange
	names    interned
	lines    fieldLines
	draining bool // Shutdown has begun

	wall   time.Time // at wallAt on the loop's clock
	wallAt int64
	okHead []byte // of a 200 at that time

	headerTimeout, readTimeout, idleTimeout time.Duration
}

func newWorker(srv *Server) (*worker, error) {
	ring, engine, err := srv.openRing()
	if err != nil {
		return nil, err
	}
	w := &worker{
		srv:    srv,
		engine: engine,
		loop: conn.NewLoop(conn.Config{
			Ring:         ring,
			Clock:        srv.clock,
			WriteTimeout: orDefault(srv.WriteTimeout, DefaultWriteTimeout),
		}),
		headerTimeout: timeout(srv.ReadHeaderTimeout, DefaultReadHeaderTimeout),
		readTimeout:   timeout(srv.ReadTimeout, DefaultReadTimeout),
		idleTimeout:   timeout(srv.IdleTimeout, DefaultIdleTimeout),
		wallAt:        math.MinInt64 / 2, // long ago: the first look reads the clock
	}
	return w, nil
}

// now returns the time of day, which is read ten times a second at most.
func (w *worker) now() time.Time {
	if at := w.loop.Now(); at-w.wallAt >= int64(100*time.Millisecond) {
		w.wall, w.wallAt = time.Now(), at
		w.okHead = appendStart(w.okHead[:0], 200, w.srv.Name, w.wall)
	}
	return w.wall
}

// appendOK appends the beginning of nearly every answer, which is made ten times
// a second: status line, Server and Date.
func (w *worker) appendOK(dst []byte) []byte {
	w.now()
	return append(dst, w.okHead...)
}

// origin is the conn.Protocol of the connections that one listener accepted for
// one loop: the worker, and what requests inherit from their listener.
type origin struct {
	*worker
	ctx context.Context
}

// drain begins a graceful stop: idle connections are closed, the others when
// their request is answered.
func (w *worker) drain() {
	w.draining = true
	w.loop.Each(func(c *conn.Conn) {
		if c.State == nil {
			c.Close()
		}
	})
}

// abort ends all connections at once.
func (w *worker) abort() {
	w.draining = true
	w.loop.Each(func(c *conn.Conn) { c.Abort(errServerClosed) })
}

// Open implements conn.Protocol.
func (w *worker) Open(c *conn.Conn) {
	c.SetDeadline(w.headerTimeout)
	if w.draining {
		c.Close() // accepted while the listener was being closed
	}
}

// Data implements conn.Protocol.
func (w *worker) Data(c *conn.Conn, in []byte) int {
	s, _ := c.State.(*session)
	if s == nil {
		s = w.session(c)
	}
	used := 0
	for used < len(in) {
		n, more := s.advance(in[used:])
		used += n
		if !more {
			break
		}
	}
	w.rest(c, s)
	return used
}

// rest leaves a connection alone until something happens: it gets its deadline,
// and gives back its session when it is between requests.
func (w *worker) rest(c *conn.Conn, s *session) {
	if c.State != s || c.Closing() {
		return
	}
	if c.AtEOF() && (s.step == stepHead || s.step == stepBody) {
		s.reject(errIncomplete)
		return
	}
	switch s.step {
	case stepIdle:
		if c.Held() {
			c.SetDeadline(0) // it waits for output to drain, which has its own
			return
		}
		w.free(c, s)
		if c.AtEOF() {
			c.Close()
			return
		}
		c.SetDeadline(w.idleTimeout)
	case stepHead:
		if !s.timed {
			s.timed = true
			c.SetDeadline(w.headerTimeout)
		}
	case stepBody:
		c.SetDeadline(w.readTimeout)
	case stepBusy:
		c.SetDeadline(0)
	}
}

// EOF implements conn.Protocol. A peer that has ended its side gets the answer to
// what it has asked.
func (w *worker) EOF(c *conn.Conn) {
	s, _ := c.State.(*session)
	switch {
	case s == nil:
		c.Close()
	case s.step == stepBusy:
		s.call.cancel()
	case s.step == stepIdle:
		// It waits for output to drain; rest closes it then.
	default:
		s.reject(errIncomplete)
	}
}

// Drained implements conn.Protocol.
func (w *worker) Drained(c *conn.Conn) {
	s, _ := c.State.(*session)
	if s == nil {
		return
	}
	if s.step == stepBusy {
		s.call.drained()
		return
	}
	if c.Held() {
		c.Resume()
		w.rest(c, s)
	}
}

// Timeout implements conn.Protocol.
func (w *worker) Timeout(c *conn.Conn) {
	s, _ := c.State.(*session)
	if s == nil && c.Queued() > 0 {
		c.SetDeadline(w.idleTimeout) // it is not idle: the last answer is still being read
		return
	}
	if s == nil || s.step == stepIdle {
		c.Close()
		return
	}
	s.reject(errRequestTimeout)
}

// Closed implements conn.Protocol.
func (w *worker) Closed(c *conn.Conn, err error) {
	w.load.Add(-1)
	s, _ := c.State.(*session)
	if s == nil {
		return
	}
	if s.call != nil {
		s.call.gone()
	}
	w.free(c, s)
}

// session gives a connection a session.
func (w *worker) session(c *conn.Conn) *session {
	var s *session
	if n := len(w.spares); n > 0 {
		s = w.spares[n-1]
		w.spares = w.spares[:n-1]
	} else {
		s = &session{w: w}
	}
	s.c = c
	c.State = s
	return s
}

// free takes the session away from its connection.
func (w *worker) free(c *conn.Conn, s *session) {
	c.State = nil
	if cap(s.content) > contentKept {
		s.content = nil
	}
	if cap(s.head) > contentKept {
		s.head = nil
	}
	s.req.Reset()
	s.call = nil
	s.step, s.timed = stepIdle, false
	s.head, s.content = s.head[:0], s.content[:0]
	if len(w.spares) < sparesKept {
		w.spares = append(w.spares, s)
	}
}

var (
	errServerClosed   = errorString("the server was closed")
	errIncomplete     = &http1.Error{Status: 400, Reason: "the request is incomplete"}
	errRequestTimeout = &http1.Error{Status: 408, Reason: "the request did not arrive in time"}
	errSaturated      = &http1.Error{Status: 503, Reason: "too many requests are being handled"}
)

type errorString string

func (e errorString) Error() string { return "ringkit: " + string(e) }
