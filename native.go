package ringkit

import (
	"crypto/tls"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
)

// nativeCall is a native handler answering one request. It belongs to the loop,
// but for what the handler uses while it runs: the exchange and its caches. Once
// done it is used again, by the same worker.
type nativeCall struct {
	w       *worker
	s       *session
	handler HandlerFunc
	lead    conn.Lead
	tls     *tls.ConnectionState
	channel *Channel // that it has opened
	later   *Reply   // that it has asked for

	returned bool
	panicked any
	stack    []byte

	seat     seat
	takeover takeover

	// What meet notes, seldom needed; peer comes last.
	origin *origin
	handle conn.Handle
	cred   atomic.Pointer[Credentials]
	peer   atomic.Pointer[string] // the descriptor may not stay the connection's

	x      Exchange
	names  interned
	lines  fieldLines
	values []string // memory for those of fields

	route   route
	began   time.Time // on a goroutine
	started conn.Started
	finish  conn.Task
}

// nativesKept bounds the pool of native calls of a worker, of which more than one
// is used only while handlers block.
const nativesKept = 64

func (w *worker) takeNative(s *session, h HandlerFunc, body []byte) *nativeCall {
	var n *nativeCall
	if last := len(w.natives) - 1; last >= 0 {
		n = w.natives[last]
		w.natives = w.natives[:last]
	} else {
		n = &nativeCall{w: w}
		n.x.n = n
	}
	n.s, n.handler = s, h
	if s.c.Secured() {
		n.tls = s.c.Protocol().(*origin).connectionState()
	}
	n.x.begin(s, body)
	return n
}

func (w *worker) putNative(n *nativeCall) {
	n.x.end()
	n.s = nil
	if n.tls != nil || n.channel != nil {
		n.tls, n.channel = nil, nil
	}
	if !n.returned {
		n.panicked, n.stack = nil, nil
	}
	n.returned = false
	if n.later != nil {
		n.later.void()
		n.later = nil
	}
	if n.seat.Load() != 0 {
		n.seat.Store(0)
	}
	if n.peer.Load() != nil {
		n.peer.Store(nil)
		n.cred.Store(nil)
		n.origin, n.handle = nil, conn.Handle{}
	}
	if len(w.natives) < nativesKept {
		w.natives = append(w.natives, n)
	}
}

// Run implements conn.Call.
func (n *nativeCall) Run(lead conn.Lead) {
	n.lead = lead
	defer func() {
		if !n.returned {
			n.panicked, n.stack = recover(), debug.Stack()
		}
		if n.channel != nil && n.channel.exit() {
			n.channel.tellEnd()
		}
		n.seat.leave(&n.w.srv.pool)
	}()
	n.handler(&n.x)
	n.returned = true
}

// runAway is Run on a goroutine.
func (n *nativeCall) runAway() {
	n.began = time.Now()
	defer func() {
		n.w.srv.predict.took(n.route, time.Since(n.began))
		n.started.Finish(&n.finish)
	}()
	n.Run(conn.Lead{})
}

// Detached implements conn.Call.
func (n *nativeCall) Detached(c *conn.Conn) {
	if n.peer.Load() == nil { // else the handler has asked already, and may be reading it
		n.meet(c)
	}
	n.seat.take(&n.w.srv.pool)
	c.Mark(markHandling)
	c.SetDeadline(n.w.lookAfter)
	n.takeover.begin(n.w.srv, string(n.s.req.Method()), string(n.s.req.RawPath()))
	n.w.srv.predict.blocked(routeOfNative(n.s.req.MethodID(), n.s.req.RawPath()), time.Now())
}

// Done implements conn.Call.
func (n *nativeCall) Done(c *conn.Conn) {
	w, s := n.w, n.s
	n.seat.leave(&w.srv.pool)
	n.takeover.end(w.srv, "")
	if ch := n.channel; ch != nil {
		n.log(c)
		failed, panicked := !n.returned, n.panicked
		w.putNative(n)
		ch.begin(s, c, failed, panicked)
		return
	}
	if c == nil || c.Closing() {
		n.log(nil)
		w.putNative(n)
		s.abandoned(c)
		return
	}
	h := n.x.delegate
	switch {
	case !n.returned:
		aborts := n.panicked == http.ErrAbortHandler
		n.log(c)
		w.putNative(n)
		s.failed(aborts)
		return
	case n.later != nil:
		n.park(c)
		return
	case h != nil:
		body := n.x.body
		w.putNative(n)
		s.serve(h, body)
		if s.step == stepIdle { // it was refused
			s.proceed(c)
		} else {
			w.rest(c, s)
		}
		return
	}
	last := n.x.answer()
	w.putNative(n)
	s.finished(last)
	s.proceed(c)
}

