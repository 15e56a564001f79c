package client

import (
	"encoding/base64"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/ringkit/ringkit/http1"
)

// inlineBody is up to how many bytes a body that is in memory is sent with the head.
const inlineBody = 64 << 10

// userAgent is what requests say that do not say anything else.
const userAgent = "ringkit-client"

// write makes the head of the request, and a short body behind it.
func (ex *exchange) write() error {
	req, u := ex.req, ex.req.URL
	length, err := ex.content()
	if err != nil {
		return err
	}
	h := http1.RequestHead{
		Method: req.Method, Scheme: u.Scheme, Authority: req.Host, Path: u.RequestURI(), Length: length,
		Continue: length != 0 && expectsContinue(req),
	}
	if h.Method == "" {
		h.Method = http.MethodGet
	}
	if h.Authority == "" {
		h.Authority = u.Host
	}
	if h.Authority, err = authority(h.Authority); err != nil {
		return err
	}
	ex.method, ex.expects = http1.MethodOf(h.Method), h.Continue
	h.Framing = http1.RequestFraming(ex.method, length)
	switch {
	case ex.method == http1.CONNECT:
		h.Form, h.Path = http1.AuthorityForm, ""
		if u.Port() == "" {
			h.Authority = ex.key.addr
		}
	case h.Path == "*":
		h.Form, h.Path = http1.AsteriskForm, ""
	case ex.proxy != nil && ex.plainProxy():
		h.Form = http1.AbsoluteForm
	}
	if h.Path != "" && h.Path[0] != '/' {
		return fmt.Errorf("the URL has no absolute path: %q", u.Opaque)
	}
	ex.head = heads.Get().(*[]byte)
	dst, err := http1.AppendRequestStart((*ex.head)[:0], &h)
	if err != nil {
		return err
	}
	if dst, err = ex.appendFields(dst, h.Framing); err != nil {
		return err
	}
	dst = http1.AppendEnd(dst)
	if ex.upload == nil && length > 0 {
		dst, err = ex.appendBody(dst, length)
	}
	*ex.head = dst
	return err
}

// heads are lent to exchanges until they have been answered: before that they may have to
// be sent once more.
var heads = sync.Pool{New: func() any {
	head := make([]byte, 0, 512)
	return &head
}}

// headKept is up to what size a head is used again.
const headKept = 4 << 10

// freeHead gives the head back.
func (ex *exchange) freeHead() {
	if cap(*ex.head) <= headKept {
		heads.Put(ex.head)
	}
	ex.head = nil
}

// content returns the length of the body, -1 when it is unknown, and makes an upload
// unless the body is sent with the head.
func (ex *exchange) content() (length int64, err error) {
	req := ex.req
	if req.Body == nil || req.Body == http.NoBody {
		return 0, nil
	}
	length = req.ContentLength
	if length == 0 {
		length = -1 // net/http's rule: a body without a length is of unknown length
	}
	if length > 0 && length <= inlineBody && req.GetBody != nil && !expectsContinue(req) {
		return length, nil
	}
	ex.upload = &upload{ex: ex, body: req.Body, length: length}
	return length, nil
}

// appendBody appends the body, which is in memory.
func (ex *exchange) appendBody(dst []byte, length int64) ([]byte, error) {
	body := ex.req.Body
	defer body.Close()
	start := len(dst)
	dst = slices.Grow(dst, int(length))
	n, err := io.ReadFull(body, dst[start:start+int(length)])
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return dst, lengthError(length, int64(n))
	}
	if err != nil {
		return dst, &opError{opSend, fmt.Errorf("the body of the request: %w", err)}
	}
	if n, _ := body.Read(make([]byte, 1)); n > 0 {
		return dst, lengthError(length, length+1)
	}
	return dst[:start+int(length)], nil
}

func lengthError(want, got int64) error {
	if got > want {
		return &opError{opSend, fmt.Errorf("the body of the request is longer than its ContentLength of %d", want)}
	}
	return &opError{opSend, fmt.Errorf("the body of the request has %d bytes, its ContentLength is %d", got, want)}
}

func expectsContinue(req *http.Request) bool {
	return strings.EqualFold(req.Header.Get("Expect"), "100-continue")
}

