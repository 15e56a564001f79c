package ringkit

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
	"github.com/ringkit/ringkit/internal/mapped"
	"github.com/ringkit/ringkit/internal/tlsconn"
)

// call is a standard handler answering one request: a conn.Call, run by the loop or
// by a goroutine. Whoever runs it owns the response; the loop owns the connection.
// They meet where the runner still leads the loop, in tasks posted to the loop, and
// in the fields under mu.
type call struct {
	w       *worker
	s       *session
	handle  conn.Handle
	handler http.Handler
	request http.Request
	path    string // as it was sent; that of the request is the handler's to change
	url     url.URL
	ctx     callContext
	resp    responseWriter
	body    *requestBody // nil when there is none
	lead    conn.Lead
	tls     *tlsconn.Conn // nil without TLS

	seat     seat
	route    route
	began    time.Time // on a goroutine
	blocked  bool      // the loop has gone on without it
	gaveAway bool      // because it gave the lead away
	takeover *takeover // otherwise
	returned bool
	failure  *failure
	hijacked bool
	channel  *Channel // that it has opened
	origin   *origin
	away     bool   // it runs on a goroutine
	streams  bool   // and reads the body as it arrives
	last     []byte // the end of the answer, unless the loop makes it

	started conn.Started
	finish  conn.Task

	lent  int64     // sent past the queue, and not yet told to the loop
	piece conn.Task // a piece of the answer: the runner waits before it posts again

	mu       sync.Mutex
	cond     sync.Cond
	wait     bool        // a piece has been posted and the queue has no room for the next
	over     bool        // the connection is gone
	deadline time.Time   // for writing, zero for none
	limited  atomic.Bool // there was one
	alarm    alarm       // at deadline
	full     bool        // the loop waits for the queue to drain; the loop's alone
}

// failure is how a handler ended that did not return.
type failure struct {
	panicked any
	stack    []byte
}

// panicked returns what the handler has panicked with, nil if it did not.
func (c *call) panicked() any {
	if c.failure == nil {
		return nil
	}
	return c.failure.panicked
}

// newCall makes the call of the request that s has read. It copies what it needs:
// the receive buffer is used again as soon as it returns.
func newCall(s *session, h http.Handler, body *requestBody) (*call, *http1.Error) {
	o := s.c.Protocol().(*origin)
	c := &call{w: s.w, s: s, handle: s.c.Handle(), handler: h, body: body, tls: o.tls, origin: o}
	c.ctx.parent = o.ctx
	if err := c.newRequest(); err != nil {
		return nil, err
	}
	c.cond.L = &c.mu
	w := &c.resp
	w.call, w.method, w.minor = c, s.req.MethodID(), s.req.Minor()
	w.keepAlive, w.length = s.keepAlive(), -1
	w.body, w.lines = s.w.takeBuffer(), s.w.takeBuffer()
	if s.c.AtEOF() {
		c.ctx.cancel(context.Canceled) // as it would have been, had it begun before
	}
	return c, nil
}

// unread returns how much of a body has not arrived, 0 when that is unknown.
func (s *session) unread() int64 {
	return max(0, s.req.ContentLength()-s.body.Received())
}

// serve has the complete request answered by a standard handler.
func (s *session) serve(h http.Handler, body []byte) {
	c, err := newCall(s, h, gathered(&s.body, s.req.Chunked(), body))
	if err != nil {
		s.refuse(err)
		return
	}
	s.step, s.std = stepBusy, c
	if !s.goesAway(&c.request) {
		s.w.count.Inline++
		s.c.Call(c)
		return
	}
	if !s.spawn(c, false) {
		s.refuse(errSaturated)
	}
}

// spawn runs a call on a goroutine, and reports false if there are too many.
func (s *session) spawn(c *call, streams bool) bool {
	c.route, c.away, c.streams = s.route, true, streams
	c.started = s.c.Start(c, streams)
	c.seat.Store(counts)
	if s.w.srv.pool.run(c.runAway) {
		s.countPredicted()
		return true
	}
	c.started.Cancel()
	c.dispose()
	s.std = nil
	s.step = stepIdle
	return false
}

