package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringkit/ringkit"
	"github.com/ringkit/ringkit/client"
)

// proxy passes requests on to servers.
type proxy struct {
	servers []*url.URL
	ownHost bool // servers are sent the host of their URL
	trusts  bool // clients are proxies that may say who asks
	timeout time.Duration
	log     *log.Logger

	turn      atomic.Uint32
	transport func() *client.Transport
	streams   *httputil.ReverseProxy
}

// parseServers reads a list of URLs.
func parseServers(list string) (servers []*url.URL, err error) {
	for text := range strings.SplitSeq(list, ",") {
		u, err := url.Parse(strings.TrimSpace(text))
		switch {
		case err != nil:
			return nil, fmt.Errorf("-to: %w", err)
		case u.Scheme != "http" && u.Scheme != "https", u.Host == "", strings.Trim(u.Path, "/") != "", u.RawQuery != "":
			return nil, fmt.Errorf("-to: %q is not the URL of a server, such as http://127.0.0.1:9000", text)
		}
		servers = append(servers, u)
	}
	return servers, nil
}

// serveOn makes the proxy the handler of a server, whose loops its own connections use.
func (p *proxy) serveOn(srv *ringkit.Server) {
	p.transport = sync.OnceValue(func() *client.Transport { // which the loops have to be there for
		return &client.Transport{
			EventLoops: srv.EventLoops(), DisableCompression: true, MaxBodyBytes: -1,
			ResponseHeaderTimeout: p.timeout, ReadTimeout: p.timeout, QueueTimeout: p.timeout,
		}
	})
	p.streams = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      roundTripper(func(req *http.Request) (*http.Response, error) { return p.transport().RoundTrip(req) }),
		FlushInterval:  -1, // at once
		ModifyResponse: modifyResponse,
		ErrorHandler:   p.refuse,
		ErrorLog:       p.log,
	}
	srv.MaxBodyBytes = -1 // bodies are not kept
	srv.Handler = ringkit.Split{Native: p.pass, Streamed: http.HandlerFunc(p.stream)}
}

// close ends the connections to the servers.
func (p *proxy) close() { p.transport().Close() }

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// server returns whose turn it is.
func (p *proxy) server() *url.URL {
	return p.servers[int(p.turn.Add(1)-1)%len(p.servers)]
}

// pass passes on a request that is complete in memory, without a goroutine. Nor does its
// answer take one, unless it is long or comes bit by bit.
func (p *proxy) pass(x *ringkit.Exchange) {
	switch {
	case x.Method() == http.MethodConnect:
		x.Error(http.StatusNotImplemented, "this proxy has no tunnels to other places")
		return
	case x.Header("Upgrade") != "":
		x.Delegate(http.HandlerFunc(p.stream))
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &flight{p: p, cancel: cancel}
	req := p.request(f.traced(ctx), x)
	f.reply = x.Later(cancel)
	p.transport().Call(req, f.done)
}

// request makes the request that is sent for x.
func (p *proxy) request(ctx context.Context, x *ringkit.Exchange) *http.Request {
	to := p.server()
	u := &url.URL{Scheme: to.Scheme, Host: to.Host, User: to.User, RawQuery: x.RawQuery()}
	if raw := x.RawPath(); strings.HasPrefix(raw, "//") {
		u.Path, u.RawPath = x.Path(), raw // Opaque would begin with a host
	} else {
		u.Opaque = raw // byte for byte
	}
	req := &http.Request{Method: x.Method(), URL: u, Host: x.Host(), Header: p.requestHeader(x)}
	if p.ownHost {
		req.Host = to.Host
	}
	if body := x.Body(); len(body) > 0 {
		req.ContentLength = int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		req.Body, _ = req.GetBody()
	}
	return req.WithContext(ctx)
}

// answer answers with a response, if it can be done at once.
func (p *proxy) answer(x *ringkit.Exchange, f *flight, r result) {
	if r.err != nil {
		status, text := p.explain(r.err, x.Method(), x.RawPath())
		x.Error(status, text)
		return
	}
	resp := r.resp
	_, typed := resp.Header["Content-Type"]
	if x.Method() == http.MethodHead || !client.Complete(resp) || !typed && resp.Body != http.NoBody {
		f.replay(r)
		x.Delegate(http.HandlerFunc(f.stream))
		return
	}
	body := resp.Body
	if resp.ContentLength < 0 {
		content, _ := io.ReadAll(body)
		if len(resp.Trailer) > 0 {
			resp.Body = io.NopCloser(bytes.NewReader(content))
			f.replay(r)
			x.Delegate(http.HandlerFunc(f.stream))
			return
		}
		x.Write(content)
	} else {
		io.Copy(x, body)
	}
	body.Close()
	x.SetStatus(resp.StatusCode)
	copyResponseHeader(x, resp)
}

// stream passes on a request whose body is read as it arrives, or that asks for another
// protocol.
func (p *proxy) stream(w http.ResponseWriter, r *http.Request) {
	http.NewResponseController(w).EnableFullDuplex() // the answer may begin before the body ends
	w.Header()["Content-Type"] = nil                 // nobody guesses one
	p.streams.ServeHTTP(w, r)
}

// refuse answers a request that no server has answered.
func (p *proxy) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, text := p.explain(err, r.Method, r.URL.Path)
	http.Error(w, text, status)
}

// explain returns what the client is told of an error, and logs the rest.
func (p *proxy) explain(err error, method, path string) (status int, text string) {
	if errors.Is(err, context.Canceled) {
		return http.StatusBadGateway, "502 Bad Gateway: the request was cancelled" // nobody reads it
	}
	p.log.Printf("%s %q: %v", method, path, err)
	var e *client.Error
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge, "413 Content Too Large: the body is too long"
	case errors.Is(err, client.ErrQueueFull):
		return http.StatusServiceUnavailable, "503 Service Unavailable: too many requests wait for the server"
	case errors.As(err, &e) && e.Timeout():
		return http.StatusGatewayTimeout, "504 Gateway Timeout: the server behind this proxy took too long"
	case errors.As(err, &e) && !e.Sent:
		return http.StatusBadGateway, "502 Bad Gateway: the server behind this proxy cannot be reached"
	}
	return http.StatusBadGateway, "502 Bad Gateway: the server behind this proxy gave no valid answer"
}
