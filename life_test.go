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
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
)

// listening waits until the server has n listeners.
func (s *site) listening(n int) {
	s.Helper()
	if !eventually(func() bool { return len(s.Addrs()) == n }) {
		s.Fatalf("the server listens on %v, want %d", s.Addrs(), n)
	}
}

func TestListenAndServe(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		srv := &Server{Addr: "127.0.0.1:0", Handler: HandlerFunc(helloNative), newRing: e.newRing}
		served := make(chan error, 1)
		go func() { served <- srv.ListenAndServe() }()
		if !eventually(func() bool { return len(srv.Addrs()) == 1 }) {
			t.Fatal("it does not listen")
		}
		addr := srv.Addrs()[0].(*net.TCPAddr)
		if addr.Port == 0 {
			t.Errorf("port of %v", addr)
		}
		connectPeer(t, "tcp", addr.String(), 0).get("/")
		within(t, "Shutdown", func() {
			if err := srv.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
		if err := expect(t, "ListenAndServe returning", served); err != http.ErrServerClosed {
			t.Errorf("ListenAndServe = %v", err)
		}
		if err := srv.ListenAndServe(); err != http.ErrServerClosed {
			t.Errorf("ListenAndServe after Shutdown = %v", err)
		}
		l := listenTCP(t)
		if err := srv.Serve(l); err != http.ErrServerClosed {
			t.Errorf("Serve after Shutdown = %v", err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the listener given to Serve is open: %v", err)
		}
		if c, err := net.Dial("tcp", addr.String()); err == nil {
			c.Close()
			t.Error("the port still accepts after Shutdown")
		}
	})
}

// Errors of listening say what can be done about them.
func TestListenErrors(t *testing.T) {
	expectNoLeaks(t)
	taken := listenTCP(t)
	defer taken.Close()
	for _, c := range []struct{ addr, hint string }{
		{taken.Addr().String(), "0 for a free one"},
		{"192.0.2.1:0", "no such address"},
	} {
		err := ListenAndServe(c.addr, nil)
		if opErr := new(net.OpError); !errors.As(err, &opErr) || !strings.Contains(err.Error(), c.hint) {
			t.Errorf("ListenAndServe(%q) = %v, want a hint %q", c.addr, err, c.hint)
		}
	}
	if err := ListenAndServe("127.0.0.1:http:80", nil); err == nil {
		t.Error("ListenAndServe on a bad address: no error")
	}
}

// Serve refuses what it cannot serve on, and ends what it started when it cannot
// start all.
func TestServeErrors(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		srv := &Server{newRing: e.newRing}
		err := srv.Serve(tls.NewListener(listenTCP(t), &tls.Config{}))
		if err == nil || !strings.Contains(err.Error(), "no descriptor") {
			t.Errorf("Serve on TLS: %v", err)
		}
		srv.Close()

		rings := 0
		broken := errors.New("broken")
		srv = &Server{Loops: 3, newRing: func() (conn.Ring, error) {
			if rings++; rings == 3 {
				return nil, broken
			}
			return e.newRing()
		}}
		if err := srv.Serve(listenTCP(t)); !errors.Is(err, broken) {
			t.Errorf("Serve without a ring: %v", err)
		}
	})
}

func TestSeveralListeners(t *testing.T) {
	type key struct{}
	eachEngine(t, func(t *testing.T, e engine) {
		e.notSecure(t, "the clients speak without TLS")
		srv := &Server{Loops: 2, Handler: std(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Context().Value(key{}))
		})}
		srv.BaseContext = func(l net.Listener) context.Context {
			return context.WithValue(context.Background(), key{}, l.Addr().String())
		}
		s := serve(t, e, srv)
		s.listening(1)
		const more = 3
		served := make(chan error, more)
		for i := range more {
			l := listenTCP(t)
			go func() { served <- srv.Serve(l) }()
			s.listening(2 + i)
			if got := srv.Addrs()[1+i].String(); got != l.Addr().String() {
				t.Errorf("Addrs()[%d] = %v, want %v", 1+i, got, l.Addr())
			}
		}
		for range 3 {
			for _, addr := range srv.Addrs() {
				p := connectPeer(t, "tcp", addr.String(), 0)
				if a := p.get("/"); a.body != addr.String() {
					t.Errorf("on %v: base context of %q", addr, a.body)
				}
			}
		}
		srv.Close()
		for range more {
			if err := expect(t, "Serve returning", served); err != http.ErrServerClosed {
				t.Errorf("Serve = %v", err)
			}
		}
	})
}

func TestUnixListener(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		path := filepath.Join(t.TempDir(), "socket")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		srv := &Server{newRing: e.newRing, Handler: std(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %d", r.RemoteAddr, len(body))
		})}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		p := connectPeer(t, "unix", path, 0)
		p.sendAside("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 500000\r\n\r\n" + pattern(500_000))
		p.expectAnswer(200, "@ 500000")
		within(t, "Close", func() { srv.Close() })
		if err := expect(t, "Serve returning", served); err != http.ErrServerClosed {
			t.Errorf("Serve = %v", err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket file is left: %v", err)
		}
	})
}

