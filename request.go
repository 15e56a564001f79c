package ringkit

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ringkit/ringkit/http1"
)

var errTarget = &http1.Error{Status: 400, Reason: "the request target is no valid URI"}

// newRequest makes the net/http form of the request that s has read.
func newRequest(ctx context.Context, s *session, body []byte) (*http.Request, *http1.Error) {
	req := &s.req
	target := string(req.Target())
	u, err := parseTarget(target, req.Form())
	if err != nil {
		return nil, errTarget
	}
	r := &http.Request{
		Method:        methodString(req),
		URL:           u,
		Proto:         protoName(req.Minor()),
		ProtoMajor:    1,
		ProtoMinor:    req.Minor(),
		Header:        headerOf(req),
		Host:          string(req.Host()),
		RequestURI:    target,
		RemoteAddr:    peerAddr(s.c.FD()),
		ContentLength: max(req.ContentLength(), 0),
		Body:          http.NoBody,
		Close:         !req.KeepAlive(),
	}
	if req.Chunked() {
		r.TransferEncoding = []string{"chunked"}
		r.ContentLength = -1
		r.Trailer = trailerOf(&s.body)
	}
	if len(body) > 0 {
		r.Body = &gatheredBody{data: slices.Clone(body)}
	}
	return r.WithContext(ctx), nil
}

// parseTarget makes a URL of a request target (RFC 9112, section 3.2).
func parseTarget(target string, form http1.Form) (*url.URL, error) {
	if form == http1.AuthorityForm {
		// Only the authority is there; a scheme makes it a URL.
		u, err := url.ParseRequestURI("http://" + target)
		if err == nil {
			u.Scheme = ""
		}
		return u, err
	}
	return url.ParseRequestURI(target)
}

func methodString(req *http1.Request) string {
	if m := req.MethodID(); m != http1.Other {
		return m.String()
	}
	return string(req.Method())
}

// headerOf collects the fields of a request without those that have a place of
// their own: Host, and what described the chunks. One allocation holds all values
// that stand alone.
func headerOf(req *http1.Request) http.Header {
	n := req.NumFields()
	h := make(http.Header, n)
	values := make([]string, n)
	for i := range n {
		name, value := req.Field(i)
		key := http1.CanonicalName(name)
		if key == "Host" || req.Chunked() && (key == "Transfer-Encoding" || key == "Trailer") {
			continue
		}
		if old, ok := h[key]; ok {
			h[key] = append(old, string(value))
			continue
		}
		values[i] = string(value)
		h[key] = values[i : i+1 : i+1]
	}
	return h
}

func trailerOf(b *http1.Body) http.Header {
	if b.NumTrailers() == 0 {
		return nil
	}
	h := make(http.Header, b.NumTrailers())
	for i := range b.NumTrailers() {
		name, value := b.Trailer(i)
		h.Add(strings.Clone(http1.CanonicalName(name)), string(value))
	}
	return h
}
