package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/idna"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
)

// exchange is one request and its response. It belongs to one after the other: who makes
// it; the transport, with mu, while it waits; the loop of its link. Only cancel comes
// from anywhere.
type exchange struct {
	t      *Transport
	req    *http.Request
	method http1.Method
	key    key
	proxy  *url.URL
	trace  *httptrace.ClientTrace
	asker  asker

	// takes, if set, gives the connection another protocol when the server has switched to
	// it, or says why not. There is no response then.
	takes func(*link, *exchange) error

	head    *[]byte // what is sent first: the head, and a short body
	upload  *upload // sends the rest of the body, nil for none
	gathers bool    // the response is wanted with its body
	short   bool    // if its length is known and at most gatherLimit
	decodes bool    // the content coding is what the transport asked for
	closes  bool    // the request says "Connection: close"
	expects bool    // it says "Expect: 100-continue"
	until   time.Time

	cancelled atomic.Pointer[error]

	// Under mu of the transport:
	host        *host // where it waits, else nil
	link        *link
	place       place[exchange]
	stopWaiting func()
	repeated    bool
	task        conn.Task

	// The loop's:
	reused    bool // the connection had been used before
	sent      bool // some of it may be on its way
	heard     bool // some of the response has come
	answered  bool // the asker was told, or is about to be
	over      bool
	sending   bool // upload is not done
	discards  bool // nobody reads the body
	discarded int
	response  http.Response
	values    [4]string // of its header, if there are not more
	body      body
	trailer   http.Header
}

// asker is who an exchange is for.
type asker interface {
	// done is called once, when the response is there, or the error: by a loop, which is
	// given, or by any goroutine, with nil.
	done(*conn.Loop, result)
}

// tlsKey is the key of WithTLSConfig.
type tlsKey struct{}

// WithTLSConfig returns a context for requests that use cfg instead of the transport's
// TLSClientConfig. Connections are shared by requests with the same *tls.Config only,
// which must not be changed any more.
func WithTLSConfig(ctx context.Context, cfg *tls.Config) context.Context {
	return context.WithValue(ctx, tlsKey{}, cfg)
}

// newExchange checks a request, and makes what is to be sent. A request that cannot be
// sent has its body closed.
func (t *Transport) newExchange(req *http.Request) (*exchange, error) {
	return t.newExchangeFor(req, nil)
}

// newExchangeFor is newExchange for a request to switch to what takes speaks.
func (t *Transport) newExchangeFor(req *http.Request, takes func(*link, *exchange) error) (*exchange, error) {
	ex := &exchange{t: t, req: req, takes: takes}
	ex.task.Value = ex.start
	err := ex.prepare()
	if err == nil {
		return ex, nil
	}
	if req.Body != nil {
		req.Body.Close()
	}
	return nil, ex.error(opRequest, err)
}

func (ex *exchange) prepare() error {
	t, req := ex.t, ex.req
	t.mu.Lock()
	err := t.begin()
	closed := t.closed
	t.mu.Unlock()
	switch {
	case closed:
		return ErrClosed
	case err != nil:
		return err
	}
	if err := context.Cause(req.Context()); err != nil {
		return err
	}
	ex.trace = httptrace.ContextClientTrace(req.Context())
	if err := ex.route(); err != nil {
		return err
	}
	return ex.write()
}

// route finds out where the request goes to.
func (ex *exchange) route() error {
	t, u := ex.t, ex.req.URL
	switch {
	case u == nil:
		return errors.New("the request has no URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%w: %q", ErrUnsupportedScheme, u.Scheme)
	case u.Host == "":
		return errors.New("the URL has no host")
	}
	addr, err := address(u)
	if err != nil {
		return err
	}
	ex.key = key{scheme: u.Scheme, addr: addr}
	if u.Scheme == "https" {
		ex.key.tls, _ = ex.req.Context().Value(tlsKey{}).(*tls.Config)
	}
	if t.Proxy == nil {
		return nil
	}
	proxy, err := t.Proxy(ex.req)
	if err != nil {
		return &opError{opProxy, err}
	}
	if proxy != nil {
		return ex.goThrough(proxy)
	}
	return nil
}

// address returns the "host:port" of a URL.
func address(u *url.URL) (string, error) {
	host, port := u.Hostname(), u.Port()
	for i := 0; i < len(host); i++ {
		if host[i] >= 0x80 {
			ascii, err := idna.Lookup.ToASCII(host)
			if err != nil {
				return "", fmt.Errorf("the host of the URL: %w", err)
			}
			host = ascii
			break
		}
	}
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	if addr := u.Host; len(addr) == len(host)+1+len(port) && strings.ToLower(addr) == addr && addr[0] != '[' {
		return addr, nil // as it nearly always is in benchmarks, and often elsewhere
	}
	host, zone, zoned := strings.Cut(host, "%")
	if host = strings.ToLower(host); zoned {
		host += "%" + zone // the name of an interface, in which case matters
	}
	return net.JoinHostPort(host, port), nil
}

