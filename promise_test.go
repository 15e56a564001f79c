package ringkit

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// What a server promises about handlers that block, over real sockets.

// threads returns how many threads the process has.
func threads(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// A handler that blocks, in whatever way, holds up nobody else on its loop.
func TestBlockedHandlerHoldsUpNobody(t *testing.T) {
	const long, bound = 300 * time.Millisecond, 150 * time.Millisecond
	for _, c := range []struct {
		name  string
		block func()
	}{
		{"sleep", func() { time.Sleep(long) }},
		{"channel", func() { <-time.After(long) }},
		{"system call", func() { blockInKernel(long) }},
		{"computation", func() { spin(long) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, e engine) {
				s := serve(t, e, &Server{Loops: 1, Handler: HandlerFunc(func(x *Exchange) {
					if x.Path() == "/block" {
						c.block()
					}
					x.WriteString(x.Path())
				})})
				blocked, other := s.dial(), s.dial()
				other.get("/first")
				start := time.Now()
				blocked.send(ask("GET", "/block") + ask("GET", "/next"))
				answers, slowest := 0, time.Duration(0)
				for time.Since(start) < long-bound/2 {
					asked := time.Now()
					other.send(ask("GET", "/other"))
					other.expectAnswer(200, "/other")
					slowest = max(slowest, time.Since(asked))
					answers++
				}
				if slowest > bound || answers < 2 {
					t.Errorf("%d answers while a handler blocked, the slowest after %v", answers, slowest)
				}
				blocked.expectAnswer(200, "/block")
				blocked.expectAnswer(200, "/next")
				if took := time.Since(start); took < long {
					t.Errorf("the handler that blocks took %v", took)
				}
				if stats := s.Stats(); stats.Takeovers == 0 {
					t.Errorf("no takeover: %+v", stats)
				}
			})
		})
	}
}

// Routes that block are found out, and found to be fast again.
func TestPredictor(t *testing.T) {
	mux := http.NewServeMux()
	var slow atomic.Bool
	answer := func(w http.ResponseWriter, r *http.Request) {
		if slow.Load() {
			time.Sleep(3 * time.Millisecond)
		}
		io.WriteString(w, r.URL.Path)
	}
	mux.HandleFunc("/", answer)
	mux.HandleFunc("/user/{name}", answer)
	letters := func(i int) string { return strings.Repeat(string(rune('a'+i%26)), 1+i/26) }
	native := HandlerFunc(func(x *Exchange) {
		if slow.Load() {
			time.Sleep(3 * time.Millisecond)
		}
		x.WriteString(x.Path())
	})
	for _, c := range []struct {
		name    string
		handler http.Handler
		path    func(i int) string
	}{
		{"native", native, func(int) string { return "/some/path" }},
		{"identifiers", native, func(i int) string { return fmt.Sprint("/some/", i, "/path") }},
		{"standard", http.HandlerFunc(answer), func(i int) string { return fmt.Sprint("/some/", i) }},
		{"pattern", mux, func(i int) string { return "/user/" + letters(i) }},
		{"behind a native handler", HandlerFunc(func(x *Exchange) { x.Delegate(mux) }), func(i int) string { return fmt.Sprint("/user/", i) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, e engine) {
				const calls = 200
				slow.Store(true)
				s := serve(t, e, &Server{Loops: 1, Handler: c.handler})
				p := s.dial()
				for i := range calls {
					p.send(ask("GET", c.path(i)))
					p.expectAnswer(200, c.path(i))
				}
				// A few calls may be over before the watchdog has looked twice, and a
				// native handler may have been held up itself.
				if stats := s.Stats(); stats.Takeovers < 1 || stats.Takeovers > 6 || stats.Predicted < calls-10 {
					t.Errorf("after %d slow calls: %+v", calls, stats)
				}
				slow.Store(false)
				for i := 0; i < 20_000 && s.predict.blocking.Load() > 0; i++ {
					p.send(ask("GET", c.path(i%100)))
					p.expectAnswer(200, c.path(i%100))
				}
				before := s.Stats()
				for i := range 10 {
					p.send(ask("GET", c.path(i)))
					p.expectAnswer(200, c.path(i))
				}
				after := s.Stats()
				if after.Inline < before.Inline+10 && after.Takeovers == before.Takeovers {
					t.Errorf("10 fast calls after many: before %+v, after %+v", before, after)
				}
			})
		})
	}
}

