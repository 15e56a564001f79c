package ringkit

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// RFC 9112, section 9.3: whether the connection persists follows from the
// version, from Connection, and from the server's own wish.
func TestPersistence(t *testing.T) {
	cases := []struct {
		name       string
		request    string
		persists   bool
		connection string // of the answer
	}{
		{"HTTP/1.1", "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", true, ""},
		{"HTTP/1.1 with close", "GET %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", false, "close"},
		{"HTTP/1.1 with close in a list", "GET %s HTTP/1.1\r\nHost: test\r\nConnection: a, CLOSE,b\r\n\r\n", false, "close"},
		{"HTTP/1.1 with close in a second line", "GET %s HTTP/1.1\r\nHost: test\r\nConnection: a\r\nConnection: close\r\n\r\n", false, "close"},
		{"HTTP/1.1 with keep-alive and close", "GET %s HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, close\r\n\r\n", false, "close"},
		{"HTTP/1.1 with something like close", "GET %s HTTP/1.1\r\nHost: test\r\nConnection: closed, not-close\r\n\r\n", true, ""},
		{"HTTP/1.1 with keep-alive", "GET %s HTTP/1.1\r\nHost: test\r\nConnection: keep-alive\r\n\r\n", true, ""},
		{"HTTP/1.0", "GET %s HTTP/1.0\r\n\r\n", false, "close"},
		{"HTTP/1.0 with keep-alive", "GET %s HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, "keep-alive"},
		{"HTTP/1.0 with keep-alive and close", "GET %s HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false, "close"},
		{"HTTP/1.0 with Host", "GET %s HTTP/1.0\r\nHost: test\r\n\r\n", false, "close"},
		{"HTTP/1.9", "GET %s HTTP/1.9\r\nHost: test\r\n\r\n", true, ""},
	}
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: askers()})
		for _, c := range cases {
			for _, path := range []string{"/fast", "/slow"} {
				t.Run(c.name+" "+path[1:], func(t *testing.T) {
					p := s.in(t).dial()
					p.send(fmt.Sprintf(c.request, path))
					a := p.answer("GET")
					if got := a.get("Connection"); a.status != 200 || !strings.EqualFold(got, c.connection) {
						t.Errorf("answer %d with Connection: %q, want 200 with %q", a.status, got, c.connection)
					}
					if c.persists {
						p.get("/fast")
						return
					}
					p.expectEnd()
				})
			}
		}
	})
}

// Handlers of both kinds can end the connection.
func TestHandlerClosesConnection(t *testing.T) {
	std := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		if r.URL.Path == "/std/stream" {
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, "bye")
	})
	h := HandlerFunc(func(x *Exchange) {
		if strings.HasPrefix(x.Path(), "/std") {
			x.Delegate(std)
			return
		}
		x.SetHeader("connection", "Close")
		x.WriteString("bye")
	})
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: h})
		for _, path := range []string{"/native", "/std", "/std/stream"} {
			p := s.dial()
			// What is pipelined behind it is not answered.
			p.send("GET " + path + " HTTP/1.1\r\nHost: test\r\n\r\n" + smallRequest)
			a := p.expectAnswer(200, "bye")
			if got := a.get("Connection"); got != "close" {
				t.Errorf("%s: Connection: %q, want close", path, got)
			}
			p.expectEnd()
		}
	})
}

// A client that does not expect the end of the connection and goes on sending
// reads its answer all the same (RFC 9112, section 9.6).
func TestCloseReachesClientThatGoesOnSending(t *testing.T) {
	std := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		io.WriteString(w, "bye")
	})
	eachEngine(t, func(t *testing.T, e engine) {
		for _, h := range []http.Handler{std, HandlerFunc(func(x *Exchange) {
			x.SetHeader("Connection", "close")
			x.WriteString("bye")
		})} {
			s := serve(t, e, &Server{Handler: h})
			for range 10 {
				p := s.dial()
				p.send(smallRequest, strings.Repeat(smallRequest, 5000))
				p.expectAnswer(200, "bye")
				p.expectEnd()
			}
		}
	})
}

// RFC 9112, section 9.3.2: answers come in the order of the requests, whatever
// handles them and however long that takes.
func TestPipeliningKeepsOrder(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/slow/{n}", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Millisecond)
		io.WriteString(w, r.PathValue("n"))
	})
	mux.HandleFunc("/std/{n}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.PathValue("n")) })
	mux.HandleFunc("/stream/{n}", func(w http.ResponseWriter, r *http.Request) {
		for _, c := range r.PathValue("n") {
			io.WriteString(w, string(c))
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("/body/{n}", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	h := HandlerFunc(func(x *Exchange) {
		if n, ok := strings.CutPrefix(x.Path(), "/native/"); ok {
			x.WriteString(n)
			return
		}
		if strings.HasPrefix(x.Path(), "/echo/") {
			x.Write(x.Body())
			return
		}
		x.Delegate(mux)
	})
	request := func(kind string, n int) string {
		body := fmt.Sprint(n)
		switch kind {
		case "body":
			return fmt.Sprintf("POST /body/%d HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%s", n, len(body), body)
		case "echo":
			return fmt.Sprintf("POST /echo/%d HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", n, len(body), body)
		}
		return fmt.Sprintf("GET /%s/%d HTTP/1.1\r\nHost: test\r\n\r\n", kind, n)
	}
	kinds := []string{"native", "native", "native", "native", "std", "std", "stream", "body", "echo", "slow"}
	const total = 400
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: h})
		for seed := range uint64(4) {
			random := rand.New(rand.NewPCG(seed, 0))
			var all strings.Builder
			for n := range total {
				all.WriteString(request(kinds[random.IntN(len(kinds))], n))
			}
			p := s.dial()
			go func() {
				in := all.String()
				for seed > 0 && len(in) > 0 { // the first goes in one piece
					k := 1 + random.IntN(min(len(in), 3000))
					io.WriteString(p, in[:k])
					in = in[k:]
				}
				io.WriteString(p, in)
			}()
			for n := range total {
				p.expectAnswer(200, fmt.Sprint(n))
			}
			p.halfClose()
			p.expectEnd()
		}
	})
}

