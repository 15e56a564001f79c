package ringkit

import (
	"errors"
	"io"
	"net/http"
	"runtime"
	"syscall"
	"testing"
)

// An answer that ends with its connection, and whose handler did not get to its end,
// must not look complete: the client sees a reset (RFC 9112, section 8).
func TestCutShortAnswerUntilClose(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/whole", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "begin")
		flush(w)
		io.WriteString(w, ", end")
	})
	for path, end := range map[string]func(){
		"/abort": func() { panic(http.ErrAbortHandler) },
		"/panic": func() { panic("of the test") },
		"/exit":  runtime.Goexit,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "begin")
			flush(w)
			if r.Method == "POST" {
				io.Copy(io.Discard, r.Body)
			}
			end()
		})
	}
	eachEngine(t, func(t *testing.T, e engine) {
		for _, mode := range []Mode{Auto, Goroutine} {
			s := serve(t, e, &Server{Handler: mux, Mode: mode})
			p := s.dial()
			p.send(ask10("GET", "/whole"))
			p.expectAnswer(200, "begin, end")
			for _, path := range []string{"/abort", "/panic", "/exit"} {
				for _, request := range []string{
					ask10("GET", path),
					ask10("GET", path, "Connection: keep-alive"),
					ask10("POST", path, withLength(200_000)) + pattern(200_000),
				} {
					p := s.dial()
					p.sendAside(request)
					a, err := readAnswer(p.r, "GET")
					if !errors.Is(err, syscall.ECONNRESET) {
						t.Errorf("%s: %+v, %v; want %v", path, a, err, syscall.ECONNRESET)
					}
				}
			}
		}
	})
}
