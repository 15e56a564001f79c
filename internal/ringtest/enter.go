package ringtest

import (
	"math"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

var enterTests = []test{
	{"does not wait", enterDoesNotWait},
	{"times out", enterTimesOut},
	{"waits long", enterWaitsLong},
	{"unread completions", enterWithUnreadCompletions},
	{"signal", enterIsInterrupted},
	{"idle", enterSleepsWhenIdle},
}

func enterDoesNotWait(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	a, _ := SocketPair(t)
	r.Recv(Token(ring.OpRecv, 1), a)
	start := time.Now()
	for range 100 {
		r.Turn(0)
	}
	if took := time.Since(start); took > Patience {
		t.Errorf("100 turns took %v", took)
	}
	r.Quiet()
}

func enterTimesOut(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	for _, timeout := range []time.Duration{1, time.Microsecond, 1500 * time.Microsecond, 5 * time.Millisecond} {
		r.Turn(0)
		if took := r.waits(timeout, timeout); took < timeout || took > timeout+Patience {
			t.Errorf("Enter(%v) took %v", timeout, took)
		}
	}
}

// waits enters the kernel until at least has passed. A wait may be cut short, by a
// signal of the runtime for example; one that always is does not wait.
func (r *Driver) waits(timeout, least time.Duration) time.Duration {
	start := time.Now()
	for range 10 {
		r.Turn(timeout)
		if time.Since(start) >= least {
			break
		}
		r.Reap()
	}
	return time.Since(start)
}

// However far away the timeout, it is waited for.
func enterWaitsLong(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	r.Turn(0)
	for _, timeout := range []time.Duration{time.Hour, 365 * 24 * time.Hour, math.MaxInt64 - 1, math.MaxInt64, -1, math.MinInt64} {
		// Again and again: a wake-up that comes before the wait, or cuts it short by
		// a little, does not count.
		stop := every(20*time.Millisecond, r.Wake)
		took := r.waits(timeout, 20*time.Millisecond)
		stop()
		if took < 20*time.Millisecond {
			t.Errorf("Enter(%v) took %v", timeout, took)
		}
		for range 3 {
			r.Reap()
			r.Turn(time.Millisecond) // a second completion of the same wake-up may be pending
		}
	}
}

// every calls f periodically, on another goroutine, until stop has returned.
func every(d time.Duration, f func()) (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(d)
		defer ticker.Stop()
		for {
			select {
			case <-quit:
				return
			case <-ticker.C:
				f()
			}
		}
	}()
	return func() { close(quit); <-ended }
}

// Unread completions keep Enter from waiting, also when it was left to wait for
// ever.
func enterWithUnreadCompletions(t *testing.T, e Engine) {
	data := Mem(t, 10)
	r := e.open(t, buffers, bufferSize)
	first, second := Token(ring.OpSend, 1), Token(ring.OpSend, 2)
	a, _ := SocketPair(t)
	x, _ := SocketPair(t)
	r.Send(first, a, data)
	r.Send(second, x, data)
	r.Turn(-1)
	r.Turn(-1)
	var c ring.Completion
	for !r.Next(&c) || c.Token != first {
		r.Turn(-1)
	}
	r.Turn(-1) // second is unread
	r.Expect(second, 10)
}

// A signal ends the wait without an error.
func enterIsInterrupted(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	r.Turn(0)
	tid := unix.Gettid()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				// The runtime's own signal, which it expects at any time.
				_ = unix.Tgkill(unix.Getpid(), tid, unix.SIGURG)
			}
		}
	})
	start := time.Now()
	for range 3 {
		r.Turn(Patience)
	}
	took := time.Since(start)
	close(stop)
	wg.Wait()
	if took > Patience {
		t.Errorf("three interrupted turns took %v", took)
	}
}

// A ring with nothing to do sleeps, whatever it has done before: no event comes
// again and again.
func enterSleepsWhenIdle(t *testing.T, e Engine) {
	data := Mem(t, 1<<20)
	r := e.open(t, buffers, 64)
	l, addr := Listen(t, unix.AF_UNIX)
	accept := Token(ring.OpAccept, 1<<31)
	r.Accept(accept, l)
	Dial(t, unix.AF_UNIX, addr)
	fd, _ := r.Accepted(accept)
	Closing(t, fd)

	// One paused with input, one at its end, one reset, one writable, one that
	// waits to be, one polled.
	paused, b := SocketPair(t)
	v := &Receiver{R: r, Tok: Token(ring.OpRecv, 1), FD: paused}
	v.Arm()
	r.Turn(0)
	v.pause()
	v.untilPaused()
	Write(t, b, make([]byte, 640))

	ended, b := SocketPair(t)
	w := &Receiver{R: r, Tok: Token(ring.OpRecv, 2), FD: ended}
	w.Arm()
	unix.Close(b)
	w.untilEnd()

	broken, b := TCPPair(t)
	x := &Receiver{R: r, Tok: Token(ring.OpRecv, 3), FD: broken}
	x.Arm()
	r.Turn(0)
	Reset(t, b)
	x.untilEnd()

	full, _ := SocketPair(t)
	r.Recv(Token(ring.OpRecv, 4), full)
	r.Send(Token(ring.OpSend, 4), full, data)

	idle, _ := TCPPair(t)
	r.Poll(Token(ring.OpPoll, 5), idle, unix.POLLIN)

	for range 3 {
		r.Quiet()
	}
	const wait = 30 * time.Millisecond
	start, turns := time.Now(), 0
	for time.Since(start) < wait {
		r.Turn(wait)
		r.Reap()
		turns++
	}
	if turns > 3 {
		t.Errorf("%d turns in %v of idleness", turns, wait)
	}
}
