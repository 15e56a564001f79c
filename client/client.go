package client

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ringkit/ringkit/conn"
)

// DefaultMaxRedirects is how many redirects a Client follows by default.
const DefaultMaxRedirects = 10

// Client sends requests, follows redirects, and keeps cookies. A user and password in a URL
// become an Authorization, unless there is one. The zero value is a good
// one. Its fields must not be changed after first use; the methods may be called by any
// goroutine.
//
// There are four ways to ask: [Client.Do] waits for the response, [Client.Go] does not
// and has it later, [Client.Call] has a function called on an event loop, and a
// [Transport] is what an http.Client can be given.
type Client struct {
	// Transport has the connections; nil means DefaultTransport.
	Transport *Transport

	// Jar gives requests their cookies and takes those of responses; nil means that
	// cookies are only what requests say. See net/http/cookiejar.
	Jar http.CookieJar

	// Timeout is how long a request may take, with all redirects, to the end of the body
	// of its response. Default none, but for what the transport bounds.
	Timeout time.Duration

	// MaxRedirects is how many redirects are followed: default 10, negative none, so that
	// the response which redirects is returned.
	MaxRedirects int

	// CheckRedirect, if set, is asked before a redirect is followed: req is what is going
	// to be sent, via what has been, the oldest first. With http.ErrUseLastResponse the
	// response that redirects is returned as it is; any other error ends the request.
	CheckRedirect func(req *http.Request, via []*http.Request) error
}

// DefaultClient is what the functions of this package use.
var DefaultClient = &Client{}

// Do sends a request with [DefaultClient]: see [Client.Do].
func Do(req *http.Request) (*http.Response, error) { return DefaultClient.Do(req) }

// Go sends a request with [DefaultClient]: see [Client.Go].
func Go(req *http.Request) *Future { return DefaultClient.Go(req) }

// Call sends a request with [DefaultClient]: see [Client.Call].
func Call(req *http.Request, f func(*http.Response, error)) { DefaultClient.Call(req, f) }

// Get sends a GET with [DefaultClient].
func Get(ctx context.Context, url string) (*http.Response, error) { return DefaultClient.Get(ctx, url) }

// Get is Do with a GET of url.
func (c *Client) Get(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return c.Do(req)
}

// Do sends a request and waits for the head of its response. The body is read as it
// arrives: who does not read all of it has to close it. The error is an [*Error], unless
// it is that of CheckRedirect. The context of the request ends it at any time, also while
// the body is being read.
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	got := waiters.Get().(waiter)
	defer waiters.Put(got)
	f := c.flight(req)
	f.asker = got
	f.send(req)
	for !f.ends(f.wait(got)) {
	}
	return f.resp, f.err
}

// Go sends a request and returns at once. The response comes with its body, up to 64 KiB
// of it; the rest is read as it arrives.
func (c *Client) Go(req *http.Request) *Future {
	future := &Future{done: make(chan struct{})}
	c.begin(req, true, func(resp *http.Response, err error) {
		future.resp, future.err = resp, err
		close(future.done)
	})
	return future
}

// Call sends a request and returns at once. f is called when the response is there with
// its body, up to 64 KiB of it; reading the rest waits for it. It is called on an event
// loop, whose other connections go on without it if it takes longer than a millisecond or
// two. A panic in f is a panic of the program.
func (c *Client) Call(req *http.Request, f func(*http.Response, error)) {
	c.begin(req, false, f)
}

// Future is a response that comes later. Any goroutine may use it.
type Future struct {
	done chan struct{}
	resp *http.Response
	err  error
}

// Done returns a channel that is closed when the response is there, or the error.
func (f *Future) Done() <-chan struct{} { return f.done }

