package conn_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/fallback"
)

// asking answers every line with what a function makes of it, which may block.
type asking struct {
	nothing
	run      func(line string, lead conn.Lead) string
	detached atomic.Int32
	done     atomic.Int32
	lost     atomic.Int32 // done without a connection
}

type question struct {
	p      *asking
	line   string
	answer string
}

func (p *asking) Data(c *conn.Conn, in []byte) int {
	for i, b := range in {
		if b == '\n' {
			c.Call(&question{p: p, line: string(in[:i])})
			return i + 1
		}
	}
	return 0
}

func (q *question) Run(lead conn.Lead)    { q.answer = q.p.run(q.line, lead) }
func (q *question) Detached(c *conn.Conn) { q.p.detached.Add(1) }
func (q *question) Done(c *conn.Conn) {
	if c == nil {
		q.p.lost.Add(1)
		return
	}
	q.p.done.Add(1)
	c.Write([]byte(q.line + "=" + q.answer + "\n"))
}

func (p *asking) EOF(c *conn.Conn) { c.Close() }

var _ conn.Call = (*question)(nil)

// asker is the peer of an asking connection.
type asker struct {
	net.Conn
	*testing.T
}

func newWatched(t *testing.T, makeRing func() (conn.Ring, error)) *engine {
	return newEngine(t, 1, makeRing, conn.Config{Watch: true})
}

func (e *engine) ask(p conn.Protocol) *asker {
	c := e.pair(p)
	e.Cleanup(func() { c.Close() })
	return &asker{c, e.T}
}

func (a *asker) write(text string) {
	a.Helper()
	if _, err := a.Write([]byte(text)); err != nil {
		a.Fatal(err)
	}
}

func (a *asker) expect(want string) {
	a.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(a.Conn, got); err != nil || string(got) != want {
		a.Fatalf("read %q, %v, want %q", got[:n], err, want)
	}
}

func (a *asker) ask(line, want string) {
	a.Helper()
	a.write(line + "\n")
	a.expect(line + "=" + want + "\n")
}

// A call that blocks holds up its own connection and nobody else.
func TestBlockingCall(t *testing.T) {
	for _, tr := range rings {
		t.Run(tr.name, func(t *testing.T) {
			release := make(chan struct{})
			p := &asking{run: func(line string, _ conn.Lead) string {
				switch line {
				case "block":
					<-release
				case "exit":
					runtime.Goexit()
				case "block and exit":
					<-release
					runtime.Goexit()
				}
				return "ok"
			}}
			e := newWatched(t, tr.make)
			blocked, other := e.ask(p), e.ask(p)
			blocked.write("block\nnext\n")
			for i := range 100 {
				other.ask("hello", "ok")
				if i == 50 {
					third := e.ask(p)
					third.write("block and exit\nlast\n")
					defer func() { third.expect("block and exit=\nlast=ok\n") }()
				}
			}
			other.ask("exit", "")
			other.ask("hello", "ok")
			if taken, _ := e.loops[0].Takeovers(); taken != 2 || p.detached.Load() != 2 {
				t.Errorf("the lead was taken %d times, %d calls were told", taken, p.detached.Load())
			}
			close(release)
			blocked.expect("block=ok\nnext=ok\n")
			for range 20 {
				other.ask("hello", "ok")
			}
		})
	}
}

// The lead can be given away, and held as long as it has not been lost.
func TestLeave(t *testing.T) {
	for _, tr := range rings {
		t.Run(tr.name, func(t *testing.T) {
			e := newWatched(t, tr.make)
			var other *asker
			p := &asking{}
			p.run = func(line string, lead conn.Lead) string {
				if line != "leave" {
					if !lead.Hold() {
						return "not held"
					}
					lead.Continue()
					return "ok"
				}
				if !lead.Hold() {
					return "not held"
				}
				lead.Leave()
				if lead.Hold() {
					return "held twice"
				}
				other.ask("hello", "ok")
				return "ok"
			}
			other = e.ask(p)
			leaving := e.ask(p)
			for range 20 {
				leaving.ask("leave", "ok")
			}
			if _, left := e.loops[0].Takeovers(); left != 20 {
				t.Errorf("the lead was given away %d times, want 20", left)
			}
			if (conn.Lead{}).Hold() {
				t.Error("the zero Lead holds")
			}
		})
	}
}

// A connection that ends while its call blocks: the call is done without it.
func TestConnectionEndsDuringACall(t *testing.T) {
	for _, tr := range rings {
		t.Run(tr.name, func(t *testing.T) {
			release := make(chan struct{})
			p := &asking{run: func(string, conn.Lead) string { <-release; return "late" }}
			e := newWatched(t, tr.make)
			c := e.ask(p)
			c.write("block\n")
			waitFor(t, "the takeover", func() bool { return p.detached.Load() == 1 })
			c.Close()
			waitFor(t, "the end of the connection", func() bool { return e.loops[0].Conns() == 0 })
			close(release)
			waitFor(t, "the end of the call", func() bool { return p.lost.Load() == 1 })
		})
	}
}

