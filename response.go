package ringkit

import (
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringkit/ringkit/http1"
)

// responseWriter is the http.ResponseWriter of a call. Up to maxAnswer bytes of
// body are gathered, so that a small answer is one send with a Content-Length;
// what is larger, or flushed, is streamed.
type responseWriter struct {
	mu        sync.Mutex // a handler may leave goroutines behind that still write
	call      *call
	method    http1.Method
	minor     int
	keepAlive bool

	worker    *worker // where the loop ends the answer, otherwise nil
	header    http.Header
	status    int    // 0 before WriteHeader
	lines     []byte // the field lines as they were at WriteHeader
	has       field  // what is among them
	announced string // trailers
	length    int64  // declared by the handler, -1 if it was not
	written   int64
	body      []byte // gathered
	framing   http1.Framing
	streaming bool // the head has been sent
	saysKept  bool // the handler wants to say that the connection stays
	close     bool // the connection ends behind this answer
	broken    bool // the connection has to be reset
	gone      bool // the peer is gone
	timedOut  bool // the deadline for writing has passed

	over      atomic.Bool // the handler has returned: the answer is the call's
	isChannel atomic.Bool // it has opened one
	mustClose atomic.Bool // the loop knows that the connection ends
}

var _ interface {
	http.ResponseWriter
	http.Flusher
	http.Hijacker
	io.StringWriter
	io.ReaderFrom
} = (*responseWriter)(nil)

// Header implements http.ResponseWriter.
func (w *responseWriter) Header() http.Header {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over.Load() {
		return make(http.Header) // the loop may be reading the other
	}
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}

// WriteHeader implements http.ResponseWriter.
func (w *responseWriter) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic("ringkit: invalid WriteHeader code " + strconv.Itoa(status))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.over.Load():
		w.call.w.srv.logMisuse("WriteHeader(%d) after the handler has returned", status)
	case w.call.hijacked:
		w.call.w.srv.logMisuse("WriteHeader(%d) on a hijacked connection", status)
	case w.status != 0:
		w.call.w.srv.logMisuse("superfluous WriteHeader(%d) after %d for %s %s",
			status, w.status, w.call.request.Method, w.call.request.URL.Path)
	case status < 200 && status != http.StatusSwitchingProtocols:
		w.interim(status)
	default:
		w.begin(status)
	}
}

func (w *responseWriter) begin(status int) {
	w.status = status
	w.snapshot()
}

// snapshot encodes the header as it is now.
func (w *responseWriter) snapshot() {
	for name, values := range w.header {
		switch name {
		case "Content-Length":
			w.declare(values)
			continue
		case "Transfer-Encoding":
			continue
		case "Connection":
			w.options(values)
			continue
		case "Server":
			w.has |= hasServer
		case "Date":
			w.has |= hasDate
		case "Content-Type":
			w.has |= hasContentType
		case "Content-Encoding":
			if len(values) > 0 && values[0] != "" {
				w.has |= hasContentType // of the content before it was encoded, which nobody can see
			}
		case "Trailer":
			w.announced = strings.Join(values, ",")
		default:
			if strings.HasPrefix(name, http.TrailerPrefix) {
				continue
			}
		}
		w.lines = appendValues(w.lines, name, values)
	}
}

func (w *responseWriter) declare(values []string) {
	if len(values) == 0 {
		return
	}
	n, err := strconv.ParseUint(values[0], 10, 63)
	if err != nil {
		w.call.w.srv.logMisuse("invalid Content-Length %q set by a handler", values[0])
		return
	}
	w.length = int64(n)
}

// options handles Connection: persistence is the server's, which close asks it to
// end; other options are the handler's.
func (w *responseWriter) options(values []string) {
	for _, list := range values {
		var others []string
		for option := range strings.SplitSeq(list, ",") {
			switch option = strings.TrimSpace(option); {
			case strings.EqualFold(option, "close"):
				w.close = true
			case strings.EqualFold(option, "keep-alive"):
				w.saysKept = true
			case option != "":
				others = append(others, option)
			}
		}
		if others != nil {
			w.lines = appendValues(w.lines, "Connection", []string{strings.Join(others, ", ")})
		}
	}
}

// interim sends a 1xx answer with the fields set so far (RFC 9110, section 15.2).
// A client of HTTP/1.0 does not know such answers.
func (w *responseWriter) interim(status int) {
	if w.minor == 0 || w.gone {
		return
	}
	if status == http.StatusContinue && w.call.body != nil {
		w.call.body.asked() // it is not sent a second time
	}
	p := http1.AppendStatusLine(nil, status)
	for name, values := range w.header {
		if name != "Content-Length" && name != "Transfer-Encoding" {
			p = appendValues(p, name, values)
		}
	}
	w.gone = !w.call.send(http1.AppendEnd(p))
}