// error makes an Error of an error.
func (ex *exchange) error(what op, err error) error {
	var step *opError
	if errors.As(err, &step) {
		what, err = step.op, step.err
	}
	method := ex.req.Method
	if method == "" {
		method = http.MethodGet
	}
	return &Error{Op: string(what), Method: method, URL: redacted(ex.req.URL), Reused: ex.reused, Sent: ex.sent, Err: err}
}

// patience returns how long to wait for something that may take d, 0 meaning for ever: not
// longer than to the deadline of the whole.
func (ex *exchange) patience(d time.Duration) time.Duration {
	if ex.until.IsZero() {
		return d
	}
	left := max(1, ex.until.Sub(ex.t.now()))
	if d <= 0 || left < d {
		return left
	}
	return d
}

// expired reports whether the deadline of the whole has passed.
func (ex *exchange) expired() bool { return !ex.until.IsZero() && !ex.t.now().Before(ex.until) }

func (t *Transport) now() time.Time {
	if t.hooks.clock != nil {
		return time.Unix(0, t.hooks.clock())
	}
	return time.Now()
}

// after has f called once d has passed, unless it is stopped; d <= 0 means never.
func (t *Transport) after(d time.Duration, f func()) (stop func()) {
	switch {
	case d <= 0:
		return func() {}
	case t.hooks.after != nil:
		return t.hooks.after(d, f)
	}
	timer := time.AfterFunc(d, f)
	return func() { timer.Stop() }
}

// waitedTooLong ends an exchange that has found no connection in time.
func (ex *exchange) waitedTooLong() {
	if !ex.leaveQueue() {
		return
	}
	if ex.expired() {
		ex.fail(nil, opQueue, errTotalTimeout)
	} else {
		ex.fail(nil, opQueue, errQueueTimeout)
	}
}

// leaveQueue reports whether the exchange has waited until now.
func (ex *exchange) leaveQueue() bool {
	ex.t.mu.Lock()
	defer ex.t.mu.Unlock()
	h := ex.host
	if h == nil {
		return false
	}
	ex.t.unqueue(ex)
	h.forget()
	return true
}

// cancel ends the exchange, wherever it is. Any goroutine may call it.
func (ex *exchange) cancel(cause error) {
	if !ex.cancelled.CompareAndSwap(nil, &cause) {
		return
	}
	if ex.leaveQueue() {
		ex.fail(nil, opQueue, cause)
		return
	}
	ex.findAndCancel()
}

// findAndCancel has the loop cancel the exchange where it is. It may have gone elsewhere
// when that is told, to be repeated: whoever takes it looks at cancelled first.
func (ex *exchange) findAndCancel() {
	ex.t.mu.Lock()
	l := ex.link
	ex.t.mu.Unlock()
	if l != nil {
		l.w.loop.Do(func(*conn.Loop) { l.cancel(ex) })
	}
}

// start is called on the loop of the link that the exchange was given.
func (ex *exchange) start(*conn.Loop) { ex.link.start(ex) }

// fail ends the exchange with an error; loop is the one that calls, or nil.
func (ex *exchange) fail(loop *conn.Loop, what op, err error) {
	if ex.over {
		return
	}
	ex.over = true
	e := ex.error(what, err)
	ex.endUpload()
	ex.body.finish(e, nil)
	if ex.answered {
		return
	}
	ex.answered = true
	ex.asker.done(loop, result{err: e})
}

// repeats reports whether the request may be sent once more when its connection was lost
// (RFC 9110, section 9.2.2; RFC 9112, section 9.3.1).
func (ex *exchange) repeats() bool {
	return ex.reused && !ex.repeated && !ex.heard && idempotent(ex.method) && ex.cancelled.Load() == nil &&
		!ex.expired() && (ex.upload == nil || ex.upload.rewind())
}

// idempotent reports whether a request may reach the server twice.
func idempotent(m http1.Method) bool {
	switch m {
	case http1.GET, http1.HEAD, http1.OPTIONS, http1.TRACE, http1.PUT, http1.DELETE:
		return true
	}
	return false
}

// pipelines reports whether the request may be sent behind others, and others behind it.
func (ex *exchange) pipelines() bool {
	return ex.t.Pipeline > 1 && idempotent(ex.method) && ex.takes == nil && ex.upload == nil && !ex.closes && ex.req.ContentLength == 0
}

// watch has the end of the request's context end the exchange.
func (ex *exchange) watch() {
	ctx := ex.req.Context()
	if ctx.Done() == nil {
		return
	}
	b := &ex.body
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil && b.unwatch == nil {
		b.unwatch = context.AfterFunc(ctx, func() { ex.cancel(context.Cause(ctx)) })
	}
}
