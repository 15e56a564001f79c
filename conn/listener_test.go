package conn_test

import (
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/simring"
)

func TestAcceptBacksOff(t *testing.T) {
	b := newBench(t, conn.Config{})
	fd := b.sim.Listen()
	exhausted, accepted := 0, 0
	ln := b.loop.Listen(fd, conn.ListenerEvents{
		Accepted:  func(fd int) { accepted++; b.loop.Adopt(fd, &hooks{}) },
		Exhausted: func(err error) { exhausted++ },
	})
	b.sim.Dial(fd)
	b.settle()
	b.sim.Exhaust(2 * time.Second)
	b.sim.Dial(fd)
	var tries []time.Duration
	start, last := b.sim.Now(), b.sim.Stats().Accepts
	for b.sim.Now()-start < int64(time.Second) {
		b.sleep(time.Millisecond)
		if n := b.sim.Stats().Accepts; n != last {
			last = n
			tries = append(tries, time.Duration(b.sim.Now()-start))
		}
	}
	if len(tries) < 6 || len(tries) > 9 {
		t.Errorf("tried after %v, want after 10, 30, 70, 150, 310, 510 … ms", tries)
	}
	for i, want := range []time.Duration{10, 30, 70, 150, 310, 510} {
		want *= time.Millisecond
		if d := tries[i] - want; d < -time.Millisecond || d > time.Duration(i+1)*6*time.Millisecond {
			t.Errorf("try %d after %v, want after %v", i, tries[i], want)
		}
	}
	if exhausted != 1 || accepted != 1 {
		t.Errorf("told %d times that there are no descriptors, accepted %d", exhausted, accepted)
	}
	if n := b.loop.Counters().AcceptWaits; n != uint64(len(tries)) && n != uint64(len(tries))+1 {
		t.Errorf("counted %d waits of %d tries", n, len(tries))
	}
	b.sleep(2 * time.Second)
	if accepted != 2 {
		t.Errorf("accepted %d connections in the end, want 2", accepted)
	}
	b.sim.Exhaust(time.Second)
	b.settle()
	if exhausted != 2 {
		t.Errorf("told %d times that there are no descriptors, want 2", exhausted)
	}
	ln.Close() // while it waits
	b.finish()
}

func TestCloseOfAConnectionEndsTheWait(t *testing.T) {
	b := newBench(t, conn.Config{}, simring.WithMaxFDs(3))
	fd := b.sim.Listen()
	var open []int
	ln := b.loop.Listen(fd, conn.ListenerEvents{Accepted: func(fd int) {
		open = append(open, fd)
		b.loop.Adopt(fd, &hooks{})
	}})
	for range 4 {
		b.sim.Dial(fd)
	}
	b.sleep(time.Second)
	if len(open) != 2 {
		t.Fatalf("accepted %d connections with room for 2", len(open))
	}
	at := b.sim.Now()
	b.loop.Each(func(c *conn.Conn) {
		if c.FD() == open[0] {
			c.Abort(nil)
		}
	})
	for len(open) < 3 {
		b.loop.Turn()
	}
	if waited := time.Duration(b.sim.Now() - at); waited > time.Millisecond {
		t.Errorf("the next connection waited %v", waited)
	}
	ln.Close()
	b.finish()
}

// Whom the kernel has accepted is handed out, also while the listener is closing;
// the descriptor is closed after that.
func TestCloseOfAListenerWhileAccepting(t *testing.T) {
	for seed := range uint64(200) {
		b := newBench(t, conn.Config{})
		b.sim = simring.New(seed, simring.WithFaults(simring.Faults{LateCancel: 0.7, MissCancel: 0.5, Spread: 0.7, Reorder: 0.5, Delay: time.Millisecond}))
		b.loop = conn.NewLoop(conn.Config{Ring: b.sim, Clock: b.sim.Now})
		fd := b.sim.Listen()
		accepted, ends := 0, 0
		var ln *conn.Listener
		ln = b.loop.Listen(fd, conn.ListenerEvents{
			Accepted: func(fd int) {
				if ends != 0 {
					t.Fatalf("seed %d: accepted after the end", seed)
				}
				if accepted++; accepted == 3 {
					ln.Close()
				}
				b.loop.Adopt(fd, &hooks{})
			},
			Closed: func(err error) {
				if ends++; err != nil {
					t.Errorf("seed %d: closed with %v", seed, err)
				}
			},
		})
		var peers []*simring.Peer
		for range 8 {
			peers = append(peers, b.sim.Dial(fd))
		}
		b.settle()
		got := 0
		for _, p := range peers {
			if p.FD() != 0 {
				got++
			} else if !p.SawReset() {
				t.Errorf("seed %d: a peer that was not accepted waits for ever", seed)
			}
		}
		if accepted < 3 || accepted != got || ends != 1 || b.loop.Conns() != got {
			t.Errorf("seed %d: %d handed out of %d accepted, %d open, closed %d times", seed, accepted, got, b.loop.Conns(), ends)
		}
		b.finish()
	}
}

func TestExhaustedMayCloseTheListener(t *testing.T) {
	b := newBench(t, conn.Config{})
	b.sim.Exhaust(time.Second)
	ends := 0
	var ln *conn.Listener
	ln = b.loop.Listen(b.sim.Listen(), conn.ListenerEvents{
		Exhausted: func(error) { ln.Close() },
		Closed:    func(error) { ends++ },
	})
	b.settle()
	if ends != 1 || b.loop.Timers() != 0 {
		t.Errorf("closed %d times, %d timers are left", ends, b.loop.Timers())
	}
	b.finish()
}

