package uring

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

func TestCancelNothing(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		cancel := token(ring.OpCancel, 1)
		r.Cancel(cancel, token(ring.OpRecv, 1))
		r.expect(cancel, errno(unix.ENOENT))
	})
}

// Armed and cancelled in one turn.
func TestCancelInTheSameTurn(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		a, _ := socketPair(t)
		recv, cancel := token(ring.OpRecv, 1), token(ring.OpCancel, 1)
		r.Recv(recv, a)
		r.Cancel(cancel, recv)
		r.expect(cancel, 0)
		r.expect(recv, errno(unix.ECANCELED))
	})
}

// Only the operation named is cancelled.
func TestCancelLeavesOthersAlone(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		a, b := socketPair(t)
		recv, other, cancel := token(ring.OpRecv, 1), ring.MakeToken(ring.OpRecv, 2, 1), token(ring.OpCancel, 1)
		x, y := socketPair(t)
		r.Recv(recv, a)
		r.Recv(other, x)
		r.Cancel(cancel, recv)
		r.expect(recv, errno(unix.ECANCELED))
		r.expect(cancel, 0)
		r.quiet()
		write(t, b, []byte("nobody"))
		write(t, y, []byte("somebody"))
		c := r.take(other)
		if string(c.Buf) != "somebody" {
			t.Errorf("received %q", c.Buf)
		}
		r.Release(c.BufID)
		r.quiet()
	})
}

// A cancel may come too late: each operation ends exactly once all the same, the
// cancel says 0, ENOENT or EALREADY, and no byte is lost.
func TestCancelRacesWithData(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		late := 0
		for i := range uint32(500) {
			a, b := socketPair(t)
			recv, cancel := token(ring.OpRecv, i), token(ring.OpCancel, i)
			r.Recv(recv, a)
			r.turn(0)
			r.reap()
			if i%2 == 0 {
				write(t, b, []byte("data"))
				r.Cancel(cancel, recv)
			} else {
				r.Cancel(cancel, recv)
				write(t, b, []byte("data"))
			}
			got := ""
			for more := true; more; {
				c := r.take(recv)
				if c.HasBuffer() {
					got += string(c.Buf)
					r.Release(c.BufID)
				} else if c.Res != errno(unix.ECANCELED) {
					t.Fatalf("the receive ended with %s", resultName(c.Res))
				}
				more = c.More()
			}
			c := r.take(cancel)
			if c.Res != 0 && c.Res != errno(unix.ENOENT) && c.Res != errno(unix.EALREADY) {
				t.Fatalf("the cancel ended with %s", resultName(c.Res))
			}
			if c.Res != 0 {
				late++
			}
			if got == "" {
				rest := make([]byte, 8)
				n, _ := unix.Read(a, rest)
				got = string(rest[:max(n, 0)])
			}
			if got != "data" {
				t.Fatalf("round %d: %q arrived", i, got)
			}
			unix.Close(a)
			unix.Close(b)
		}
		t.Logf("%d of 500 cancels came too late", late)
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
		r.expect(old, errno(unix.ECANCELED))
		r.expect(token(ring.OpCancel, 1), 0)
		write(t, b, []byte("new"))
		c := r.take(young)
		if string(c.Buf) != "new" {
			t.Errorf("received %q", c.Buf)
		}
		r.Release(c.BufID)
	})
}
