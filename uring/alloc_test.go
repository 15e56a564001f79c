package uring

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/ring"
)

// echo is a connection whose ring sends back what it receives.
type echo struct {
	r          *testRing
	ours, peer int
	out        []byte
	c          ring.Completion
	message    [64]byte
}

func newEcho(t testing.TB, c Config) *echo {
	t.Helper()
	out := mem(t, 4096)
	r := open(t, c)
	e := &echo{r: r, out: out}
	e.ours, e.peer = socketPair(t)
	r.Recv(token(ring.OpRecv, 1), e.ours)
	return e
}

// turn writes to the ring's socket, turns the ring until the message was sent
// back, and reads it.
func (e *echo) turn() {
	if _, err := unix.Write(e.peer, e.message[:]); err != nil {
		e.r.t.Fatal(err)
	}
	for sent := false; !sent; {
		e.r.turn(-1)
		for e.r.Next(&e.c) {
			switch e.c.Token.Op() {
			case ring.OpRecv:
				n := copy(e.out, e.c.Buf)
				e.r.Release(e.c.BufID)
				if !e.c.More() {
					e.r.Recv(e.c.Token, e.ours)
				}
				e.r.Send(token(ring.OpSend, 1), e.ours, e.out[:n])
			case ring.OpSend:
				sent = true
			}
		}
	}
	if n, err := unix.Read(e.peer, e.message[:]); n != len(e.message) || err != nil {
		e.r.t.Fatalf("read %d bytes: %v", n, err)
	}
}

func TestTurnsDoNotAllocate(t *testing.T) {
	if check.Enabled {
		t.Skip("the checks of test builds allocate")
	}
	for _, tr := range tiers {
		t.Run(tr.name, func(t *testing.T) {
			e := newEcho(t, tr.config(Config{}))
			for range 100 {
				e.turn()
			}
			if n := testing.AllocsPerRun(1000, e.turn); n != 0 {
				t.Errorf("%v allocations a turn, want none", n)
			}
		})
	}
}

func BenchmarkEcho(b *testing.B) {
	for _, tr := range tiers {
		b.Run(tr.name, func(b *testing.B) {
			e := newEcho(b, tr.config(Config{}))
			b.ReportAllocs()
			b.SetBytes(int64(2 * len(e.message)))
			for b.Loop() {
				e.turn()
			}
		})
	}
}