// The end of a listener may be the beginning of another one, in the same slot.
func TestListenFromClosed(t *testing.T) {
	b := newBench(t, conn.Config{})
	accepted := 0
	events := conn.ListenerEvents{Accepted: func(fd int) { accepted++; b.loop.Adopt(fd, &hooks{}) }}
	first, second := b.sim.Listen(), b.sim.Listen()
	var next *conn.Listener
	ln := b.loop.Listen(first, conn.ListenerEvents{
		Accepted: events.Accepted,
		Closed:   func(error) { next = b.loop.Listen(second, events) },
	})
	b.settle()
	ln.Close()
	b.sim.Dial(second)
	b.settle()
	if accepted != 1 {
		t.Errorf("accepted %d connections, want 1", accepted)
	}
	next.Close()
	next.Close()
	b.finish()
}

// What accept fails with decides what becomes of the listener. One that fails at
// once again and again must not keep the loop busy.
func TestAcceptErrors(t *testing.T) {
	for _, test := range []struct {
		errno  syscall.Errno
		ends   bool
		atOnce bool
	}{
		{syscall.ECONNABORTED, false, true},
		{syscall.EPROTO, false, true},
		{syscall.EINTR, false, true},
		{syscall.ECANCELED, false, true},
		{syscall.EMFILE, false, false},
		{syscall.ENFILE, false, false},
		{syscall.ENOMEM, false, false},
		{syscall.ENOBUFS, false, false},
		{syscall.EIO, false, false},
		{syscall.EBADF, true, false},
		{syscall.EINVAL, true, false},
		{syscall.ENOTSOCK, true, false},
	} {
		r := newStub()
		loop := conn.NewLoop(conn.Config{Ring: r, Clock: func() int64 { return 0 }})
		var ended []error
		loop.Listen(7, conn.ListenerEvents{
			Accepted: func(int) {},
			Closed:   func(err error) { ended = append(ended, err) },
		})
		if err := loop.Turn(); err != nil {
			t.Fatal(err)
		}
		armed := r.accepts
		r.push(r.token, -int32(test.errno))
		if err := loop.Turn(); err != nil {
			t.Fatal(err)
		}
		if atOnce := r.accepts > armed; atOnce != test.atOnce {
			t.Errorf("%v: accepts again at once: %v", test.errno, atOnce)
		}
		switch {
		case !test.ends && ended != nil:
			t.Errorf("%v ended the listener", test.errno)
		case test.ends && (len(ended) != 1 || !errors.Is(ended[0], test.errno) || !slices.Equal(r.closed, []int{7})):
			t.Errorf("%v: ended with %v, closed %v", test.errno, ended, r.closed)
		}
	}
}

// Who connects to a listener that pauses waits in its backlog.
func TestPauseOfAListener(t *testing.T) {
	for seed := range uint64(100) {
		b := newBench(t, conn.Config{})
		b.sim = simring.New(seed, simring.WithFaults(simring.Faults{EndAccept: 0.3, LateCancel: 0.5, MissCancel: 0.3, Spread: 0.5, Delay: time.Millisecond}))
		b.loop = conn.NewLoop(conn.Config{Ring: b.sim, Clock: b.sim.Now})
		fd := b.sim.Listen()
		accepted := 0
		ln := b.loop.Listen(fd, conn.ListenerEvents{Accepted: func(fd int) { accepted++; b.loop.Adopt(fd, &hooks{}) }})
		b.settle()
		for round := range 5 {
			ln.Pause()
			ln.Pause()
			b.settle()
			b.sim.Dial(fd)
			b.sim.Dial(fd)
			b.sleep(time.Second)
			if accepted != 2*round {
				t.Fatalf("seed %d: accepted %d while paused, want %d", seed, accepted, 2*round)
			}
			ln.Resume()
			if round%2 == 1 { // and the cancellation may still be on its way
				ln.Pause()
				ln.Resume()
			}
			b.settle()
			if accepted != 2*round+2 {
				t.Fatalf("seed %d: accepted %d, want %d", seed, accepted, 2*round+2)
			}
		}
		ln.Pause()
		ln.Close()
		b.finish()
	}
}

// A pause and a want of descriptors do not get in each other's way.
func TestPauseOfAnExhaustedListener(t *testing.T) {
	b := newBench(t, conn.Config{})
	fd := b.sim.Listen()
	accepted := 0
	ln := b.loop.Listen(fd, conn.ListenerEvents{Accepted: func(fd int) { accepted++; b.loop.Adopt(fd, &hooks{}) }})
	b.sim.Exhaust(time.Second)
	b.sim.Dial(fd)
	b.settle()
	ln.Pause()
	before := b.sim.Stats().Accepts
	b.sleep(2 * time.Second)
	if n := b.sim.Stats().Accepts; n != before {
		t.Errorf("tried %d times while paused", n-before)
	}
	ln.Resume()
	b.settle()
	if accepted != 1 {
		t.Errorf("accepted %d connections, want 1", accepted)
	}
	ln.Close()
	b.finish()
}
