package client

import (
	"io"
	"net/http"

	"github.com/ringkit/ringkit/conn"
)

// Call is RoundTrip for who does not wait: it returns at once, and f is called on an event
// loop, as with [Client.Call]. A response that tells its length, up to 64 KiB, comes with its
// whole body; another one comes as soon as its head is there, with what has arrived behind
// it. [Complete] tells which it is.
//
// Like RoundTrip, it neither follows redirects nor knows cookies. The context of the request
// ends it at any time.
func (t *Transport) Call(req *http.Request, f func(*http.Response, error)) {
	ex, err := t.newExchange(req)
	c := &asked{t: t, ex: ex, f: f}
	if err != nil {
		c.done(nil, result{err: err})
		return
	}
	ex.short, ex.asker = true, c
	ex.watch()
	t.submit(ex)
}

// Complete reports whether all of a response's body has arrived, so that reading it does
// not wait. It is false for bodies that are decoded, and those of other clients.
func Complete(resp *http.Response) bool {
	if resp.Body == http.NoBody {
		return true
	}
	b, ok := resp.Body.(*body)
	if !ok {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err == io.EOF
}

// asked is the callback of Transport.Call: a conn.Call.
type asked struct {
	t  *Transport
	ex *exchange // nil for a request that was not sent
	f  func(*http.Response, error)
	r  result
}

// done implements asker.
func (c *asked) done(loop *conn.Loop, r result) {
	c.r = r
	if loop != nil {
		loop.Call(c)
		return
	}
	loop = c.t.anyLoop()
	if loop == nil || !loop.Do(func(loop *conn.Loop) { loop.Call(c) }) {
		go c.f(nil, r.err) // there is no loop any more
	}
}

// Run implements conn.Call.
func (c *asked) Run(lead conn.Lead) {
	if c.r.resp != nil {
		c.ex.body.lead = lead
	}
	c.f(c.r.resp, c.r.err)
}

// Detached implements conn.Call.
func (*asked) Detached(*conn.Conn) {}

// Done implements conn.Call.
func (*asked) Done(*conn.Conn) {}