// One route that blocks does not make others go to goroutines.
func TestPredictorKnowsRoutesApart(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Loops: 1, Handler: HandlerFunc(func(x *Exchange) {
			if x.Path() == "/slow" {
				time.Sleep(5 * time.Millisecond)
			}
		})})
		p := s.dial()
		for range 20 {
			p.get("/slow")
		}
		before := s.Stats()
		for range 100 {
			p.get("/fast")
		}
		if after := s.Stats(); after.Predicted-before.Predicted > 50 {
			t.Errorf("100 fast calls: before %+v, after %+v", before, after)
		}
	})
}

// More than may run on goroutines wait for their turn, more than may wait are
// refused.
func TestQueueOfHandlers(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		const most = 2
		for _, native := range []bool{false, true} {
			began, goOn := make(chan bool, 10), make(chan bool)
			wait := func() {
				began <- true
				<-goOn
			}
			srv := &Server{Loops: 1, Mode: Goroutine, MaxConcurrent: most, MaxQueued: most}
			srv.Handler = std(func(w http.ResponseWriter, r *http.Request) { wait() })
			if native {
				srv.Handler = HandlerFunc(func(*Exchange) { wait() })
			}
			s := serve(t, e, srv)
			var peers []*peer
			for i := range 2 * most {
				p := s.dial()
				peers = append(peers, p)
				p.send(smallRequest)
				want := Stats{Running: min(i+1, most), Queued: max(0, i+1-most)}
				if !eventually(func() bool { st := s.Stats(); return st.Running == want.Running && st.Queued == want.Queued }) {
					t.Fatalf("after request %d: %+v", i, s.Stats())
				}
			}
			late := s.dial()
			for range 3 {
				if a := late.get("/"); a.status != 503 || a.get("Retry-After") == "" {
					t.Errorf("%d with Retry-After %q, want a 503", a.status, a.get("Retry-After"))
				}
			}
			close(goOn)
			for _, p := range peers {
				p.expectAnswer(200, "")
			}
			late.get("/")
			if !eventually(func() bool { return s.Stats().Running == 0 }) {
				t.Errorf("handlers are running: %+v", s.Stats())
			}
			if st := s.Stats(); st.Queued != 0 || st.Refused != 3 || st.Spawned != 2*most+1 || st.Inline+st.Predicted+st.Takeovers != 0 {
				t.Errorf("at the end: %+v", st)
			}
			if len(began) != 2*most+1 {
				t.Errorf("%d handlers began, want %d", len(began), 2*most+1)
			}
		}
	})
}

// The modes do what they say, and what is counted adds up.
func TestModes(t *testing.T) {
	const rounds = 40
	eachKind(t, func(t *testing.T, e engine) {
		for _, mode := range []Mode{Auto, Inline, Goroutine} {
			standard := std(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/slow") {
					time.Sleep(4 * time.Millisecond)
				}
				io.WriteString(w, r.URL.Path)
			})
			s := serve(t, e, &Server{Loops: 1, Mode: mode, Handler: standard})
			p := s.dial()
			for range rounds {
				for _, path := range []string{"/fast", "/slow"} {
					p.send(ask("GET", path))
					p.expectAnswer(200, path)
				}
			}
			st := s.Stats()
			if st.Inline+st.Spawned != 2*rounds || st.Predicted > st.Spawned || st.Takeovers > st.Inline || st.Refused != 0 || st.Conns != 1 || st.Running+st.Queued != 0 {
				t.Errorf("%v: %+v", mode, st)
			}
			switch {
			case mode == Inline && (st.Spawned != 0 || st.Takeovers != 0),
				mode == Goroutine && (st.Inline != 0 || st.Predicted != 0 || st.Takeovers != 0),
				mode == Auto && (st.Takeovers == 0 || st.Predicted != st.Spawned):
				t.Errorf("%v: %+v", mode, st)
			}
		}
	})
}

// In mode Inline a handler has the loop for itself, however long it takes.
func TestInlineHoldsUp(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		began, goOn := make(chan bool), make(chan bool)
		s := serve(t, e, &Server{Loops: 1, Mode: Inline, Handler: HandlerFunc(func(x *Exchange) {
			if x.Path() == "/block" {
				began <- true
				<-goOn
			}
		})})
		blocked, other := s.dial(), s.dial()
		other.get("/")
		blocked.send(ask("GET", "/block"))
		expect(t, "the handler", began)
		other.send(ask("GET", "/"))
		other.expectSilence(50 * time.Millisecond)
		close(goOn)
		other.expectAnswer(200, "")
		blocked.expectAnswer(200, "")
	})
}

// A handler may be a client of its own server, also when that has a single loop.
func TestHandlerCallsItsOwnServer(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		s := serve(t, e, &Server{Loops: 1, Handler: std(func(w http.ResponseWriter, r *http.Request) {
			if len(r.URL.Path) > 1 {
				own := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
				resp, err := client.Get("http://" + own.String() + r.URL.Path[1:])
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				io.Copy(w, resp.Body)
			}
			fmt.Fprint(w, len(r.URL.Path))
		})})
		p := s.dial()
		for range 20 {
			p.send(ask("GET", "/////"))
			p.expectAnswer(200, "12345")
		}
	})
}

