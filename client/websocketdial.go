package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/ringkit/ringkit/wsock"
)

// HandshakeError is inside the [*Error] of a Dial whose server has answered, but not
// with a WebSocket.
type HandshakeError struct {
	// Response is the answer. Its body is there as far as it has come within 2 s, up to
	// 16 KiB of it.
	Response *http.Response

	// Err says what is wrong with it: a *wsock.HandshakeError.
	Err error
}

// Error implements error.
func (e *HandshakeError) Error() string {
	return fmt.Sprintf("the answer is %s: %v", e.Response.Status, e.Err)
}

// Unwrap returns Err.
func (e *HandshakeError) Unwrap() error { return e.Err }

// How much is read of the answer of a server that refuses, and for how long.
const (
	refusalBytes = 16 << 10
	refusalTime  = 2 * time.Second
)

var defaultWebSocket WebSocketOptions

// Dial makes a WebSocket with [DefaultClient]: see [Client.Dial].
func Dial(ctx context.Context, url string, events Events) (*WebSocket, error) {
	return defaultWebSocket.Dial(ctx, url, events)
}

// Dial is [WebSocketOptions.Dial] with default options.
func (c *Client) Dial(ctx context.Context, url string, events Events) (*WebSocket, error) {
	o := &WebSocketOptions{Client: c}
	o.fixed.Store(defaultWebSocket.resolved())
	return o.Dial(ctx, url, events)
}

// Dial makes a WebSocket. The URL has one of the schemes ws and wss, or http and https
// that mean the same, and no fragment. Its name is looked up, and its server connected to,
// as for a request of the client, through a tunnel if there is a proxy; redirects are not
// followed.
//
// It waits until the handshake is over, which ctx and the limits of the transport bound.
// That ctx ends afterwards does not matter. The error is an [*Error], and inside it is a
// [*HandshakeError] if the server has answered. When there is an error, none of the
// events comes.
func (o *WebSocketOptions) Dial(ctx context.Context, url string, events Events) (*WebSocket, error) {
	d := &wsDial{o: o, c: o.Client}
	if d.c == nil {
		d.c = DefaultClient
	}
	ws, err := d.run(ctx, url, events)
	if err == nil {
		return ws, nil
	}
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Op: string(opHandshake), Method: http.MethodGet, Err: err}
	}
	e.URL = redacted(d.url)
	return nil, e
}

// wsDial is a WebSocket that is being made.
type wsDial struct {
	o   *WebSocketOptions
	c   *Client
	url *url.URL
	key string
	ws  *WebSocket
}

func (d *wsDial) run(ctx context.Context, rawURL string, events Events) (*WebSocket, error) {
	req, err := d.request(ctx, rawURL)
	if err != nil {
		return nil, err
	}
	t := d.c.Transport
	if t == nil {
		t = DefaultTransport
	}
	d.ws = &WebSocket{events: events, opts: d.o.resolved()}
	ex, err := t.newExchangeFor(req, d.takes)
	if err != nil {
		return nil, err
	}
	if d.c.Timeout > 0 {
		ex.until = t.now().Add(d.c.Timeout)
	}
	got := make(waiter, 1)
	ex.asker = got
	t.submit(ex)
	var r result
	select {
	case r = <-got:
	case <-ctx.Done():
		ex.cancel(context.Cause(ctx))
		r = <-got // it may have been too late for that
	}
	switch {
	case r.err != nil:
		return nil, r.err
	case r.resp != nil:
		return nil, d.refused(r.resp)
	}
	if d.c.Jar != nil {
		d.keepCookies(d.ws.Response())
	}
	return d.ws, nil
}

// request makes the handshake of the client (RFC 6455, section 4.1).
func (d *wsDial) request(ctx context.Context, rawURL string) (*http.Request, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	shown := *u
	d.url = &shown
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	case "http", "https":
	default:
		return nil, fmt.Errorf("%w, nor ws or wss: %q", ErrUnsupportedScheme, u.Scheme)
	}
	if u.Fragment != "" {
		return nil, errors.New("the URL of a WebSocket has no fragment") // RFC 6455, section 3
	}
	var nonce [16]byte
	rand.Read(nonce[:]) // which does not fail
	d.key = wsock.NewKey(nonce)
	req := &http.Request{Method: http.MethodGet, URL: u, Host: d.o.Header.Get("Host")}
	if req.Header, err = d.o.header(d.key); err != nil {
		return nil, err
	}
	return d.c.dressed(req.WithContext(ctx))
}

func (d *wsDial) keepCookies(resp *http.Response) {
	if d.c.Jar == nil {
		return
	}
	u := *d.url
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	}
	if cookies := resp.Cookies(); len(cookies) > 0 {
		d.c.Jar.SetCookies(&u, cookies)
	}
}

// refused makes the error of a response that is not the one wanted.
func (d *wsDial) refused(resp *http.Response) error {
	d.keepCookies(resp)
	body := resp.Body
	stop := time.AfterFunc(refusalTime, func() { body.Close() })
	p, _ := io.ReadAll(io.LimitReader(body, refusalBytes))
	stop.Stop()
	body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(p))
	_, err := d.check(resp)
	return &HandshakeError{Response: resp, Err: err}
}

// check checks the answer of the server, all but its extensions.
func (d *wsDial) check(resp *http.Response) (protocol string, err error) {
	h := resp.Header
	answer := wsock.Response{
		Status: resp.StatusCode, Connection: h["Connection"], Upgrade: h["Upgrade"],
		Accept: h["Sec-Websocket-Accept"], Protocol: h["Sec-Websocket-Protocol"],
	}
	return answer.Check(d.key, d.o.Protocols)
}

// takes makes the WebSocket when the server has switched, on the loop.
func (d *wsDial) takes(l *link, ex *exchange) error {
	resp := &http.Response{Body: http.NoBody, Request: ex.req, TLS: l.tlsState}
	headOf(&l.r.resp, resp, nil)
	protocol, err := d.check(resp)
	if err != nil {
		return &HandshakeError{Response: resp, Err: err}
	}
	options, agreed := d.o.compression(), wsock.Compression{}
	if values := resp.Header["Sec-Websocket-Extensions"]; d.o.NoCompression && len(values) > 0 {
		err = errUnoffered
	} else {
		agreed, err = options.Check(values)
	}
	if err != nil {
		return &HandshakeError{Response: resp, Err: err}
	}
	d.ws.begin(l, protocol, agreed)
	return nil
}

// errUnoffered is for an answer to an offer that was not made.
var errUnoffered = &wsock.HandshakeError{Reason: "the server has chosen an extension that was not offered"}