// A client that asks for much and reads nothing makes the server stop handling
// its requests; it gets all answers once it reads.
func TestPipeliningIsBounded(t *testing.T) {
	const (
		requests = 100
		size     = 256 << 10
	)
	body := pattern(size)
	var handled atomic.Int64
	std := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		handled.Add(1)
		io.WriteString(w, body)
	})
	h := HandlerFunc(func(x *Exchange) {
		if x.Path() == "/std" {
			x.Delegate(std)
			return
		}
		handled.Add(1)
		x.WriteString(body)
	})
	eachEngine(t, func(t *testing.T, e engine) {
		short := e.tick() / 3
		s := serve(t, e, &Server{Handler: h, Loops: 1, IdleTimeout: short, ReadHeaderTimeout: short})
		for _, path := range []string{"/native", "/std"} {
			t.Run(path[1:], func(t *testing.T) {
				handled.Store(0)
				s := s.in(t)
				p := connectPeer(t, s.network, s.addr, 16<<10)
				p.send(strings.Repeat("GET "+path+" HTTP/1.1\r\nHost: test\r\n\r\n", requests))
				last := int64(-1)
				for now := handled.Load(); now != last || now == 0; now = handled.Load() {
					last = now
					time.Sleep(100 * time.Millisecond)
				}
				// The kernel's buffers take a few MiB.
				if last > requests/2 {
					t.Errorf("%d of %d requests were handled before any answer was read", last, requests)
				}
				s.dial().get("/native") // another connection is served meanwhile
				for i := range requests {
					a := p.answer("GET")
					if a.status != 200 || a.body != body {
						t.Fatalf("answer %d: %d, %d bytes", i, a.status, len(a.body))
					}
				}
			})
		}
	})
}

// A client that ends its side after the request still gets the answer.
func TestHalfClose(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: askers()})
		for _, c := range []struct{ name, request, answers string }{
			{"native", "GET /fast HTTP/1.1\r\nHost: test\r\n\r\n", "/fast"},
			{"standard", "GET /slow HTTP/1.1\r\nHost: test\r\n\r\n", "/slow"},
			{"several", strings.Repeat("GET /slow HTTP/1.1\r\nHost: test\r\n\r\nGET /fast HTTP/1.1\r\nHost: test\r\n\r\n", 5), strings.Repeat("/slow /fast ", 5)},
		} {
			t.Run(c.name, func(t *testing.T) {
				p := s.in(t).dial()
				p.send(c.request)
				p.halfClose()
				for _, path := range strings.Fields(c.answers) {
					p.expectAnswer(200, "GET test"+path+" ")
				}
				p.expectEnd()
			})
		}
	})
}

// A request that the client ended in its middle is refused, at once.
func TestHalfCloseInTheMiddle(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: askers(), ReadHeaderTimeout: time.Hour, ReadTimeout: time.Hour})
		for _, c := range []struct{ name, request string }{
			{"method", "GE"},
			{"head", getLine + "Host: te"},
			{"body", postHead + "Content-Length: 5\r\n\r\nhell"},
			{"chunk", chunkedTo + "5\r\nhell"},
			{"end of chunks", chunkedTo + "5\r\nhello\r\n0\r\n"},
		} {
			for _, front := range []string{"", "/fast", "/slow"} {
				t.Run(c.name+front, func(t *testing.T) {
					p := s.in(t).dial()
					in := c.request
					if front != "" {
						in = "GET " + front + " HTTP/1.1\r\nHost: test\r\n\r\n" + in
					}
					p.send(in)
					p.halfClose()
					if front != "" {
						p.expectAnswer(200, "GET test"+front+" ")
					}
					p.expectRefusal(400)
				})
			}
		}
	})
}

// A connection that is closed before, between or after requests ends in silence.
func TestClosedByClient(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: askers()})
		p := s.dial()
		p.halfClose()
		p.expectEnd()

		p = s.dial()
		p.get("/fast")
		p.halfClose()
		p.expectEnd()

		for range 20 {
			p = s.dial()
			p.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\nGET /sl")
			p.reset()
		}
		s.dial().get("/slow")
		if text := s.log.String(); text != "" {
			t.Errorf("the server logged %q", text)
		}
	})
}

// Requests come one after the other on one connection for as long as both want.
func TestManyRequestsOnOneConnection(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: askers()})
		p := s.dial()
		for i := range 300 {
			path := fmt.Sprintf("/fast%d", i)
			if i%10 == 0 {
				path = fmt.Sprintf("/slow%d", i)
			}
			if a := p.get(path); a.body != "GET test"+path+" " {
				t.Fatalf("answer %q to %s", a.body, path)
			}
		}
	})
}
