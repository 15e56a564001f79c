package ringkit

import (
	"io"
	"net/http"
	"testing"
)

// A body that cannot be read to its end ends the connection, also when the answer
// had begun before: what follows may be anything but a request.
func TestBrokenBodyBehindAnswer(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: std(func(w http.ResponseWriter, r *http.Request) {
			io.ReadFull(r.Body, make([]byte, 5))
			flush(w)
			if _, err := io.Copy(io.Discard, r.Body); err == nil && r.Method == "POST" {
				t.Error("no error from a broken body")
			}
			io.WriteString(w, r.Method)
		})})
		p := s.dial()
		p.send(ask("POST", "/", withChunks), "5\r\nhello\r\n")
		p.r.Peek(1) // the answer has begun
		p.send("bad\n\n")
		p.send(smallRequest)
		p.expectAnswer(200, "POST")
		if got := p.rest(); got != "" {
			t.Errorf("behind the answer: %q", short(got))
		}
	})
}
