package conn_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/fallback"
	"github.com/ringkit/ringkit/internal/ring"
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

// Run returns when the loop has ended, also where another goroutine has long taken the
// place of the one that called it.
func TestRunReturnsAtTheEnd(t *testing.T) {
	for _, tr := range rings {
		t.Run(tr.name, func(t *testing.T) {
			r, err := tr.make()
			if err != nil {
				t.Skip(err)
			}
			l := conn.NewLoop(conn.Config{Ring: r, Watch: true})
			returned := make(chan error, 1)
			go func() { returned <- l.Run() }()
			release := make(chan struct{})
			p := &asking{run: func(line string, _ conn.Lead) string {
				if line == "block" {
					<-release
				}
				return "ok"
			}}
			e := &engine{T: t, loops: []*conn.Loop{l}}
			blocked, other := e.ask(p), e.ask(p)
			blocked.write("block\n")
			for start := time.Now(); time.Since(start) < 300*time.Millisecond; time.Sleep(time.Millisecond) {
				other.ask("hello", "ok")
			}
			close(release)
			blocked.expect("block=ok\n")
			for range 20 {
				other.ask("hello", "ok")
			}
			select {
			case err := <-returned:
				t.Errorf("Run returned %v before the end", err)
			default:
			}
			e.stop()
			waitFor(t, "Run returning", func() bool { return len(returned) == 1 })
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
// then on, and that one ends when its user code does, or waits in Run.
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
			for i := range 2 { // the first home, then the one that replaced it
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
				e.settles("goroutines", goroutines-i, runtime.NumGoroutine)
				e.leadIsHome()
				if home := e.loops[0].Home(); home != after {
					t.Errorf("the home is %d, and was %d", home, after)
				}
			}
		})
	}
}

// counting counts what is asked of a ring.
type counting struct {
	conn.Ring
	recvs, cancels atomic.Int32
}

func (r *counting) Recv(t ring.Token, fd int)   { r.recvs.Add(1); r.Ring.Recv(t, fd) }
func (r *counting) Cancel(t, target ring.Token) { r.cancels.Add(1); r.Ring.Cancel(t, target) }

// A receive that a substitute armed is armed again at home, once it completes there,
// and not before or twice.
func TestReceivesComeHome(t *testing.T) {
	var r *counting
	e := newWatched(t, func() (conn.Ring, error) {
		u, err := rings[0].make()
		r = &counting{Ring: u}
		return r, err
	})
	release := make(chan struct{})
	p := &asking{run: func(line string, _ conn.Lead) string {
		if line == "block" {
			<-release
		}
		return "ok"
	}}
	addr, stop := e.listen(func() conn.Protocol { return p }) // not all kernels receive repeatedly from a socket pair
	defer stop()
	dial := func() *asker {
		c := e.dial(addr)
		t.Cleanup(func() { c.Close() })
		return &asker{c, t}
	}
	blocked, old := dial(), dial()
	blocked.ask("hello", "ok")
	old.ask("hello", "ok")
	once := r.recvs.Load()
	old.ask("hello", "ok")
	if r.recvs.Load() != once {
		t.Skip("this kernel does not receive repeatedly")
	}
	blocked.write("block\n")
	waitFor(t, "the takeover", func() bool { return p.detached.Load() == 1 })
	young := dial()
	for range 10 {
		old.ask("hello", "ok")
		young.ask("hello", "ok")
	}
	if n := r.cancels.Load(); n != 0 {
		t.Errorf("%d receives were cancelled away from home", n)
	}
	close(release)
	blocked.expect("block=ok\n")
	e.leadIsHome()
	recvs := r.recvs.Load()
	for range 10 {
		old.ask("hello", "ok")
		blocked.ask("hello", "ok")
	}
	if again, cancels := r.recvs.Load()-recvs, r.cancels.Load(); again != 0 || cancels != 0 {
		t.Errorf("%d receives were armed again and %d cancelled that were armed at home", again, cancels)
	}
	for range 10 {
		young.ask("hello", "ok")
	}
	if again, cancels := r.recvs.Load()-recvs, r.cancels.Load(); again != 1 || cancels != 1 {
		t.Errorf("%d receives were armed again and %d cancelled, want one", again, cancels)
	}
}

// Several calls are ready when one of them blocks, made by a task: nothing is lost.
func TestTakeoverAmongReadyCalls(t *testing.T) {
	for _, tr := range rings {
		t.Run(tr.name, func(t *testing.T) {
			const n = 7
			for blocking := range n {
				release := make(chan struct{})
				p := &asking{run: func(line string, _ conn.Lead) string {
					if line == fmt.Sprint(blocking) {
						<-release
					}
					return "ok"
				}}
				e := newWatched(t, tr.make)
				var peers [n]*asker
				for i := range peers {
					peers[i] = e.ask(p)
				}
				tasks := 0
				e.loops[0].Do(func(l *conn.Loop) {
					i := 0
					l.Each(func(c *conn.Conn) {
						c.Call(&question{p: p, line: fmt.Sprint(i)})
						i++
					})
					l.Do(func(*conn.Loop) { tasks++ })
				})
				e.loops[0].Do(func(*conn.Loop) { tasks++ })
				for i, peer := range peers {
					if i != blocking {
						peer.expect(fmt.Sprint(i) + "=ok\n")
					}
				}
				close(release)
				peers[blocking].expect(fmt.Sprint(blocking) + "=ok\n")
				e.stop()
				if taken, _ := e.loops[0].Takeovers(); taken < 1 || tasks != 2 || p.done.Load() != n {
					t.Errorf("%d takeovers, %d tasks ran, %d calls are done", taken, tasks, p.done.Load())
				}
			}
		})
	}
}

