package ringkit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
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

// A hijacked connection has the deadlines of a net.Conn.
func TestContractHijackReadDeadline(t *testing.T) {
	takesOver(t, func(t *testing.T, p *peer, h hijacked) {
		read := func() error {
			_, err := h.Read(make([]byte, 1))
			return err
		}
		expired := func(when string, err error) {
			t.Helper()
			var timeout net.Error
			if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("%s: Read gives %v, want a timeout", when, err)
			}
		}
		h.SetReadDeadline(time.Unix(1, 0))
		within(t, "Read", func() { expired("deadline in the past", read()) })
		p.send("a")
		within(t, "Read", func() { expired("deadline in the past, with data", read()) })
		h.SetReadDeadline(time.Time{})
		within(t, "Read", func() { hear(t, h.Conn, "a") })

		h.SetDeadline(time.Now().Add(tick))
		endsAfter(t, tick, func() {
			within(t, "Read", func() { expired("deadline in the future", read()) })
		})
		h.SetDeadline(time.Time{})

		errs := make(chan error, 1)
		go func() { errs <- read() }()
		time.Sleep(tick / 10) // it should be waiting, and need not
		h.SetReadDeadline(time.Now())
		expired("deadline set while waiting", expect(t, "Read", errs))

		h.SetReadDeadline(time.Now().Add(patience))
		p.send("b")
		hear(t, h.Conn, "b")
		h.say(t, "c")
		p.expectData("c")
	})
}

func TestContractHijackWriteDeadline(t *testing.T) {
	takesOver(t, func(t *testing.T, p *peer, h hijacked) {
		h.SetWriteDeadline(time.Unix(1, 0))
		if _, err := io.WriteString(h.Conn, "a"); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("deadline in the past: Write gives %v", err)
		}
		h.SetWriteDeadline(time.Time{})
		h.say(t, "b")
		p.expectData("b")

		// The client takes nothing.
		h.SetWriteDeadline(time.Now().Add(tick))
		piece := []byte(pattern(1 << 20))
		var err error
		total := 0
		endsAfter(t, tick, func() {
			within(t, "Write", func() {
				for err == nil {
					var n int
					n, err = h.Write(piece)
					total += n
				}
			})
		})
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("deadline in the future: Write gives %v", err)
		}
		// What Write says it has written arrives.
		go h.Close()
		if got := len(p.rest()); got != total {
			t.Errorf("%d bytes arrived, want the %d that were written", got, total)
		}
	})
}

// Closing wakes those who wait.
func TestContractHijackClose(t *testing.T) {
	takesOver(t, func(t *testing.T, p *peer, h hijacked) {
		errs := make(chan error, 1)
		go func() {
			_, err := h.Read(make([]byte, 1))
			errs <- err
		}()
		time.Sleep(tick / 10) // it should be waiting, and need not
		if err := h.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := expect(t, "Read", errs); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read gives %v, want %v", err, net.ErrClosed)
		}
		if _, err := h.Write([]byte("a")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write gives %v, want %v", err, net.ErrClosed)
		}
		p.expectEnd()
	})
}

// Either side can end its direction alone.
func TestContractHijackHalfClose(t *testing.T) {
	takesOver(t, func(t *testing.T, p *peer, h hijacked) {
		half, ok := h.Conn.(interface{ CloseWrite() error })
		if !ok {
			t.Fatalf("%T has no CloseWrite", h.Conn)
		}
		h.say(t, "end")
		if err := half.CloseWrite(); err != nil {
			t.Errorf("CloseWrite: %v", err)
		}
		p.expectData("end")
		p.expectEnd()
		p.send("still here")
		hear(t, h.Conn, "still here")
		p.halfClose()
		if n, err := h.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("Read = %d, %v; want EOF", n, err)
		}
	})
	takesOver(t, func(t *testing.T, p *peer, h hijacked) {
		p.halfClose()
		if n, err := h.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("Read = %d, %v; want EOF", n, err)
		}
		h.say(t, "the answer")
		h.Close()
		p.expectData("the answer")
		p.expectEnd()
	})
	takesOver(t, func(t *testing.T, p *peer, h hijacked) {
		p.reset()
		if n, err := h.Read(make([]byte, 1)); n != 0 || err == nil || err == io.EOF {
			t.Errorf("Read = %d, %v; want an error", n, err)
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

// The context of the request ends with the handler, not with the connection.
func TestContractHijackContext(t *testing.T) {
	contexts := make(chan context.Context, 1)
	connections := make(chan hijacked, 1)
	play(t, func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		h := hijack(t, w)
		if err := r.Context().Err(); err != nil {
			t.Errorf("the context ended by Hijack: %v", err)
		}
		contexts <- r.Context()
		connections <- h
	}, func(t *testing.T, s *stage) {
		p := s.dial()
		p.send(smallRequest)
		ctx := expect(t, "the handler", contexts)
		h := expect(t, "the connection", connections)
		defer h.Close()
		expect(t, "the context ending", ctx.Done())
		h.say(t, "alive")
		p.expectData("alive")
	})
}

// A handler that panics after it has hijacked leaves the connection to whom it
// belongs.
func TestContractHijackAndPanic(t *testing.T) {
	connections := make(chan hijacked, 1)
	play(t, act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		connections <- hijack(t, w)
		panic("after")
	}), func(t *testing.T, s *stage) {
		p := s.dial()
		p.send(smallRequest)
		h := expect(t, "the connection", connections)
		defer h.Close()
		if !eventually(func() bool { return strings.Contains(s.log.String(), "after") }) {
			t.Error("the panic was not logged")
		}
		h.say(t, "alive")
		p.expectData("alive")
	})
}

