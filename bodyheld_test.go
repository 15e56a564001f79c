package ringkit

import (
	"io"
	"net/http"
	"testing"
)

// A body that has stopped to be received goes on, whatever the handler says to the
// client in between.
func TestBodyGoesOnAfterContinue(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		e.notBlocking(t, "it looks into the body")
		s := serve(t, e, &Server{Handler: std(func(w http.ResponseWriter, r *http.Request) {
			b := r.Body.(*requestBody)
			if !eventually(func() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.held }) {
				t.Error("the body is not held")
			}
			b.mu.Lock()
			first := len(b.buf) - 32<<10
			b.mu.Unlock()
			io.CopyN(io.Discard, r.Body, int64(first))
			w.WriteHeader(http.StatusContinue)
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, "all")
		})})
		p := s.dial()
		const n = 1 << 20
		p.send(ask("POST", "/", withLength(n)))
		p.sendAside(pattern(n))
		p.expectAnswer(100, "")
		p.expectAnswer(200, "all")
	})
}
