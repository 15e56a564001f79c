package ringkit

import (
	"io"
	"iter"
	"net/http"
	"strconv"
)

// Answers that are longer than should be in memory. They are sent by the standard
// machinery, on a goroutine where they block, when the native handler has returned; the
// status and the header that it has set go with them, what it has written does not.

// SendReader makes what r has to read the body of the answer, in chunks, or with the
// Content-Length that size tells unless it is negative. r is read when the handler has
// returned, and closed if it is an io.Closer. When reading fails the connection is
// broken off, so that the client notices.
func (x *Exchange) SendReader(r io.Reader, size int64) {
	head := x.takeHead()
	x.Delegate(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if c, ok := r.(io.Closer); ok {
			defer c.Close()
		}
		head.write(w, size)
		if size >= 0 {
			r = io.LimitReader(r, size)
		}
		if n, err := io.Copy(w, r); err != nil || size >= 0 && n < size {
			panic(http.ErrAbortHandler)
		}
	}))
}

// SendChunks makes what chunks yields the body of the answer, each piece sent as soon as
// it is there. It is iterated over when the handler has returned, and stopped early when
// the client is gone.
func (x *Exchange) SendChunks(chunks iter.Seq[[]byte]) {
	head := x.takeHead()
	x.Delegate(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		head.write(w, -1)
		flush := http.NewResponseController(w).Flush
		for p := range chunks {
			if _, err := w.Write(p); err != nil {
				return
			}
			if flush() != nil {
				return
			}
		}
	}))
}

// SendFile answers with a file, as http.ServeFile does: with ranges, conditions and its
// type, without reading it whole.
func (x *Exchange) SendFile(name string) {
	head := x.takeHead()
	x.Delegate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head.fields(w)
		http.ServeFile(w, r, name)
	}))
}

// answerHead is a status and field lines that outlive their exchange.
type answerHead struct {
	status int
	lines  string
	close  bool
}

func (x *Exchange) takeHead() answerHead { return answerHead{x.status, string(x.header), x.close} }

func (h answerHead) fields(w http.ResponseWriter) {
	for name, value := range headerLines([]byte(h.lines)) {
		w.Header().Add(name, value)
	}
	if h.close {
		w.Header().Set("Connection", "close")
	}
}

func (h answerHead) write(w http.ResponseWriter, size int64) {
	h.fields(w)
	if size >= 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	}
	w.WriteHeader(h.status)
}
