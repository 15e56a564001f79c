package ringkit

import (
	"context"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
	"github.com/ringkit/ringkit/internal/bulk"
	"github.com/ringkit/ringkit/internal/talk"
)

const (
	// outputHigh is how much may be queued on a connection before its next
	// pipelined request waits, or its streaming handler does.
	outputHigh = 256 << 10

	// sparesKept bounds the pool of sessions of a loop; their buffers are kept up
	// to contentKept bytes.
	sparesKept  = 256
	contentKept = 64 << 10

	// slowHead is for how long a client may send the head of a request before nobody
	// hurries for it any more: what it sends then may wait for conn.DozeTime.
	slowHead = time.Second

	// lookAfter is how often a connection is looked at whose handler takes long: the
	// client may be gone, and nothing says so while input is not received.
	lookAfter = 5 * time.Second
)

// worker serves the HTTP connections of one loop: its methods are those of
// conn.Protocol. All of it belongs to the goroutine that turns the loop.
type worker struct {
	srv       *Server
	engine    LoopEngine
	loop      *conn.Loop
	load      atomic.Int64 // connections given to this loop, for balancing
	spares    []*session
	natives   []*nativeCall
	buffers   [][]byte // of responses
	addrs     []addresses
	count     Counters // but for those of the loop
	callbacks []*callback
	decoders  talk.Decoders
	lastSeen  lastSeen
	draining  bool // Shutdown has begun

	simulated  bool  // its descriptors are no descriptors
	complained int64 // when, on the loop's clock

	wall   time.Time // at wallAt on the loop's clock
	wallAt int64
	okHead []byte // of a 200 with content at that time, up to its length

	headerTimeout, readTimeout, idleTimeout, lookAfter time.Duration
}

func newWorker(srv *Server) (*worker, error) {
	ring, engine, err := srv.openRing()
	if err != nil {
		return nil, err
	}
	srv.openFiles(ring, engine)
	_, simulated := ring.(interface{ Simulated() })
	w := &worker{
		srv:    srv,
		engine: engine,
		loop: conn.NewLoop(conn.Config{
			Ring:         ring,
			Clock:        srv.clock,
			WriteTimeout: orDefault(srv.WriteTimeout, DefaultWriteTimeout),
			ParkAfter:    srv.parking,
			Watch:        srv.Mode == Auto,
		}),
		headerTimeout: timeout(srv.ReadHeaderTimeout, DefaultReadHeaderTimeout),
		readTimeout:   timeout(srv.ReadTimeout, DefaultReadTimeout),
		idleTimeout:   timeout(srv.IdleTimeout, DefaultIdleTimeout),
		simulated:     simulated,
		lookAfter:     orDefault(srv.lookAfter, lookAfter),
		wallAt:        math.MinInt64 / 2, // long ago: the first look reads the clock
	}
	w.lastSeen.stats.Engine = engine
	return w, nil
}

// now returns the time of day, which is read ten times a second at most.
func (w *worker) now() time.Time {
	w.lookAtClock()
	return w.wall
}

func (w *worker) lookAtClock() {
	if at := w.loop.Now(); at-w.wallAt >= int64(100*time.Millisecond) {
		w.readClock(at)
	}
}

func (w *worker) readClock(at int64) {
	w.wall, w.wallAt = time.Now(), at
	w.okHead = appendStart(w.okHead[:0], http.StatusOK, w.srv.Name, w.wall)
	w.okHead = append(w.okHead, "Content-Length: "...)
}

// appendOK appends the head of nearly every answer: a 200 with content of a length, and
// header fields that say of which type it is. What it begins with, up to that length, is
// made ten times a second.
func (w *worker) appendOK(dst []byte, length int, header []byte) []byte {
	w.lookAtClock()
	dst = append(dst, w.okHead...)
	dst = strconv.AppendUint(dst, uint64(length), 10)
	dst = append(dst, "\r\n"...)
	dst = append(dst, header...)
	return append(dst, "\r\n"...)
}

