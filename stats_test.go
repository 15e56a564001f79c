package ringkit

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// figures returns the figures of a server by their names in the text format, summed
// over the loops.
func (s *site) figures() map[string]int {
	s.Helper()
	var text strings.Builder
	stats := s.Stats()
	if err := stats.writePrometheus(&text); err != nil {
		s.Fatal(err)
	}
	sums := make(map[string]int)
	for name, value := range parseExposition(s.TB, text.String()) {
		sums[loopLabel.ReplaceAllString(name, "")] += value
	}
	return sums
}

var loopLabel = regexp.MustCompile(`{loop="\d+"}|loop="\d+",`)

// uncounted are figures that depend on how the kernel groups what happens.
var uncounted = regexp.MustCompile(`^ringkit_(turns|completions|(received|sent)_bytes|receives_starved)_total$|^ringkit_loop_info`)

// expectFigures waits for a server to have moved these figures and no others. The names
// are those of the text format, without what all have.
func (s *site) expectFigures(want string) {
	s.Helper()
	var got string
	if !eventually(func() bool { got = s.moved(); return got == want }) {
		s.Errorf("the figures are\n%s\nwant\n%s", got, want)
	}
}

func (s *site) moved() string {
	s.Helper()
	figures := s.figures()
	var moved []string
	for name, n := range figures {
		if n != 0 && !uncounted.MatchString(name) {
			short := strings.Replace(strings.TrimPrefix(name, "ringkit_"), "_total", "", 1)
			moved = append(moved, fmt.Sprint(short, " ", n))
		}
	}
	slices.Sort(moved)
	return strings.Join(moved, ", ")
}

// statsSite serves what the tests of counters need.
func statsSite(t *testing.T, e engine, srv *Server) *site {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	mux.HandleFunc("/body", func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.PathValue("code"))
		w.WriteHeader(code)
	})
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("a test") })
	mux.HandleFunc("/abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 32<<20)) })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) { time.Sleep(20 * time.Millisecond) })
	mux.HandleFunc("/hijack", func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(c, "hijacked")
		c.Close()
	})
	srv.Handler = mux
	return serve(t, e, srv)
}

