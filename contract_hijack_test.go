package ringkit

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// hijacked is what a handler gets for its connection.
type hijacked struct {
	net.Conn
	*bufio.ReadWriter
}

// hijack takes the connection over, or fails the test.
func hijack(t testing.TB, w http.ResponseWriter) hijacked {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Errorf("Hijack: %v", err)
		panic(http.ErrAbortHandler)
	}
	return hijacked{conn, buffered}
}

// say writes at once.
func (h hijacked) say(t testing.TB, s string) {
	if _, err := io.WriteString(h.Conn, s); err != nil {
		t.Errorf("Write: %v", err)
	}
}

// hear reads from r what the client is expected to send.
func hear(t testing.TB, r io.Reader, want string) {
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r, got); string(got) != want {
		t.Errorf("the handler got %q, %v; want %q", short(string(got[:n])), err, short(want))
	}
}

// takesOver is a server whose handler hijacks each connection, and what the test
// does with it.
func takesOver(t *testing.T, test func(t *testing.T, p *peer, h hijacked)) {
	connections := make(chan hijacked, 1)
	play(t, act(func(t testing.TB, w http.ResponseWriter, r *http.Request) { connections <- hijack(t, w) }), func(t *testing.T, s *stage) {
		p := s.dial()
		p.send(smallRequest)
		h := expect(t, "the connection", connections)
		defer h.Close()
		test(t, p, h)
	})
}

// What came behind the request is in the buffer, what comes later is read from
// either; what is written by either reaches the client; closing ends it.
func TestContractHijack(t *testing.T) {
	ways := map[string]func(http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error){
		"/hijacker": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) { return w.(http.Hijacker).Hijack() },
		"/controller": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
			return http.NewResponseController(w).Hijack()
		},
	}
	addresses := make(chan [2]string, 1)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := ways[r.URL.Path](w)
		if err != nil {
			t.Errorf("%s: %v", r.URL.Path, err)
			return
		}
		defer conn.Close()
		if n := buffered.Reader.Buffered(); n != len("early") {
			t.Errorf("%d bytes are buffered, want those sent with the request", n)
		}
		hear(t, buffered, "early")
		addresses <- [2]string{conn.LocalAddr().String(), conn.RemoteAddr().String()}
		buffered.WriteString("buffered;")
		buffered.Flush()
		io.WriteString(conn, "direct;")
		hear(t, conn, "later")
		io.WriteString(conn, "more;")
		hear(t, buffered, "last")
	})
	play(t, handler, func(t *testing.T, s *stage) {
		for path := range ways {
			for _, version := range []string{"1.1", "1.0"} {
				p := s.dial()
				p.send("GET " + path + " HTTP/" + version + "\r\nHost: test\r\n\r\nearly")
				if got, want := expect(t, "the handler", addresses), [2]string{s.addr, p.LocalAddr().String()}; got != want {
					t.Errorf("addresses %q, want %q", got, want)
				}
				p.expectData("buffered;direct;")
				p.send("later")
				p.expectData("more;")
				p.send("last")
				p.expectEnd()
			}
		}
	})
}

// What follows a request body, or a request that was answered, belongs to the one
// who hijacks; answers to earlier requests come first.
func TestContractHijackPipelined(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		mux := http.NewServeMux()
		mux.HandleFunc("/ok", ok)
		mux.HandleFunc("/hijack", func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Errorf("the body: %v", err)
			}
			h := hijack(t, w)
			defer h.Close()
			next, err := http.ReadRequest(h.ReadWriter.Reader)
			if err != nil {
				t.Errorf("the next request: %v", err)
				return
			}
			h.say(t, string(body)+next.URL.Path)
		})
		s := h.run(t, &http.Server{Handler: mux})
		for _, hijacking := range []string{
			ask("GET", "/hijack"),
			ask("POST", "/hijack", withLength(5)) + "hello",
			ask("POST", "/hijack", withChunks) + chunk("hello") + chunk(""),
		} {
			p := s.dial()
			p.send(ask("GET", "/ok") + ask("GET", "/ok") + hijacking + ask("GET", "/next"))
			p.expectAnswer(200, "ok")
			p.expectAnswer(200, "ok")
			want := "/next"
			if strings.Contains(hijacking, "POST") {
				want = "hello/next"
			}
			p.expectData(want)
			p.expectEnd()
		}
	})
}

// The ResponseWriter is of no use any more.
func TestContractHijackedResponseWriter(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		h := hijack(t, w)
		defer h.Close()
		for range 2 {
			if n, err := io.WriteString(w, "not sent"); n != 0 || err != http.ErrHijacked {
				t.Errorf("Write = %d, %v; want %v", n, err, http.ErrHijacked)
			}
		}
		w.Header().Set("Not", "sent")
		w.WriteHeader(404)
		w.WriteHeader(103)
		for range 2 {
			if _, _, err := http.NewResponseController(w).Hijack(); !errors.Is(err, http.ErrHijacked) {
				t.Errorf("Hijack a second time: %v, want %v", err, http.ErrHijacked)
			}
		}
		h.say(t, "this alone")
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		p.send(smallRequest)
		p.expectData("this alone")
		p.expectEnd()
	})
}

// What was flushed before is not lost.
func TestContractHijackAfterFlush(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		if r.URL.Path == "/upgrade" {
			w.Header().Del("Content-Length")
			w.Header().Set("Upgrade", "echo")
			w.Header().Set("Connection", "Upgrade")
			w.WriteHeader(101)
		} else {
			io.WriteString(w, "hello")
		}
		flush(w)
		h := hijack(t, w)
		defer h.Close()
		h.say(t, "world")
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		p.send(ask("GET", "/"))
		p.expectAnswer(200, "helloworld")
		p.expectEnd()

		p = s.dial()
		p.send(ask("GET", "/upgrade", "Connection: Upgrade", "Upgrade: echo"))
		if a := p.expectAnswer(101, ""); a.get("Upgrade") != "echo" || a.get("Connection") != "Upgrade" {
			t.Errorf("fields %q", a.fields)
		}
		p.expectData("world")
		p.expectEnd()
	})
}

// Hijack after a status was set or something was written, but not flushed: the
// head is sent. What becomes of the body that was written is nobody's promise.
func TestContractHijackAfterWrite(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Head", "sent")
		w.WriteHeader(202)
		if r.URL.Path == "/write" {
			io.WriteString(w, "hello")
		}
		h := hijack(t, w)
		defer h.Close()
		h.say(t, "last")
	})
	play(t, handler, func(t *testing.T, s *stage) {
		for _, path := range []string{"/status", "/write"} {
			p := s.dial()
			p.send(ask("GET", path))
			got := p.rest()
			if !strings.HasPrefix(got, "HTTP/1.1 202 ") || !strings.Contains(got, "X-Head: sent\r\n") || !strings.HasSuffix(got, "last") {
				t.Errorf("%s: the client got %q", path, got)
			}
		}
	})
}