// A thousand handlers that block at the same time take neither the loop nor a thread
// each.
func TestThousandBlockedHandlers(t *testing.T) {
	const n = 1000
	eachKind(t, func(t *testing.T, e engine) {
		var blocked atomic.Int32
		goOn := make(chan bool)
		s := serve(t, e, &Server{Loops: 1, Handler: HandlerFunc(func(x *Exchange) {
			if x.Path() == "/block" {
				blocked.Add(1)
				<-goOn
			}
			x.WriteString(x.Path())
		})})
		other := s.dial()
		other.get("/")
		before := threads(t)
		var peers []*peer
		for range n {
			p := s.dial()
			p.send(ask("GET", "/block"))
			peers = append(peers, p)
		}
		if !eventually(func() bool { return blocked.Load() == n }) {
			t.Errorf("%d of %d handlers run", blocked.Load(), n)
		}
		if grown := threads(t) - before; grown > 50 {
			t.Errorf("%d threads more than before", grown)
		}
		other.send(ask("GET", "/other"))
		other.expectAnswer(200, "/other")
		close(goOn)
		for _, p := range peers {
			p.expectAnswer(200, "/block")
			p.Close()
		}
	})
}

// Takeovers do not use up threads, nor leave goroutines behind.
func TestTakeoversTakeNoThreads(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		const times = 200
		srv := &Server{Loops: 1}
		srv.Handler = HandlerFunc(func(x *Exchange) {
			srv.predict.forget()
			time.Sleep(5 * time.Millisecond)
		})
		s := serve(t, e, srv)
		p := s.dial()
		p.get("/")
		before := threads(t)
		for range times {
			p.get("/")
		}
		st := s.Stats()
		if st.Takeovers < times/4 {
			t.Errorf("few takeovers: %+v", st)
		}
		if grown := threads(t) - before; grown > 20 {
			t.Errorf("%d takeovers: %d threads more than before", st.Takeovers, grown)
		}
	})
}

// Shutdown waits for the answers of handlers that block, Close for nobody.
func TestEndWhileHandlersBlock(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		for _, c := range []struct {
			name   string
			native bool
		}{{"native", true}, {"standard", false}} {
			for _, graceful := range []bool{true, false} {
				began, goOn := make(chan bool, 2), make(chan bool)
				srv := &Server{Loops: 1}
				srv.Handler = std(func(w http.ResponseWriter, r *http.Request) {
					began <- true
					<-goOn
					io.WriteString(w, "late")
				})
				if c.native {
					srv.Handler = HandlerFunc(func(x *Exchange) {
						began <- true
						<-goOn
						x.WriteString("late")
					})
				}
				s := serve(t, e, srv)
				peers := []*peer{s.dial(), s.dial()} // one on the loop, one on a goroutine
				for _, p := range peers {
					p.send(ask("GET", "/"))
					expect(t, "the handler", began)
				}
				if !graceful {
					within(t, "Close", func() { s.Close() })
					close(goOn)
					for _, p := range peers {
						if b, _ := io.ReadAll(p.r); len(b) > 0 {
							t.Errorf("%s: %q after Close", c.name, b)
						}
					}
					continue
				}
				ended := make(chan error, 1)
				go func() { ended <- s.Shutdown(context.Background()) }()
				select {
				case err := <-ended:
					t.Errorf("%s: Shutdown returned %v before the handlers", c.name, err)
				case <-time.After(50 * time.Millisecond):
				}
				close(goOn)
				for _, p := range peers {
					if a := p.expectAnswer(200, "late"); a.get("Connection") != "close" {
						t.Errorf("%s: Connection %q in the last answer", c.name, a.get("Connection"))
					}
					p.expectEnd()
					p.Close()
				}
				if err := expect(t, "Shutdown", ended); err != nil {
					t.Errorf("%s: Shutdown = %v", c.name, err)
				}
			}
		}
	})
}

// A route is the same whichever form the target has that names it.
func TestPredictorKnowsAbsoluteForm(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Loops: 1, Handler: std(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(5 * time.Millisecond)
		})})
		p := s.dial()
		for range 20 {
			p.send("GET http://test/slow?a=b HTTP/1.1\r\nHost: test\r\n\r\n")
			p.expectAnswer(200, "")
		}
		if stats := s.Stats(); stats.Predicted == 0 {
			t.Errorf("nothing was predicted: %+v", stats)
		}
	})
}