// The timeouts of the server and the deadlines of the request do not apply to a
// connection that was hijacked.
func TestContractHijackEndsTimeouts(t *testing.T) {
	connections := make(chan hijacked, 1)
	eachHost(t, func(t *testing.T, h host) {
		s := h.run(t, &http.Server{
			ReadHeaderTimeout: tick, ReadTimeout: tick, WriteTimeout: tick, IdleTimeout: tick,
			Handler: std(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/deadline" {
					rc := http.NewResponseController(w)
					if err := errors.Join(rc.SetReadDeadline(time.Now().Add(tick)), rc.SetWriteDeadline(time.Now().Add(tick))); err != nil {
						t.Errorf("set deadlines: %v", err)
					}
				}
				connections <- hijack(t, w)
			}),
		})
		var peers []*peer
		var taken []hijacked
		for _, path := range []string{"/", "/deadline"} {
			p := s.dial()
			p.send(ask("GET", path))
			h := expect(t, "the connection", connections)
			defer h.Close()
			peers, taken = append(peers, p), append(taken, h)
		}
		time.Sleep(3 * tick / 2)
		for i, p := range peers {
			taken[i].say(t, "alive")
			p.expectData("alive")
			p.send("and well")
			hear(t, taken[i].Conn, "and well")
		}
	})
}

// Neither the handler's return nor the end of the server ends a hijacked
// connection, and the server does not wait for it.
func TestContractHijackOutlivesServer(t *testing.T) {
	connections := make(chan hijacked, 1)
	play(t, act(func(t testing.TB, w http.ResponseWriter, r *http.Request) { connections <- hijack(t, w) }), func(t *testing.T, s *stage) {
		p := s.dial()
		p.send(smallRequest)
		h := expect(t, "the connection", connections)
		defer h.Close()
		within(t, "Shutdown", func() {
			if err := s.shutdown(context.Background()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
		s.server.(interface{ Close() error }).Close()
		p.send("still here")
		hear(t, h.ReadWriter, "still here")
		h.say(t, "so am I")
		p.expectData("so am I")
		h.SetReadDeadline(time.Now().Add(tick / 10))
		if _, err := h.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read = %v, want a timeout", err)
		}
		h.Close()
		p.expectEnd()
	})
}

// Much goes through a hijacked connection in both directions at once, by the
// buffer and by the connection itself.
func TestContractHijackBigTransfer(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		h := hijack(t, w)
		defer h.Close()
		h.say(t, "begin")
		// No splice(2): between the two ends of one machine it crawls.
		var from io.Reader = struct{ io.Reader }{h.Conn}
		if r.URL.Path == "/buffered" {
			from = struct{ io.Reader }{h.ReadWriter}
		}
		if _, err := io.Copy(struct{ io.Writer }{h.Conn}, from); err != nil {
			t.Errorf("%s: Copy: %v", r.URL.Path, err)
		}
	})
	data := pattern(8 << 20)
	play(t, handler, func(t *testing.T, s *stage) {
		for _, path := range []string{"/buffered", "/direct"} {
			p := s.dial()
			p.send(ask("GET", path))
			p.expectData("begin")
			go func() {
				io.WriteString(p, data)
				p.Conn.(*net.TCPConn).CloseWrite()
			}()
			if got := p.rest(); got != data {
				t.Errorf("%s: %d bytes came back, want %d", path, len(got), len(data))
			}
		}
	})
}

// Many hijacked connections are there at the same time, each with its own data.
func TestContractHijackMany(t *testing.T) {
	const n = 500
	eachHost(t, func(t *testing.T, h host) {
		all := make(chan bool)
		var here sync.WaitGroup
		here.Add(n)
		s := h.run(t, &http.Server{Handler: std(func(w http.ResponseWriter, r *http.Request) {
			h := hijack(t, w)
			defer h.Close()
			here.Done()
			<-all
			h.say(t, r.URL.Path)
			hear(t, h.ReadWriter, r.URL.Path)
		})})
		peers := make([]*peer, n)
		for i := range peers {
			peers[i] = s.dial()
			peers[i].send(ask("GET", fmt.Sprint("/", i)))
		}
		within(t, "all being hijacked", here.Wait)
		close(all)
		for i, p := range peers {
			p.expectData(fmt.Sprint("/", i))
			p.send(fmt.Sprint("/", i))
			p.expectEnd()
			p.Close()
		}
	})
}
