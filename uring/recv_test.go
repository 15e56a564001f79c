package uring

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

// receiver receives a stream as a loop would: it arms again whenever the receive
// has ended, after the buffers were given back.
type receiver struct {
	r       *testRing
	tok     ring.Token
	fd      int
	data    []byte
	starved int
	end     error // what ended the stream; nil while it lasts
	eof     bool
}

func (v *receiver) arm() { v.r.Recv(v.tok, v.fd) }

// drain handles the completions that are there.
func (v *receiver) drain() {
	v.r.reap()
	cs := v.r.got[v.tok]
	v.r.got[v.tok] = nil
	armed := true
	for _, c := range cs {
		if c.HasBuffer() {
			v.data = append(v.data, c.Buf...)
			v.r.Release(c.BufID)
		}
		switch {
		case c.Res == 0:
			v.eof = true
		case c.Res == errno(unix.ENOBUFS):
			v.starved++
		case c.Res == errno(unix.EAGAIN): // a poll that woke for nothing
		case c.Res < 0:
			v.end = unix.Errno(-c.Res)
		case int(c.Res) != len(c.Buf):
			v.r.t.Fatalf("a result of %d with %d bytes", c.Res, len(c.Buf))
		}
		armed = c.More()
	}
	if !armed && !v.eof && v.end == nil {
		v.arm()
	}
}

// until turns the ring until done says so.
func (v *receiver) until(what string, done func() bool) {
	v.r.t.Helper()
	v.r.until(what, func() bool { v.drain(); return done() })
}

// Every byte arrives once and in order, with two buffers only, so that the ring
// is out of buffers all the time, for writes of random sizes.
func TestReceiveWithTwoBuffers(t *testing.T) {
	eachTier(t, Config{Buffers: 2, BufferSize: 512}, func(t *testing.T, r *testRing) {
		for i, pair := range []func(testing.TB) (int, int){socketPair, tcpPair} {
			a, b := pair(t)
			checkStream(t, r, token(ring.OpRecv, uint32(i)), a, b)
		}
		if r.features&MultishotRecv != 0 && r.Stats().Starved == 0 {
			t.Error("two buffers were always enough")
		}
	})
}