// Each counter moves when it should, and no other does.
func TestStatsCount(t *testing.T) {
	const (
		one  = "connections_opened 1, connections{state=\"idle\"} 1"
		over = "connections_closed 1, connections_opened 1"
		ok   = ", handlers_inline 1, requests 1, responses{class=\"2xx\"} 1"
		bad  = ", requests_rejected 1, responses{class=\"4xx\"} 1"
	)
	for _, c := range []struct {
		name string
		srv  *Server
		act  func(p *peer)
		want string
	}{
		{"a connection", &Server{}, func(p *peer) {}, one},
		{"a request", &Server{}, func(p *peer) { p.get("/") }, one + ok},
		{"pipelined", &Server{}, func(p *peer) {
			p.send(ask("GET", "/") + ask("GET", "/"))
			p.expectAnswer(200, "hello")
			p.expectAnswer(200, "hello")
		}, one + `, handlers_inline 2, requests 2, responses{class="2xx"} 2`},
		{"classes", &Server{}, func(p *peer) {
			for _, code := range []string{"204", "301", "304", "404", "500", "600"} {
				p.get("/status/" + code)
			}
		}, one + `, handlers_inline 6, requests 6, responses{class="2xx"} 1, responses{class="3xx"} 2, ` +
			`responses{class="4xx"} 1, responses{class="5xx"} 1, responses{class="other"} 1`},
		{"closed by the client", &Server{}, func(p *peer) { p.get("/"); p.Close() }, over + ok},
		{"malformed", &Server{}, func(p *peer) { p.send("GET\r\n\r\n"); p.answer("GET"); p.Close() }, over + bad},
		{"too large", &Server{MaxBodyBytes: 10}, func(p *peer) {
			p.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n")
			p.answer("POST")
			p.Close()
		}, over + ", requests 1" + bad},
		{"header timeout", &Server{ReadHeaderTimeout: tick}, func(p *peer) { p.send("GET /"); p.answer("GET"); p.Close() },
			over + bad + `, timeouts{kind="header"} 1`},
		{"read timeout", &Server{ReadTimeout: min(tick, gatherWait)}, func(p *peer) {
			p.send("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello")
			p.answer("POST")
			p.Close()
		}, over + ", requests 1" + bad + `, timeouts{kind="read"} 1`},
		{"read timeout of a handler", &Server{ReadTimeout: tick}, func(p *peer) {
			p.send("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello")
			p.answer("POST")
			p.Close()
		}, over + `, handlers_spawned 1, requests 1, responses{class="2xx"} 1, timeouts{kind="read"} 1`},
		{"idle timeout", &Server{IdleTimeout: tick}, func(p *peer) { p.get("/") }, over + ok + `, timeouts{kind="idle"} 1`},
		{"write timeout", &Server{WriteTimeout: tick, Mode: Goroutine}, func(p *peer) { p.send(ask("GET", "/large")) },
			over + `, handlers_spawned 1, requests 1, timeouts{kind="write"} 1`},
		{"panic", &Server{}, func(p *peer) { p.get("/panic"); p.Close() },
			over + `, handlers_inline 1, handlers_panicked 1, requests 1, responses{class="5xx"} 1`},
		{"abort", &Server{}, func(p *peer) { p.send(ask("GET", "/abort")); io.ReadAll(p); p.Close() },
			over + ", handlers_inline 1, requests 1"},
		{"hijack", &Server{}, func(p *peer) { p.send(ask("GET", "/hijack")); io.ReadAll(p) },
			"connections_hijacked 1, connections_opened 1, handlers_inline 1, released 1, requests 1"},
		{"goroutine", &Server{Mode: Goroutine}, func(p *peer) { p.get("/") },
			one + `, handlers_spawned 1, requests 1, responses{class="2xx"} 1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, e engine) {
				srv := &Server{
					Loops: 1, Mode: c.srv.Mode, MaxBodyBytes: c.srv.MaxBodyBytes, WriteTimeout: c.srv.WriteTimeout,
					ReadHeaderTimeout: c.srv.ReadHeaderTimeout, ReadTimeout: c.srv.ReadTimeout, IdleTimeout: c.srv.IdleTimeout,
				}
				if srv.Mode == Auto {
					srv.Mode = Inline // on a busy machine any handler may lose its loop
				}
				s := statsSite(t, e, srv)
				p := connectPeer(t, "tcp", s.addr, 4096)
				c.act(p)
				s.expectFigures(c.want)
			})
		})
	}
}

// What goes past the queue counts as sent, also where the loop has not been told yet
// how much it was: the client is slow, so that it is asked for room.
func TestStatsOfFiles(t *testing.T) {
	const size = 8 << 20
	name := hollow(t, size)
	eachKind(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: sends(name)})
		p := connectPeer(t, s.network, s.addr, 64<<10)
		p.send(smallRequest)
		p.discardFile(size, size/2, func() {})
		var sent uint64
		if !eventually(func() bool { sent = s.Stats().BytesOut; return sent > size }) {
			t.Errorf("%d bytes were sent, want more than %d", sent, size)
		}
	})
}

// A handler that blocks is taken over the first time, and predicted the second.
func TestStatsOfBlockedHandlers(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		s := statsSite(t, e, &Server{Loops: 1})
		p := s.dial()
		p.get("/slow")
		if n := s.Stats(); n.Takeovers != 1 || n.Inline != 1 || n.Predicted+n.Spawned != 0 {
			t.Errorf("%+v", n)
		}
		p.get("/slow")
		if n := s.Stats(); n.Takeovers != 1 || n.Inline != 1 || n.Predicted != 1 || n.Spawned != 1 || n.Loops[0].Takeovers != 1 {
			t.Errorf("%+v", n)
		}
	})
}

// Connections are counted by what they do.
func TestStatsStates(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		release := make(chan struct{})
		var once sync.Once
		defer once.Do(func() { close(release) })
		mux := http.NewServeMux()
		mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {})
		mux.HandleFunc("/body", func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
		mux.HandleFunc("/wait", func(w http.ResponseWriter, r *http.Request) { <-release })
		s := serve(t, e, &Server{Handler: mux, Loops: 2, MaxConcurrent: 3, MaxQueued: -1, ReadHeaderTimeout: patience})
		expect := func(want ConnStates, running int) {
			t.Helper()
			var got Stats
			if !eventually(func() bool { got = s.Stats(); return got.States == want && got.Running == running }) {
				t.Fatalf("%+v, %d handlers, want %+v, %d", got.States, got.Running, want, running)
			}
			sum := want.Idle + want.Reading + want.Handling + want.Streaming + want.Closing
			if got.Conns != sum || got.Opened != got.Closed+uint64(sum) {
				t.Errorf("%+v", got)
			}
		}
		a, b, c, d := s.dial(), s.dial(), s.dial(), s.dial()
		expect(ConnStates{Idle: 4}, 0)
		a.send("GET /")
		b.send("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello") // a stalled body goes to its handler
		expect(ConnStates{Idle: 2, Reading: 1, Streaming: 1}, 1)
		c.send(ask("GET", "/wait"))
		expect(ConnStates{Idle: 1, Reading: 1, Streaming: 1, Handling: 1}, 2)
		d.send(ask("GET", "/wait"))
		expect(ConnStates{Reading: 1, Streaming: 1, Handling: 2}, 3)
		a.send(" HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
		if got := a.answer("GET"); got.status != 503 {
			t.Errorf("answered with %d", got.status)
		}
		b.send("hello")
		b.expectAnswer(200, "")
		expect(ConnStates{Idle: 1, Handling: 2, Closing: 1}, 2) // a lingers
		a.Close()
		expect(ConnStates{Idle: 1, Handling: 2}, 2)
		once.Do(func() { close(release) })
		c.expectAnswer(200, "")
		d.expectAnswer(200, "")
		expect(ConnStates{Idle: 3}, 0)
		if n := s.Stats(); n.Refused != 1 || n.Rejected != 1 || n.Responses.Class5xx != 1 {
			t.Errorf("%+v", n)
		}
		for _, p := range []*peer{b, c, d} {
			p.Close()
		}
		expect(ConnStates{}, 0)
	})
}

// Bytes are those on the wire.
func TestStatsBytes(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: HandlerFunc(helloNative), Loops: 1})
		p := s.dial()
		p.send(ask("GET", "/nothing") + "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		answer, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		in := uint64(len(ask("GET", "/nothing")) + len("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
		var n Stats
		if !eventually(func() bool { n = s.Stats(); return n.BytesIn == in && n.BytesOut == uint64(len(answer)) }) {
			t.Errorf("%d bytes in, %d out, want %d, %d", n.BytesIn, n.BytesOut, in, len(answer))
		}
		if n.Turns == 0 || n.Completions < 3 {
			t.Errorf("%d turns, %d completions", n.Turns, n.Completions)
		}
	})
}

// Stats may be called at any time: before the start, by handlers, while a hook keeps a
// loop, by that hook, and after the end.
func TestStatsAnyTime(t *testing.T) {
	if s := new(Server).Stats(); s.Requests != 0 || len(s.Loops) != 0 {
		t.Errorf("before the start: %+v", s)
	}
	eachKind(t, func(t *testing.T, e engine) {
		for _, mode := range []Mode{Inline, Goroutine} {
			srv := &Server{Loops: 1, Mode: mode}
			srv.Handler = HandlerFunc(func(x *Exchange) {
				n := srv.Stats()
				fmt.Fprint(x, n.Requests, n.States.Idle+n.States.Handling)
			})
			p := serve(t, e, srv).dial()
			for i := range 3 {
				p.send(ask("GET", "/"))
				p.expectAnswer(200, fmt.Sprint(i+1, 1))
			}
		}
		block, blocks := make(chan struct{}), make(chan struct{})
		srv := &Server{Loops: 2, Handler: HandlerFunc(helloNative)}
		srv.Hooks.Rejected = func(net.Addr, int, string) {
			srv.Stats()
			close(blocks)
			<-block
		}
		s := serve(t, e, srv)
		p := s.dial()
		p.get("/")
		s.expectFigures(`connections_opened 1, connections{state="idle"} 1, handlers_inline 1, requests 1, responses{class="2xx"} 1`)
		p.send("BAD\r\n\r\n")
		expect(t, "the hook to be called", blocks)
		if n := s.Stats(); n.Requests != 1 || n.Rejected != 0 || len(n.Loops) != 2 {
			t.Errorf("while a hook blocks: %+v", n)
		}
		close(block)
		p.answer("GET")
		p.Close()
		s.Close()
		if n := s.Stats(); n.Requests != 1 || n.Rejected != 1 || n.Conns != 0 || n.Opened != 1 || n.Closed != 1 || n.States != (ConnStates{}) {
			t.Errorf("after the end: %+v", n)
		}
	})
}

// Stats and its handler may be used while everything else happens.
func TestStatsConcurrently(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		s := statsSite(t, e, &Server{Loops: 2})
		stop := make(chan struct{})
		var readers, clients sync.WaitGroup
		for range 2 {
			readers.Go(func() {
				for last := uint64(0); ; {
					select {
					case <-stop:
						return
					default:
					}
					n := s.Stats()
					if n.Requests < last {
						t.Errorf("%d requests after %d", n.Requests, last)
					}
					last = n.Requests
				}
			})
		}
		paths := []string{"/", "/status/404", "/slow", "/body"}
		for i := range 4 {
			clients.Go(func() {
				p := s.dial()
				for range 50 {
					p.send(ask("GET", paths[i]))
					p.answer("GET")
				}
			})
		}
		clients.Wait()
		if n := s.Stats(); n.Requests != 200 || n.Responses.Class2xx != 150 || n.Responses.Class4xx != 50 {
			t.Errorf("%+v", n)
		}
		s.Close()
		close(stop)
		readers.Wait()
	})
}
