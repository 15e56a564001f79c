package ringkit

import (
	"net/http"
	"net/url"
	"strings"
	"unsafe"

	"github.com/ringkit/ringkit/http1"
)

var errTarget = &http1.Error{Status: 400, Reason: "the request target is no valid URI"}

// newRequest makes the net/http form of the request that the session has read. All
// strings are parts of one copy of the head.
func (c *call) newRequest() *http1.Error {
	s := c.s
	req := &s.req
	head := make([]byte, len(req.Head()))
	copy(head, req.Head())
	req.Rebase(head)
	c.path = shared(req.RawPath())
	target := shared(req.Target())
	u, err := c.parseTarget(req, target)
	if err != nil {
		return errTarget
	}
	addrs := s.w.addressesOf(s.c)
	c.ctx.local, c.ctx.cred = addrs.local, addrs.cred
	// It is a part of the call, which its context and its URL keep alive anyway.
	c.request = *new(http.Request).WithContext(&c.ctx)
	r := &c.request
	r.Method = methodString(req)
	r.URL = u
	r.Proto, r.ProtoMajor, r.ProtoMinor = protoName(req.Minor()), 1, req.Minor()
	r.Header = headerOf(req)
	r.Host = shared(req.Host())
	r.RequestURI = target
	r.RemoteAddr = addrs.remote
	r.ContentLength = max(req.ContentLength(), 0)
	r.Body = http.NoBody
	r.Close = !req.KeepAlive()
	r.TLS = s.c.Protocol().(*origin).connectionState()
	if req.Chunked() {
		r.TransferEncoding = []string{"chunked"}
		r.ContentLength = -1
		r.Trailer = announcedTrailers(req)
	}
	if c.body != nil {
		r.Body = c.body
		c.body.request = r
	}
	return nil
}

// shared makes a string of bytes that are never changed again.
func shared(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// parseTarget makes a URL of the request target (RFC 9112, section 3.2).
func (c *call) parseTarget(req *http1.Request, target string) (*url.URL, error) {
	if req.Form() == http1.AuthorityForm {
		// Only the authority is there; a scheme makes it a URL.
		u, err := url.ParseRequestURI("http://" + target)
		if err == nil {
			u.Scheme = ""
		}
		return u, err
	}
	if req.Form() == http1.OriginForm && plainPath(c.path) {
		c.url = url.URL{Path: c.path, RawQuery: shared(req.RawQuery())}
		c.url.ForceQuery = req.HasQuery() && c.url.RawQuery == ""
		return &c.url, nil
	}
	return url.ParseRequestURI(target)
}

// plainPath reports whether a path is the same decoded, and encoded again.
func plainPath(path string) bool {
	for _, b := range []byte(path) {
		if b >= 128 || !plainPathBytes[b] {
			return false
		}
	}
	return true
}

var plainPathBytes = func() (t [128]bool) {
	for _, b := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~$&+,/:;=@") {
		t[b] = true
	}
	return t
}()

func methodString(req *http1.Request) string {
	if m := req.MethodID(); m != http1.Other {
		return m.String()
	}
	return shared(req.Method())
}

// headerOf collects the fields of a request without those that have a place of
// their own: Host, and what described the chunks. One allocation holds all values
// that stand alone.
func headerOf(req *http1.Request) http.Header {
	n := req.NumFields()
	h := make(http.Header, n)
	var values []string
	for i := range n {
		name, value := req.Field(i)
		key := http1.CanonicalName(name)
		if key == "Host" || req.Chunked() && (key == "Transfer-Encoding" || key == "Trailer") {
			continue
		}
		if old, ok := h[key]; ok {
			h[key] = append(old, shared(value))
			continue
		}
		if values == nil {
			values = make([]string, n-i)
		}
		values[0] = shared(value)
		h[key], values = values[:1:1], values[1:]
	}
	return h
}

// announcedTrailers has a key for each field that is announced to come behind the
// body.
func announcedTrailers(req *http1.Request) (h http.Header) {
	for i := range req.NumFields() {
		name, value := req.Field(i)
		if http1.CanonicalName(name) != "Trailer" {
			continue
		}
		for field := range strings.SplitSeq(string(value), ",") {
			field = http.CanonicalHeaderKey(strings.TrimSpace(field))
			switch field {
			case "", "Transfer-Encoding", "Trailer", "Content-Length":
				continue
			}
			if h == nil {
				h = make(http.Header)
			}
			h[field] = nil
		}
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