// drain begins a graceful stop: idle connections are closed, the others when
// their request is answered.
func (w *worker) drain() {
	w.draining = true
	w.loop.Each(func(c *conn.Conn) {
		switch s := c.State.(type) {
		case nil:
			c.Close()
		case *Channel:
			s.goingAway()
		case interface{ GoingAway() }: // a client's WebSocket
			s.GoingAway()
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
		if c.AtEOF() || w.draining {
			c.Close()
			return
		}
		c.SetDeadline(w.idleTimeout)
	case stepHead:
		c.Mark(markReading)
		w.restInHead(c, s)
	case stepBody:
		c.Mark(markReading)
		w.restInBody(c)
	case stepDiscard:
		c.Mark(markReading)
		c.SetDeadline(w.readTimeout)
	case stepStream:
		c.Mark(markStreaming)
		w.restInStream(c, s)
	case stepBusy:
		if s.std != nil { // natives do both where they take longer than a turn
			c.Mark(markHandling)
			c.SetDeadline(w.lookAfter)
		}
	}
}

// restInHead leaves a connection alone of which a part of a head has arrived. A client
// that takes long over the rest gets less attention after a while.
func (w *worker) restInHead(c *conn.Conn, s *session) {
	switch {
	case s.slow:
		c.Doze()
	case !s.timed:
		s.timed = true
		if w.headerTimeout == 0 || w.headerTimeout > slowHead {
			c.SetDeadline(slowHead)
		} else {
			c.SetDeadline(w.headerTimeout)
		}
	}
}

// lateHead is called when a head is not complete by its deadline, and reports whether
// that was but the first.
func (w *worker) lateHead(c *conn.Conn, s *session) bool {
	if s.slow || w.headerTimeout != 0 && w.headerTimeout <= slowHead {
		return false
	}
	s.slow = true
	c.Doze()
	c.SetDeadline(max(0, w.headerTimeout-slowHead))
	return true
}

// restInBody leaves a connection alone whose body is being gathered.
func (w *worker) restInBody(c *conn.Conn) {
	if w.streamsStalled() {
		c.SetDeadline(gatherWait)
		return
	}
	c.SetDeadline(w.readTimeout)
}

// streamsStalled reports whether a body that stalls while it is gathered is given to
// its handler, rather than being late.
func (w *worker) streamsStalled() bool {
	return w.srv.streamed != nil && (w.readTimeout == 0 || w.readTimeout > gatherWait)
}

// restInStream leaves a connection alone whose handler reads the body.
func (w *worker) restInStream(c *conn.Conn, s *session) {
	switch {
	case c.Held():
		c.SetDeadline(w.lookAfter) // the handler has something to read
	case c.AtEOF():
		s.streamEnded(io.ErrUnexpectedEOF)
	case s.std.body.expects():
		c.SetDeadline(w.lookAfter) // the client waits to be asked for the body
	default:
		c.SetDeadline(w.readTimeout)
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
		if s.std != nil {
			s.std.ctx.cancel(context.Canceled)
		}
		if s.later != nil {
			s.later.leave()
		}
	case s.step == stepStream:
		if c.Buffered() == 0 {
			s.streamEnded(io.ErrUnexpectedEOF)
		}
	case s.step == stepDrain:
		s.drained(true) // which closes
	case s.step == stepDiscard:
		c.Close()
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
	if s.step == stepBusy || s.step == stepStream {
		switch {
		case s.channel != nil:
			s.channel.drained(c)
		case s.std != nil:
			s.std.drained()
		}
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
	switch {
	case s == nil || s.step == stepIdle:
		w.count.Timeouts.Idle++
		w.ends(c, errIdleTimeout)
		c.Close()
	case s.step == stepDiscard:
		w.count.Timeouts.Read++
		w.ends(c, errReadTimeout)
		c.Close()
	case s.step == stepBusy, s.step == stepStream && (c.Held() || s.std.body.expects()):
		w.look(c)
	case s.step == stepStream:
		w.count.Timeouts.Read++
		w.ends(c, errReadTimeout)
		s.streamEnded(os.ErrDeadlineExceeded)
	case s.step == stepDrain:
		s.drained(true) // which closes
	case s.step == stepHead && w.lateHead(c, s):
	case s.step == stepBody && w.streamsStalled():
		if s.beginStream(false) {
			w.rest(c, s)
		}
	default:
		if s.step == stepHead {
			w.count.Timeouts.Header++
		} else {
			w.count.Timeouts.Read++
		}
		w.ends(c, errReadTimeout)
		s.reject(errRequestTimeout)
	}
}

// look ends a connection whose client is gone while its handler runs.
func (w *worker) look(c *conn.Conn) {
	if c.Gone() {
		c.Abort(syscall.ECONNRESET)
		return
	}
	c.SetDeadline(w.lookAfter)
}

// Closed implements conn.Protocol.
func (w *worker) Closed(c *conn.Conn, err error) {
	w.load.Add(-1)
	if w.srv.gate != nil {
		w.srv.gate.leave()
	}
	if err == conn.ErrWriteTimeout {
		w.count.Timeouts.Write++
	}
	s, _ := c.State.(*session)
	if s == nil {
		return
	}
	c.State = nil
	if s.step == stepDrain {
		s.std.dispose()
	}
	if s.later != nil {
		s.later.lost()
	}
	if s.step != stepBusy && s.step != stepStream {
		w.recycle(s)
		return
	}
	// A handler is running: the session is its until it has returned.
	if s.channel != nil {
		s.channel.lost(err)
	}
	if s.std != nil {
		s.std.gone(err)
	}
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

// takeBuffer returns an empty buffer for an answer.
func (w *worker) takeBuffer() []byte {
	if last := len(w.buffers) - 1; last >= 0 {
		b := w.buffers[last]
		w.buffers = w.buffers[:last]
		return b
	}
	return make([]byte, 0, 512)
}

// putBuffer takes it back.
func (w *worker) putBuffer(b []byte) {
	if b != nil && cap(b) <= contentKept && len(w.buffers) < sparesKept {
		w.buffers = append(w.buffers, b[:0])
	}
}

// free takes the session away from its connection.
func (w *worker) free(c *conn.Conn, s *session) {
	c.State = nil
	c.Mark(markIdle)
	w.recycle(s)
}

// recycle makes a session ready for another connection.
func (w *worker) recycle(s *session) {
	if cap(s.content) > contentKept {
		bulk.Put(s.content)
		s.content = nil
	}
	if cap(s.head) > contentKept {
		s.head = nil
	}
	s.c = nil
	s.req.Reset()
	s.std, s.channel = nil, nil
	s.step, s.timed, s.slow, s.last = stepIdle, false, false, false
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
