package ringtest

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

var closeTests = []test{
	{"operations in flight", closeWithOperationsInFlight},
	{"needs no time", closeNeedsNoTime},
	{"connections unread", closeWithConnectionsUnread},
	{"data unread", closeWithDataUnread},
	{"buffers in use", closeLeavesBuffersInUse},
	{"counters", countersOutliveTheRing},
	{"memory", closeLeaksNoMemory},
	{"no descriptors", newWithoutDescriptors},
}

// Busy has one of each operation in flight on the ring.
func Busy(t *testing.T, r *Driver, data []byte) {
	t.Helper()
	a, _ := TCPPair(t)
	l, _ := Listen(t, unix.AF_INET)
	r.Accept(Token(ring.OpAccept, 1<<31), l)
	r.Recv(Token(ring.OpRecv, 1), a)
	r.Poll(Token(ring.OpPoll, 1), a, unix.POLLIN)
	r.Send(Token(ring.OpSend, 1), a, data)
	r.Turn(0)
}

// Close ends what is in flight, soon, and leaves nothing behind: open watches
// descriptors and mappings.
func closeWithOperationsInFlight(t *testing.T, e Engine) {
	data := Mem(t, 16<<20)
	r := e.open(t, buffers, bufferSize)
	Busy(t, r, data)
	start := time.Now()
	if err := r.Close(Patience); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > Patience/2 {
		t.Errorf("Close took %v", took)
	}
	if err := r.Close(0); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}

// One round of cancelling is enough for what this thread submitted.
func closeNeedsNoTime(t *testing.T, e Engine) {
	data := Mem(t, 16<<20)
	r := e.open(t, buffers, bufferSize)
	Busy(t, r, data)
	if err := r.Close(0); err != nil {
		t.Error(err)
	}
}

// Connections accepted whose completion nobody read are closed.
func closeWithConnectionsUnread(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	l, addr := Listen(t, unix.AF_UNIX)
	r.Accept(Token(ring.OpAccept, 1), l)
	for range 100 {
		Dial(t, unix.AF_UNIX, addr)
	}
	r.Turn(-1)
}

// Received data whose completion nobody read goes with the ring.
func closeWithDataUnread(t *testing.T, e Engine) {
	r := e.open(t, 64, bufferSize)
	for i := range 50 {
		a, b := SocketPair(t)
		r.Recv(Token(ring.OpRecv, uint32(i)), a)
		Write(t, b, []byte("x"))
	}
	r.Turn(-1)
}

// Buffers not yet released stay readable after Close, until they are.
func closeLeavesBuffersInUse(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	a, b := SocketPair(t)
	x, y := SocketPair(t)
	first, second := Token(ring.OpRecv, 1), Token(ring.OpRecv, 2)
	r.Recv(first, a)
	r.Recv(second, x)
	Write(t, b, []byte("still here"))
	Write(t, y, []byte("me too"))
	c, d := r.Take(first), r.Take(second)
	if err := r.Close(Patience); err != nil {
		t.Fatal(err)
	}
	if string(c.Buf) != "still here" {
		t.Errorf("the buffer holds %q", c.Buf)
	}
	r.Release(c.BufID)
	if string(d.Buf) != "me too" {
		t.Errorf("the other buffer holds %q", d.Buf)
	}
	r.Release(d.BufID)
}

// The counters outlive the ring.
func countersOutliveTheRing(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	cancel := Token(ring.OpCancel, 1)
	r.Cancel(cancel, Token(ring.OpRecv, 1))
	r.Expect(cancel, Errno(unix.ENOENT))
	before := e.Stats(r.Ring)
	if err := r.Close(Patience); err != nil {
		t.Fatal(err)
	}
	if after := e.Stats(r.Ring); after.Completions < before.Completions || before.Completions == 0 {
		t.Errorf("%+v before, %+v after", before, after)
	}
}

// Rings made and closed again and again leave no memory behind.
func closeLeaksNoMemory(t *testing.T, e Engine) {
	const (
		rounds = 30
		count  = 64
		size   = 1 << 20 // 64 MiB of address space in each round
	)
	e.open(t, buffers, bufferSize)
	before := AddressSpace(t)
	for range rounds {
		r, err := e.New(count, size)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Enter(0); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(Patience); err != nil {
			t.Fatal(err)
		}
	}
	if grown := AddressSpace(t) - before; grown > rounds*count*size/2 {
		t.Errorf("the address space has grown by %d MiB in %d rounds", grown>>20, rounds)
	}
}

// With one descriptor after the other missing, New says so and cleans up.
func newWithoutDescriptors(t *testing.T, e Engine) {
	if e.Brief {
		t.Skip("takes a process")
	}
	if e.Need != nil {
		e.Need(t)
	}
	if !InChild(t) {
		return
	}
	OnThread(t)
	NoLeaks(t)
	LimitDescriptors(t, 100)
	fillers := UseAllDescriptors(t)
	for free := range 2 { // a ring needs two
		r, err := e.New(buffers, bufferSize)
		if err == nil {
			t.Errorf("New succeeded with %d descriptors left: %v", free, r.Close(0))
		}
		if !errors.Is(err, unix.EMFILE) {
			t.Errorf("with %d descriptors left: %v, want EMFILE", free, err)
		}
		unix.Close(fillers[free])
	}
	r, err := e.New(buffers, bufferSize)
	if err != nil {
		t.Fatalf("with 2 descriptors left: %v", err)
	}
	if err := r.Close(Patience); err != nil {
		t.Error(err)
	}
	for _, fd := range fillers[2:] {
		unix.Close(fd)
	}
}
