package client

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"unsafe"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
)

// gatherLimit is how much of a body a response has at most that is wanted with its body:
// the rest of a longer one is read as it arrives.
const gatherLimit = 64 << 10

// Data implements conn.Protocol.
func (l *link) Data(c *conn.Conn, in []byte) (used int) {
	if l.given {
		return len(in) // what had the connection has nothing more to hear
	}
	used = l.data(c, in)
	l.complete()
	return used
}

func (l *link) data(c *conn.Conn, in []byte) (used int) {
	if len(l.flight) == 0 {
		l.leave()
		c.Abort(errUnasked)
		return len(in)
	}
	l.since = l.w.loop.Now()
	for used < len(in) && len(l.flight) > 0 {
		ex := l.flight[0]
		n, more := l.read(ex, in[used:])
		used += n
		if l.detaching || l.given {
			return used
		}
		if c.Closing() || l.over {
			return len(in)
		}
		if !more {
			break
		}
	}
	if len(l.flight) > 0 && l.r.inBody {
		l.deliverSome(l.flight[0])
	}
	switch {
	case c.Closing() || l.over:
		return len(in)
	case len(l.flight) == 0 && used < len(in):
		l.leave() // nobody has asked for the rest (RFC 9112, section 11.2)
		c.Abort(errUnasked)
		return len(in)
	case len(l.flight) == 0:
		l.rest()
	case c.AtEOF() && !c.Held():
		l.ended()
	default:
		l.arm()
	}
	return used
}

var errUnasked = errors.New("the server sent something it was not asked for")

// read reads the next head, or the next part of a body, and reports whether there may be
// more to read behind it.
func (l *link) read(ex *exchange, in []byte) (n int, more bool) {
	if l.r.inBody {
		return l.readBody(ex, in)
	}
	if !ex.heard {
		ex.heard = true
		if t := ex.trace; t != nil && t.GotFirstResponseByte != nil {
			t.GotFirstResponseByte()
		}
	}
	n, err := l.r.resp.Parse(in, &l.t.limits)
	switch {
	case err != nil:
		l.fail(opHead, err)
		return len(in), false
	case n == 0:
		return 0, false
	case l.r.resp.Interim():
		l.interim(ex)
		return n, true
	}
	return n, l.begin(ex, in[:n])
}

// interim handles a response before the response (RFC 9110, section 15.2).
func (l *link) interim(ex *exchange) {
	r := &l.r.resp
	status := r.StatusCode()
	if t := ex.trace; t != nil {
		if status == http.StatusContinue && t.Got100Continue != nil {
			t.Got100Continue()
		}
		if t.Got1xxResponse != nil {
			h := http.Header{}
			r.Rebase(bytes.Clone(r.Head()))
			fields(r, h, nil)
			if err := t.Got1xxResponse(status, textproto.MIMEHeader(h)); err != nil {
				l.fail(opHead, err)
				return
			}
		}
	}
	if status == http.StatusContinue && ex.sending && ex.upload != nil && ex.upload.sender == nil {
		ex.upload.begin(l)
	}
	r.Next()
}

// begin handles the head of the response, and reports whether to go on reading.
func (l *link) begin(ex *exchange, head []byte) (more bool) {
	r := &l.r.resp
	mem := ex.keep(r, head)
	r.Rebase(mem) // the strings of the response are made of this
	if r.LeavesHTTP() {
		l.upgrade(ex)
		return false
	}
	if err := l.r.body.InitResponse(r, &l.t.limits); err != nil {
		l.fail(opBody, &BodyTooLargeError{Limit: l.t.maxBody()})
		return false
	}
	l.respond(ex)
	if n := r.ContentLength(); ex.short {
		ex.gathers = 0 < n && n <= gatherLimit
	}
	l.r.inBody = true
	if ex.sending && ex.upload != nil && ex.upload.sender == nil {
		// The server has answered without the body it was offered: it does not want it.
		l.leave()
		if t := ex.trace; t != nil && t.WroteRequest != nil {
			t.WroteRequest(httptrace.WroteRequestInfo{})
		}
	}
	if n := r.ContentLength(); n > 0 && ex.body.buf == nil {
		ex.body.buf = make([]byte, 0, min(n, 4<<10))
	}
	if l.r.body.Done() {
		l.endOfBody(ex)
	}
	return true
}

// sharedBody is up to what length a body is kept in the memory of its head, which lasts as
// long as any string of that.
const sharedBody = 512

// keep returns a copy of a head. Room for a short body is made together with it.
func (ex *exchange) keep(r *http1.Response, head []byte) []byte {
	n := r.ContentLength()
	if n <= 0 || n > sharedBody || r.LeavesHTTP() {
		return bytes.Clone(head)
	}
	end := len(head)
	mem := make([]byte, end+int(n))
	copy(mem, head)
	ex.body.buf = mem[end:end:len(mem)]
	return mem[:end:end]
}

// readBody reads the next part of a body.
func (l *link) readBody(ex *exchange, in []byte) (n int, more bool) {
	data, n, done, err := l.r.body.Next(in)
	if len(data) > 0 && !ex.discards {
		if ex.body.push(data) && !done {
			l.c.Hold() // after its end the connection is not the body's any more
		}
	}
	switch {
	case err != nil:
		l.fail(opBody, l.bodyError(err))
		return len(in), false
	case done:
		l.endOfBody(ex)
		return n, true
	}
	if ex.discards {
		if ex.discarded += len(data); ex.discarded > discardLimit {
			l.abort(errAbandoned)
			return len(in), false
		}
	}
	return n, n > 0 && n < len(in) && !l.c.Held()
}

