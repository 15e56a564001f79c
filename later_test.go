package ringkit

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A request is answered later by another goroutine, with what the handler has set, in the
// order of the requests, wherever the handler is mounted; once.
func TestAnswerLater(t *testing.T) {
	eachPlace(t, func(t *testing.T, pl place) {
		replies := make(chan *Reply, 10)
		p := pl.dial(t, func(x *Exchange) {
			x.SetHeader("X-Handler", "returned")
			x.WriteString(x.Path())
			if strings.HasPrefix(x.Path(), "/later") {
				r := x.Later(nil)
				if x.Later(nil) != r {
					t.Error("two replies")
				}
				replies <- r
			}
		})
		for round := range 3 {
			p.send(ask("GET", "/later"), ask("POST", "/now", "Content-Length: 3"), "abc", ask("GET", "/later"))
			r := expect(t, "the handler", replies)
			p.expectSilence(time.Millisecond)
			answer := func(x *Exchange) {
				x.SetStatus(201)
				fmt.Fprint(x, " answered ", round)
			}
			if err := r.Answer(answer); err != nil {
				t.Fatal(err)
			}
			if err := r.Answer(answer); err != ErrAnswered {
				t.Errorf("the second answer: %v", err)
			}
			if a := p.expectAnswer(201, fmt.Sprint("/later answered ", round)); a.get("X-Handler") != "returned" {
				t.Errorf("%q", a.fields)
			}
			p.expectAnswer(200, "/now")
			expect(t, "the handler", replies).Answer(answer)
			p.expectAnswer(201, fmt.Sprint("/later answered ", round))
			if err := r.Answer(answer); err != ErrAnswered {
				t.Errorf("a late answer: %v", err)
			}
		}
	})
}

// Answer may come before the handler has returned, its function may ask for Later again or
// delegate, and have the goroutine taken from it.
func TestAnswerAgain(t *testing.T) {
	eachPlace(t, func(t *testing.T, pl place) {
		std := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s", r.URL.Path, b)
		})
		p := pl.dial(t, func(x *Exchange) {
			x.Later(nil).Answer(func(x *Exchange) {
				r := x.Later(nil)
				go r.Answer(func(x *Exchange) {
					time.Sleep(3 * time.Millisecond) // the loop goes on without it
					if x.Path() == "/std" {
						x.Delegate(std)
						return
					}
					fmt.Fprintf(x, "%s %s", x.Path(), x.Body())
				})
			})
		})
		for range 3 {
			for _, path := range []string{"/std", "/native"} {
				p.send(ask("POST", path, "Content-Length: 4"), "body")
				p.expectAnswer(200, path+" body")
			}
		}
	})
}

// eachMode runs a test on each engine with handlers in each place.
func eachMode(t *testing.T, test func(*testing.T, engine, Mode)) {
	eachEngine(t, func(t *testing.T, e engine) {
		for _, m := range []Mode{Auto, Inline, Goroutine} {
			t.Run(m.String(), func(t *testing.T) { test(t, e, m) })
		}
	})
}

// A client that goes while its request waits is told of once, by gone; what comes later
// reaches nobody, least of all the connection that has its place.
func TestAnswerNobody(t *testing.T) {
	eachMode(t, func(t *testing.T, e engine, m Mode) {
		replies, gone := make(chan *Reply, 1), make(chan bool, 10)
		s := serve(t, e, &Server{Loops: 1, Mode: m, Handler: HandlerFunc(func(x *Exchange) {
			replies <- x.Later(func() { gone <- true })
		})})
		for _, leave := range []func(*peer){(*peer).reset, func(p *peer) { p.Close() }} {
			p := s.dial()
			p.send(smallRequest)
			old := expect(t, "the handler", replies)
			leave(p)
			expect(t, "gone", gone)
			if !eventually(func() bool { old.Answer(nothing); return s.conns() == 0 }) {
				t.Error("the connection is still there")
			}
			p = s.dial()
			p.send(smallRequest)
			r := expect(t, "the handler", replies)
			if err := old.Answer(func(x *Exchange) { x.WriteString("late") }); err != ErrAnswered {
				t.Errorf("a late answer: %v", err)
			}
			r.Answer(func(x *Exchange) { x.WriteString("right") })
			p.expectAnswer(200, "right")
			p.Close()
		}
		if len(gone) > 0 {
			t.Error("gone was called for a request that was answered, or twice")
		}
	})
}

func nothing(*Exchange) {}

// Who has ended its side while it waits is told of, and gets its answer.
func TestAnswerHalfClosed(t *testing.T) {
	eachMode(t, func(t *testing.T, e engine, m Mode) {
		replies, gone := make(chan *Reply, 1), make(chan bool, 10)
		s := serve(t, e, &Server{Mode: m, Handler: HandlerFunc(func(x *Exchange) {
			replies <- x.Later(func() { gone <- true })
		})})
		p := s.dial()
		p.send(smallRequest)
		r := expect(t, "the handler", replies)
		p.halfClose()
		expect(t, "gone", gone)
		if err := r.Answer(func(x *Exchange) { x.WriteString("answered") }); err != nil {
			t.Error(err)
		}
		p.expectAnswer(200, "answered")
		p.expectEnd()
		if len(gone) > 0 {
			t.Error("gone was called twice")
		}
	})
}

