package ringkit

import (
	"errors"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"

	"github.com/ringkit/ringkit/http1"
)

// ServeHTTP makes a native handler a standard one. The body is read before the
// handler runs, as it is on a ringkit server.
func (h HandlerFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(w, r)
	if err != nil {
		status := http.StatusBadRequest
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, err.Error(), status)
		return
	}
	x := &Exchange{r: r, w: w, body: body, status: http.StatusOK}
	h(x)
	for x.later != nil && !x.answered {
		f := x.later.await(r.Context())
		if f == nil {
			panic(http.ErrAbortHandler)
		}
		x.later = nil
		f(x)
	}
	if x.answered {
		return
	}
	if x.delegate != nil {
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		x.delegate.ServeHTTP(w, r)
		return
	}
	x.answerStandard(w)
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if b, ok := r.Body.(*requestBody); ok {
		if rest, ok := b.rest(); ok {
			return rest, nil // bounded already
		}
	}
	return io.ReadAll(http.MaxBytesReader(w, r.Body, DefaultMaxBodyBytes))
}

// headerLines goes through field lines.
func headerLines(lines []byte) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for line := range strings.Lines(string(lines)) {
			if name, value, ok := strings.Cut(line, ": "); ok && !yield(name, strings.TrimSuffix(value, "\r\n")) {
				return
			}
		}
	}
}

// answerStandard writes the answer through a standard writer.
func (x *Exchange) answerStandard(w http.ResponseWriter) {
	h := w.Header()
	for name, value := range headerLines(x.header) {
		h.Add(name, value)
	}
	if x.close {
		h.Set("Connection", "close")
	}
	if !http1.BodyAllowed(http1.GET, x.status) {
		w.WriteHeader(x.status)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(x.out)))
	w.WriteHeader(x.status)
	w.Write(x.out) // an error means that the peer is gone
}
