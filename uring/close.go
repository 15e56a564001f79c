package uring

import (
	"errors"
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/mapped"
	"github.com/ringkit/ringkit/internal/ring"
)

// settleStep is how long Close waits for completions before it cancels again.
const settleStep = 10 * time.Millisecond

// Close cancels what is in flight, waits for it up to the given time, and frees
// the ring. Descriptors given to CloseFD are closed, as are accepted ones whose
// completion was not read; operations prepared after the last Enter do not start.
// Receive buffers not yet released stay readable until they are. Afterwards only
// Release, Stats, Wake and Close may be called.
//
// When something is still in flight after the wait, the memory the kernel may
// write to is left mapped and the error says so: a leak is better than a write
// into memory that meanwhile belongs to somebody else.
func (r *Ring) Close(wait time.Duration) error {
	if r.fd < 0 {
		return nil
	}
	r.dropPrepared()
	if err := r.settle(wait); err != nil {
		r.closeFDs()
		return fmt.Errorf("uring: close: %w", err)
	}
	return r.release()
}

// dropPrepared takes back what the kernel has not seen.
func (r *Ring) dropPrepared() {
	for ; r.sq.next != r.sq.sent; r.sq.next-- {
		r.drop(&r.sq.entry[(r.sq.next-1)&r.sq.mask])
	}
	for i := range r.backlog {
		r.drop(&r.backlog[i])
	}
	r.backlog = nil
}

func (r *Ring) drop(e *sqe) {
	if sqeFlags(e)&sqeSkipSuccess == 0 {
		r.inflight--
		return
	}
	if e.Opcode() == opClose && sqeFileIndex(e) == 0 { // a slot goes with the ring
		unix.Close(int(e.Fd()))
	}
}

// settle cancels until nothing is in flight. One round does it when the requests
// were submitted by this thread; those of another thread end when that thread
// next enters the kernel.
func (r *Ring) settle(wait time.Duration) error {
	deadline := time.Now().Add(wait)
	for r.discard(); r.inflight > 0; r.discard() {
		left := max(0, time.Until(deadline))
		if err := r.cancelAll(); err != nil {
			return fmt.Errorf("cancel what is in flight: %w", err)
		}
		r.publish()
		if err := r.enterKernel(0, 1, min(left, settleStep)); err != nil {
			return err
		}
		if r.discard(); r.inflight > 0 && left == 0 {
			return fmt.Errorf("%d operations are still in flight", r.inflight)
		}
	}
	return nil
}

func (r *Ring) cancelAll() error {
	c := syncCancelReg{fd: -1, flags: cancelAny | cancelAll}
	err := register(r.fd, registerSyncCancel, unsafe.Pointer(&c), 1)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ETIME) {
		return nil
	}
	return bare(err)
}

// discard drops completions, and what would be lost with them.
func (r *Ring) discard() {
	var c ring.Completion
	for r.Next(&c) {
		if c.HasBuffer() {
			r.Release(c.BufID)
		}
		if c.Token.Op() == ring.OpAccept && c.Res >= 0 {
			unix.Close(int(c.Res))
		}
	}
}

func (r *Ring) closeFDs() {
	if r.fd >= 0 {
		r.Stats() // the last look at the kernel's counters
		unix.Close(r.fd)
	}
	r.closeWake()
	r.fd = -1
}

// release frees everything. Nothing is in flight.
func (r *Ring) release() error {
	r.closeFDs()
	return errors.Join(r.bufs.close(), r.files.close(), mapped.Free(r.ringMem), mapped.Free(r.sqeMem), mapped.Free(r.scratch))
}