// proceedWithBody asks a client that waits for it to send the body.
func (w *responseWriter) proceedWithBody() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.streaming && !w.over.Load() {
		w.call.send(continueLine)
	}
}

// Write implements http.ResponseWriter.
func (w *responseWriter) Write(p []byte) (int, error) { return write(w, p) }

// WriteString implements io.StringWriter.
func (w *responseWriter) WriteString(s string) (int, error) { return write(w, s) }

func write[T []byte | string](w *responseWriter, p T) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.writable(); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if !http1.BodyAllowed(http1.GET, w.status) {
		return 0, http.ErrBodyNotAllowed
	}
	if w.length >= 0 && w.written+int64(len(p)) > w.length {
		return 0, http.ErrContentLength
	}
	w.written += int64(len(p))
	if w.method == http1.HEAD {
		w.sniff([]byte(p[:min(len(p), 512)]))
		return len(p), nil
	}
	for n := len(p); ; {
		k := min(len(p), maxAnswer-len(w.body))
		w.body = append(w.body, p[:k]...)
		if p = p[k:]; len(p) == 0 {
			return n, nil
		}
		if err := w.stream(); err != nil {
			return n - len(p), err
		}
	}
}

// writable begins the answer, if it has not begun, and says why nothing can be
// written to it.
func (w *responseWriter) writable() error {
	switch {
	case w.over.Load():
		return errReturned
	case w.call.hijacked:
		return http.ErrHijacked
	}
	if w.status == 0 {
		w.begin(http.StatusOK)
	}
	return nil
}

// sniff keeps the beginning of a body that is not sent, to find its type.
func (w *responseWriter) sniff(p []byte) {
	if len(w.body) < 512 {
		w.body = append(w.body, p...)
	}
}

const copyBytes = 32 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBytes]byte) }}

// Flush implements http.Flusher: it sends what was written so far.
func (w *responseWriter) Flush() { _ = w.FlushError() }

// FlushError is Flush for http.ResponseController.
func (w *responseWriter) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.writable(); err != nil {
		return err
	}
	return w.stream()
}

// CloseNotify implements http.CloseNotifier, which is deprecated and still asked for.
func (w *responseWriter) CloseNotify() <-chan bool {
	gone := make(chan bool, 1)
	w.call.ctx.AfterFunc(func() {
		if !w.over.Load() {
			gone <- true
		}
	})
	return gone
}

// EnableFullDuplex is for http.ResponseController: reading the body and writing the
// answer at the same time is always possible.
func (w *responseWriter) EnableFullDuplex() error { return nil }

// SetReadDeadline is for http.ResponseController.
func (w *responseWriter) SetReadDeadline(t time.Time) error {
	if w.isChannel.Load() {
		return http.ErrHijacked
	}
	if b := w.call.body; b != nil {
		b.setDeadline(t)
	}
	return nil
}

// SetWriteDeadline is for http.ResponseController.
func (w *responseWriter) SetWriteDeadline(t time.Time) error {
	if w.isChannel.Load() {
		return http.ErrHijacked
	}
	c := w.call
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.deadline = t
		c.limited.Store(true)
		c.alarm.set(t, &c.cond)
	}
	return nil
}

// stream sends the head, if it has not been sent, and the gathered body.
func (w *responseWriter) stream() error {
	if w.gone {
		return w.errGone()
	}
	var p []byte
	if !w.streaming {
		w.streaming = true
		p = w.appendHead(nil, w.length)
	}
	p = w.appendBody(p)
	if len(p) > 0 && !w.call.send(p) {
		w.gone = true
		return w.errGone()
	}
	return nil
}

func (w *responseWriter) errGone() error {
	if w.timedOut {
		return os.ErrDeadlineExceeded
	}
	return errGone
}

var (
	errGone     = errorString("the client is gone")
	errReturned = errorString("the handler has returned")
)

// appendBody appends the gathered body in its framing and empties it.
func (w *responseWriter) appendBody(dst []byte) []byte {
	switch w.framing {
	case http1.Chunked:
		dst = http1.AppendChunk(dst, w.body)
	case http1.Length, http1.UntilClose:
		dst = append(dst, w.body...)
	}
	w.body = w.body[:0]
	return dst
}

// room returns how many bytes end needs, about.
func (w *responseWriter) room() int {
	return headRoom + len(w.call.w.srv.Name) + len(w.lines) + len(w.body)
}

// end appends what is left to send when the handler is over, and decides whether
// the connection can go on.
func (w *responseWriter) end(dst []byte, returned bool, panicked any) []byte {
	if !returned {
		if w.streaming || panicked == http.ErrAbortHandler {
			w.broken = true
			return dst
		}
		return w.appendFailure(dst)
	}
	return w.finish(dst)
}

