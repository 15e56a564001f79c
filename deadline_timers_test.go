package ringkit

import (
	"io"
	"net/http"
	"runtime"
	"testing"
	"time"
	"weak"
)

// A deadline far away does not keep a request in memory that has been answered.
func TestDeadlineKeepsNoRequest(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		e.notBlocking(t, "it looks into the response")
		calls := make(chan weak.Pointer[call], 1)
		s := serve(t, e, &Server{Loops: 1, Handler: std(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				c := http.NewResponseController(w)
				c.SetReadDeadline(time.Now().Add(time.Hour))
				c.SetWriteDeadline(time.Now().Add(time.Hour))
				calls <- weak.Make(w.(*responseWriter).call)
			}
			io.Copy(io.Discard, r.Body)
		})})
		p := s.dial()
		for _, framing := range []string{withLength(1), withLength(100_000)} {
			body := "x"
			if framing != withLength(1) {
				body = pattern(100_000)
			}
			p.send(ask("POST", "/", framing), body)
			p.expectAnswer(200, "")
			p.get("/") // the loop remembers the last call
			call := expect(t, "the call", calls)
			if !eventually(func() bool { runtime.GC(); return call.Value() == nil }) {
				t.Errorf("%s: the call is still there", framing)
			}
		}
	})
}
