package uring

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringkit/ringkit/internal/ring"
)

// crowd is many sockets that receive, served turn by turn as a loop does.
type crowd struct {
	*testing.T
	r     *testRing
	peers []int
	fds   []int
	got   []string
}

func newCrowd(t *testing.T, r *testRing, n int) *crowd {
	c := &crowd{T: t, r: r, got: make([]string, n)}
	for i := range n {
		a, b := tcpPair(t)
		c.fds, c.peers = append(c.fds, a), append(c.peers, b)
		r.Recv(token(ring.OpRecv, uint32(i)), a)
	}
	return c
}

// round has the peers from one to another send at the same time, and returns how many
// receives found no buffer.
func (c *crowd) round(from, to int) (starved uint64) {
	c.Helper()
	before := c.r.Stats().Starved
	for i := from; i < to; i++ {
		c.got[i] = ""
		write(c.T, c.peers[i], []byte(fmt.Sprint("from ", i)))
	}
	deadline := time.Now().Add(patience)
	for left := to - from; left > 0; {
		if time.Now().After(deadline) {
			c.Fatalf("%d sockets have received nothing", left)
		}
		if err := c.r.Enter(time.Second); err != nil {
			c.Fatal(err)
		}
		var again []int
		var e ring.Completion
		for c.r.Next(&e) {
			i := int(e.Token.Slot())
			if e.Res > 0 {
				if c.got[i] += string(e.Buf); c.got[i] != fmt.Sprint("from ", i) {
					c.Fatalf("socket %d received %q", i, c.got[i])
				}
				left--
				c.r.Release(e.BufID)
			} else if e.Res != -int32(syscall.ENOBUFS) {
				c.Fatalf("socket %d: %s", i, resultName(e.Res))
			}
			if !e.More() {
				again = append(again, i)
			}
		}
		for _, i := range again {
			c.r.Recv(token(ring.OpRecv, uint32(i)), c.fds[i])
		}
	}
	if err := c.r.Enter(0); err != nil { // what was released is the kernel's again
		c.Fatal(err)
	}
	return c.r.Stats().Starved - before
}

// Buffers become as many as there are receives at a time, and no more than that.
func TestBuffersGrow(t *testing.T) {
	need(t, BufferRing)
	for _, without := range []Feature{0, MultishotRecv} {
		t.Run(fmt.Sprint("without ", without), func(t *testing.T) {
			r := open(t, Config{Buffers: 8, MaxBuffers: 256, BufferSize: 64, Without: without})
			c := newCrowd(t, r, 100)
			first := c.round(0, 100)
			for range 4 {
				c.round(0, 100)
			}
			total := r.bufs.total()
			for range 5 {
				if n := c.round(0, 100); n > 0 {
					t.Errorf("%d of 100 receives found no buffer, with %d buffers", n, total)
				}
			}
			if first == 0 || total > 256 || r.bufs.total() != total {
				t.Errorf("%d receives found none of 8 buffers; then there were %d, then %d", first, total, r.bufs.total())
			}
		})
	}
}

// With as many buffers as there may be, everybody is served in turn.
func TestBuffersGrowUpToALimit(t *testing.T) {
	need(t, BufferRing)
	r := open(t, Config{Buffers: 4, MaxBuffers: 16, BufferSize: 64})
	c := newCrowd(t, r, 100)
	for range 5 {
		c.round(0, 100)
	}
	if got := r.bufs.total(); got != 16 || len(r.bufs.groups) != 3 {
		t.Errorf("%d buffers in %d groups, want 16 in 3", got, len(r.bufs.groups))
	}
}

// Without MaxBuffers there are always as many.
func TestBuffersDoNotGrow(t *testing.T) {
	need(t, BufferRing)
	r := open(t, Config{Buffers: 4, BufferSize: 64})
	c := newCrowd(t, r, 30)
	c.round(0, 30)
	if n := c.round(0, 30); n == 0 || r.bufs.total() != 4 || r.ExcessBuffers() {
		t.Errorf("%d buffers; %d receives found none", r.bufs.total(), n)
	}
}

