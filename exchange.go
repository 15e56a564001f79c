package ringkit

import (
	"crypto/tls"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/ringkit/ringkit/http1"
)

// HandlerFunc is a native handler. As [Server].Handler it runs on the event loop,
// without a goroutine and without allocating. It may block: see [Mode].
//
// A HandlerFunc is itself an http.Handler, so it can be mounted in any mux; there
// it runs like any standard handler.
type HandlerFunc func(*Exchange)

// Exchange is one request and the answer to it. It is valid until the handler
// returns, as are the byte slices it hands out; its strings stay valid. With
// [Exchange.Later] it is valid until it is answered. Its methods are not safe for
// concurrent use.
type Exchange struct {
	n    *nativeCall
	s    *session      // nil when mounted in a standard handler
	r    *http.Request // then this is the request
	w    http.ResponseWriter
	body []byte

	status   int
	header   []byte // field lines of the answer
	has      field
	out      []byte // body of the answer
	close    bool
	delegate http.Handler
	answered bool   // by a channel
	later    *Reply // when mounted
	query    url.Values
	form     url.Values
}

// field marks fields of the answer that are special.
type field uint8

const (
	hasContentType field = 1 << iota
	hasDate
	hasServer
)

// Buffers of an exchange that grew beyond these sizes are not kept for the next.
const (
	headerKept = 16 << 10
	outKept    = 256 << 10
)

func (x *Exchange) begin(s *session, body []byte) {
	x.s, x.body, x.status = s, body, http.StatusOK
}

// end forgets the request. Little of an exchange is used by most requests, and
// clearing all of it would show.
func (x *Exchange) end() {
	x.header, x.out = x.header[:0], x.out[:0]
	if cap(x.header) > headerKept {
		x.header = nil
	}
	if cap(x.out) > outKept {
		x.out = nil
	}
	x.s, x.body = nil, nil
	x.has, x.close = 0, false
	if x.delegate != nil || x.query != nil || x.form != nil {
		x.delegate, x.query, x.form = nil, nil, nil
	}
}

// Method returns the request method, such as "GET".
func (x *Exchange) Method() string {
	if x.r != nil {
		return x.r.Method
	}
	if m := x.s.req.MethodID(); m != http1.Other {
		return m.String()
	}
	return x.n.names.string(x.s.req.Method())
}

// Path returns the path of the request, percent-decoded.
func (x *Exchange) Path() string {
	if x.r != nil {
		return x.r.URL.Path
	}
	raw := x.n.names.string(x.s.req.RawPath())
	if strings.IndexByte(raw, '%') < 0 {
		return raw
	}
	path, err := url.PathUnescape(raw)
	if err != nil {
		return raw // cannot happen: the parser has checked the encoding
	}
	return path
}

// RawPath returns the path as it was sent.
func (x *Exchange) RawPath() string {
	if x.r != nil {
		return x.r.URL.EscapedPath()
	}
	return x.n.names.string(x.s.req.RawPath())
}

// RawQuery returns what follows the first question mark of the target.
func (x *Exchange) RawQuery() string {
	if x.r != nil {
		return x.r.URL.RawQuery
	}
	return x.n.names.string(x.s.req.RawQuery())
}

// Query returns the first value of a parameter in the query, or "". The query is
// parsed by the first call, as url.ParseQuery does.
func (x *Exchange) Query(name string) string { return x.QueryValues().Get(name) }

// QueryValues returns all parameters of the query.
func (x *Exchange) QueryValues() url.Values {
	if x.query == nil {
		x.query, _ = url.ParseQuery(x.RawQuery())
	}
	return x.query
}

// Form returns the first value of a parameter in a body of the type
// application/x-www-form-urlencoded, else in the query, or "".
func (x *Exchange) Form(name string) string {
	if x.form == nil {
		x.form = url.Values{}
		kind, _, _ := strings.Cut(x.Header("Content-Type"), ";")
		if strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded") {
			x.form, _ = url.ParseQuery(string(x.Body()))
		}
	}
	if v, ok := x.form[name]; ok && len(v) > 0 {
		return v[0]
	}
	return x.Query(name)
}

// Host returns the host the request is for, with its port if one was sent.
func (x *Exchange) Host() string {
	if x.r != nil {
		return x.r.Host
	}
	return x.n.names.string(x.s.req.Host())
}

// Proto returns "HTTP/1.1" or "HTTP/1.0".
func (x *Exchange) Proto() string {
	if x.r != nil {
		return x.r.Proto
	}
	return protoName(x.s.req.Minor())
}

