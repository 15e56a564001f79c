package ringkit

import (
	"context"
	"crypto/tls"
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
		endsAfter(t, tick/2, func() {
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
		if _, ok := h.Conn.(*tls.Conn); ok {
			return // after a write that timed out it is of no use any more
		}
		h.SetWriteDeadline(time.Time{})
		h.say(t, "b")
		p.expectData("b")

		// The client takes nothing.
		h.SetWriteDeadline(time.Now().Add(tick))
		piece := []byte(pattern(1 << 20))
		var err error
		total := 0
		endsAfter(t, tick/2, func() {
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
				p.Conn.(interface{ CloseWrite() error }).CloseWrite()
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
