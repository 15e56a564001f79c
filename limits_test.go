package ringkit

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Beyond MaxConcurrent handlers on goroutines, requests are refused at once, and
// the connection goes on (RFC 9110, section 15.6.4).
func TestMaxConcurrent(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		const most = 3
		began, goOn := make(chan bool, most), make(chan bool)
		blocking := std(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/wait" {
				began <- true
				<-goOn
			}
			fmt.Fprint(w, r.URL.Path)
		})
		s := serve(t, e, &Server{Mode: Goroutine, MaxConcurrent: most, MaxQueued: -1, Handler: blocking})
		var waiting []*peer
		for range most {
			p := s.dial()
			p.send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n")
			expect(t, "the handler", began)
			waiting = append(waiting, p)
		}
		p := s.dial()
		for range 3 {
			a := p.get("/")
			if a.status != 503 || a.get("Retry-After") != "1" || a.get("Connection") != "" || !strings.HasPrefix(a.body, "503 Service Unavailable: ") {
				t.Errorf("%d with Retry-After %q, Connection %q: %q", a.status, a.get("Retry-After"), a.get("Connection"), a.body)
			}
			// The body of what is refused is passed over.
			p.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello" + "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
			for _, method := range []string{"POST", "GET"} {
				if a := p.answer(method); a.status != 503 {
					t.Errorf("%s: %d, want 503", method, a.status)
				}
			}
		}
		p.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n")
		if a := p.answer("HEAD"); a.status != 503 {
			t.Errorf("HEAD: %d, want 503", a.status)
		}
		for _, p := range waiting {
			goOn <- true
			p.expectAnswer(200, "/wait")
		}
		p.get("/")

		// Requests that come one after the other are one at a time: who has its
		// answer may ask again.
		one := serve(t, e, &Server{Mode: Goroutine, MaxConcurrent: 1, MaxQueued: -1, Handler: blocking}).dial()
		for i := range 300 {
			if a := one.get("/"); a.status != 200 {
				t.Fatalf("request %d: %d, want 200", i, a.status)
			}
		}
	})
}

func TestNoMaxConcurrent(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		began, goOn := make(chan bool), make(chan bool)
		s := serve(t, e, &Server{Mode: Goroutine, MaxConcurrent: -1, Handler: std(func(w http.ResponseWriter, r *http.Request) {
			began <- true
			<-goOn
		})})
		var peers []*peer
		for range 50 {
			p := s.dial()
			p.send(smallRequest)
			expect(t, "the handler", began)
			peers = append(peers, p)
		}
		close(goOn)
		for _, p := range peers {
			p.expectAnswer(200, "")
		}
	})
}

// RFC 6585, section 5, and RFC 9110, section 15.5.15.
func TestMaxHeaderBytes(t *testing.T) {
	const limit = 1000
	request := func(size int) string {
		const head = getLine + "Host: test\r\nA: "
		return head + strings.Repeat("a", size-len(head)-4) + "\r\n\r\n"
	}
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{MaxHeaderBytes: limit, Handler: askers()})
		p := s.dial()
		p.send(request(limit) + request(limit))
		p.expectAnswer(200, "GET test/ ")
		p.expectAnswer(200, "GET test/ ")
		p.send(request(limit)[:500], request(limit)[500:])
		p.expectAnswer(200, "GET test/ ")
		p.send(request(limit + 1))
		p.expectRefusal(431)

		p = s.dial()
		p.send("GET /" + strings.Repeat("a", limit))
		p.expectRefusal(414)
	})
}

func TestMaxBodyBytes(t *testing.T) {
	big := pattern(DefaultMaxBodyBytes + 1)
	cases := []struct {
		name   string
		limit  int64
		size   int
		status int
	}{
		{"at the limit", 10, 10, 200},
		{"beyond the limit", 10, 11, 413},
		{"at the default", 0, DefaultMaxBodyBytes, 200},
		{"beyond the default", 0, DefaultMaxBodyBytes + 1, 413},
		{"no limit", -1, DefaultMaxBodyBytes + 1, 200},
	}
	eachEngine(t, func(t *testing.T, e engine) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				s := serve(t, e, &Server{MaxBodyBytes: c.limit, Handler: bodyHandlers()})
				for _, framing := range []string{
					fmt.Sprintf("Content-Length: %d\r\n\r\n%s", c.size, big[:c.size]),
					"Transfer-Encoding: chunked\r\n\r\n" + inChunks(big[:c.size], 1<<20) + "0\r\n\r\n",
				} {
					p := s.dial()
					p.sendAside("POST /native HTTP/1.1\r\nHost: test\r\n" + framing)
					if c.status == 200 {
						p.expectAnswer(200, bodyAnswer("/native", big[:c.size], false))
						continue
					}
					p.expectRefusal(c.status)
				}
			})
		}
	})
}