// runAway is Run on a goroutine.
func (c *call) runAway() {
	c.began = time.Now()
	defer func() {
		if c.route != noRoute && !c.hijacked {
			c.w.srv.predict.took(c.route, time.Since(c.began))
		}
		c.started.Finish(&c.finish)
	}()
	c.Run(conn.Lead{})
}

// release gives back the place in the pool, if the call has one.
func (c *call) release() { c.seat.leave(&c.w.srv.pool) }

// Run implements conn.Call.
func (c *call) Run(lead conn.Lead) {
	c.lead = lead
	defer func() {
		if !c.returned {
			// A handler that ends its goroutine is treated like one that panics.
			c.failure = &failure{recover(), debug.Stack()}
		}
		c.end()
	}()
	c.handler.ServeHTTP(&c.resp, &c.request)
	c.returned = true
}

// end is called when the handler is over, on its goroutine.
func (c *call) end() {
	c.release() // before the client can know that it has been answered
	c.ctx.cancel(context.Canceled)
	if c.body != nil {
		c.body.Close() // what reads it from now on is late
	}
	c.takeBack()
	if c.away && !c.streams && !c.hijacked {
		c.last = c.resp.end(nil, c.returned, c.panicked())
	}
	if !c.returned {
		c.w.srv.logPanic(c.request.RemoteAddr, c.failure.panicked, c.failure.stack)
	}
	if c.channel != nil && c.channel.exit() {
		c.channel.tellEnd()
	}
}

// takeBack takes the response away from the handler, which may have left goroutines
// behind that still have it: from now on their writes fail, and what one of them is
// writing is part of the answer.
func (c *call) takeBack() {
	if !c.resp.mu.TryLock() {
		if c.lead.Hold() {
			c.leave() // who writes may wait for what the loop does
		}
		c.resp.mu.Lock()
	}
	c.resp.over.Store(true)
	c.resp.mu.Unlock()
}

// leave gives the lead away, which the caller holds.
func (c *call) leave() {
	c.gaveAway = true
	c.lead.Leave()
}

// Detached implements conn.Call.
func (c *call) Detached(*conn.Conn) {
	c.blocked = true
	c.seat.take(&c.w.srv.pool)
	if !c.gaveAway {
		c.takeover = new(takeover)
		c.takeover.begin(c.w.srv, c.resp.method.String(), c.path)
	}
	c.w.srv.predict.blocked(routeOfPath(c.resp.method, c.path), time.Now())
}

// Done implements conn.Call: it answers what the handler has left to answer.
func (c *call) Done(cn *conn.Conn) {
	s := c.s
	c.release()
	c.takeover.end(c.w.srv, c.request.Pattern)
	if c.blocked && c.request.Pattern != "" {
		c.w.srv.predict.blocked(routeOfPattern(c.resp.method, c.request.Pattern), time.Now())
	}
	if c.channel != nil {
		c.dispose()
		c.channel.begin(s, cn, !c.returned, c.panicked())
		return
	}
	if cn == nil || cn.Closing() {
		c.dispose()
		s.abandoned(cn)
		return
	}
	if c.streams {
		s.last = s.last || c.body.givenUp() || s.unread()+c.body.unread() > discardLimit
		if s.step == stepStream && !s.last && s.req.Chunked() && !c.resp.streaming {
			// Whether the connection can go on depends on how much more there is.
			s.step, s.discarded = stepDrain, int(c.body.unread())
			cn.SetDeadline(drainWait)
			s.proceed(cn)
			return
		}
	}
	c.answer(cn)
	s.proceed(cn)
}