func checkStream(t *testing.T, r *testRing, tok ring.Token, a, b int) {
	t.Helper()
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	sent := make([]byte, 1<<20)
	for i := range sent {
		sent[i] = byte(rnd.Uint32())
	}
	v := &receiver{r: r, tok: tok, fd: a}
	v.arm()
	rest := sent
	for len(rest) > 0 {
		n := min(len(rest), 1+rnd.IntN(1<<rnd.IntN(14)))
		n, err := unix.Write(b, rest[:n])
		if err != nil && err != unix.EAGAIN {
			t.Fatal(err)
		}
		rest = rest[max(n, 0):]
		if err != nil || rnd.IntN(4) == 0 {
			r.turn(0)
			v.drain()
		}
	}
	if err := unix.Shutdown(b, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	v.until("the end of the stream", func() bool { return v.eof || v.end != nil })
	if v.end != nil || !bytes.Equal(v.data, sent) {
		t.Fatalf("seed %d: received %d of %d bytes, ended by %v", seed, len(v.data), len(sent), v.end)
	}
}

// The tail of the buffer ring is 16 bits wide. More receives than that run it
// around.
func TestBufferRingRunsAround(t *testing.T) {
	for _, count := range []int{1, 2, 64} {
		t.Run(fmt.Sprint(count, " buffers"), func(t *testing.T) {
			need(t, BufferRing)
			r := open(t, Config{Buffers: count, BufferSize: 64})
			a, b := socketPair(t)
			v := &receiver{r: r, tok: token(ring.OpRecv, 1), fd: a}
			v.arm()
			message, rounds := []byte("...."), 1<<16/count+3
			for i := range rounds {
				// One receive takes what fills a buffer.
				for j := range count {
					copy(message, fmt.Sprintf("%04x", (i*count+j)&0xffff))
					write(t, b, bytes.Repeat(message, 16))
				}
				v.until("the data", func() bool { return len(v.data) >= 64*count })
				for j := range count {
					want := fmt.Sprintf("%04x", (i*count+j)&0xffff)
					if got := v.data[64*j : 64*j+64]; !bytes.Equal(got, bytes.Repeat([]byte(want), 16)) {
						t.Fatalf("message %s arrived as %q", want, got)
					}
				}
				v.data = v.data[:0]
			}
		})
	}
}

// Buffers given back in another order than they came are all used again.
func TestBuffersReturnedInAnyOrder(t *testing.T) {
	eachTier(t, Config{Buffers: 8, BufferSize: 64}, func(t *testing.T, r *testRing) {
		a, b := socketPair(t)
		tok := token(ring.OpRecv, 1)
		var held []ring.Completion
		for i := range 500 {
			r.Recv(tok, a)
			for j := 0; ; j++ {
				want := fmt.Sprintf("%d/%d", i, j)
				write(t, b, []byte(want))
				c := r.take(tok)
				if c.Res == errno(unix.ENOBUFS) {
					// The data stays in the socket.
					n, err := unix.Read(a, make([]byte, 64))
					if err != nil || n != len(want) {
						t.Fatalf("%d bytes are left in the socket (%v), want %d", n, err, len(want))
					}
					break
				}
				if string(c.Buf) != want {
					t.Fatalf("received %q, want %q", c.Buf, want)
				}
				held = append(held, c)
				if !c.More() {
					r.Recv(tok, a)
				}
			}
			if len(held) != 8 {
				t.Fatalf("round %d: out of buffers with %d in use, want 8", i, len(held))
			}
			seen := map[uint16]bool{}
			for _, k := range rand.Perm(8) {
				seen[held[k].BufID] = true
				r.Release(held[k].BufID)
			}
			if len(seen) != 8 {
				t.Fatalf("round %d: buffers in use: %v, want 8 different ones", i, seen)
			}
			held = held[:0]
		}
	})
}

// Without a buffer a receive ends with ENOBUFS; the data waits in the socket for
// the next receive that finds one.
func TestOutOfBuffers(t *testing.T) {
	eachTier(t, Config{Buffers: 1, BufferSize: 64}, func(t *testing.T, r *testRing) {
		a, b := socketPair(t)
		x, y := socketPair(t)
		first, second := token(ring.OpRecv, 1), token(ring.OpRecv, 2)
		r.Recv(first, a)
		write(t, b, []byte("first"))
		held := r.take(first)
		starved := r.Stats().Starved
		r.Recv(second, x)
		write(t, y, []byte("second"))
		r.expect(second, errno(unix.ENOBUFS))
		if got := r.Stats().Starved - starved; got != 1 {
			t.Errorf("%d receives counted as starved, want 1", got)
		}
		if string(held.Buf) != "first" {
			t.Errorf("the buffer in use holds %q", held.Buf)
		}
		r.Release(held.BufID)
		r.Recv(second, x)
		if c := r.take(second); string(c.Buf) != "second" {
			t.Errorf("received %q (%s)", c.Buf, resultName(c.Res))
		}
	})
}

func TestEndOfStream(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		for i, test := range []struct {
			name string
			pair func(testing.TB) (int, int)
			end  func(b int) error
		}{
			{"unix close", socketPair, unix.Close},
			{"unix half close", socketPair, func(b int) error { return unix.Shutdown(b, unix.SHUT_WR) }},
			{"tcp close", tcpPair, unix.Close},
			{"tcp half close", tcpPair, func(b int) error { return unix.Shutdown(b, unix.SHUT_WR) }},
		} {
			a, b := test.pair(t)
			v := &receiver{r: r, tok: token(ring.OpRecv, uint32(i)), fd: a}
			v.arm()
			write(t, b, []byte("last words"))
			if err := test.end(b); err != nil {
				t.Fatal(err)
			}
			v.until("the end of the stream", func() bool { return v.eof || v.end != nil })
			if v.end != nil || string(v.data) != "last words" {
				t.Fatalf("%s: received %q, ended by %v", test.name, v.data, v.end)
			}
		}
	})
}

