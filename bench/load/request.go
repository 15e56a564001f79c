package main

import (
	"bytes"
	"io"
	"net/http"
)

// request is what a slot sends again and again.
type request struct {
	slot *slot
	req  *http.Request
	call func(*http.Response, error) // answered
}

func (g *generator) requestSlots() ([]*slot, error) {
	slots := make([]*slot, g.inFlight())
	for i := range slots {
		req, err := g.request()
		if err != nil {
			return nil, err
		}
		r := &request{slot: &slot{g: g}, req: req}
		r.slot.put, r.call = r.send, r.answered
		slots[i] = r.slot
	}
	return slots, nil
}

// request returns what the options say is sent.
func (g *generator) request() (*http.Request, error) {
	req, err := http.NewRequest(g.method, g.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header, req.Host = g.header, g.host
	if len(g.body) > 0 {
		req.ContentLength = int64(len(g.body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(g.body)), nil }
	}
	return req, nil
}

func (r *request) send(s *slot) {
	if r.req.GetBody != nil {
		r.req.Body, _ = r.req.GetBody()
	}
	s.g.client.Call(r.req, r.call)
}

// longBody is from where a body is not read by the loop that brings it.
const longBody = 64 << 10

func (r *request) answered(resp *http.Response, err error) {
	if err == nil && resp.ContentLength >= longBody {
		go r.read(resp, nil)
		return
	}
	r.read(resp, err)
}

func (r *request) read(resp *http.Response, err error) {
	o := outcome{err: err}
	if err == nil {
		o.status = resp.StatusCode
		o.bytes, o.err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	r.slot.finish(o)
}
