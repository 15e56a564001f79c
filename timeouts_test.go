package ringkit

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
)

// tick is the timeout that is short in a test; the others do not matter there. On
// an emulated machine it is longer: RINGKIT_TIME_SCALE says how much.
var tick = 150 * time.Millisecond * timeScale()

func timeScale() time.Duration {
	n, err := strconv.Atoi(os.Getenv("RINGKIT_TIME_SCALE"))
	if err != nil || n < 1 {
		return 1
	}
	return time.Duration(n)
}

// tick is the timeout that is short for clients of this kind: a handshake takes a while
// on a busy machine, and has the time of a head.
func (e engine) tick() time.Duration {
	if e.secure {
		return 3 * tick
	}
	return tick
}

// whileServing runs f while another connection of the same server is served,
// which f must not disturb. Only where it was late itself may the server have ended it.
func whileServing(s *site, f func()) {
	s.Helper()
	stop := make(chan bool)
	var other sync.WaitGroup
	p := s.dial()
	other.Go(func() {
		heard := time.Now()
		for i := 0; ; i++ {
			path := []string{"/fast", "/slow"}[i%2]
			p.SetDeadline(time.Now().Add(patience))
			fmt.Fprintf(p, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path)
			a, err := readAnswer(p.r, "GET")
			switch late := time.Since(heard) > tick/2; {
			case err == nil && a.body == "GET test"+path+" ":
			case late && (err != nil || a.status == http.StatusRequestTimeout):
				p = s.dial()
			default:
				s.Errorf("another connection: %+v, %v", a, err)
				return
			}
			heard = time.Now()
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	f()
	close(stop)
	other.Wait()
}

// A server of one loop, so that all connections share what could be disturbed.
func timed(t *testing.T, e engine, srv *Server) *site {
	srv.Handler, srv.Loops = askers(), 1
	return serve(t, e, srv)
}

// endsAfter checks that f takes as long as the timeout at least.
func endsAfter(t testing.TB, least time.Duration, f func()) {
	t.Helper()
	start := time.Now()
	f()
	// The wheel's ticks and the clock at the beginning of the turn are a little off.
	if took := time.Since(start); took < least-20*time.Millisecond {
		t.Errorf("it ended after %v, want %v", took, least)
	}
}

// A head that does not arrive in time is answered with 408 (RFC 9110, section
// 15.5.9), also when a byte comes now and then.
func TestSlowHead(t *testing.T) {
	eachTransport(t, func(t *testing.T, e engine) {
		tick := e.tick()
		s := timed(t, e, &Server{ReadHeaderTimeout: tick, IdleTimeout: time.Hour, ReadTimeout: time.Hour})
		whileServing(s, func() {
			for _, front := range []string{"", "/fast", "/slow"} {
				p := s.dial()
				if front != "" {
					p.get(front)
				}
				endsAfter(t, tick, func() {
					p.send(getLine)
					p.expectRefusal(408)
				})

				p = s.dial()
				go func() { // slowly for ever
					for {
						if _, err := io.WriteString(p, "G"); err != nil {
							return
						}
						time.Sleep(tick / 10)
					}
				}()
				p.expectRefusal(408)
			}
		})
	})
}

// A body may be slow as long as something comes.
func TestSlowBody(t *testing.T) {
	eachTransport(t, func(t *testing.T, e engine) {
		s := timed(t, e, &Server{ReadTimeout: 2 * tick, ReadHeaderTimeout: time.Hour, IdleTimeout: time.Hour})
		whileServing(s, func() {
			for _, body := range []string{"Content-Length: 100\r\n\r\n", "Content-Length: 100\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\nab", "Transfer-Encoding: chunked\r\n\r\n0\r\n"} {
				p := s.dial()
				endsAfter(t, 2*tick, func() {
					p.send(postHead + body)
					p.expectRefusal(408)
				})
			}
			p := s.dial()
			p.send(postHead + "Content-Length: 12\r\n\r\n")
			for range 12 {
				time.Sleep(tick / 4)
				p.send("a")
			}
			p.expectAnswer(200, "POST test/ aaaaaaaaaaaa")
		})
	})
}

// Idle connections end in silence, whether they have asked something or not.
func TestIdleConnections(t *testing.T) {
	eachTransport(t, func(t *testing.T, e engine) {
		tick := e.tick()
		s := timed(t, e, &Server{ReadHeaderTimeout: 2 * tick, IdleTimeout: tick})
		whileServing(s, func() {
			p := s.dial()
			endsAfter(t, 2*tick, p.expectEnd)
			for _, path := range []string{"/fast", "/slow"} {
				p := s.dial()
				for range 3 {
					p.get(path)
					time.Sleep(tick / 6)
				}
				p.get(path)
				endsAfter(t, tick, p.expectEnd)
			}
		})
	})
}

// A connection is not idle while its handler runs or its client reads.
func TestBusyIsNotIdle(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		body := pattern(8 << 20)
		began, goOn := make(chan bool), make(chan bool)
		standard := std(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/flush" {
				flush(w)
			}
			began <- true
			<-goOn
			io.WriteString(w, "late")
		})
		start := time.Now()
		var skew atomic.Int64
		s := serve(t, e, &Server{
			ReadHeaderTimeout: time.Hour, ReadTimeout: time.Hour, IdleTimeout: time.Hour, WriteTimeout: -1, Loops: 1,
			clock: func() int64 { return int64(time.Since(start)) + skew.Load() },
			Handler: HandlerFunc(func(x *Exchange) {
				switch x.Path() {
				case "/big":
					x.WriteString(body)
				case "/fast":
				default:
					x.Delegate(standard)
				}
			}),
		})
		// Hours pass on the loop. It looks at its clock once a turn, and at its
		// timers after its tasks: the third task comes after both.
		hoursPass := func() {
			skew.Add(int64(3 * time.Hour))
			for range 3 {
				ran := make(chan bool)
				s.workers[0].loop.Do(func(*conn.Loop) { close(ran) })
				expect(t, "the loop", ran)
			}
		}
		for _, path := range []string{"/sleep", "/flush"} {
			p := s.dial()
			for range 2 {
				p.send("GET " + path + " HTTP/1.1\r\nHost: test\r\n\r\n")
				expect(t, "the handler", began)
				hoursPass()
				goOn <- true
				p.expectAnswer(200, "late")
			}
		}
		p := connectPeer(t, s.network, s.addr, 16<<10)
		p.send("GET /big HTTP/1.1\r\nHost: test\r\n\r\n")
		p.r.Peek(1)
		hoursPass()
		p.expectAnswer(200, body)
		p.get("/fast")
		hoursPass()
		p.expectEnd()
	})
}

