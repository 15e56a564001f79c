package ringtest

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/ring"
)

var memoryTests = []test{
	{"double release", doubleRelease},
	{"released buffer", releasedBufferIsPoisoned},
	{"end of a buffer", receivedSliceEndsWithItsBuffer},
	{"go heap", memoryOfTheGoHeap},
	{"no allocation", turnsDoNotAllocate},
}

// needChecks skips what only test builds assert: run with -race or -tags ringkitcheck.
func needChecks(t *testing.T) {
	t.Helper()
	if !check.Enabled {
		t.Skip("not a test build")
	}
}

// Panics runs f, which has to panic with the given words.
func Panics(t *testing.T, words string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if p := recover(); p == nil || !strings.Contains(p.(string), words) {
			t.Errorf("panic: %v, want %q", p, words)
		}
	}()
	f()
}

func doubleRelease(t *testing.T, e Engine) {
	needChecks(t)
	r := e.open(t, buffers, bufferSize)
	a, b := SocketPair(t)
	tok := Token(ring.OpRecv, 1)
	r.Recv(tok, a)
	Write(t, b, []byte("x"))
	c := r.Take(tok)
	r.Release(c.BufID)
	Panics(t, "released twice", func() { r.Release(c.BufID) })
}

func releasedBufferIsPoisoned(t *testing.T, e Engine) {
	needChecks(t)
	r := e.open(t, 2, 64)
	a, b := SocketPair(t)
	tok := Token(ring.OpRecv, 1)
	r.Recv(tok, a)
	Write(t, b, []byte("secret"))
	c := r.Take(tok)
	r.Release(c.BufID)
	if want := bytes.Repeat([]byte{check.PoisonByte}, len(c.Buf)); !bytes.Equal(c.Buf, want) {
		t.Errorf("the released buffer holds %q", c.Buf)
	}
}

// A receiver that writes past what it got would write into another buffer.
func receivedSliceEndsWithItsBuffer(t *testing.T, e Engine) {
	r := e.open(t, 2, 64)
	a, b := SocketPair(t)
	tok := Token(ring.OpRecv, 1)
	r.Recv(tok, a)
	Write(t, b, []byte("x"))
	c := r.Take(tok)
	if len(c.Buf) != 1 || cap(c.Buf) != 64 {
		t.Errorf("length %d, capacity %d, want 1 and 64", len(c.Buf), cap(c.Buf))
	}
	r.Release(c.BufID)
}

func memoryOfTheGoHeap(t *testing.T, e Engine) {
	needChecks(t)
	mapped := Mem(t, 100)
	r := e.open(t, buffers, bufferSize)
	a, _ := SocketPair(t)
	heap := make([]byte, 128)
	Panics(t, "send of memory that is not mapped", func() { r.Send(Token(ring.OpSend, 1), a, heap) })
	Panics(t, "address that is not mapped", func() { r.Connect(Token(ring.OpConnect, 1), a, heap) })
	Panics(t, "not mapped", func() { r.Send(Token(ring.OpSend, 1), a, append(mapped[:cap(mapped)], 1)) })
	r.Send(Token(ring.OpSend, 1), a, mapped[10:20])
	r.Expect(Token(ring.OpSend, 1), 10)
	_ = unix.Shutdown(a, unix.SHUT_RDWR)
}

// Echo is a connection whose ring sends back what it receives.
type Echo struct {
	r          *Driver
	ours, peer int
	out        []byte
	c          ring.Completion
	message    [64]byte
}

// NewEcho returns an echo on a new ring.
func NewEcho(t testing.TB, e Engine) *Echo {
	t.Helper()
	out := Mem(t, 4096)
	echo := &Echo{r: e.open(t, buffers, bufferSize), out: out}
	echo.ours, echo.peer = SocketPair(t)
	echo.r.Recv(Token(ring.OpRecv, 1), echo.ours)
	return echo
}

// Turn writes to the ring's socket, turns the ring until the message was sent
// back, and reads it.
func (e *Echo) Turn() {
	if _, err := unix.Write(e.peer, e.message[:]); err != nil {
		e.r.T.Fatal(err)
	}
	for sent := false; !sent; {
		e.r.Turn(-1)
		for e.r.Next(&e.c) {
			switch e.c.Token.Op() {
			case ring.OpRecv:
				n := copy(e.out, e.c.Buf)
				e.r.Release(e.c.BufID)
				if !e.c.More() {
					e.r.Recv(e.c.Token, e.ours)
				}
				e.r.Send(Token(ring.OpSend, 1), e.ours, e.out[:n])
			case ring.OpSend:
				sent = true
			}
		}
	}
	if n, err := unix.Read(e.peer, e.message[:]); n != len(e.message) || err != nil {
		e.r.T.Fatalf("read %d bytes: %v", n, err)
	}
}

// Bench measures turns of an echo.
func Bench(b *testing.B, engines ...Engine) {
	for _, e := range engines {
		b.Run(e.Name, func(b *testing.B) {
			echo := NewEcho(b, e)
			b.ReportAllocs()
			b.SetBytes(int64(2 * len(echo.message)))
			for b.Loop() {
				echo.Turn()
			}
		})
	}
}

func turnsDoNotAllocate(t *testing.T, e Engine) {
	if check.Enabled {
		t.Skip("the checks of test builds allocate")
	}
	echo := NewEcho(t, e)
	for range 100 {
		echo.Turn()
	}
	// A part of an allocation a turn would be rounded off.
	if n := testing.AllocsPerRun(100, func() {
		for range 100 {
			echo.Turn()
		}
	}); n != 0 {
		t.Errorf("%v allocations in 100 turns, want none", n)
	}
}
