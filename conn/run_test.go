package conn_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/simring"
)

func duplicate(f *os.File) (int, error) { return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 100) }

func isOpen(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil
}

// A callback that ends its goroutine takes its connection with it, and nothing
// else: not what others have written in the same turn, not the tasks behind it.
func TestGoexitInACallback(t *testing.T) {
	for _, where := range []string{"Open", "Data", "kept Data", "EOF", "Drained", "Timeout", "Closed", "task", "Accepted", "Exhausted", "inner Closed", "Closed of the listener"} {
		for _, shots := range []float64{0, 1} {
			t.Run(fmt.Sprintf("%s, single shots %v", where, shots), func(t *testing.T) {
				b := newBench(t, conn.Config{}, simring.WithFaults(simring.Faults{EndAccept: shots, EndRecv: shots}))
				exits := 0
				exit := func(at string) {
					if at == where {
						exits++
						runtime.Goexit()
					}
				}
				witness, witnessPeer := b.adopt(echo{})
				other, _ := b.adopt(&hooks{closed: func(*conn.Conn, error) { exit("inner Closed") }})
				otherHandle := other.Handle()
				victim := &hooks{
					open: func(c *conn.Conn) {
						witness.Write([]byte("o"))
						c.SetDeadline(20 * time.Millisecond)
						exit("Open")
					},
					data: func(c *conn.Conn, in []byte) int {
						witness.Write([]byte("d"))
						exit("Data")
						if len(in) == 2 {
							exit("kept Data")
						}
						if o := otherHandle.Conn(); o != nil {
							o.Abort(nil)
						}
						c.Write([]byte("answer"))
						return len(in) - 1
					},
					eof:     func(c *conn.Conn) { exit("EOF") },
					drained: func(c *conn.Conn) { exit("Drained") },
					timeout: func(c *conn.Conn) { exit("Timeout"); c.Close() },
					closed:  func(*conn.Conn, error) { exit("Closed") },
				}
				_, peer := b.adopt2(victim)
				lfd := b.sim.Listen()
				accepted := 0
				ln := b.loop.Listen(lfd, conn.ListenerEvents{
					Accepted:  func(fd int) { accepted++; b.loop.Adopt(fd, &hooks{}); exit("Accepted") },
					Exhausted: func(error) { exit("Exhausted") },
					Closed:    func(error) { exit("Closed of the listener") },
				})
				b.sim.After(time.Millisecond, func() {
					peer.WriteString("x")
					b.sim.Dial(lfd)
					b.loop.Do(func(*conn.Loop) { exit("task") })
					b.loop.Do(func(*conn.Loop) { witness.Write([]byte("t")) })
				})
				b.sim.After(2*time.Millisecond, func() { peer.WriteString("y") })
				b.sim.After(4*time.Millisecond, peer.CloseWrite)
				b.sim.After(5*time.Millisecond, func() { b.sim.Exhaust(20 * time.Millisecond) })
				b.sim.After(6*time.Millisecond, func() { b.sim.Dial(lfd) })
				b.sim.After(90*time.Millisecond, func() { witnessPeer.WriteString("bye") })
				b.sim.After(100*time.Millisecond, func() {
					b.loop.Do(func(l *conn.Loop) {
						ln.Close()
						l.Each(func(c *conn.Conn) { c.Abort(nil) })
						l.Quit()
					})
				})
				go b.loop.Run()
				select {
				case <-b.loop.Done():
				case <-time.After(10 * time.Second):
					t.Fatal("the loop does not go on")
				}
				if b.loop.Err() != nil {
					t.Error(b.loop.Err())
				}
				if exits == 0 {
					t.Error("the callback was not called")
				}
				if victim.ends != 1 {
					t.Errorf("closed %d times", victim.ends)
				}
				switch where {
				case "Open", "Data", "kept Data", "EOF", "Drained", "Timeout", "inner Closed":
					if !errors.Is(victim.err, conn.ErrAbandoned) {
						t.Errorf("closed with %v", victim.err)
					}
				}
				if accepted != 2 {
					t.Errorf("accepted %d connections, want 2", accepted)
				}
				if got := string(witnessPeer.Received()); len(got) < 5 || got[len(got)-3:] != "bye" {
					t.Errorf("the other connection received %q", got)
				}
				b.clean()
			})
		}
	}
}

// adopt2 is adopt for a protocol that may end its goroutine in Open.
func (b *bench) adopt2(p conn.Protocol) (int, *simring.Peer) {
	fd, peer := b.sim.Pair()
	b.loop.Do(func(l *conn.Loop) { l.Adopt(fd, p) })
	return fd, peer
}

func TestPanicInACallbackPropagates(t *testing.T) {
	b := newBench(t, conn.Config{})
	_, peer := b.adopt(&hooks{data: func(*conn.Conn, []byte) int { panic("deliberate") }})
	peer.WriteString("x")
	defer func() {
		if p := recover(); p != "deliberate" {
			t.Errorf("Run panicked with %v", p)
		}
	}()
	b.loop.Run()
	t.Error("Run returned")
}