// authority returns what Host says: the port 80 or 443 stays if it was written.
func authority(host string) (string, error) {
	for i := 0; i < len(host); i++ {
		if host[i] >= 0x80 {
			addr, err := address(&url.URL{Host: host, Scheme: "http"})
			return strings.TrimSuffix(addr, ":80"), err
		}
	}
	if i := strings.IndexByte(host, '%'); i >= 0 && host[0] == '[' {
		// The zone of an address means nothing to others (RFC 6874, section 4).
		if end := strings.IndexByte(host, ']'); end > i {
			return host[:i] + host[end:], nil
		}
	}
	return host, nil
}

// skipped are fields the transport writes itself.
func skipped(name string) bool {
	switch name {
	case "Host", "Content-Length", "Transfer-Encoding", "Trailer", "Expect":
		return true
	}
	return false
}

// appendFields appends the fields of the request's header, and those that it lacks.
func (ex *exchange) appendFields(dst []byte, framing http1.Framing) ([]byte, error) {
	req, t := ex.req, ex.t
	var err error
	for _, name := range names(req.Header) {
		if skipped(name) || name == "Proxy-Authorization" && ex.tunnels() {
			continue // the latter is for the proxy, and not for who is behind it
		}
		for _, value := range req.Header[name] {
			if name == "User-Agent" && value == "" {
				continue // as net/http has it: none at all
			}
			if dst, err = http1.AppendRequestField(dst, name, value); err != nil {
				return dst, fmt.Errorf("the field %q: %w", name, err)
			}
		}
	}
	if _, set := req.Header["User-Agent"]; !set {
		dst = http1.AppendField(dst, "User-Agent", userAgent)
	}
	if ex.asksForCoding() {
		ex.decodes = true
		dst = http1.AppendField(dst, "Accept-Encoding", acceptEncoding())
	}
	says := hasToken(req.Header["Connection"], "close")
	if req.Close || t.DisableKeepAlives || says {
		ex.closes = true
		if !says && ex.takes == nil {
			dst = http1.AppendField(dst, "Connection", "close")
		}
	}
	if ex.proxy != nil && ex.plainProxy() && ex.proxy.User != nil && req.Header["Proxy-Authorization"] == nil {
		password, _ := ex.proxy.User.Password()
		dst = http1.AppendField(dst, "Proxy-Authorization", basic(ex.proxy.User.Username(), password))
	}
	if framing == http1.Chunked && len(req.Trailer) > 0 {
		declared := names(req.Trailer)
		for _, name := range declared {
			if skipped(name) || !http1.ValidFieldName(name) {
				return dst, fmt.Errorf("the trailer %q is not allowed", name)
			}
		}
		dst = http1.AppendField(dst, "Trailer", strings.Join(declared, ", "))
	}
	return dst, nil
}

// names returns the names of a header, sorted so that a request is always the same.
func names(h http.Header) []string {
	if len(h) == 0 {
		return nil
	}
	all := make([]string, 0, len(h))
	for name := range h {
		all = append(all, name)
	}
	if len(all) > 1 {
		slices.Sort(all)
	}
	return all
}

// asksForCoding reports whether the transport asks for a content coding: not for a part,
// whose bytes would be those of the encoded whole.
func (ex *exchange) asksForCoding() bool {
	req := ex.req
	return !ex.t.DisableCompression && req.Header["Accept-Encoding"] == nil && req.Header["Range"] == nil &&
		ex.method != http1.HEAD && ex.method != http1.CONNECT && req.Header["Upgrade"] == nil
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// hasToken reports whether a list has a token, in any case.
func hasToken(values []string, token string) bool {
	for e := range elements(values) {
		if strings.EqualFold(e, token) {
			return true
		}
	}
	return false
}

// elements returns the elements of lists, without the empty ones (RFC 9110, section 5.6.1).
func elements(values []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, v := range values {
			for e := range strings.SplitSeq(v, ",") {
				if e = strings.TrimSpace(e); e != "" && !yield(e) {
					return
				}
			}
		}
	}
}

// appendTrailer appends the end of a body in chunks.
func appendTrailer(dst []byte, trailer http.Header) ([]byte, error) {
	if len(trailer) == 0 {
		return http1.AppendLastChunk(dst), nil
	}
	dst = http1.AppendTrailerStart(dst)
	var err error
	for _, name := range names(trailer) {
		for _, value := range trailer[name] {
			if dst, err = http1.AppendRequestField(dst, name, value); err != nil {
				return dst, fmt.Errorf("the trailer %q: %w", name, err)
			}
		}
	}
	return http1.AppendEnd(dst), nil
}