// log says what became of a handler that did not return; c may be nil.
func (n *nativeCall) log(c *conn.Conn) {
	if n.returned || n.stack == nil {
		return
	}
	peer := "a client that is gone"
	if p := n.peer.Load(); p != nil {
		peer = *p
	} else if c != nil {
		peer = peerOf(c)
	}
	n.w.srv.logPanic(peer, n.panicked, n.stack)
}

// meet notes which connection it is, and who the peer is.
func (n *nativeCall) meet(c *conn.Conn) {
	n.origin, n.handle = c.Protocol().(*origin), c.Handle()
	if cred := credentialsOf(c); cred != nil {
		n.cred.Store(cred)
	}
	peer := n.w.addressesOf(c).remote
	n.peer.Store(&peer)
}

// knows waits until meet has noted what it does. The handler may ask when the loop has
// gone on without it; the loop, which knows the connection, then says so soon.
func (n *nativeCall) knows() bool {
	for range knowsTries {
		if n.peer.Load() != nil {
			return true
		}
		if n.lead.Hold() {
			n.meet(n.s.c)
			n.lead.Continue()
			return true
		}
		time.Sleep(knowsEvery)
	}
	return false
}

// So often, for ten seconds in all, knows looks; it has something to see at once unless
// the processors are very busy.
const (
	knowsEvery = 100 * time.Microsecond
	knowsTries = int(10 * time.Second / knowsEvery)
)

// remoteAddr returns the address of the peer.
func (n *nativeCall) remoteAddr() string {
	if n.knows() {
		return *n.peer.Load()
	}
	return ""
}

// call has the complete request answered by a native handler.
func (s *session) call(h HandlerFunc, body []byte) {
	s.own(&body)
	s.step = stepBusy
	s.start(s.w.takeNative(s, h, body))
}

// start runs the handler of n, on the loop or on a goroutine.
func (s *session) start(n *nativeCall) {
	w := s.w
	if !s.goesAway(nil) {
		w.count.Inline++
		s.c.Call(n)
		return
	}
	n.route = s.route
	n.meet(s.c)
	n.seat.Store(counts)
	n.started = s.c.Start(n, false)
	s.c.Mark(markHandling)
	s.c.SetDeadline(w.lookAfter)
	if !w.srv.pool.run(n.runAway) {
		n.returned = true // it does not run
		w.putNative(n)
		n.started.Cancel()
		s.refuse(errSaturated)
		return
	}
	s.countPredicted()
}

// own copies a request out of the receive buffer, which is used again while the
// handler runs.
func (s *session) own(body *[]byte) {
	if len(s.head) == 0 {
		s.head = append(s.head, s.req.Head()...)
		s.req.Rebase(s.head)
	}
	if len(*body) > 0 && len(s.content) == 0 {
		s.content = append(s.content, *body...)
		*body = s.content
	}
}

// goesAway decides whether a handler runs on a goroutine. r is nil for a native
// handler.
func (s *session) goesAway(r *http.Request) bool {
	srv := s.w.srv
	switch {
	case srv.Mode == Goroutine:
		s.route = noRoute
		return true
	case srv.Mode == Inline || srv.predict.none():
		return false
	}
	if r == nil {
		s.route = routeOfNative(s.req.MethodID(), s.req.RawPath())
		return srv.predict.blocks(s.route)
	}
	s.route = routeOfPath(s.req.MethodID(), s.req.RawPath())
	if srv.predict.blocks(s.route) {
		return true
	}
	pattern := patternOf(srv.Handler, r)
	if pattern == "" {
		return false
	}
	s.route = routeOfPattern(s.req.MethodID(), pattern)
	return srv.predict.blocks(s.route)
}

// countPredicted counts a handler that goesAway has sent to a goroutine, once it has
// a place there.
func (s *session) countPredicted() {
	if s.route != noRoute {
		s.w.count.Predicted++
	}
}

var errPanic = &http1.Error{Status: 500, Reason: "the handler failed"}
