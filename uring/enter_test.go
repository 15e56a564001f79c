package uring

import (
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

func TestEnterWithoutTimeoutDoesNotWait(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		a, _ := socketPair(t)
		r.Recv(token(ring.OpRecv, 1), a)
		start := time.Now()
		for range 100 {
			r.turn(0)
		}
		if took := time.Since(start); took > patience {
			t.Errorf("100 turns took %v", took)
		}
		r.quiet()
	})
}

// A turn with nothing to submit, nothing to wait for and nothing pending in the
// kernel is no system call.
func TestIdleEnterIsNoSystemCall(t *testing.T) {
	need(t, CoopTaskrun)
	r := open(t, Config{})
	r.turn(0)
	calls := intercept(r)
	for range 10 {
		r.turn(0)
	}
	if *calls != 0 {
		t.Errorf("%d system calls, want none", *calls)
	}
}

func TestEnterTimesOut(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		timeouts := []time.Duration{1, time.Microsecond, 5 * time.Millisecond}
		if r.Tier() == "full" && r.setup&setupDeferTaskrun == 0 {
			timeouts = append(timeouts, 1010*time.Millisecond)
		}
		for _, timeout := range timeouts {
			r.turn(0)
			start := time.Now()
			r.turn(timeout)
			if took := time.Since(start); took < timeout || took > timeout+patience {
				t.Errorf("Enter(%v) took %v", timeout, took)
			}
		}
	})
}

// Unread completions keep Enter from waiting, also when it was left to wait for
// ever.
func TestEnterDoesNotWaitWhileCompletionsAreUnread(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		first, second := nop(r, 1), nop(r, 2)
		r.turn(-1)
		r.turn(-1)
		var c ring.Completion
		for !r.Next(&c) || c.Token != first {
			r.turn(-1)
		}
		r.turn(-1) // second is unread
		r.expect(second, 0)
	})
}

// A signal ends the wait without an error.
func TestEnterIsInterrupted(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		r.turn(0)
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
			r.turn(patience)
		}
		took := time.Since(start)
		close(stop)
		wg.Wait()
		if took > patience {
			t.Errorf("three interrupted turns took %v", took)
		}
	})
}

func TestWakeEndsTheWait(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		for i := range 100 {
			var wg sync.WaitGroup
			wg.Go(r.Wake)
			r.turn(-1)
			wg.Wait()
			r.reap()
			if i%10 == 0 {
				r.turn(0) // a second completion of the same wake-up may be pending
				r.reap()
			}
		}
		if r.Stats().Wakes == 0 {
			t.Error("no wake-up was counted")
		}
	})
}

// Wake-ups before Enter, before the first one even, are not lost.
func TestWakeBeforeEnter(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		for range 50 {
			r.Wake()
			r.Wake()
			r.turn(-1)
			r.reap()
		}
	})
}

// A wake-up is seen once: the next Enter waits again.
func TestWakeEndsOneWait(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		r.turn(0)
		r.Wake()
		r.turn(-1)
		r.reap()
		calls := intercept(r)
		start := time.Now()
		r.turn(50 * time.Millisecond)
		if took := time.Since(start); took < 50*time.Millisecond || *calls != 1 {
			t.Errorf("the next Enter took %v and %d system calls, want it to wait", took, *calls)
		}
	})
}

// Many goroutines hand work over as the loop above does: each makes its work
// visible, then wakes. The loop must not sleep on work.
func TestWakeByMany(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		const goroutines, each = 16, 200
		var posted atomic.Int64
		var wg sync.WaitGroup
		for range goroutines {
			wg.Go(func() {
				for range each {
					posted.Add(1)
					r.Wake()
				}
			})
		}
		for posted.Load() < goroutines*each {
			start := time.Now()
			r.turn(patience)
			if time.Since(start) >= patience {
				t.Fatal("slept while others called Wake")
			}
			r.reap()
		}
		wg.Wait()
	})
}

// The poll behind Wake ends when the completion queue overflows; it is armed
// again and nothing is lost.
func TestWakeSurvivesOverflow(t *testing.T) {
	eachTier(t, Config{Entries: 8, CQEntries: 16}, func(t *testing.T, r *testRing) {
		for range 5 {
			r.Wake()
			for i := range 200 {
				nop(r, uint32(i))
				r.Wake()
			}
			r.order(200)
			r.reap()
			r.Wake()
			r.turn(-1)
		}
	})
}

// A goroutine may be late with its Wake. It must not write to a descriptor that
// got the number after Close.
func TestWakeDuringAndAfterClose(t *testing.T) {
	r := open(t, Config{})
	number := r.wakeFD
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					r.Wake()
				}
			}
		})
	}
	time.Sleep(5 * time.Millisecond)
	if err := r.Close(patience); err != nil {
		t.Error(err)
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	reader, writer := closing(t, fds[0]), closing(t, fds[1])
	if writer != number {
		if err := unix.Dup3(writer, number, unix.O_CLOEXEC); err != nil && reader != number {
			t.Fatal(err)
		}
		closing(t, number)
	}
	time.Sleep(5 * time.Millisecond)
	close(stop)
	wg.Wait()
	if n, err := unix.Read(reader, make([]byte, 8)); err != syscall.EAGAIN {
		t.Errorf("Wake wrote %d bytes (%v) to a descriptor that is not the ring's", n, err)
	}
}