// A loop that has ended leaves alone a call that still runs, and the other way
// round.
func TestLoopEndsDuringACall(t *testing.T) {
	for _, tr := range rings {
		t.Run(tr.name, func(t *testing.T) {
			release := make(chan struct{})
			p := &asking{run: func(string, conn.Lead) string { <-release; return "late" }}
			e := newWatched(t, tr.make)
			c := e.ask(p)
			c.write("block\n")
			waitFor(t, "the takeover", func() bool { return p.detached.Load() == 1 })
			e.stop()
			close(release) // newEngine sees that no goroutine is left
		})
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 10 s for %s", what)
		}
	}
}

// leadIsHome waits until the home goroutine leads.
func (e *engine) leadIsHome() {
	e.Helper()
	waitFor(e.T, "the lead to come home", func() bool {
		home := make(chan bool, 1)
		e.loops[0].Do(func(l *conn.Loop) { home <- l.AtHome() })
		return <-home
	})
}

// Who has been away for long is not waited for: another goroutine is the home from
// then on, and that one ends when its user code does.
func TestHomeIsReplaced(t *testing.T) {
	for _, tr := range rings {
		t.Run(tr.name, func(t *testing.T) {
			release := make(chan struct{})
			p := &asking{run: func(line string, _ conn.Lead) string {
				if line == "block" {
					<-release
				}
				return "ok"
			}}
			e := newWatched(t, tr.make)
			other := e.ask(p)
			other.ask("hello", "ok")
			for range 2 { // the first home, then the one that replaced it
				before := e.loops[0].Home()
				blocked := e.ask(p)
				blocked.write("block\n")
				waitFor(t, "another home", func() bool {
					other.ask("hello", "ok")
					return e.loops[0].Home() != before
				})
				after, goroutines := e.loops[0].Home(), runtime.NumGoroutine()
				release <- struct{}{}
				blocked.expect("block=ok\n")
				e.settles("goroutines", goroutines-1, runtime.NumGoroutine)
				e.leadIsHome()
				if home := e.loops[0].Home(); home != after {
					t.Errorf("the home is %d, and was %d", home, after)
				}
			}
		})
	}
}

// held is asking, held from the beginning.
type held struct {
	*asking
	handle *conn.Handle
}

func (h *held) Open(c *conn.Conn) {
	*h.handle = c.Handle()
	c.Hold()
}

// Another goroutine has the lead in its hands when Run returns: who led gets it back,
// also where no watchdog would take it for him.
func TestRunReturnsWhileHeld(t *testing.T) {
	for _, watch := range []bool{false, true} {
		for _, leave := range []bool{false, true} {
			t.Run(fmt.Sprintf("watched %v, left %v", watch, leave), func(t *testing.T) {
				e := newEngine(t, 1, epollWith(fallback.Config{Buffers: 16, BufferSize: 1024}), conn.Config{Watch: watch})
				p := &asking{run: func(line string, lead conn.Lead) string {
					holding := make(chan bool)
					go func() {
						held := lead.Hold()
						holding <- held
						if !held {
							return
						}
						if len(line) > 1 { // or else at the same time
							time.Sleep(time.Millisecond)
						}
						if leave {
							lead.Leave()
						} else {
							lead.Continue()
						}
					}()
					<-holding
					return "ok"
				}}
				c := e.ask(p)
				for range 100 {
					c.ask("h", "ok")
				}
				for range 20 {
					c.ask("hello", "ok")
				}
			})
		}
	}
}

// exiting ends the goroutine that tells it that it is detached.
type exiting struct{ *question }

func (x *exiting) Detached(c *conn.Conn) {
	x.question.Detached(c)
	runtime.Goexit()
}

func TestGoexitInDetached(t *testing.T) {
	for _, tr := range rings {
		t.Run(tr.name, func(t *testing.T) {
			release := make(chan struct{})
			p := &asking{run: func(line string, _ conn.Lead) string {
				if line == "block" {
					<-release
				}
				return "ok"
			}}
			e := newWatched(t, tr.make)
			other := e.ask(p)
			var handle conn.Handle
			c := e.ask(&held{asking: p, handle: &handle})
			e.loops[0].Do(func(*conn.Loop) { handle.Conn().Call(&exiting{&question{p: p, line: "block"}}) })
			waitFor(t, "the takeover", func() bool { return p.detached.Load() == 1 })
			other.ask("hello", "ok")
			close(release)
			c.expect("block=ok\n")
		})
	}
}

// A watchdog of no loop does not sleep: nobody would rouse it to end.
func TestWatchdogOfNoLoop(t *testing.T) {
	if conn.IdleWithoutLoops() {
		t.Error("it sleeps")
	}
}
