package ringkit

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A client that waits to be asked for the body is not late with it.
func TestContinueAfterReadTimeout(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{ReadTimeout: tick / 2, Handler: std(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(tick)
			body, err := io.ReadAll(r.Body)
			if err != nil {
				io.WriteString(w, err.Error())
				return
			}
			w.Write(body)
		})})
		p := s.dial()
		head := ask("POST", "/", withLength(5), "Expect: 100-continue")
		p.send(head)
		p.expectAnswer(100, "")
		p.send("hello")
		p.expectAnswer(200, "hello")
		p.send(head)
		p.expectAnswer(100, "") // from now on it can be
		if a := p.answer("POST"); !strings.Contains(a.body, "timeout") {
			t.Errorf("answer %q", a.body)
		}
	})
}
