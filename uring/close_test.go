package uring

import (
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/mapped"
	"github.com/ringkit/ringkit/internal/ring"
	"github.com/ringkit/ringkit/internal/ringtest"
)

// Close ends what is in flight, soon, and leaves nothing behind: open watches
// descriptors and mappings.
func TestCloseWithOperationsInFlight(t *testing.T) {
	data := mem(t, 16<<20)
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		ringtest.Busy(t, r.Driver, data)
		start := time.Now()
		if err := r.Close(patience); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > patience/2 {
			t.Errorf("Close took %v", took)
		}
		if r.inflight != 0 {
			t.Errorf("%d operations are said to be in flight", r.inflight)
		}
		if err := r.Close(0); err != nil {
			t.Errorf("the second Close: %v", err)
		}
	})
}

// Operations prepared since the last Enter do not start, with one exception:
// CloseFD is a promise, wherever it waits.
func TestCloseWithOperationsPrepared(t *testing.T) {
	eachTier(t, Config{Entries: 8}, func(t *testing.T, r *testRing) {
		a, b := socketPair(t)
		r.Turn(0)
		intercept(r, refuseAll)
		write(t, b, []byte("x"))
		doomed := make([]int, 20) // some in the queue, some in the backlog
		for i := range doomed {
			r.Recv(token(ring.OpRecv, uint32(i)), a)
			fd, err := unix.Dup(a)
			if err != nil {
				t.Fatal(err)
			}
			doomed[i] = fd
			r.CloseFD(fd)
		}
		if len(r.backlog) == 0 {
			t.Fatal("no backlog")
		}
		if err := r.Close(patience); err != nil {
			t.Fatal(err)
		}
		for _, fd := range doomed {
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
				t.Errorf("a descriptor given to CloseFD is still open (%v)", err)
			}
		}
		if n, err := unix.Read(a, make([]byte, 1)); n != 1 {
			t.Errorf("the data was received by a ring that was being closed (%d, %v)", n, err)
		}
	})
}

// Connections accepted by the kernel whose completion nobody read are closed:
// those in the queue as well as those that did not fit.
func TestCloseWithAcceptedConnectionsUnread(t *testing.T) {
	eachTier(t, Config{Entries: 16, CQEntries: 16}, func(t *testing.T, r *testRing) {
		l, addr := listen(t, unix.AF_UNIX)
		r.Accept(token(ring.OpAccept, 1), l)
		for range 100 {
			dial(t, unix.AF_UNIX, addr)
		}
		r.Turn(-1)
	})
}

// Received data whose completion nobody read goes with the ring.
func TestCloseWithDataUnread(t *testing.T) {
	eachTier(t, Config{Entries: 16, CQEntries: 16, Buffers: 64}, func(t *testing.T, r *testRing) {
		for i := range 50 {
			a, b := socketPair(t)
			r.Recv(token(ring.OpRecv, uint32(i)), a)
			write(t, b, []byte("x"))
		}
		r.Turn(-1)
	})
}

// A buffer not yet released stays readable after Close, until it is released.
func TestCloseLeavesBuffersInUse(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		a, b := socketPair(t)
		tok := token(ring.OpRecv, 1)
		r.Recv(tok, a)
		write(t, b, []byte("still here"))
		c := r.Take(tok)
		if err := r.Close(patience); err != nil {
			t.Fatal(err)
		}
		if string(c.Buf) != "still here" {
			t.Errorf("the buffer holds %q", c.Buf)
		}
		r.Release(c.BufID)
		if r.bufs.groups != nil {
			t.Error("the buffers are still mapped after the last release")
		}
	})
}

// The counters outlive the ring.
func TestStatsAfterClose(t *testing.T) {
	r := open(t, Config{})
	nop(r, 1)
	r.order(1)
	before := r.Stats()
	if err := r.Close(patience); err != nil {
		t.Fatal(err)
	}
	if after := r.Stats(); after.Submitted != before.Submitted || after.Completions < before.Completions {
		t.Errorf("%+v before, %+v after", before, after)
	}
}

