package ringtest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var wakeTests = []test{
	{"ends the wait", wakeEndsTheWait},
	{"before enter", wakeBeforeEnter},
	{"ends one wait", wakeEndsOneWait},
	{"by many", wakeByMany},
	{"completes nothing", wakeCompletesNothing},
	{"during and after close", wakeDuringAndAfterClose},
}

func wakeEndsTheWait(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	for i := range 100 {
		var wg sync.WaitGroup
		wg.Go(r.Wake)
		r.Turn(-1)
		wg.Wait()
		r.Reap()
		if i%10 == 0 {
			r.Turn(0) // a second completion of the same wake-up may be pending
			r.Reap()
		}
	}
	if e.Stats(r.Ring).Wakes == 0 {
		t.Error("no wake-up was counted")
	}
}

// Wake-ups before Enter, before the first one even, are not lost.
func wakeBeforeEnter(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	for range 50 {
		r.Wake()
		r.Wake()
		r.Turn(-1)
		r.Reap()
	}
}

// A wake-up is seen once: the next Enter waits again.
func wakeEndsOneWait(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	r.Turn(0)
	r.Wake()
	r.Turn(-1)
	r.Reap()
	start := time.Now()
	r.Turn(50 * time.Millisecond)
	if took := time.Since(start); took < 50*time.Millisecond {
		t.Errorf("the next Enter took %v, want it to wait", took)
	}
}

// Many goroutines hand work over as the loop above does: each makes its work
// visible, then wakes. The loop must not sleep on work.
func wakeByMany(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
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
		r.Turn(Patience)
		if time.Since(start) >= Patience {
			t.Fatal("slept while others called Wake")
		}
		r.Reap()
	}
	wg.Wait()
}

func wakeCompletesNothing(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	for range 10 {
		r.Wake()
		r.Quiet()
	}
}

// A goroutine may be late with its Wake. It must not write to a descriptor that
// got the number after Close.
func wakeDuringAndAfterClose(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	number := e.WakeFD(r.Ring)
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
	if err := r.Close(Patience); err != nil {
		t.Error(err)
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	reader, writer := Closing(t, fds[0]), Closing(t, fds[1])
	if writer != number {
		if err := unix.Dup3(writer, number, unix.O_CLOEXEC); err != nil && reader != number {
			t.Fatal(err)
		}
		Closing(t, number)
	}
	time.Sleep(5 * time.Millisecond)
	close(stop)
	wg.Wait()
	if n, err := unix.Read(reader, make([]byte, 8)); err != unix.EAGAIN {
		t.Errorf("Wake wrote %d bytes (%v) to a descriptor that is not the ring's", n, err)
	}
}