// A panic is a 500, before and after the handler has returned, and the end of the Reply.
func TestAnswerPanics(t *testing.T) {
	eachMode(t, func(t *testing.T, e engine, m Mode) {
		replies, gone := make(chan *Reply, 1), make(chan bool, 10)
		s := serve(t, e, &Server{Mode: m, Handler: HandlerFunc(func(x *Exchange) {
			replies <- x.Later(func() { gone <- true })
			if x.Path() == "/at-once" {
				panic("at once")
			}
		})})
		p := s.dial()
		p.send(ask("GET", "/at-once"))
		p.expectAnswer(500, "500 Internal Server Error: the handler failed\n")
		expect(t, "gone", gone)
		if err := expect(t, "the handler", replies).Answer(nothing); err != ErrAnswered {
			t.Error(err)
		}
		p = s.dial()
		p.send(smallRequest)
		expect(t, "the handler", replies).Answer(func(*Exchange) { panic("later") })
		p.expectAnswer(500, "500 Internal Server Error: the handler failed\n")
		for _, what := range []string{"at once", "later"} {
			if !strings.Contains(s.log.String(), what) {
				t.Errorf("the log does not have %q", what)
			}
		}
	})
}

// Shutdown waits for requests that wait; Close does not.
func TestShutdownWaitsForLater(t *testing.T) {
	eachMode(t, func(t *testing.T, e engine, m Mode) {
		replies, gone := make(chan *Reply, 2), make(chan bool, 10)
		s := serve(t, e, &Server{Mode: m, Handler: HandlerFunc(func(x *Exchange) {
			replies <- x.Later(func() { gone <- true })
		})})
		p, other := s.dial(), s.dial()
		p.send(smallRequest)
		r := expect(t, "the handler", replies)
		other.send(smallRequest)
		expect(t, "the handler", replies)
		ctx, cancel := context.WithTimeout(context.Background(), tick/10)
		defer cancel()
		if err := s.Shutdown(ctx); err != context.DeadlineExceeded {
			t.Errorf("Shutdown: %v", err)
		}
		r.Answer(func(x *Exchange) { x.WriteString("answered") })
		if a := p.expectAnswer(200, "answered"); a.get("Connection") != "close" {
			t.Errorf("%q", a.fields)
		}
		s.Close()
		expect(t, "gone", gone)
		if err := r.Answer(nothing); err != ErrAnswered {
			t.Error(err)
		}
	})
}

// To wait costs a native request the Reply, and what its handler makes of it.
func TestAnswerLaterAllocations(t *testing.T) {
	if checksEnabled {
		t.Skip("checked builds allocate in their checks")
	}
	_, loop := turning(t, HandlerFunc(func(x *Exchange) { x.Later(nil).Answer(helloNative) }), smallRequest)
	for range 10 {
		turn(t, loop)
	}
	const most = 2 // the Reply, and the method value of its task
	if n := testing.AllocsPerRun(1000, func() { turn(t, loop) }); n >= most+1 {
		t.Errorf("%v allocations per turn, want %d at most", n, most)
	}
}

// Split has small requests on the loop, and reads the bodies of others as they arrive.
func TestSplit(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		began := make(chan bool, 10)
		s := serve(t, e, &Server{MaxBodyBytes: -1, Handler: Split{
			Native: func(x *Exchange) { fmt.Fprintf(x, "native %d", len(x.Body())) },
			Streamed: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.NewResponseController(w).EnableFullDuplex()
				one := make([]byte, 1)
				io.ReadFull(r.Body, one)
				began <- true
				n, err := io.Copy(io.Discard, r.Body)
				fmt.Fprintf(w, "streamed %s and %d, %v", one, n, err)
			}),
		}})
		p := s.dial()
		p.send(smallRequest)
		p.expectAnswer(200, "native 0")
		p.send(ask("POST", "/", "Content-Length: 65536"), pattern(65536))
		p.expectAnswer(200, "native 65536")
		p.send(ask("POST", "/", "Content-Length: 65537"), "1", pattern(65536))
		p.expectAnswer(200, "streamed 1 and 65536, <nil>")
		<-began
		p.send(ask("POST", "/", "Transfer-Encoding: chunked"), "1\r\nx\r\n")
		<-began // the rest comes when the handler reads
		p.send("2\r\nyz\r\n0\r\n\r\n")
		p.expectAnswer(200, "streamed x and 2, <nil>")
		p.send(ask("POST", "/", "Content-Length: 2", "Expect: 100-continue"))
		if a := p.answer("POST"); a.status != 100 {
			t.Errorf("%+v", a)
		}
		p.send("xy")
		p.expectAnswer(200, "streamed x and 1, <nil>")
		p.send(smallRequest)
		p.expectAnswer(200, "native 0")
	})
}
