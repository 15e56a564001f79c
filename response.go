package ringkit

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringkit/ringkit/http1"
)

// responseWriter is the http.ResponseWriter of a call. Up to maxAnswer bytes of
// body are gathered, so that a small answer is one send with a Content-Length;
// what is larger, or flushed, is streamed.
type responseWriter struct {
	call      *call
	method    http1.Method
	minor     int
	keepAlive bool

	header    http.Header
	sent      http.Header // as it was at WriteHeader
	status    int         // 0 before WriteHeader
	length    int64       // declared by the handler, -1 if it was not
	written   int64
	body      []byte // gathered
	framing   http1.Framing
	streaming bool // the head has been sent
	close     bool // the connection ends behind this answer
	broken    bool // the connection has to be reset
	gone      bool // the peer is gone
}

var _ interface {
	http.ResponseWriter
	http.Flusher
} = (*responseWriter)(nil)

// Header implements http.ResponseWriter.
func (w *responseWriter) Header() http.Header {
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
	if w.status != 0 {
		w.call.w.srv.logf("ringkit: superfluous WriteHeader(%d) after %d for %s %s",
			status, w.status, w.call.request.Method, w.call.request.URL.Path)
		return
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		w.interim(status)
		return
	}
	w.status = status
	w.sent = maps.Clone(w.header)
	if cl := w.sent.Get("Content-Length"); cl != "" {
		n, err := strconv.ParseUint(cl, 10, 63)
		if err != nil {
			w.call.w.srv.logf("ringkit: invalid Content-Length %q set by a handler", cl)
			delete(w.sent, "Content-Length")
		} else {
			w.length = int64(n)
		}
	}
}

// interim sends a 1xx answer with the fields set so far (RFC 9110, section 15.2).
// A client of HTTP/1.0 does not know such answers.
func (w *responseWriter) interim(status int) {
	if w.minor == 0 || w.gone {
		return
	}
	p := http1.AppendStatusLine(nil, status)
	for name, values := range w.header {
		if name != "Content-Length" && name != "Transfer-Encoding" {
			p = appendValues(p, name, values)
		}
	}
	w.gone = !w.call.send(http1.AppendEnd(p))
}

// Write implements http.ResponseWriter.
func (w *responseWriter) Write(p []byte) (int, error) { return write(w, p) }

// WriteString implements io.StringWriter.
func (w *responseWriter) WriteString(s string) (int, error) { return write(w, s) }

func write[T []byte | string](w *responseWriter, p T) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
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

// sniff keeps the beginning of a body that is not sent, to find its type.
func (w *responseWriter) sniff(p []byte) {
	if len(w.body) < 512 {
		w.body = append(w.body, p...)
	}
}

// Flush implements http.Flusher: it sends what was written so far.
func (w *responseWriter) Flush() { _ = w.FlushError() }

// FlushError is Flush for http.ResponseController.
func (w *responseWriter) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.stream()
}

// stream sends the head, if it has not been sent, and the gathered body.
func (w *responseWriter) stream() error {
	if w.gone {
		return errGone
	}
	var p []byte
	if !w.streaming {
		w.streaming = true
		p = w.appendHead(nil, w.length)
	}
	p = w.appendBody(p)
	if len(p) > 0 && !w.call.send(p) {
		w.gone = true
		return errGone
	}
	return nil
}

var errGone = errorString("the client is gone")

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

// finish returns what is left to send when the handler has returned.
func (w *responseWriter) finish() []byte {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.length >= 0 && w.written != w.length && w.method != http1.HEAD && http1.BodyAllowed(w.method, w.status) {
		// Less than was promised: the client must not take the next answer for
		// the rest of this one.
		w.close = true
		if w.streaming {
			w.broken = true
			return nil
		}
	}
	var p []byte
	trailers := w.trailers()
	if !w.streaming {
		length := w.length
		if length < 0 && (w.method != http1.HEAD || w.written > 0) && (trailers == nil || w.minor == 0) {
			length = w.written
		}
		p = w.appendHead(p, length)
	}
	p = w.appendBody(p)
	if w.framing == http1.Chunked {
		p = append(http1.AppendTrailerStart(p), trailers...)
		p = http1.AppendEnd(p)
	}
	return p
}

// fail returns the answer for a handler that did not return.
func (w *responseWriter) fail() []byte {
	w.header, w.sent = nil, http.Header{"Content-Type": {"text/plain; charset=utf-8"}}
	w.status, w.length, w.close = http.StatusInternalServerError, -1, true
	w.body = append(w.body[:0], "500 Internal Server Error: "+errPanic.Reason+"\n"...)
	return w.appendBody(w.appendHead(nil, int64(len(w.body))))
}

// appendHead appends the head of the answer, for a body of the given length, -1
// when that is unknown.
func (w *responseWriter) appendHead(dst []byte, length int64) []byte {
	h := w.sent
	w.framing = http1.ResponseFraming(w.method, w.minor, w.status, length)
	w.close = w.close || !w.keepAlive || w.call.w.srv.stopping.Load() || w.framing == http1.UntilClose ||
		slices.ContainsFunc(h["Connection"], func(v string) bool { return listHas(v, "close") })

	dst = http1.AppendStatusLine(dst, w.status)
	if _, set := h["Server"]; !set {
		dst = appendServer(dst, w.call.w.srv.Name)
	}
	if _, set := h["Date"]; !set {
		dst = appendDate(dst, time.Now())
	}
	for name, values := range h {
		switch name {
		case "Content-Length", "Transfer-Encoding", "Connection":
		default:
			if !strings.HasPrefix(name, http.TrailerPrefix) {
				dst = appendValues(dst, name, values)
			}
		}
	}
	dst = w.appendType(dst)
	dst = w.appendFraming(dst, length)
	dst = appendPersistence(dst, w.minor, !w.close)
	return http1.AppendEnd(dst)
}

// appendType adds the Content-Type that the body looks like, when none is set.
func (w *responseWriter) appendType(dst []byte) []byte {
	_, set := w.sent["Content-Type"]
	if set || len(w.body) == 0 || w.sent.Get("Content-Encoding") != "" {
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
		} else if slices.ContainsFunc(w.sent["Trailer"], func(v string) bool { return listHas(v, name) }) {
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