// Wait waits for the response until ctx ends; then the error is its cause. That does not
// end the request, whose own context does.
func (f *Future) Wait(ctx context.Context) (*http.Response, error) {
	select {
	case <-f.done:
		return f.resp, f.err
	default:
	}
	select {
	case <-f.done:
		return f.resp, f.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// flight is a request of a Client with what it is redirected to.
type flight struct {
	c     *Client
	t     *Transport
	ctx   context.Context
	asker asker // of its exchanges: a waiter, or the flight itself, which then calls end
	via   []*http.Request
	req   *http.Request // under way
	until time.Time
	ex    *exchange
	end   func(*http.Response, error)
	wakes bool       // a goroutine
	loop  *conn.Loop // that calls it

	result
}

func (c *Client) flight(req *http.Request) *flight {
	f := &flight{c: c, t: c.Transport, ctx: req.Context()}
	if f.t == nil {
		f.t = DefaultTransport
	}
	if c.Timeout > 0 {
		f.until = f.t.now().Add(c.Timeout)
	}
	return f
}

// begin sends a request and has end called, on an event loop. wakes says that this wakes a
// goroutine.
func (c *Client) begin(req *http.Request, wakes bool, end func(*http.Response, error)) {
	f := c.flight(req)
	f.asker, f.end, f.wakes = f, end, wakes
	f.send(req)
}

func (f *flight) send(req *http.Request) {
	f.req = req // without what is added here, which is not for the next one
	req, err := f.c.dressed(req)
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		f.asker.done(nil, result{err: err})
		return
	}
	ex, err := f.t.newExchange(req)
	if err != nil {
		f.asker.done(nil, result{err: err})
		return
	}
	calls := f.end != nil // nobody waits who watches the context and reads the body
	ex.until, ex.gathers, ex.asker = f.until, calls, f.asker
	f.ex = ex
	if calls {
		ex.watch()
	}
	f.t.submit(ex)
}

// dressed returns a request with the cookies and credentials that are the client's to add;
// that of the caller stays as it is.
func (c *Client) dressed(req *http.Request) (*http.Request, error) {
	if req.URL == nil {
		return req, nil
	}
	var cookies []*http.Cookie
	if c.Jar != nil {
		cookies = c.Jar.Cookies(req.URL)
	}
	user := req.URL.User
	if req.Header["Authorization"] != nil {
		user = nil
	}
	if len(cookies) == 0 && user == nil {
		return req, nil
	}
	req = req.Clone(req.Context())
	for _, cookie := range cookies {
		req.AddCookie(cookie)
	}
	if user != nil {
		password, _ := user.Password()
		if err := SetBasic(req, user.Username(), password); err != nil {
			return req, (&exchange{req: req}).error(opRequest, err)
		}
	}
	return req, nil
}

// wait waits for the end of an exchange.
func (f *flight) wait(got waiter) result {
	select {
	case r := <-got:
		return r
	case <-f.ctx.Done():
		if f.ex != nil {
			f.ex.cancel(context.Cause(f.ctx))
		}
		return <-got
	}
}

// ends takes what has become of a request, and reports whether that is the end. Otherwise
// it has been redirected, and is under way again.
func (f *flight) ends(r result) bool {
	f.result = r
	if r.err != nil {
		return true
	}
	if jar := f.c.Jar; jar != nil {
		if cookies := r.resp.Cookies(); len(cookies) > 0 {
			jar.SetCookies(f.req.URL, cookies)
		}
	}
	most := orDefault(f.c.MaxRedirects, DefaultMaxRedirects)
	if most < 0 || !isRedirect(r.resp.StatusCode) {
		return true
	}
	f.via = append(f.via, f.req)
	next, err := nextRequest(r.resp, f.via, most)
	if err == nil && next != nil && f.c.CheckRedirect != nil {
		err = f.c.CheckRedirect(next, f.via)
	}
	switch {
	case errors.Is(err, http.ErrUseLastResponse), err == nil && next == nil:
		return true
	case err != nil:
		r.resp.Body.Close()
		f.result = result{err: f.ex.error(opRequest, err)}
		return true
	}
	next.Response = r.resp
	r.resp.Body.Close()
	f.send(next)
	return false
}

// done implements asker: a loop follows redirects, and calls end.
func (f *flight) done(loop *conn.Loop, r result) {
	f.loop, f.result = loop, r
	if loop != nil {
		loop.Call(f)
		return
	}
	f.loop = f.t.anyLoop()
	if f.loop == nil || !f.loop.Do(func(loop *conn.Loop) { loop.Call(f) }) {
		go f.end(nil, r.err) // there is no loop any more
	}
}

// Run implements conn.Call.
func (f *flight) Run(lead conn.Lead) {
	if f.resp != nil {
		f.ex.body.lead = lead
	}
	if !f.ends(f.result) {
		return
	}
	f.end(f.resp, f.err)
	if f.wakes && lead.Hold() { // a jar or CheckRedirect may have taken too long
		f.loop.Woke()
		lead.Continue()
	}
}

// Detached implements conn.Call.
func (f *flight) Detached(*conn.Conn) {}

// Done implements conn.Call.
func (f *flight) Done(*conn.Conn) {}