// Shutdown ends what is idle, waits for what is running, and tells its client
// that the connection ends.
func TestShutdownDrains(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		began, goOn := make(chan bool, 2), make(chan bool)
		s := serve(t, e, &Server{Loops: 2, Handler: HandlerFunc(func(x *Exchange) {
			if x.Path() == "/native" {
				x.WriteString("native")
				return
			}
			x.Delegate(std(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/stream" {
					flush(w)
				}
				began <- true
				<-goOn
				io.WriteString(w, "late")
			}))
		})})
		registered := make(chan bool, 2)
		s.RegisterOnShutdown(func() { registered <- true })
		s.RegisterOnShutdown(func() { registered <- true })

		fresh, idle, busy, streaming, arriving := s.dial(), s.dial(), s.dial(), s.dial(), s.dial()
		idle.get("/native")
		busy.send("GET /std HTTP/1.1\r\nHost: test\r\n\r\n" + "GET /never HTTP/1.1\r\nHost: test\r\n\r\n")
		expect(t, "the handler", began)
		streaming.send("GET /stream HTTP/1.1\r\nHost: test\r\n\r\n")
		expect(t, "the handler", began)
		streaming.r.Peek(1) // the head is there
		arriving.send("GET /native HTTP/1.1\r\nHo")
		if !eventually(func() bool { return s.conns() == 5 }) {
			t.Fatalf("%d connections", s.conns())
		}
		arriving.expectSilence(5 * time.Millisecond)

		done := make(chan error, 1)
		go func() { done <- s.Shutdown(context.Background()) }()
		for range 2 {
			expect(t, "the registered functions", registered)
		}
		fresh.expectEnd()
		idle.expectEnd()
		if err := expect(t, "Serve returning", s.served); err != http.ErrServerClosed {
			t.Errorf("Serve = %v", err)
		}
		s.served <- http.ErrServerClosed // for the end of the test
		if !eventually(func() bool {
			c, err := net.Dial("tcp", s.addr)
			if err == nil {
				c.Close()
			}
			return err != nil
		}) {
			t.Error("the port still accepts")
		}
		select {
		case err := <-done:
			t.Fatalf("Shutdown did not wait: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
		arriving.send("st: test\r\n\r\n")
		if a := arriving.expectAnswer(200, "native"); a.get("Connection") != "close" {
			t.Errorf("Connection: %q, want close", a.get("Connection"))
		}
		arriving.expectEnd()
		arriving.Close() // nobody waits for its input
		close(goOn)
		if a := busy.expectAnswer(200, "late"); a.get("Connection") != "close" {
			t.Errorf("Connection: %q, want close", a.get("Connection"))
		}
		busy.expectEnd()
		busy.Close()                        // nobody waits for its input
		streaming.expectAnswer(200, "late") // it was told nothing, and ends all the same
		streaming.expectEnd()
		streaming.Close()
		if err := expect(t, "Shutdown", done); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		within(t, "a second Shutdown", func() {
			if err := s.Shutdown(context.Background()); err != nil {
				t.Errorf("a second Shutdown = %v", err)
			}
		})
		expect(t, "the registered function, as net/http calls it again", registered)
	})
}

// A Shutdown that runs out of time leaves the rest to Close, which does not wait.
func TestShutdownExpires(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		began, cancelled := make(chan bool, 1), make(chan error, 1)
		s := serve(t, e, &Server{Handler: std(func(w http.ResponseWriter, r *http.Request) {
			began <- true
			<-r.Context().Done()
			cancelled <- r.Context().Err()
			io.WriteString(w, "too late")
		})})
		p := s.dial()
		p.send(smallRequest)
		expect(t, "the handler", began)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		within(t, "Shutdown", func() {
			if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Shutdown = %v, want %v", err, context.DeadlineExceeded)
			}
		})
		p.expectSilence(5 * time.Millisecond)
		within(t, "Close", func() {
			if err := s.Close(); err != nil {
				t.Errorf("Close = %v", err)
			}
		})
		if err := expect(t, "the context being cancelled", cancelled); err != context.Canceled {
			t.Errorf("context: %v", err)
		}
		if a, err := readAnswer(p.r, "GET"); err == nil {
			t.Errorf("answer %+v after Close", a)
		}
	})
}

func TestCloseBeforeServe(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		srv := &Server{newRing: e.newRing}
		if err := srv.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		if err := srv.Serve(listenTCP(t)); err != http.ErrServerClosed {
			t.Errorf("Serve = %v", err)
		}
	})
}

