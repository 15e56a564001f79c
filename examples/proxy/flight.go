package main

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"sync/atomic"

	"github.com/ringkit/ringkit"
)

// flight is a request that was passed on and is not answered.
type flight struct {
	p      *proxy
	reply  *ringkit.Reply
	cancel context.CancelFunc

	// Of an answer that is streamed, because it has begun with an interim response (RFC
	// 9110, section 15.2) or is not complete.
	streamed atomic.Bool
	interims chan interim
	results  chan result
}

// result is what has become of a request.
type result struct {
	resp *http.Response
	err  error
}

type interim struct {
	status int
	header textproto.MIMEHeader
}

// mostInterims is how many interim responses may wait to be sent; more are dropped.
const mostInterims = 16

// traced returns a context that tells of interim responses.
func (f *flight) traced(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: f.interim})
}

// interim is called on the event loop when a server has something to say in advance. The
// rest of the answer is then streamed.
func (f *flight) interim(status int, header textproto.MIMEHeader) error {
	if !f.streamed.Load() {
		f.interims = make(chan interim, mostInterims)
		f.results = make(chan result, 1)
		f.streamed.Store(true)
		if f.reply.Answer(func(x *ringkit.Exchange) { x.Delegate(http.HandlerFunc(f.stream)) }) != nil {
			f.cancel()
		}
	}
	select {
	case f.interims <- interim{status, header}:
	default:
	}
	return nil
}

// done is called when there is a response, or an error.
func (f *flight) done(resp *http.Response, err error) {
	r := result{resp, err}
	if f.streamed.Load() {
		f.results <- r
		return
	}
	if f.reply.Answer(func(x *ringkit.Exchange) { f.p.answer(x, f, r) }) != nil {
		f.cancel() // the client is gone
		if resp != nil {
			resp.Body.Close()
		}
	}
}

// replay has a response that is there be streamed.
func (f *flight) replay(r result) {
	f.results = make(chan result, 1)
	f.results <- r
}

// stream streams the answer, as for any other request: but that has been sent already.
func (f *flight) stream(w http.ResponseWriter, r *http.Request) {
	w.Header()["Content-Type"] = nil
	rp := *f.p.streams
	rp.Rewrite = func(*httputil.ProxyRequest) {}
	rp.Transport = f
	rp.ServeHTTP(w, r)
}

// RoundTrip implements http.RoundTripper.
func (f *flight) RoundTrip(req *http.Request) (*http.Response, error) {
	context.AfterFunc(req.Context(), f.cancel)           // also while the body is being read
	trace := httptrace.ContextClientTrace(req.Context()) // the ReverseProxy's
	for {
		select {
		case i := <-f.interims:
			trace.Got1xxResponse(i.status, i.header)
		case r := <-f.results:
			for len(f.interims) > 0 { // which came before
				i := <-f.interims
				trace.Got1xxResponse(i.status, i.header)
			}
			return r.resp, r.err
		}
	}
}