// A protocol may recover its own panics, also those it meets inside a call.
func TestPanicRecoveredByAnOuterCallback(t *testing.T) {
	b := newBench(t, conn.Config{})
	inner := &hooks{
		open: func(c *conn.Conn) { c.Hold() },
		data: func(*conn.Conn, []byte) int { panic("deliberate") },
	}
	c, peer := b.adopt(inner)
	peer.WriteString("kept")
	b.settle()
	outer := &hooks{data: func(_ *conn.Conn, in []byte) int {
		defer func() { recover() }()
		c.Resume()
		return 0
	}}
	_, peer2 := b.adopt(outer)
	peer2.WriteString("x")
	b.settle()
	if inner.ends != 1 || !errors.Is(inner.err, conn.ErrAbandoned) || outer.ends != 0 {
		t.Errorf("inner: closed %d times with %v; outer: closed %d times", inner.ends, inner.err, outer.ends)
	}
	b.finish()
}

func TestPostFromManyGoroutines(t *testing.T) {
	const goroutines, each = 8, 500
	b := newBench(t, conn.Config{}, simring.WithBlocking())
	ran := 0
	last := make([]int, goroutines)
	go b.loop.Run()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				b.loop.Do(func(*conn.Loop) {
					if ran++; last[g] != i {
						t.Errorf("goroutine %d: task %d ran, want %d", g, i, last[g])
					}
					last[g]++
				})
				if i%50 == 0 {
					time.Sleep(time.Microsecond)
				}
			}
		})
	}
	wg.Wait()
	b.loop.Do((*conn.Loop).Quit)
	<-b.loop.Done()
	if ran != goroutines*each {
		t.Errorf("%d of %d tasks ran", ran, goroutines*each)
	}
	b.clean()
}

// slowWake takes its time to wake.
type slowWake struct{ *simring.Ring }

func (r slowWake) Wake() {
	time.Sleep(time.Millisecond)
	r.Ring.Wake()
}

// What is posted before the end runs, what is posted after does nothing; the loop
// never touches a ring that is closed.
func TestPostAroundTheEnd(t *testing.T) {
	for range 20 {
		b := newBench(t, conn.Config{}, simring.WithBlocking(), simring.WithFaults(simring.Faults{EarlyEnter: 1}))
		b.loop = conn.NewLoop(conn.Config{Ring: slowWake{b.sim}, Clock: b.sim.Now})
		go b.loop.Run()
		var ran atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 20 {
					b.loop.Do(func(*conn.Loop) { ran.Add(1) })
				}
			})
		}
		runtime.Gosched()
		b.loop.Do((*conn.Loop).Quit)
		wg.Wait()
		<-b.loop.Done()
		n := ran.Load()
		b.loop.Do(func(*conn.Loop) { ran.Add(1) })
		if ran.Load() != n {
			t.Error("a task ran after the end")
		}
		b.clean()
	}
}

func TestTasksBeforeTheEndRun(t *testing.T) {
	b := newBench(t, conn.Config{})
	ran := 0
	b.loop.Do(func(l *conn.Loop) {
		l.Quit()
		l.Do(func(l *conn.Loop) {
			ran++
			l.Do(func(*conn.Loop) { ran++ })
		})
	})
	if err := b.loop.Run(); err != nil || ran != 2 {
		t.Errorf("%d of 2 tasks ran, error %v", ran, err)
	}
	b.clean()
}

func TestRingFailureIsTold(t *testing.T) {
	b := newBench(t, conn.Config{})
	broken := fmt.Errorf("deliberate: %w", syscall.ENOMEM)
	h := &hooks{closed: func(*conn.Conn, error) { runtime.Goexit() }}
	h2 := &hooks{}
	b.adopt(h)
	b.adopt(h2)
	b.settle()
	b.sim.Break(broken)
	go b.loop.Run()
	<-b.loop.Done()
	if !errors.Is(b.loop.Err(), syscall.ENOMEM) || !errors.Is(h.err, syscall.ENOMEM) || !errors.Is(h2.err, syscall.ENOMEM) {
		t.Errorf("loop: %v; connections: %v, %v", b.loop.Err(), h.err, h2.err)
	}
	if h.ends != 1 || h2.ends != 1 {
		t.Errorf("closed %d and %d times", h.ends, h2.ends)
	}
}

// What is posted to a loop that is ending runs, or is refused.
func TestPostToALoopThatEnds(t *testing.T) {
	for range 20 {
		onEngines(t, conn.Config{}, func(e *engine) {
			for _, l := range e.loops {
				var accepted, ran int32
				l.Do(func(l *conn.Loop) { l.Quit() })
				for l.Do(func(*conn.Loop) { atomic.AddInt32(&ran, 1) }) {
					accepted++
				}
				<-l.Done()
				if ran := atomic.LoadInt32(&ran); ran != accepted {
					t.Errorf("%d of %d tasks have run", ran, accepted)
				}
			}
		})
	}
}