func protoName(minor int) string {
	if minor == 0 {
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}

// Header returns the value of the first request field with the name, in any case,
// or "". For Host that is what the method Host returns: a host in the target has
// precedence over the field (RFC 9112, section 3.2.2).
func (x *Exchange) Header(name string) string {
	if x.r != nil {
		if http.CanonicalHeaderKey(name) == "Host" {
			return x.r.Host
		}
		return x.r.Header.Get(name)
	}
	if len(name) == len("Host") && strings.EqualFold(name, "Host") {
		return x.Host()
	}
	v, _ := x.s.req.Get(name)
	return x.n.names.string(v)
}

// Headers goes through the request fields, names as they were sent; where the
// handler is mounted in a standard one, they are canonical and in no order.
func (x *Exchange) Headers() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if x.r != nil {
			if x.r.Host != "" && !yield("Host", x.r.Host) {
				return
			}
			for name, values := range x.r.Header {
				for _, v := range values {
					if !yield(name, v) {
						return
					}
				}
			}
			return
		}
		for i := range x.s.req.NumFields() {
			name, value := x.s.req.Field(i)
			if len(name) == len("Host") && strings.EqualFold(string(name), "Host") {
				value = x.s.req.Host()
			}
			if !yield(x.n.names.string(name), x.n.names.string(value)) {
				return
			}
		}
	}
}

// Cookie returns the value of a cookie, or "".
func (x *Exchange) Cookie(name string) string {
	for field, line := range x.Headers() {
		if !strings.EqualFold(field, "Cookie") {
			continue
		}
		// Unlike http.ParseCookie, this passes over cookies that are invalid.
		r := http.Request{Header: http.Header{"Cookie": {line}}}
		if c, err := r.Cookie(name); err == nil {
			return c.Value
		}
	}
	return ""
}

// Body returns the body of the request, at most [Server].MaxBodyBytes. It must
// not be kept after the handler has returned, nor modified.
func (x *Exchange) Body() []byte { return x.body }

// TLS returns what TLS has agreed on, nil without it. It is shared by all requests of the
// connection and must not be changed.
func (x *Exchange) TLS() *tls.ConnectionState {
	if x.r != nil {
		return x.r.TLS
	}
	return x.n.tls
}

// RemoteAddr returns the address of the peer, "host:port", or "" when it is
// unknown.
func (x *Exchange) RemoteAddr() string {
	if x.r != nil {
		return x.r.RemoteAddr
	}
	return x.n.remoteAddr()
}

// SetStatus sets the status code of the answer; 200 is the default. A code that
// cannot be that of an answer, below 200 or above 999, becomes a 500.
func (x *Exchange) SetStatus(code int) {
	if code < 200 || code > 999 {
		x.logMisuse("%d is not the status code of an answer", code)
		code = http.StatusInternalServerError
	}
	x.status = code
}

// SetHeader sets a field of the answer, replacing any with the same name. A name
// that is not a token is ignored, with a line in the log; control characters in
// the value, which could end the field, become spaces. Content-Length and
// Transfer-Encoding are the server's; "Connection: close" closes the connection.
func (x *Exchange) SetHeader(name, value string) {
	if len(x.header) > 0 {
		x.removeHeader(name)
	}
	x.AddHeader(name, value)
}

// AddHeader adds a field of the answer beside any with the same name; otherwise
// it is like SetHeader.
func (x *Exchange) AddHeader(name, value string) {
	if x.s == nil || len(name)+len(value) > lineLongest {
		x.header = x.appendField(x.header, name, value)
		return
	}
	// Handlers set the same few literals again and again: their lines are
	// remembered by the identity of the strings.
	m := x.n.lines.find(name, value)
	if m.line == nil {
		before := x.has
		x.has = 0
		m.line = x.appendField(make([]byte, 0, len(name)+len(value)+4), name, value)
		m.has = x.has
		x.has |= before
		if len(m.line) == 0 {
			m.line = nil
			return
		}
	}
	x.has |= m.has
	x.header = append(x.header, m.line...)
}

// appendField appends a field line after looking for what is special about it.
func (x *Exchange) appendField(dst []byte, name, value string) []byte {
	if !http1.ValidFieldName(name) {
		x.logMisuse("%q is no name of a header field", name)
		return dst
	}
	switch len(name) {
	case len("Date"):
		x.mark(name, "Date", hasDate)
	case len("Server"):
		x.mark(name, "Server", hasServer)
	case len("Connection"):
		if strings.EqualFold(name, "Connection") {
			x.close = x.close || listHas(value, "close")
			return dst
		}
	case len("Content-Type"):
		x.mark(name, "Content-Type", hasContentType)
	case len("Content-Length"):
		if strings.EqualFold(name, "Content-Length") {
			return dst
		}
	case len("Transfer-Encoding"):
		if strings.EqualFold(name, "Transfer-Encoding") {
			return dst
		}
	}
	return http1.AppendField(dst, name, cleanValue(value))
}

func (x *Exchange) mark(name, special string, f field) {
	if strings.EqualFold(name, special) {
		x.has |= f
	}
}

// cleanValue replaces what may not stand in a field value.
func cleanValue(v string) string {
	if http1.ValidFieldValue(v) {
		return v
	}
	b := []byte(v) // not necessarily UTF-8
	for i, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			b[i] = ' '
		}
	}
	return string(b)
}