// answer sends the end of the answer.
func (c *call) answer(cn *conn.Conn) {
	s := c.s
	c.resp.close = c.resp.close || s.last
	if !c.away || c.streams {
		c.resp.worker = c.w
		buf := cn.Reserve(min(c.resp.room(), mapped.MaxBlock))
		if p := c.resp.end(buf, c.returned, c.panicked()); len(p) <= cap(buf) {
			cn.Commit(p)
		} else {
			cn.Write(p)
		}
	} else {
		cn.Write(c.last)
	}
	if !c.resp.broken || c.resp.streaming {
		c.w.count.Responses.add(c.resp.status)
	}
	broken, last := c.resp.broken, c.resp.close || s.last || c.w.draining
	c.dispose()
	if cn.Closing() {
		return
	}
	if broken {
		s.step, s.std = stepIdle, nil
		if c.resp.timedOut && cn.Queued() > outputHigh {
			cn.Abort(os.ErrDeadlineExceeded) // the client takes nothing
			return
		}
		if c.resp.streaming && c.resp.framing == http1.UntilClose {
			// The client takes the end of the connection for that of the answer
			// (RFC 9112, section 8): it must not look like one.
			cn.CloseReset()
			return
		}
		cn.CloseLingering() // after what was sent before
		return
	}
	rest := s.step == stepStream && !last
	dropped := 0
	if rest {
		dropped = int(c.body.unread())
	}
	s.finished(last)
	if rest {
		s.step, s.discarded = stepDiscard, dropped
	}
}

// dispose gives back what a call had whose handler is over, or has not run at all.
func (c *call) dispose() {
	c.w.putBuffer(c.resp.body)
	c.w.putBuffer(c.resp.lines)
	c.resp.body, c.resp.lines = nil, nil
	c.proceed(true)
}

// send sends a piece of the answer and waits until the connection has room for
// more. It reports whether the connection is still there.
func (c *call) send(p []byte) bool {
	if c.expired() {
		return false
	}
	if !c.lead.Hold() {
		return c.post(p)
	}
	cn := c.handle.Conn()
	if cn == nil || cn.Closing() {
		c.lead.Continue()
		return false
	}
	cn.Write(p)
	if cn.Queued() <= outputHigh && cn.Loop().Watched() {
		c.lead.Continue()
		return true
	}
	// Only the loop can make room; and where nobody takes the lead from a handler
	// that blocks, what it has sent might otherwise not leave before it returns.
	c.full = cn.Queued() > outputHigh
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wait = c.full
	c.leave()
	return c.await()
}

// post has the loop send a piece.
func (c *call) post(p []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.await() { // another goroutine's piece comes first
		return false
	}
	c.wait = true
	c.piece.Value = func(*conn.Loop) { c.take(p) }
	c.w.loop.Post(&c.piece)
	return c.await()
}

// await waits, with mu held, until there is room for a piece, and reports whether
// the connection is still there.
func (c *call) await() bool {
	for c.wait && !c.over && !c.late() {
		c.cond.Wait()
	}
	return !c.over && !c.late()
}

// expired is late for those who do not hold mu.
func (c *call) expired() bool {
	if !c.limited.Load() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.late()
}

// late reports whether the deadline for writing has passed.
func (c *call) late() bool {
	c.resp.timedOut = c.resp.timedOut || !c.deadline.IsZero() && !time.Now().Before(c.deadline)
	return c.resp.timedOut
}

// take writes a piece of the answer, on the loop.
func (c *call) take(p []byte) {
	cn := c.handle.Conn()
	if cn == nil || cn.Closing() {
		c.gone(nil)
		return
	}
	cn.Write(p)
	if cn.Queued() > outputHigh {
		c.full = true
		return
	}
	c.proceed(false)
}

// drained is called on the loop when everything queued has been sent.
func (c *call) drained() {
	if c.full {
		c.full = false
		c.proceed(false)
	}
}

// gone is called on the loop when the connection is over.
func (c *call) gone(err error) {
	if err == conn.ErrDetached {
		return // it is the handler's
	}
	c.ctx.cancel(context.Canceled)
	if c.body != nil {
		c.body.finish(errGone, nil)
	}
	c.proceed(true)
}

func (c *call) proceed(over bool) {
	c.mu.Lock()
	c.wait = false
	if over {
		c.over = true
		c.alarm.stop()
	}
	c.mu.Unlock()
	c.cond.Broadcast()
}
