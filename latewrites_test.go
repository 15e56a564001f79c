package ringkit

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Goroutines that go on writing while their handler returns neither race with the
// end of the answer nor reach the answers of others.
func TestWritesWhileReturning(t *testing.T) {
	const other = "other"
	writes := []func(http.ResponseWriter){
		func(w http.ResponseWriter) { io.WriteString(w, strings.Repeat("stray", 20)) },
		func(w http.ResponseWriter) { w.Write([]byte(pattern(100_000))) },
		func(w http.ResponseWriter) { w.WriteHeader(200) },
		func(w http.ResponseWriter) { w.WriteHeader(103) },
		func(w http.ResponseWriter) { _ = len(w.Header()) },
		func(w http.ResponseWriter) { flush(w) },
		func(w http.ResponseWriter) { io.Copy(w, struct{ io.Reader }{strings.NewReader("stray")}) },
		func(w http.ResponseWriter) {
			http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour))
		},
	}
	for _, mode := range []Mode{Auto, Inline, Goroutine} {
		t.Run(mode.String(), func(t *testing.T) {
			eachEngine(t, func(t *testing.T, e engine) {
				var stray sync.WaitGroup
				left := make(chan bool, 1)
				s := serve(t, e, &Server{Mode: mode, Loops: 1, Handler: std(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/" {
						io.WriteString(w, other)
						return
					}
					for _, write := range writes {
						stray.Go(func() {
							for range 10 {
								write(w)
								io.ReadAll(r.Body)
							}
						})
					}
					left <- true
					time.Sleep(50 * time.Microsecond)
				})})
				for range 10 {
					p := s.dial()
					p.send(ask("POST", "/leak", withLength(5)), "hello")
					if a := s.dial().get("/"); a.body != other {
						t.Fatalf("answer %q", short(a.body))
					}
					expect(t, "the handler", left)
					p.Close()
				}
				within(t, "the stray goroutines", stray.Wait)
			})
		})
	}
}