// Clients connect and ask while the server stops: each gets an answer or the end
// of its connection, and no descriptor is left, which eachEngine looks for.
func TestStopInAcceptStorm(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		e.notSecure(t, "the clients speak without TLS")
		for round := range 10 {
			s := serve(t, e, &Server{Loops: 1 + round%4, Handler: askers()})
			var storm sync.WaitGroup
			var answered atomic.Int64
			for range 8 {
				storm.Go(func() {
					for {
						c, err := net.DialTimeout("tcp", s.addr, patience)
						if err != nil {
							return // nobody listens any more
						}
						c.SetDeadline(time.Now().Add(patience))
						io.WriteString(c, "GET /fast HTTP/1.1\r\nHost: test\r\n\r\n")
						b, err := io.ReadAll(io.LimitReader(c, 12))
						if string(b) == "HTTP/1.1 200" {
							answered.Add(1)
						} else if len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
							t.Errorf("answer %q, %v", b, err)
						}
						c.Close()
					}
				})
			}
			if !eventually(func() bool { return answered.Load() > 20 }) {
				t.Errorf("%d answers", answered.Load())
			}
			within(t, "the end of the server", func() {
				if round%2 == 0 {
					s.Close()
				} else if err := s.Shutdown(context.Background()); err != nil {
					t.Errorf("Shutdown = %v", err)
				}
			})
			within(t, "the end of the storm", storm.Wait)
		}
	})
}

// Whatever the number of loops, connections are spread evenly.
func TestLoops(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		for _, loops := range []int{1, 2, 4} {
			s := serve(t, e, &Server{Loops: loops, Handler: askers()})
			const each = 10
			var peers []*peer
			connect := func(n int) {
				for range n {
					p := s.dial()
					p.get("/fast")
					peers = append(peers, p)
				}
			}
			connect(loops * each)
			want := slices.Repeat([]int{each}, loops)
			if got := s.spread(); !slices.Equal(got, want) {
				t.Errorf("connections by loop: %v, want %v", got, want)
			}
			// Those that end make room for others.
			for i, p := range peers {
				if i%loops == 0 {
					p.Close()
				}
			}
			if !eventually(func() bool { return s.conns() == (loops-1)*each }) {
				t.Errorf("%d connections are left", s.conns())
			}
			connect(each)
			if got := s.spread(); !slices.Equal(got, want) {
				t.Errorf("connections by loop after closing some: %v, want %v", got, want)
			}
			for _, p := range peers[loops*each:] {
				p.get("/slow")
			}
		}
	})
}

// Connections that come and go leave no memory behind.
func TestChurnTakesNoMemory(t *testing.T) {
	if checksEnabled {
		t.Skip("the memory of the race detector grows with what is done")
	}
	if testing.Short() {
		t.Skip("many connections take a while")
	}
	const (
		warmup = 1_000
		count  = 10_000
	)
	eachKind(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: askers(), ReadHeaderTimeout: time.Second, IdleTimeout: time.Second})
		buf := make([]byte, 1024)
		churn := func(n int) {
			for i := range n {
				c, err := net.DialTimeout("tcp", s.addr, patience)
				if err != nil {
					t.Fatal(err)
				}
				c.SetDeadline(time.Now().Add(patience))
				switch i % 4 {
				case 0: // nothing
				case 1: // half a request
					io.WriteString(c, getLine+"Ho")
				case 2: // a bad one
					io.WriteString(c, "\n")
					c.Read(buf)
				case 3:
					io.WriteString(c, "GET /fast HTTP/1.1\r\nHost: test\r\n\r\n")
					if n, err := c.Read(buf); n == 0 {
						t.Fatalf("no answer: %v", err)
					}
				}
				c.(*net.TCPConn).SetLinger(0) // leaves no port behind
				c.Close()
			}
			if !eventually(func() bool { return s.conns() == 0 }) {
				t.Errorf("%d connections are left", s.conns())
			}
		}
		churn(warmup)
		before := resident(t)
		churn(count)
		// A KiB lost with each connection would be 10 MiB.
		if grown := resident(t) - before; grown > 5<<20 {
			t.Errorf("%d connections took %d KiB", count, grown>>10)
		}
	})
}

// Close does not wait for connections that are being closed already: for their
// client to read, or to end its side.
func TestCloseWhileClosing(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		for _, c := range []struct{ name, request string }{
			{"unread answer", "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"},
			{"lingering", "GET / HTTP/9.9\r\n\r\n"},
		} {
			t.Run(c.name, func(t *testing.T) {
				began := make(chan bool, 1)
				s := serve(t, e, &Server{Loops: 1, WriteTimeout: time.Hour, Handler: HandlerFunc(func(x *Exchange) {
					x.Write(make([]byte, 16<<20))
					began <- true
				})})
				p := connectPeer(t, s.network, s.addr, 16<<10)
				p.send(c.request)
				if c.name == "lingering" {
					p.answer("GET")
				} else {
					expect(t, "the handler", began)
				}
				start := time.Now()
				within(t, "Close", func() { s.Close() })
				if took := time.Since(start); took > time.Second {
					t.Errorf("Close took %v", took)
				}
			})
		}
	})
}
