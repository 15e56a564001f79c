package ringkit

import (
	"io"
	"net/http"
	"testing"
)

// A client that is answered before it has sent its body reads the whole answer, and a
// good end of the connection, also when the connection would have ended anyway (RFC
// 9112, section 9.6).
func TestEarlyAnswerReachesClientThatGoesOnSending(t *testing.T) {
	const size = 3 << 20
	handler := std(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(403)
		io.WriteString(w, "no")
	})
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: handler})
		for _, head := range []string{
			ask("POST", "/", withLength(size)),
			ask("POST", "/", withLength(size), "Connection: close"),
			ask10("POST", "/", withLength(size)),
			ask("POST", "/", withChunks, "Connection: close") + "300000\r\n",
		} {
			p := s.dial()
			p.send(head + pattern(100_000))
			a := p.expectAnswer(403, "no")
			if a.get("Connection") != "close" {
				t.Errorf("%q: Connection: %q", head, a.get("Connection"))
			}
			for range 100 {
				p.send(pattern(10_000))
			}
			p.expectEnd()
		}
	})
}