func (l *link) bodyError(err error) error {
	if e, ok := err.(*http1.Error); ok && e.Status == http.StatusRequestEntityTooLarge {
		return &BodyTooLargeError{Limit: l.t.maxBody()}
	}
	return err
}

// endOfBody is called when all of a body has arrived. Who waits for it learns that when
// the link may be used again, so that it is there for the next request.
func (l *link) endOfBody(ex *exchange) {
	for i := range l.r.body.NumTrailers() {
		if ex.trailer == nil {
			ex.trailer = make(http.Header)
		}
		name, value := l.r.body.Trailer(i)
		ex.trailer.Add(http1.CanonicalName(name), string(value))
	}
	ex.over = true
	l.complete()
	l.due = ex
	l.finished()
}

// complete tells who waits for it of a response that is complete.
func (l *link) complete() {
	if ex := l.due; ex != nil {
		l.due = nil
		ex.body.finish(io.EOF, ex.trailer)
		l.deliver(ex)
	}
}

// deliverSome answers when what there is of the body is enough.
func (l *link) deliverSome(ex *exchange) {
	if ex.answered {
		return // somebody reads it
	}
	if !ex.gathers || len(ex.body.buf) >= gatherLimit || ex.body.held {
		l.deliver(ex)
	}
}

// deliver answers, unless that was done.
func (l *link) deliver(ex *exchange) {
	if ex.answered {
		return
	}
	ex.answered = true
	resp := &ex.response
	if ex.decodes && !ex.body.empty() {
		if err := decodeResponse(resp, l.t.maxBody()); err != nil {
			resp.Body.Close()
			ex.asker.done(l.w.loop, result{err: ex.error(opBody, err)})
			return
		}
	}
	if !ex.over {
		ex.watch()
	}
	ex.asker.done(l.w.loop, result{resp: resp})
}

// decodeResponse has the body of a response decoded, if it is coded.
func decodeResponse(resp *http.Response, limit int64) error {
	coding := resp.Header["Content-Encoding"]
	if len(coding) == 0 {
		return nil
	}
	body, err := decodeBody(strings.Join(coding, ", "), resp.Body, limit)
	if err != nil {
		return err
	}
	resp.Body = body
	delete(resp.Header, "Content-Encoding")
	delete(resp.Header, "Content-Length")
	resp.ContentLength, resp.Uncompressed = -1, true
	return nil
}

// respond makes the http.Response of a complete head.
func (l *link) respond(ex *exchange) {
	r := &l.r.resp
	resp := &ex.response
	headOf(r, resp, ex.values[:])
	resp.Request, resp.TLS = ex.req, l.tlsState
	resp.ContentLength = r.ContentLength()
	switch r.Framing() {
	case http1.Chunked:
		resp.TransferEncoding = chunkedCoding
		delete(resp.Header, "Transfer-Encoding")
		resp.Trailer = declared(resp.Header)
	case http1.NoBody:
		if ex.method != http1.HEAD {
			resp.ContentLength = 0
		}
	}
	if resp.Close = !r.KeepAlive(); resp.Close && r.ConnectionHas("close") {
		delete(resp.Header, "Connection") // Close says it, as with net/http
	}
	ex.body.ex, ex.body.link = ex, l
	ex.body.cond.L = &ex.body.mu
	resp.Body = &ex.body
	if r.Framing() == http1.NoBody || resp.ContentLength == 0 {
		resp.Body = http.NoBody
	}
}

// headOf gives resp the status, version and fields of a head; see fields.
func headOf(r *http1.Response, resp *http.Response, values []string) {
	status := r.StatusCode()
	resp.StatusCode, resp.Status = status, statusLine(status, r.Reason())
	resp.Proto, resp.ProtoMajor, resp.ProtoMinor = "HTTP/1.1", 1, 1
	if r.Minor() == 0 {
		resp.Proto, resp.ProtoMinor = "HTTP/1.0", 0
	}
	resp.Header = make(http.Header, r.NumFields())
	fields(r, resp.Header, values)
}

var chunkedCoding = []string{"chunked"}

// declared returns the trailers that a header declares, without values.
func declared(h http.Header) http.Header {
	values := h["Trailer"]
	if len(values) == 0 {
		return nil
	}
	delete(h, "Trailer")
	trailer := http.Header{}
	for name := range elements(values) {
		trailer[http.CanonicalHeaderKey(name)] = nil
	}
	return trailer
}

// statusLine returns what http.Response has as Status.
func statusLine(code int, reason []byte) string {
	if code == http.StatusOK && string(reason) == "OK" {
		return "200 OK"
	}
	return strconv.Itoa(code) + " " + string(reason)
}

// fields puts the fields of a head into a header. The strings share the memory of the
// head, which is not used for anything else. The lists of the header are made of values if
// these are enough.
func fields(r *http1.Response, h http.Header, values []string) {
	n := r.NumFields()
	if n > len(values) {
		values = make([]string, n)
	}
	for i := range n {
		name, value := r.Field(i)
		key := http1.CanonicalName(name)
		values[i] = unsafe.String(unsafe.SliceData(value), len(value))
		if old, ok := h[key]; ok {
			h[key] = append(old, values[i])
		} else {
			h[key] = values[i : i+1 : i+1]
		}
	}
}
