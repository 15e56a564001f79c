package uring

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

// Completions that do not fit the queue wait in the kernel: nothing is lost and
// the order stays.
func TestOverflowLosesNothing(t *testing.T) {
	eachTier(t, Config{Entries: 16, CQEntries: 16}, func(t *testing.T, r *testRing) {
		const n = 800
		for i := range n {
			nop(r, uint32(i))
		}
		if got := r.order(n); !slices.Equal(got, upTo(n)) {
			t.Fatalf("out of order or lost: %v", got)
		}
		if s := r.Stats(); s.Overflow == 0 || s.Lost != 0 {
			t.Errorf("%+v, want overflows and no loss", s)
		}
	})
}

// A multishot accept ends when its completions do not fit, with a result that is
// valid and lacks the flag More. Armed again it goes on; each peer is accepted.
func TestOverflowEndsMultishotAccept(t *testing.T) {
	eachTier(t, Config{Entries: 16, CQEntries: 16}, func(t *testing.T, r *testRing) {
		const peers = 100
		l, addr := listen(t, unix.AF_UNIX)
		for range peers {
			dial(t, unix.AF_UNIX, addr)
		}
		tok := token(ring.OpAccept, 1)
		r.Accept(tok, l)
		accepted, ends := 0, 0
		for accepted < peers {
			c := r.Take(tok)
			if c.Res < 0 {
				t.Fatalf("accept: %s", resultName(c.Res))
			}
			unix.Close(int(c.Res))
			accepted++
			if !c.More() {
				ends++
				r.Accept(tok, l)
			}
		}
		if ends == 0 {
			t.Error("the queue of 16 took 100 connections without ending the accept")
		}
		r.Quiet()
	})
}

// The same for receives: 200 sockets become readable at once.
func TestOverflowEndsMultishotReceive(t *testing.T) {
	eachTier(t, Config{Entries: 16, CQEntries: 16, Buffers: 1024, BufferSize: 64}, func(t *testing.T, r *testRing) {
		const n = 200
		peers := make([]int, n)
		arm := make([]func(), n)
		for i := range n {
			a, b := socketPair(t)
			peers[i] = b
			arm[i] = func() { r.Recv(token(ring.OpRecv, uint32(i)), a) }
			arm[i]()
		}
		r.Turn(0)
		r.Reap()
		for round := range 3 {
			for i := range n {
				write(t, peers[i], []byte{byte(round), byte(i)})
			}
			for i := range n {
				c := r.Take(token(ring.OpRecv, uint32(i)))
				if !slices.Equal(c.Buf, []byte{byte(round), byte(i)}) {
					t.Fatalf("round %d, socket %d: received %v (%s)", round, i, c.Buf, resultName(c.Res))
				}
				r.Release(c.BufID)
				if !c.More() {
					arm[i]()
				}
			}
		}
		if s := r.Stats(); s.Overflow == 0 || s.Lost != 0 {
			t.Errorf("%+v, want overflows and no loss", s)
		}
	})
}
