package uring

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

// Only the operation named is cancelled.
func TestCancelLeavesOthersAlone(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		a, b := socketPair(t)
		recv, other, cancel := token(ring.OpRecv, 1), ring.MakeToken(ring.OpRecv, 2, 1), token(ring.OpCancel, 1)
		x, y := socketPair(t)
		r.Recv(recv, a)
		r.Recv(other, x)
		r.Cancel(cancel, recv)
		r.Expect(recv, errno(unix.ECANCELED))
		r.Expect(cancel, 0)
		r.Quiet()
		write(t, b, []byte("nobody"))
		write(t, y, []byte("somebody"))
		c := r.Take(other)
		if string(c.Buf) != "somebody" {
			t.Errorf("received %q", c.Buf)
		}
		r.Release(c.BufID)
		r.Quiet()
	})
}

// Generations keep apart two operations of one slot: the late completion of the
// first is not taken for one of the second.
func TestTokensOfOneSlot(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		a, b := socketPair(t)
		old, young := ring.MakeToken(ring.OpRecv, ring.MaxGeneration, 7), ring.MakeToken(ring.OpRecv, 0, 7)
		r.Recv(old, a)
		r.Recv(young, a)
		r.Cancel(token(ring.OpCancel, 1), old)
		r.Expect(old, errno(unix.ECANCELED))
		r.Expect(token(ring.OpCancel, 1), 0)
		write(t, b, []byte("new"))
		c := r.Take(young)
		if string(c.Buf) != "new" {
			t.Errorf("received %q", c.Buf)
		}
		r.Release(c.BufID)
	})
}