// A client that reads nothing is dropped after WriteTimeout, and what was queued
// for it is freed; the handler that streams to it is told.
func TestClientThatNeverReads(t *testing.T) {
	const (
		clients = 4
		size    = 12 << 20 // more than the kernel takes
	)
	began := make(chan bool, clients)
	native := HandlerFunc(func(x *Exchange) {
		if x.Path() == "/big" {
			began <- true
			x.Write(make([]byte, size))
			return
		}
		x.Delegate(askers())
	})
	result := make(chan error, clients)
	standard := std(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/big" {
			askers().ServeHTTP(w, r)
			return
		}
		began <- true
		piece := make([]byte, 1<<20)
		for {
			if _, err := w.Write(piece); err != nil {
				result <- err
				return
			}
		}
	})
	eachTransport(t, func(t *testing.T, e engine) {
		for _, h := range []http.Handler{native, standard} {
			s := serve(t, e, &Server{Handler: h, Loops: 1, WriteTimeout: 4 * tick, ReadHeaderTimeout: time.Hour, IdleTimeout: time.Hour})
			before := resident(t)
			whileServing(s, func() {
				peers := make([]*peer, clients)
				for i := range peers {
					peers[i] = connectPeer(t, s.network, s.addr, 16<<10)
					peers[i].send("GET /big HTTP/1.1\r\nHost: test\r\n\r\n")
				}
				for range clients {
					expect(t, "the handler", began)
				}
				if _, ok := h.(http.HandlerFunc); ok {
					for range clients {
						if err := expect(t, "Write failing", result); err == nil {
							t.Error("no error")
						}
					}
				}
				if !eventually(func() bool { return s.conns() == 1 }) {
					t.Errorf("%d connections are left, want the other one", s.conns())
				}
				for _, p := range peers {
					if a, err := readAnswer(p.r, "GET"); a == nil || err == nil {
						t.Errorf("%v; want the beginning of an answer", err)
					}
				}
			})
			if checksEnabled {
				continue // the race detector's memory is part of the process
			}
			if !eventually(func() bool { return resident(t) < before+clients*size/2 }) {
				t.Errorf("%d KiB before, %d KiB after %d clients were dropped", before>>10, resident(t)>>10, clients)
			}
		}
	})
}

// resident returns the memory of the process in bytes, without what the garbage
// collector could give back.
func resident(t testing.TB) int {
	t.Helper()
	debug.FreeOSMemory()
	return memoryOf(t)
}

// A timeout that is negative is none.
func TestNoTimeouts(t *testing.T) {
	eachTransport(t, func(t *testing.T, e engine) {
		s := timed(t, e, &Server{ReadHeaderTimeout: -1, ReadTimeout: -1, WriteTimeout: -1, IdleTimeout: -1})
		p := s.dial()
		p.get("/slow")
		p.expectSilence(tick)
		p.send(postHead)
		p.expectSilence(tick)
		p.send("Content-Length: 5\r\n\r\n")
		p.expectSilence(tick)
		p.send("hello")
		p.expectAnswer(200, "POST test/ hello")
	})
}

// Many timers at once, set and moved by requests, end what they should.
func TestManyIdleConnections(t *testing.T) {
	eachTransport(t, func(t *testing.T, e engine) {
		tick := e.tick()
		s := timed(t, e, &Server{IdleTimeout: 4 * tick, ReadHeaderTimeout: 4 * tick})
		peers := make([]*peer, 200)
		for i := range peers {
			peers[i] = s.dial()
			if i%2 == 0 {
				peers[i].get("/fast")
			}
		}
		runtime.Gosched()
		for i, p := range peers {
			if i%4 == 0 {
				p.send(strings.Repeat("GET /fast HTTP/1.1\r\nHost: test\r\n\r\n", 2))
				p.expectAnswer(200, "GET test/fast ")
				p.expectAnswer(200, "GET test/fast ")
			}
		}
		for _, p := range peers {
			p.expectEnd()
		}
	})
}