// finish is end for a handler that has returned.
func (w *responseWriter) finish(dst []byte) []byte {
	if w.status == 0 {
		w.begin(http.StatusOK)
	}
	if w.call.expired() || w.gone {
		w.broken = true
		return dst
	}
	if w.length >= 0 && w.written != w.length && w.method != http1.HEAD && http1.BodyAllowed(w.method, w.status) {
		// Less than was promised: the client must not take the next answer for
		// the rest of this one.
		w.close = true
		if w.streaming {
			w.broken = true
			return w.appendBody(dst)
		}
	}
	trailers := w.trailers()
	if !w.streaming {
		length := w.length
		if length < 0 && (w.method != http1.HEAD || w.written > 0) && (trailers == nil || w.minor == 0) {
			length = w.written
		}
		dst = w.appendHead(dst, length)
	}
	dst = w.appendBody(dst)
	if w.framing == http1.Chunked {
		dst = append(http1.AppendTrailerStart(dst), trailers...)
		dst = http1.AppendEnd(dst)
	}
	return dst
}

// appendFailure appends the answer for a handler that did not return.
func (w *responseWriter) appendFailure(dst []byte) []byte {
	w.lines = append(w.lines[:0], "Content-Type: text/plain; charset=utf-8\r\n"...)
	w.has, w.announced = hasContentType, ""
	w.status, w.length, w.close = http.StatusInternalServerError, -1, true
	w.body = append(w.body[:0], "500 Internal Server Error: "+errPanic.Reason+"\n"...)
	return w.appendBody(w.appendHead(dst, int64(len(w.body))))
}

// appendHead appends the head of the answer, for a body of the given length, -1
// when that is unknown.
func (w *responseWriter) appendHead(dst []byte, length int64) []byte {
	w.framing = http1.ResponseFraming(w.method, w.minor, w.status, length)
	leavesHTTP := http1.LeavesHTTP(w.method, w.status)
	w.close = w.close || !w.keepAlive || w.call.w.srv.stopping.Load() || w.framing == http1.UntilClose || w.mustClose.Load() || leavesHTTP

	if w.isPlain() {
		w.lines = w.appendType(w.lines)
		return w.worker.appendOK(dst, int(length), w.lines)
	}
	dst = http1.AppendStatusLine(dst, w.status)
	if w.has&hasServer == 0 {
		dst = appendServer(dst, w.call.w.srv.Name)
	}
	if w.has&hasDate == 0 {
		dst = appendDate(dst, time.Now())
	}
	dst = append(dst, w.lines...)
	dst = w.appendType(dst)
	dst = w.appendFraming(dst, length)
	switch {
	case leavesHTTP: // a handler that hijacks uses the connection for something else
	case w.saysKept && !w.close:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	default:
		dst = appendPersistence(dst, w.minor, !w.close)
	}
	return http1.AppendEnd(dst)
}

// isPlain reports whether the head is like most, and the loop appends it: see
// worker.appendOK.
func (w *responseWriter) isPlain() bool {
	return w.worker != nil && w.status == http.StatusOK && w.framing == http1.Length && w.minor > 0 &&
		w.has&(hasServer|hasDate) == 0 && !w.close && !w.saysKept
}

// appendType adds the Content-Type that the body looks like, when none is set.
func (w *responseWriter) appendType(dst []byte) []byte {
	if w.has&hasContentType != 0 || len(w.body) == 0 {
		return dst
	}
	return http1.AppendField(dst, "Content-Type", http.DetectContentType(w.body))
}

func (w *responseWriter) appendFraming(dst []byte, length int64) []byte {
	switch {
	case w.status == http.StatusResetContent:
		return http1.AppendContentLength(dst, 0)
	case w.framing == http1.Chunked:
		return append(dst, "Transfer-Encoding: chunked\r\n"...)
	case w.framing == http1.Length,
		w.method == http1.HEAD && length >= 0 && http1.BodyAllowed(http1.GET, w.status),
		w.status == http.StatusNotModified && w.length >= 0:
		return http1.AppendContentLength(dst, length)
	}
	return dst
}

// trailers returns the field lines behind a chunked body: fields announced in
// Trailer, and those set with http.TrailerPrefix.
func (w *responseWriter) trailers() (trailers []byte) {
	for name, values := range w.header {
		if key, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			trailers = appendValues(trailers, key, values)
		} else if w.announced != "" && listHas(w.announced, name) {
			trailers = appendValues(trailers, name, values)
		}
	}
	return trailers
}

// appendValues appends one field line for each value; a name that is not a token
// is left out.
func appendValues(dst []byte, name string, values []string) []byte {
	if !http1.ValidFieldName(name) {
		return dst
	}
	for _, v := range values {
		dst = http1.AppendField(dst, name, cleanValue(v))
	}
	return dst
}
