package ringkit

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// After 101, and after CONNECT with a 2xx, what follows is not HTTP. Where no handler
// takes the connection over nobody can go on with it: it ends, and what the client
// has sent already is no request (RFC 9110, sections 9.3.6 and 15.2.2).
func TestNoRequestBehindTunnel(t *testing.T) {
	standard := std(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("How") {
		case "101":
			w.Header().Set("Connection", "upgrade")
			w.Header().Set("Upgrade", "other")
			w.WriteHeader(101)
		case "201":
			w.WriteHeader(201)
		case "flush":
			flush(w)
		case "404":
			http.Error(w, "no", 404)
		}
	})
	native := HandlerFunc(func(x *Exchange) {
		switch x.Header("How") {
		case "native":
		case "native 404":
			x.Error(404, "no")
		default:
			x.Delegate(standard)
		}
	})
	cases := []struct {
		request string
		status  int
		goesOn  bool
	}{
		{ask("GET", "/", "How: 101", "Connection: upgrade", "Upgrade: other"), 101, false},
		{ask("GET", "/", "How: 101"), 101, false},
		{ask("CONNECT", "test:80", "How: plain"), 200, false},
		{ask("CONNECT", "test:80", "How: 201"), 201, false},
		{ask("CONNECT", "test:80", "How: flush"), 200, false},
		{ask("CONNECT", "test:80", "How: native"), 200, false},
		{ask("CONNECT", "test:80", "How: 404"), 404, true},
		{ask("CONNECT", "test:80", "How: native 404"), 404, true},
	}
	eachEngine(t, func(t *testing.T, e engine) {
		for _, mode := range []Mode{Auto, Goroutine} {
			s := serve(t, e, &Server{Handler: native, Mode: mode})
			for _, c := range cases {
				method, _, _ := strings.Cut(c.request, " ")
				for _, apart := range []bool{false, true} {
					p := s.dial()
					next := ask("GET", "/")
					if apart {
						p.send(c.request)
					} else {
						p.send(c.request + next)
					}
					if a := p.answer(method); a.status != c.status {
						t.Fatalf("%q: %d, want %d", c.request, a.status, c.status)
					}
					if apart {
						io.WriteString(p, next) // it may be closed already
					}
					if c.goesOn {
						p.expectAnswer(200, "")
						continue
					}
					if got := p.rest(); got != "" {
						t.Errorf("%q is followed by %q", c.request, got)
					}
				}
			}
		}
	})
}