// Buffers that are not used any more are given back, one group after the other, and
// those who received into them go on with the others.
func TestBuffersShrink(t *testing.T) {
	need(t, BufferRing)
	r := open(t, Config{Buffers: 8, MaxBuffers: 256, BufferSize: 4096})
	c := newCrowd(t, r, 100)
	for range 5 {
		c.round(0, 100)
	}
	most := r.bufs.total()
	r.TrimBuffers()
	if got := r.bufs.total(); got != most {
		t.Fatalf("%d buffers, of which all were used, became %d", most, got)
	}
	for n := len(r.bufs.groups); n > 1; n-- {
		r.TrimBuffers()
		if got := len(r.bufs.groups); got != n-1 {
			t.Fatalf("%d groups became %d", n, got)
		}
		gone := r.bufs.leave.mem
		r.bufs.trim(false) // there are completions that were not read
		if r.bufs.leave == nil || len(r.bufs.groups) != n-1 {
			t.Fatal("memory was given back that completions may have")
		}
		gone[0] = 1 // a fault if it is not mapped
		// Those that were armed with it.
		for i := range 100 {
			c.round(i, i+1)
		}
	}
	r.TrimBuffers()
	if r.ExcessBuffers() || r.bufs.total() != 8 {
		t.Errorf("%d buffers are left, want 8; excess: %v", r.bufs.total(), r.ExcessBuffers())
	}
	for range 5 {
		c.round(0, 100)
	}
	if r.bufs.total() < most/2 {
		t.Errorf("%d buffers became %d again, want %d", 8, r.bufs.total(), most)
	}
}

// A group goes while a completion with one of its buffers has not been read, and while
// one is in use.
func TestBuffersGoWhileInUse(t *testing.T) {
	need(t, MultishotRecv)
	r := open(t, Config{Buffers: 1, MaxBuffers: 2, BufferSize: 64})
	c := newCrowd(t, r, 2)
	for range 3 {
		c.round(0, 2)
	}
	if r.bufs.total() != 2 {
		t.Fatalf("%d buffers", r.bufs.total())
	}
	write(t, c.peers[0], []byte("one"))
	write(t, c.peers[1], []byte("two"))
	for deadline := time.Now().Add(patience); atomic.LoadUint32(r.cq.tail)-r.cq.next < 2; {
		if err := r.Enter(time.Millisecond); err != nil || time.Now().After(deadline) {
			t.Fatal("nothing was received", err)
		}
	}
	r.bufs.peak = 0
	r.TrimBuffers()
	if r.bufs.leave == nil {
		t.Fatal("the second group is still there")
	}
	r.TrimBuffers()
	var e ring.Completion
	got := map[string]bool{}
	for r.Next(&e) {
		if e.HasBuffer() {
			got[string(e.Buf)] = true
			r.TrimBuffers() // in the caller's hands
			if r.bufs.leave == nil || !got[string(e.Buf)] {
				t.Fatal("the memory was given back before the buffer")
			}
			r.Release(e.BufID)
		}
	}
	if !got["one"] || !got["two"] || len(got) != 2 {
		t.Errorf("received %v", got)
	}
	r.TrimBuffers()
	if r.ExcessBuffers() {
		t.Error("the second group has not been given back")
	}
}

// Those that have more to say than fits into a buffer wait in their sockets, which costs
// nobody memory.
func TestBuffersDoNotGrowForBulk(t *testing.T) {
	need(t, BufferRing)
	r := open(t, Config{Buffers: 4, MaxBuffers: 64, BufferSize: 64})
	for i := range 30 {
		a, b := tcpPair(t)
		write(t, b, make([]byte, 64*20))
		r.Recv(token(ring.OpRecv, uint32(i)), a)
		defer r.Cancel(token(ring.OpCancel, uint32(i)), token(ring.OpRecv, uint32(i)))
	}
	if err := r.Enter(time.Second); err != nil {
		t.Fatal(err)
	}
	starved := 0
	var e ring.Completion
	for r.Next(&e) {
		if e.HasBuffer() {
			r.Release(e.BufID)
		}
		if e.Res == -int32(syscall.ENOBUFS) {
			starved++
		}
	}
	if starved == 0 || r.bufs.want || r.bufs.total() != 4 {
		t.Errorf("%d buffers; more are wanted: %v; %d receives found none", r.bufs.total(), r.bufs.want, starved)
	}
}
