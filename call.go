package ringkit

import (
	"context"
	"io"
	"net/http"
	"runtime/debug"
	"sync"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
)

// ServerContextKey is the key under which the context of a request has the
// *Server that serves it.
var ServerContextKey = &contextKey{"ringkit-server"}

type contextKey struct{ name string }

func (k *contextKey) String() string { return "ringkit context value " + k.name }

// call is a standard handler answering one request on a goroutine. The goroutine
// owns the response; the loop owns the connection. They meet in tasks posted to
// the loop, and in the fields under mu.
type call struct {
	w       *worker
	handle  conn.Handle
	handler http.Handler
	request *http.Request
	cancel  context.CancelFunc
	resp    responseWriter

	next conn.Task // a piece of the answer: the goroutine waits before it posts again
	last conn.Task // the end of it

	mu   sync.Mutex
	cond sync.Cond
	wait bool // a piece has been posted and the queue has no room for the next
	over bool // the connection is gone
	full bool // the loop waits for the queue to drain; the loop's alone
}

// newCall makes the call of the request that s has read. It copies what it needs:
// the receive buffer is used again as soon as it returns.
func newCall(s *session, h http.Handler, body []byte) (*call, *http1.Error) {
	o := s.c.Protocol().(*origin)
	ctx, cancel := context.WithCancel(context.WithValue(o.ctx, ServerContextKey, s.w.srv))
	r, err := newRequest(ctx, s, body)
	if err != nil {
		cancel()
		return nil, err
	}
	c := &call{w: s.w, handle: s.c.Handle(), handler: h, request: r, cancel: cancel}
	c.cond.L = &c.mu
	c.resp = responseWriter{
		call:      c,
		method:    s.req.MethodID(),
		minor:     s.req.Minor(),
		keepAlive: s.keepAlive(),
		length:    -1,
	}
	return c, nil
}

// run is the goroutine.
func (c *call) run() {
	returned := false
	defer func() {
		// A handler that ends its goroutine is treated like one that panics.
		c.end(returned, recover())
	}()
	c.handler.ServeHTTP(&c.resp, c.request)
	returned = true
}

func (c *call) end(returned bool, panicked any) {
	defer c.cancel()
	var last []byte
	switch {
	case returned:
		last = c.resp.finish()
	case c.resp.streaming, panicked == http.ErrAbortHandler:
		c.resp.broken = true
	default:
		last = c.resp.fail()
	}
	switch {
	case returned, panicked == http.ErrAbortHandler:
	case panicked == nil:
		c.w.srv.logf("ringkit: the handler serving %s ended its goroutine\n%s", c.request.RemoteAddr, debug.Stack())
	default:
		c.w.srv.logf("ringkit: panic serving %s: %v\n%s", c.request.RemoteAddr, panicked, debug.Stack())
	}
	c.proceed(true) // whoever still writes has no connection any more
	broken, end := c.resp.broken, c.resp.close
	c.last.Value = func(*conn.Loop) { c.answered(last, broken, end) }
	c.w.srv.release() // before the client can know that it has been answered
	c.w.loop.Post(&c.last)
}

// answered ends the call on the loop, and the connection with it if that is
// broken or to be closed.
func (c *call) answered(last []byte, broken, end bool) {
	cn := c.handle.Conn()
	if cn == nil || cn.Closing() {
		return
	}
	if broken {
		cn.CloseLingering() // after what was sent before
		return
	}
	cn.Write(last)
	if cn.Closing() {
		return
	}
	s := cn.State.(*session)
	s.finished(end || c.w.draining)
	if !cn.Closing() {
		cn.Resume()
		c.w.rest(cn, s)
	}
}

// send posts a piece of the answer to the loop and waits until the connection
// has room for more. It reports whether the connection is still there.
func (c *call) send(p []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.wait && !c.over {
		c.cond.Wait() // another goroutine's piece comes first
	}
	if c.over {
		return false
	}
	c.wait = true
	c.next.Value = func(*conn.Loop) { c.piece(p) }
	c.w.loop.Post(&c.next)
	for c.wait && !c.over {
		c.cond.Wait()
	}
	return !c.over
}

// piece writes a piece of the answer, on the loop.
func (c *call) piece(p []byte) {
	cn := c.handle.Conn()
	if cn == nil || cn.Closing() {
		c.gone()
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
func (c *call) gone() {
	c.cancel()
	c.proceed(true)
}

func (c *call) proceed(over bool) {
	c.mu.Lock()
	c.wait = false
	c.over = c.over || over
	c.mu.Unlock()
	c.cond.Broadcast()
}

// gatheredBody is a request body that is complete in memory.
type gatheredBody struct {
	data   []byte
	at     int
	closed bool
}

func (b *gatheredBody) Read(p []byte) (int, error) {
	switch {
	case b.closed:
		return 0, http.ErrBodyReadAfterClose
	case b.at == len(b.data):
		return 0, io.EOF
	}
	n := copy(p, b.data[b.at:])
	b.at += n
	return n, nil
}

func (b *gatheredBody) Close() error {
	b.closed = true
	return nil
}

func (b *gatheredBody) rest() []byte {
	rest := b.data[b.at:]
	b.at = len(b.data)
	return rest
}