func listHas(list, token string) bool {
	for element := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.TrimSpace(element), token) {
			return true
		}
	}
	return false
}

// removeHeader takes out the field lines with a name.
func (x *Exchange) removeHeader(name string) {
	for at := 0; at < len(x.header); {
		line := x.header[at:]
		end := 0
		for line[end] != '\n' {
			end++
		}
		if end > len(name) && line[len(name)] == ':' && strings.EqualFold(string(line[:len(name)]), name) {
			x.header = append(x.header[:at], line[end+1:]...)
			continue
		}
		at += end + 1
	}
}

// Write appends to the body of the answer. It never fails.
func (x *Exchange) Write(p []byte) (int, error) {
	x.out = append(x.out, p...)
	return len(p), nil
}

// WriteString appends to the body of the answer. It never fails.
func (x *Exchange) WriteString(s string) (int, error) {
	x.out = append(x.out, s...)
	return len(s), nil
}

// Error makes the answer an error: the status code and a line of text. What was
// written to the body before is dropped.
func (x *Exchange) Error(status int, text string) {
	x.SetStatus(status)
	x.SetHeader("Content-Type", "text/plain; charset=utf-8")
	x.out = append(append(x.out[:0], text...), '\n')
}

// Delegate hands the request to a standard handler. It takes effect when the native handler returns; what
// that has written and set is dropped. The last call counts.
func (x *Exchange) Delegate(h http.Handler) { x.delegate = h }

func (x *Exchange) logMisuse(format string, args ...any) {
	if x.s != nil {
		x.s.w.srv.logMisuse(format, args...)
		return
	}
	if srv, ok := x.r.Context().Value(ServerContextKey).(*Server); ok {
		srv.logMisuse(format, args...)
	}
}

// answer writes the answer to the connection and reports whether it is the last.
func (x *Exchange) answer() (last bool) {
	s := x.s
	req := &s.req
	method := req.MethodID()
	x.close = x.close || !s.keepAlive() || http1.LeavesHTTP(method, x.status)
	if x.isPlain() {
		n := len(x.header) + len(x.out)
		buf := s.w.appendOK(s.c.Reserve(n+len(s.w.srv.Name)+headRoom), len(x.out), x.header)
		s.c.Commit(append(buf, x.out...))
		s.w.count.Responses.Class2xx++
		return false
	}
	framing := http1.ResponseFraming(method, req.Minor(), x.status, int64(len(x.out)))
	kind := ""
	if x.has&hasContentType == 0 && len(x.out) > 0 && http1.BodyAllowed(http1.GET, x.status) {
		kind = http.DetectContentType(x.out)
	}
	room := len(x.header) + len(s.w.srv.Name) + len(kind) + headRoom
	body := x.out
	if framing != http1.Length || x.status == http.StatusResetContent {
		body = nil
	}
	together := room + len(body)
	if together > maxAnswer {
		together = room
	}
	if room > maxAnswer {
		s.w.srv.logMisuse("the header of an answer has %d bytes, more than %d", room, maxAnswer)
		s.answerError(errPanic, true)
		return true
	}
	buf := x.appendHead(s.c.Reserve(together), framing, kind)
	if together == room {
		s.c.Commit(buf)
		s.c.Write(body)
	} else {
		s.c.Commit(append(buf, body...))
	}
	s.w.count.Responses.add(x.status)
	return x.close
}

// isPlain reports whether the answer is like most: see appendOK.
func (x *Exchange) isPlain() bool {
	req := &x.s.req
	return x.status == http.StatusOK && x.has == hasContentType && !x.close &&
		req.Minor() > 0 && req.MethodID() != http1.HEAD &&
		len(x.header)+len(x.out)+len(x.s.w.srv.Name)+headRoom <= maxAnswer
}

const (
	headRoom  = 512      // status line, Date and the fields about framing
	maxAnswer = 64 << 10 // the most that is gathered for one send
)

func (x *Exchange) appendStart(dst []byte) []byte {
	dst = http1.AppendStatusLine(dst, x.status)
	if x.has&hasServer == 0 {
		dst = appendServer(dst, x.s.w.srv.Name)
	}
	if x.has&hasDate == 0 {
		dst = appendDate(dst, x.s.w.now())
	}
	return dst
}

func (x *Exchange) appendHead(dst []byte, framing http1.Framing, kind string) []byte {
	s := x.s
	dst = append(x.appendStart(dst), x.header...)
	if kind != "" {
		dst = http1.AppendField(dst, "Content-Type", kind)
	}
	switch {
	case x.status == http.StatusResetContent:
		dst = http1.AppendContentLength(dst, 0)
	case framing == http1.Length, s.req.MethodID() == http1.HEAD && http1.BodyAllowed(http1.GET, x.status):
		dst = http1.AppendContentLength(dst, int64(len(x.out)))
	}
	dst = appendPersistence(dst, s.req.Minor(), !x.close)
	return http1.AppendEnd(dst)
}