// Requests submitted by another thread end on that thread. Close waits for it.
func TestCloseFromAnotherThread(t *testing.T) {
	for _, tr := range tiers {
		if tr.deferred {
			continue // bound to one thread
		}
		t.Run(tr.name, func(t *testing.T) {
			data := mem(t, 16<<20)
			r := open(t, tr.config(Config{}))
			var stop atomic.Bool
			submitted, ended := make(chan struct{}), make(chan struct{})
			go func() {
				runtime.LockOSThread()
				defer close(ended)
				defer runtime.UnlockOSThread()
				ringtest.Busy(t, r.Driver, data)
				close(submitted)
				for !stop.Load() {
					// In user space, where the kernel does not interrupt it.
				}
			}()
			<-submitted
			err := r.Close(patience)
			stop.Store(true)
			<-ended
			if err != nil || r.inflight != 0 {
				t.Errorf("Close: %v, with %d operations in flight", err, r.inflight)
			}
		})
	}
}

// A ring that may be driven by one thread only cannot be closed by another. The
// memory the kernel may still write to is not unmapped.
func TestCloseFromTheWrongThread(t *testing.T) {
	needRing(t)
	if !inChild(t) { // it leaks
		return
	}
	var r *Ring
	made := make(chan error)
	go func() {
		runtime.LockOSThread()
		var err error
		if r, err = New(Config{DeferTaskrun: true}); err == nil {
			err = r.Enter(0)
		}
		made <- err
		select {} // keep the thread
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	err := r.Close(time.Second)
	if e, _ := bare(err).(syscall.Errno); e != unix.EEXIST {
		t.Errorf("Close: %v, want EEXIST", err)
	}
	if took := time.Since(start); took > patience {
		t.Errorf("Close took %v", took)
	}
	r.bufs.groups[0].mem[0] = 1 // a fault if it is not mapped
	r.Wake()                    // harmless
}

// What cannot be cancelled in time is left mapped, and the error says so.
func TestCloseGivesUp(t *testing.T) {
	needRing(t)
	if !inChild(t) { // it leaks
		return
	}
	r, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Enter(0); err != nil {
		t.Fatal(err)
	}
	r.inflight++ // one that never ends
	start := time.Now()
	err = r.Close(100 * time.Millisecond)
	took := time.Since(start)
	if err == nil || !strings.Contains(err.Error(), "1 operations are still in flight") {
		t.Errorf("Close: %v", err)
	}
	if took < 100*time.Millisecond || took > patience {
		t.Errorf("Close took %v", took)
	}
	r.bufs.groups[0].mem[0] = 1 // a fault if it is not mapped
	_ = r.Stats()
}

// A ring that cannot be made leaves nothing behind either.
func TestNewFailsCleanly(t *testing.T) {
	needRing(t)
	noLeaks(t)
	for _, c := range []Config{
		{Entries: 3}, {Entries: 65536}, {Entries: -8},
		{CQEntries: 100}, {CQEntries: 1 << 17},
		{Buffers: 3}, {Buffers: 65536},
		{BufferSize: 10}, {BufferSize: 2 << 20},
	} {
		if r, err := New(c); err == nil {
			t.Errorf("New(%+v) succeeded", c)
			_ = r.Close(0)
		}
	}
}

// CloseFD closes; nothing completes. A failure completes nothing either.
func TestCloseFD(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		a, b := socketPair(t)
		fd, err := unix.Dup(a)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(a)
		r.CloseFD(fd)
		r.CloseFD(-1)
		r.Quiet()
		if n, err := unix.Read(b, make([]byte, 1)); n != 0 || err != nil {
			t.Errorf("the peer read %d, %v, want the end of the stream", n, err)
		}
		if r.inflight != 1 { // the wake-up's poll
			t.Errorf("%d operations are said to be in flight, want 1", r.inflight)
		}
	})
}

// The register of test builds knows the ring's memory.
func TestRingMemoryIsMapped(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		for name, b := range map[string][]byte{"rings": r.ringMem, "entries": r.sqeMem, "arguments": r.scratch, "buffers": r.bufs.groups[0].mem} {
			if len(b) == 0 || !mapped.Owns(b) {
				t.Errorf("the %s are not mapped memory", name)
			}
		}
	})
}