// The call that blocks was made by a delivery of kept input: behind another call, and
// in Resume.
func TestTakeoverInADelivery(t *testing.T) {
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
			other, behind := e.ask(p), e.ask(p)
			behind.write("a\nb\nblock\nc\n")
			behind.expect("a=ok\nb=ok\n")
			var handle conn.Handle
			held := e.ask(&held{asking: p, handle: &handle})
			held.write("block\nc\n")
			waitFor(t, "input that is kept", func() bool {
				n := make(chan int, 1)
				e.loops[0].Do(func(*conn.Loop) { n <- handle.Conn().Buffered() })
				return <-n == len("block\nc\n")
			})
			e.loops[0].Do(func(*conn.Loop) { handle.Conn().Resume() })
			waitFor(t, "two takeovers", func() bool { return p.detached.Load() == 2 })
			other.ask("hello", "ok")
			close(release)
			behind.expect("block=ok\nc=ok\n")
			held.expect("block=ok\nc=ok\n")
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

// Substitutes block too, and come back in any order.
func TestNestedTakeovers(t *testing.T) {
	for _, tr := range rings {
		for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}} {
			t.Run(fmt.Sprintf("%s/%v", tr.name, order), func(t *testing.T) {
				var release [3]chan struct{}
				for i := range release {
					release[i] = make(chan struct{})
				}
				p := &asking{run: func(line string, _ conn.Lead) string {
					if i := int(line[0] - '0'); i >= 0 && i < len(release) {
						<-release[i]
					}
					return "ok"
				}}
				e := newWatched(t, tr.make)
				other := e.ask(p)
				var blocked [3]*asker
				for i := range blocked {
					blocked[i] = e.ask(p)
					blocked[i].write(fmt.Sprintf("%d\nnext\n", i))
					waitFor(t, "a takeover", func() bool { return p.detached.Load() == int32(i+1) })
					other.ask("hello", "ok")
				}
				for _, i := range order {
					close(release[i])
					blocked[i].expect(fmt.Sprintf("%d=ok\nnext=ok\n", i))
					other.ask("hello", "ok")
				}
				e.leadIsHome()
				if taken, _ := e.loops[0].Takeovers(); taken < 3 {
					t.Errorf("the lead was taken %d times", taken)
				}
			})
		}
	}
}

// User code that computes loses the lead as well, whatever the processors.
func TestTakeoverFromSpinning(t *testing.T) {
	for _, procs := range []int{1, 2} {
		for _, tr := range rings[:4] {
			t.Run(fmt.Sprintf("%s/%d processors", tr.name, procs), func(t *testing.T) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				var stop atomic.Bool
				p := &asking{run: func(line string, _ conn.Lead) string {
					for line == "spin" && !stop.Load() {
					}
					return "ok"
				}}
				e := newWatched(t, tr.make)
				other, spinning := e.ask(p), e.ask(p)
				spinning.write("spin\nnext\n")
				waitFor(t, "the takeover", func() bool { return p.detached.Load() == 1 })
				for range 3 {
					other.ask("hello", "ok")
				}
				stop.Store(true)
				spinning.expect("spin=ok\nnext=ok\n")
			})
		}
	}
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

// Many connections whose calls do anything that is allowed: every one is answered
// once, in the order of its connection.
func TestRandomCalls(t *testing.T) {
	for _, tr := range rings {
		t.Run(tr.name, func(t *testing.T) {
			const conns, lines = 24, 25
			p := &asking{run: func(line string, lead conn.Lead) string {
				var i int
				var kind string
				fmt.Sscan(line, &i, &kind)
				switch kind {
				case "sleep":
					time.Sleep(time.Duration(i%4) * time.Millisecond)
				case "exit":
					runtime.Goexit()
				case "late-exit":
					time.Sleep(3 * time.Millisecond)
					runtime.Goexit()
				case "leave":
					if lead.Hold() {
						lead.Leave()
					}
				case "leave-exit":
					if lead.Hold() {
						lead.Leave()
					}
					runtime.Goexit()
				case "hold":
					for range i {
						if lead.Hold() {
							lead.Continue()
						}
					}
				case "share":
					go func() {
						for range i {
							if lead.Hold() {
								runtime.Gosched()
								lead.Continue()
							}
						}
					}()
				}
				return "ok"
			}}
			kinds := []string{"quick", "quick", "quick", "sleep", "exit", "late-exit", "leave", "leave-exit", "hold", "share"}
			e := newWatched(t, tr.make)
			var wg sync.WaitGroup
			for n := range conns {
				rng := rand.New(rand.NewPCG(uint64(n), 7))
				var ask, want strings.Builder
				for i := range lines {
					kind := kinds[rng.IntN(len(kinds))]
					answer := "ok"
					if strings.HasSuffix(kind, "exit") {
						answer = ""
					}
					fmt.Fprintf(&ask, "%d %s\n", i, kind)
					fmt.Fprintf(&want, "%d %s=%s\n", i, kind, answer)
				}
				c := e.ask(p)
				wg.Go(func() {
					got := make([]byte, want.Len())
					c.Write([]byte(ask.String()))
					if k, err := io.ReadFull(c.Conn, got); err != nil || string(got) != want.String() {
						t.Errorf("connection %d: read %q, %v, want %q", n, got[:k], err, want.String())
					}
				})
			}
			wg.Wait()
			taken, left := e.loops[0].Takeovers()
			t.Logf("the lead was taken %d times and left %d times", taken, left)
			if done := p.done.Load(); done != conns*lines || p.lost.Load() != 0 {
				t.Errorf("%d calls are done, %d without their connection, want %d", done, p.lost.Load(), conns*lines)
			}
			if d := uint64(p.detached.Load()); d != taken+left {
				t.Errorf("%d calls were told, the lead was taken %d times and left %d times", d, taken, left)
			}
		})
	}
}