// After the peer's half close the other direction still works.
func TestSendAfterHalfClose(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		a, b := tcpPair(t)
		if err := unix.Shutdown(b, unix.SHUT_WR); err != nil {
			t.Fatal(err)
		}
		recv, send := token(ring.OpRecv, 1), token(ring.OpSend, 1)
		r.Recv(recv, a)
		r.expect(recv, 0)
		p := mem(t, 5)
		copy(p, "still")
		r.Send(send, a, p)
		r.expect(send, 5)
		got := make([]byte, 10)
		if n, err := unix.Read(b, got); err != nil || string(got[:n]) != "still" {
			t.Errorf("the peer read %q, %v", got[:max(n, 0)], err)
		}
	})
}

func TestReset(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		a, b := tcpPair(t)
		tok := token(ring.OpRecv, 1)
		r.Recv(tok, a)
		r.turn(0)
		reset(t, b)
		r.expect(tok, errno(unix.ECONNRESET))
	})
}

// close(2) does not reach an armed receive, which holds the socket: the peer is
// not told until the receive is cancelled. That is why a loop shuts down first.
func TestCloseDoesNotEndAReceive(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		a, b := tcpPair(t)
		tok, cancel := token(ring.OpRecv, 1), token(ring.OpCancel, 1)
		r.Recv(tok, a)
		r.turn(0)
		if err := unix.Close(a); err != nil {
			t.Fatal(err)
		}
		r.quiet()
		if n, err := unix.Read(b, make([]byte, 1)); err != unix.EAGAIN {
			t.Fatalf("the peer read %d, %v before the receive ended", n, err)
		}
		r.Cancel(cancel, tok)
		r.expect(tok, errno(unix.ECANCELED))
		r.expect(cancel, 0)
		poll := token(ring.OpPoll, 1)
		r.Poll(poll, b, unix.POLLIN)
		r.take(poll)
		if n, err := unix.Read(b, make([]byte, 1)); n != 0 || err != nil {
			t.Errorf("the peer read %d, %v, want the end of the stream", n, err)
		}
	})
}

func TestShutdownEndsAReceive(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		for i, pair := range []func(testing.TB) (int, int){socketPair, tcpPair} {
			a, b := pair(t)
			tok := token(ring.OpRecv, uint32(i))
			r.Recv(tok, a)
			r.turn(0)
			r.Shutdown(a, unix.SHUT_RDWR)
			r.expect(tok, 0)
			if err := unix.SetNonblock(b, false); err != nil {
				t.Fatal(err)
			}
			if n, err := unix.Read(b, make([]byte, 1)); n != 0 || err != nil {
				t.Errorf("the peer read %d, %v, want the end of the stream", n, err)
			}
		}
	})
}

// A connection with endless input does not keep another from being served: with
// buffers to spare in any order of arming, without when the other is armed first.
func TestReceiveIsFair(t *testing.T) {
	for _, buffers := range []int{1024, 4} {
		eachTier(t, Config{Buffers: buffers, BufferSize: 64}, func(t *testing.T, r *testRing) {
			a, b := socketPair(t)
			x, y := socketPair(t)
			busy := &receiver{r: r, tok: token(ring.OpRecv, 1), fd: a}
			calm := &receiver{r: r, tok: token(ring.OpRecv, 2), fd: x}
			busy.arm()
			calm.arm()
			flood := make([]byte, 32<<10)
			write(t, y, []byte("hello"))
			for turns := 0; len(calm.data) == 0; turns++ {
				if _, err := unix.Write(b, flood); err != nil && err != unix.EAGAIN {
					t.Fatal(err)
				}
				r.turn(0)
				calm.drain()
				busy.drain()
				if busy.data = busy.data[:0]; turns > 100 {
					t.Fatal("starved by the other connection")
				}
			}
		})
	}
}

// The results of one turn on different connections come with different buffers.
func TestManyConnections(t *testing.T) {
	eachTier(t, Config{Buffers: 256, BufferSize: 64}, func(t *testing.T, r *testRing) {
		const n = 200
		for i := range n {
			a, b := socketPair(t)
			r.Recv(token(ring.OpRecv, uint32(i)), a)
			write(t, b, fmt.Appendf(nil, "to %d", i))
		}
		for i := range n {
			c := r.take(token(ring.OpRecv, uint32(i)))
			if want := fmt.Sprintf("to %d", i); string(c.Buf) != want {
				t.Fatalf("received %q, want %q", c.Buf, want)
			}
			defer r.Release(c.BufID)
		}
	})
}
