package ringkit

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/ringkit/ringkit/conn"
)

// ErrAnswered is what [Reply.Answer] returns when there is nothing to answer any more.
var ErrAnswered = errors.New("ringkit: the request was answered already, or its client is gone")

// Reply is the answer to a request that is given when the handler has returned, by
// [Exchange.Later]. It costs no goroutine. Any goroutine may use it at any time: one that
// comes too late reaches no other request.
type Reply struct {
	state  atomic.Uint32
	w      *worker
	f      HandlerFunc
	gone   func()
	task   conn.Task
	parked chan struct{} // in a standard handler: closed with f

	// The loop's:
	n    *nativeCall // whose handler has returned; nil before, and when it is over
	due  bool        // f came before
	left bool        // gone was called, or is about to be
}

// What becomes of a Reply.
const (
	replyOpen uint32 = iota
	replyGiven
	replyOver
)

// Later has the request wait for [Reply.Answer] when the handler has returned. What the
// handler has set and written by then stays; x and the slices that it hands out are valid
// until the function given to Answer has returned. A second call returns the same Reply. It
// has no effect on a handler that panics, or opens a channel.
//
// gone, if it is not nil, is called on the event loop when the client does not wait any more:
// its connection has ended, or its side of it, or the handler has panicked. That is once at
// most, and not when the function given to Answer has begun. Who has only ended its side
// still gets an answer.
//
// Nothing but the client bounds the time, or how many requests wait: Answer has to be
// called, even if with an error. Until then the connection takes no further request, and
// [Server.Shutdown] waits for it as for a handler that has not returned.
//
// Where the HandlerFunc is mounted in a standard handler, the goroutine of that waits, and the
// end of the client's side is the end.
func (x *Exchange) Later(gone func()) *Reply {
	r := &Reply{gone: gone}
	if x.r != nil {
		if x.later == nil {
			r.parked = make(chan struct{})
			x.later = r
		}
		return x.later
	}
	n := x.n
	if n.later == nil {
		r.w = n.w
		n.later = r
	}
	return n.later
}

// Answer has f answer the request, as the handler could have: f runs on the event loop, or
// where the server runs handlers else, once the handler has returned. It may call Later
// again. Answer does not wait for it. Only the first call counts; others return
// [ErrAnswered], as do those that come when the client is gone. One that leaves meanwhile has
// f not called at all.
func (r *Reply) Answer(f HandlerFunc) error {
	if !r.state.CompareAndSwap(replyOpen, replyGiven) {
		return ErrAnswered
	}
	r.f = f
	if r.parked != nil {
		close(r.parked)
		return nil
	}
	r.task.Value = r.given
	if !r.w.loop.Post(&r.task) {
		return ErrAnswered
	}
	return nil
}

// given is called on the loop when there is an f.
func (r *Reply) given(*conn.Loop) {
	if r.n == nil {
		r.due = true // the handler has not returned yet, or all is over
		return
	}
	r.goOn()
}

// park has the request of a handler that has returned wait for its Reply.
func (n *nativeCall) park(c *conn.Conn) {
	s, r := n.s, n.later
	n.later, r.n, s.later = nil, n, r
	if r.due {
		r.goOn()
		return
	}
	c.Hold()
	c.Mark(markHandling)
	c.SetDeadline(n.w.lookAfter)
	if c.AtEOF() {
		r.leave()
	}
}

// goOn has f answer.
func (r *Reply) goOn() {
	n := r.n
	s := n.s
	r.n, s.later = nil, nil
	n.handler, n.returned = r.f, false
	s.start(n)
	switch c := s.c; {
	case s.step == stepIdle: // it was refused
		r.void()
		s.proceed(c)
	case c.Held():
		c.Resume() // nothing is delivered while f runs
	}
}

// lost is called when the connection is over while the request waits.
func (r *Reply) lost() {
	n := r.n
	s := n.s
	r.n, s.later = nil, nil
	s.step = stepIdle
	r.void()
	n.w.putNative(n)
}

// void ends a Reply that nobody waits for.
func (r *Reply) void() {
	r.state.Store(replyOver)
	r.tell()
}

// leave is called when the client has ended its side. One that is about to be answered has
// not missed anything.
func (r *Reply) leave() {
	if r.state.Load() == replyOpen {
		r.tell()
	}
}

// tell tells who is to answer that the client is gone, or as good as gone.
func (r *Reply) tell() {
	if r.gone != nil && !r.left {
		r.left = true
		r.w.loop.Call(leaving{r.gone})
	}
}

// leaving is the call of what a Reply has for when its client is gone: a conn.Call.
type leaving struct{ gone func() }

// Run implements conn.Call.
func (l leaving) Run(conn.Lead) { l.gone() }

// Detached implements conn.Call.
func (leaving) Detached(*conn.Conn) {}

// Done implements conn.Call.
func (leaving) Done(*conn.Conn) {}

// await waits in a standard handler for what is to answer, nil if the client is gone.
func (r *Reply) await(ctx context.Context) HandlerFunc {
	select {
	case <-r.parked:
		return r.f
	case <-ctx.Done():
	}
	if !r.state.CompareAndSwap(replyOpen, replyOver) {
		<-r.parked
		return r.f
	}
	if r.gone != nil {
		r.gone()
	}
	return nil
}

// Split is a handler made of two. Unlike a [HandlerFunc] alone, it does not have to hold
// bodies in memory. As [Server].Handler, Native gets the requests that are complete in
// memory, as most are: without a body, or with one of up to 64 KiB that is not slow to
// arrive. The others go to Streamed, on a goroutine, which reads the body as it arrives: a
// longer one, one in chunks that does not come in one piece, one that stalls, and one whose
// client waits to be asked for it with 100 (Continue). Neither may be nil.
//
// In another handler it tells requests apart by what their heads say.
type Split struct {
	Native   HandlerFunc  // gets requests that are complete in memory
	Streamed http.Handler // gets the others, on a goroutine
}

// ServeHTTP implements http.Handler.
func (s Split) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength < 0 || r.ContentLength > gatherLimit || r.ContentLength > 0 && r.Header.Get("Expect") != "" {
		s.Streamed.ServeHTTP(w, r)
		return
	}
	s.Native.ServeHTTP(w, r)
}
