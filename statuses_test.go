package ringkit

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Every status that the server answers with itself reaches a client that is still
// sending, with a body that says why, and the client can go on sending for a while
// after it has read that: no reset comes before it has closed (RFC 9112, section 9.6).
func TestStatusesReachClientThatGoesOnSending(t *testing.T) {
	const size = 5 << 20
	panics := std(func(http.ResponseWriter, *http.Request) { panic("of the test") })
	reads := std(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	native := HandlerFunc(func(x *Exchange) {})
	cases := []struct {
		name    string
		server  *Server // its settings
		request string  // what comes before the client reads
		status  int
		reason  string
	}{
		{"bare LF", &Server{Handler: native}, "GET / HTTP/1.1\n", 400, "bare LF"},
		{"no Host", &Server{Handler: native}, "POST / HTTP/1.1\r\nContent-Length: 5000000\r\n\r\n", 400, "missing Host"},
		{"bad chunk", &Server{Handler: native}, chunkedTo + "x", 400, "invalid chunk size"},
		{"slow head", &Server{Handler: native, ReadHeaderTimeout: tick}, "GET / HTTP/1.1\r\n", 408, "the request did not arrive in time"},
		{"slow body", &Server{Handler: native, ReadTimeout: tick}, ask("POST", "/", withLength(size)), 408, "the request did not arrive in time"},
		{"too long", &Server{Handler: native, MaxBodyBytes: 10}, ask("POST", "/", withLength(size)), 413, "content too large"},
		{"too long for a standard handler", &Server{Handler: reads, MaxBodyBytes: 10}, ask("POST", "/", withLength(size)), 413, "content too large"},
		{"too long a chunk", &Server{Handler: native, MaxBodyBytes: 10}, chunkedTo + "500000\r\n", 413, "content too large"},
		{"target", &Server{Handler: native}, "GET /" + strings.Repeat("a", 9<<10), 414, "request line too long"},
		{"expectation", &Server{Handler: native}, ask("POST", "/", "Expect: more", withLength(size)), 417, "unsupported expectation"},
		{"head", &Server{Handler: native, MaxHeaderBytes: 1000}, getLine + "A: " + strings.Repeat("a", 1000), 431, "request head too large"},
		{"fields", &Server{Handler: native}, getLine + strings.Repeat("A: b\r\n", 300), 431, "too many header fields"},
		{"trailer", &Server{Handler: native}, chunkedTo + "0\r\nA: " + strings.Repeat("a", 9<<10), 431, "trailer section too large"},
		{"panic", &Server{Handler: panics}, ask("POST", "/", withLength(size)), 500, "the handler failed"},
		{"panic of a native handler", &Server{Handler: HandlerFunc(func(*Exchange) { panic("of the test") })}, ask("POST", "/"), 500, "the handler failed"},
		{"coding", &Server{Handler: native}, ask("POST", "/", "Transfer-Encoding: gzip, chunked"), 501, "unsupported transfer coding"},
		{"saturated", &Server{Handler: reads, MaxConcurrent: 1, MaxQueued: -1}, ask("POST", "/", withLength(size)), 503, "too many requests are being handled"},
		{"version", &Server{Handler: native}, "GET / HTTP/2.0\r\n", 505, "HTTP version not supported"},
	}
	eachEngine(t, func(t *testing.T, e engine) {
		if e.blocking {
			t.Skip("nothing here depends on who runs a handler")
		}
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				s := serve(t, e, &Server{
					Handler: c.server.Handler, MaxBodyBytes: c.server.MaxBodyBytes, MaxHeaderBytes: c.server.MaxHeaderBytes,
					ReadHeaderTimeout: c.server.ReadHeaderTimeout, ReadTimeout: c.server.ReadTimeout,
					MaxConcurrent: c.server.MaxConcurrent, MaxQueued: c.server.MaxQueued,
				})
				if !eventually(func() bool { return len(s.Addrs()) == 1 }) {
					t.Fatal("the server does not start")
				}
				if c.status == 503 {
					s.pool.run(func() {}) // it never ends
				}
				p := s.dial()
				p.send(c.request)
				a := p.answer("POST")
				if want := http.StatusText(c.status); c.status != 413 && c.status != 414 && a.reason != want {
					t.Errorf("reason phrase %q, want %q", a.reason, want)
				}
				if a.status != c.status || !strings.HasSuffix(a.body, ": "+c.reason+"\n") || a.get("Connection") != "close" {
					t.Fatalf("%d %q, Connection %q; want %d: %s", a.status, a.body, a.get("Connection"), c.status, c.reason)
				}
				if retry := a.has("Retry-After"); retry != (c.status == 503) {
					t.Errorf("Retry-After: %v", retry)
				}
				for range 100 {
					p.send(strings.Repeat("a", 10_000))
				}
				p.expectEnd()
			})
		}
	})
}

// After an answer that ends the connection, whoever asked for that, nothing is
// answered any more, however it comes.
func TestNothingIsAnsweredBehindTheEnd(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: askers()})
		for _, path := range []string{"/fast", "/slow"} {
			for _, request := range []string{
				ask("GET", path, "Connection: close"),
				ask("GET", path, "Connection: keep-alive", "Connection: x, Close"),
				ask10("GET", path),
				ask10("GET", path, "Connection: keep-alive, close"),
			} {
				p := s.dial()
				p.send(request + smuggled)
				p.expectAnswer(200, "GET test"+path+" ")
				p.expectEnd()

				p = s.dial()
				p.send(request)
				p.expectAnswer(200, "GET test"+path+" ")
				p.SetWriteDeadline(time.Now().Add(patience))
				io.WriteString(p, smuggled) // it may be closed already
				if got := p.rest(); got != "" {
					t.Errorf("%q is followed by %q", request, got)
				}
			}
		}
	})
}

// The answer to HEAD has no body, so what it had been would be taken for the next
// answer; the body of the request is the request's.
func TestHeadWithBodyBetweenOthers(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: askers()})
		for _, path := range []string{"/fast", "/slow"} {
			p := s.dial()
			p.send(ask("GET", "/fast") + ask("HEAD", path, withLength(len(smuggled))) + smuggled + ask("GET", path))
			p.expectAnswer(200, "GET test/fast ")
			if a := p.answer("HEAD"); a.status != 200 || a.body != "" {
				t.Errorf("HEAD: %d %q", a.status, a.body)
			}
			p.expectAnswer(200, "GET test"+path+" ")
			p.halfClose()
			p.expectEnd()
		}
	})
}
