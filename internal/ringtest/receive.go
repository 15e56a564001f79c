package ringtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

var receiveTests = []test{
	{"two buffers", receiveWithTwoBuffers},
	{"buffers returned in any order", buffersReturnedInAnyOrder},
	{"out of buffers", outOfBuffers},
	{"many starve", manyStarve},
	{"end of stream", endOfStream},
	{"end behind much data", endBehindMuchData},
	{"end with nothing to read", endWithNothingToRead},
	{"send after half close", sendAfterHalfClose},
	{"reset", receiveReset},
	{"reset after data", receiveResetAfterData},
	{"shutdown", receiveShutdown},
	{"urgent data", receiveUrgentData},
	{"many connections", manyConnections},
	{"errors", receiveErrors},
}

// Receiver receives a stream as a loop would: it arms again whenever the receive
// has ended, after the buffers were given back.
type Receiver struct {
	R       *Driver
	Tok     ring.Token
	FD      int
	Data    []byte
	Starved int
	EOF     bool
	End     error // what ended the stream; nil while it lasts

	armed     bool
	cancelled bool // the end of the receive is on its way
	paused    bool // not to be armed again
}

// Arm begins to receive.
func (v *Receiver) Arm() {
	v.armed = true
	v.R.Recv(v.Tok, v.FD)
}

func (v *Receiver) cancelToken() ring.Token {
	return ring.MakeToken(ring.OpCancel, v.Tok.Generation(), v.Tok.Slot())
}

// pause stops receiving, as a loop does whose user takes nothing now.
func (v *Receiver) pause() {
	v.paused = true
	if v.armed && !v.cancelled {
		v.cancelled = true
		v.R.Cancel(v.cancelToken(), v.Tok)
	}
}

func (v *Receiver) resume() {
	v.paused = false
	v.rearm()
}

func (v *Receiver) rearm() {
	if !v.armed && !v.paused && !v.EOF && v.End == nil {
		v.Arm()
	}
}

// Drain handles the completions that are there.
func (v *Receiver) Drain() {
	v.R.Reap()
	if cancels := v.R.Got[v.cancelToken()]; len(cancels) > 0 {
		v.R.Got[v.cancelToken()] = nil
		v.cancelled = false
	}
	cs := v.R.Got[v.Tok]
	v.R.Got[v.Tok] = nil
	for _, c := range cs {
		v.one(&c)
	}
	v.rearm()
}

func (v *Receiver) one(c *ring.Completion) {
	if !v.armed {
		v.R.T.Fatalf("%v completed with %s after its end", v.Tok, ResultName(c.Res))
	}
	if c.HasBuffer() {
		v.Data = append(v.Data, c.Buf...)
		v.R.Release(c.BufID)
	}
	switch {
	case c.Res == 0:
		v.EOF = true
	case c.Res == Errno(unix.ENOBUFS):
		v.Starved++
	case c.Res == Errno(unix.EAGAIN), c.Res == Errno(unix.ECANCELED): // a poll that woke for nothing, or a pause
	case c.Res < 0:
		v.End = unix.Errno(-c.Res)
	case int(c.Res) != len(c.Buf):
		v.R.T.Fatalf("a result of %d with %d bytes", c.Res, len(c.Buf))
	}
	v.armed = c.More()
}

// Until turns the ring until done says so.
func (v *Receiver) Until(what string, done func() bool) {
	v.R.T.Helper()
	v.R.Until(what, func() bool { v.Drain(); return done() })
}

func (v *Receiver) untilPaused() {
	v.R.T.Helper()
	v.Until("the pause", func() bool { return !v.armed && !v.cancelled })
}

func (v *Receiver) untilEnd() {
	v.R.T.Helper()
	v.Until("the end of the stream", func() bool { return v.EOF || v.End != nil })
}

// Every byte arrives once and in order, with two buffers only, so that the ring
// is out of buffers all the time, for writes of random sizes.
func receiveWithTwoBuffers(t *testing.T, e Engine) {
	r := e.open(t, 2, 512)
	for i, pair := range pairs {
		a, b := pair.make(t)
		checkStream(t, r, Token(ring.OpRecv, uint32(i)), a, b, nil)
	}
	if e.Greedy && e.Stats(r.Ring).Starved == 0 {
		t.Error("two buffers were always enough")
	}
}

// checkStream sends a stream from b to a; disturb is called between the writes.
func checkStream(t *testing.T, r *Driver, tok ring.Token, a, b int, disturb func(*rand.Rand, *Receiver)) {
	t.Helper()
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	sent := make([]byte, 1<<20)
	for i := range sent {
		sent[i] = byte(rnd.Uint32())
	}
	v := &Receiver{R: r, Tok: tok, FD: a}
	v.Arm()
	rest := sent
	for len(rest) > 0 {
		n := min(len(rest), 1+rnd.IntN(1<<rnd.IntN(14)))
		n, err := unix.Write(b, rest[:n])
		if err != nil && err != unix.EAGAIN {
			t.Fatal(err)
		}
		rest = rest[max(n, 0):]
		if disturb != nil {
			disturb(rnd, v)
		}
		if err != nil || rnd.IntN(4) == 0 {
			r.Turn(0)
			v.Drain()
		}
	}
	if err := unix.Shutdown(b, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	v.resume()
	v.untilEnd()
	if v.End != nil || !bytes.Equal(v.Data, sent) {
		t.Fatalf("seed %d: received %d of %d bytes, ended by %v", seed, len(v.Data), len(sent), v.End)
	}
}

// Buffers given back in another order than they came are all used again.
func buffersReturnedInAnyOrder(t *testing.T, e Engine) {
	r := e.open(t, 8, 64)
	a, b := SocketPair(t)
	tok := Token(ring.OpRecv, 1)
	var held []ring.Completion
	for i := range 500 {
		r.Recv(tok, a)
		for j := 0; ; j++ {
			want := fmt.Sprintf("%d/%d", i, j)
			Write(t, b, []byte(want))
			c := r.Take(tok)
			if c.Res == Errno(unix.ENOBUFS) {
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
}

// Without a buffer a receive ends with ENOBUFS; the data waits in the socket for
// the next receive that finds one.
func outOfBuffers(t *testing.T, e Engine) {
	r := e.open(t, 1, 64)
	a, b := SocketPair(t)
	x, y := SocketPair(t)
	first, second := Token(ring.OpRecv, 1), Token(ring.OpRecv, 2)
	r.Recv(first, a)
	Write(t, b, []byte("first"))
	held := r.Take(first)
	starved := e.Stats(r.Ring).Starved
	r.Recv(second, x)
	Write(t, y, []byte("second"))
	r.Expect(second, Errno(unix.ENOBUFS))
	if got := e.Stats(r.Ring).Starved - starved; got != 1 {
		t.Errorf("%d receives counted as starved, want 1", got)
	}
	if string(held.Buf) != "first" {
		t.Errorf("the buffer in use holds %q", held.Buf)
	}
	r.Release(held.BufID)
	r.Recv(second, x)
	if c := r.Take(second); string(c.Buf) != "second" {
		t.Errorf("received %q (%s)", c.Buf, ResultName(c.Res))
	}
}

// With two buffers for many connections each gets its data in the end, without
// another byte being sent to it.
func manyStarve(t *testing.T, e Engine) {
	r := e.open(t, 2, 64)
	const n, size = 50, 1000
	receivers := make([]*Receiver, n)
	for i := range receivers {
		a, b := SocketPair(t)
		Write(t, b, bytes.Repeat([]byte{byte(i)}, size))
		receivers[i] = &Receiver{R: r, Tok: Token(ring.OpRecv, uint32(i)), FD: a}
		receivers[i].Arm()
	}
	turns := 0
	r.Until("all data", func() bool {
		done := true
		first := turns % n // as a loop does: another is the first in every turn
		turns++
		for i := range receivers {
			v := receivers[(first+i)%n]
			v.Drain()
			done = done && len(v.Data) == size
		}
		return done
	})
	for i, v := range receivers {
		if !bytes.Equal(v.Data, bytes.Repeat([]byte{byte(i)}, size)) {
			t.Fatalf("connection %d received %q", i, v.Data)
		}
	}
	if e.Stats(r.Ring).Starved == 0 {
		t.Error("two buffers were always enough")
	}
}

// The end of the stream comes after the last byte, also when both came at once.
func endOfStream(t *testing.T, e Engine) {
	for _, size := range []int{10, bufferSize - 1, bufferSize, bufferSize + 1, 5 * bufferSize} {
		r := e.open(t, buffers, bufferSize)
		slot := uint32(0)
		for _, pair := range pairs {
			for _, end := range []func(b int) error{unix.Close, func(b int) error { return unix.Shutdown(b, unix.SHUT_WR) }} {
				for _, together := range []bool{false, true} {
					a, b := pair.make(t)
					slot++
					v := &Receiver{R: r, Tok: Token(ring.OpRecv, slot), FD: a}
					v.Arm()
					last := bytes.Repeat([]byte("l"), size)
					Write(t, b, last)
					if !together {
						v.Until("the data", func() bool { return len(v.Data) == size })
					}
					if err := end(b); err != nil {
						t.Fatal(err)
					}
					v.untilEnd()
					if v.End != nil || !bytes.Equal(v.Data, last) {
						t.Fatalf("%s, together %v: received %d of %d bytes, ended by %v", pair.name, together, len(v.Data), size, v.End)
					}
				}
			}
		}
	}
}

// The end is reported also when it is there before the receive, behind more data
// than a kernel receives in one go (32 buffers).
func endBehindMuchData(t *testing.T, e Engine) {
	for _, held := range []int{1, 64} {
		r := e.open(t, held, 64)
		for i, pair := range pairs {
			for j, how := range []int{unix.SHUT_WR, unix.SHUT_RDWR} {
				a, b := pair.make(t)
				data := make([]byte, 64*40)
				randomBytes(data)
				Write(t, b, data)
				if err := unix.Shutdown(b, how); err != nil {
					t.Fatal(err)
				}
				v := &Receiver{R: r, Tok: Token(ring.OpRecv, uint32(2*i+j)), FD: a}
				v.Arm()
				v.untilEnd()
				if v.End != nil || !bytes.Equal(v.Data, data) {
					t.Errorf("%s: received %d of %d bytes, ended by %v", pair.name, len(v.Data), len(data), v.End)
				}
			}
		}
	}
}

// The end is reported whether it came before the receive was armed or after, and
// again to whoever receives again.
func endWithNothingToRead(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	for i, pair := range pairs {
		a, b := pair.make(t)
		c, d := pair.make(t)
		early, late := Token(ring.OpRecv, uint32(2*i)), Token(ring.OpRecv, uint32(2*i+1))
		r.Recv(late, a)
		r.Turn(0)
		r.Quiet()
		for _, fd := range []int{b, d} {
			if err := unix.Shutdown(fd, unix.SHUT_WR); err != nil {
				t.Fatal(err)
			}
		}
		r.Recv(early, c)
		r.Expect(early, 0)
		r.Expect(late, 0)
		r.Quiet()
		r.Recv(late, a)
		r.Expect(late, 0)
	}
}

// After the peer's half close the other direction still works.
func sendAfterHalfClose(t *testing.T, e Engine) {
	p := Mem(t, 5)
	copy(p, "still")
	r := e.open(t, buffers, bufferSize)
	a, b := TCPPair(t)
	if err := unix.Shutdown(b, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	recv, send := Token(ring.OpRecv, 1), Token(ring.OpSend, 1)
	r.Recv(recv, a)
	r.Expect(recv, 0)
	r.Send(send, a, p)
	r.Expect(send, 5)
	got := make([]byte, 10)
	if n, err := unix.Read(b, got); err != nil || string(got[:n]) != "still" {
		t.Errorf("the peer read %q, %v", got[:max(n, 0)], err)
	}
}

func receiveReset(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	a, b := TCPPair(t)
	tok := Token(ring.OpRecv, 1)
	r.Recv(tok, a)
	r.Turn(0)
	Reset(t, b)
	r.Expect(tok, Errno(unix.ECONNRESET))
	r.Quiet()
}

// What the peer sent before it reset may be lost, but the reset is not.
func receiveResetAfterData(t *testing.T, e Engine) {
	if e.Greedy {
		t.Skip("a multishot receive can miss a reset that comes together with data (kernel 6.18)")
	}
	r := e.open(t, buffers, 64)
	for i := range uint32(20) {
		a, b := TCPPair(t)
		v := &Receiver{R: r, Tok: Token(ring.OpRecv, i), FD: a}
		v.Arm()
		if i%2 == 0 {
			r.Turn(0)
		}
		Write(t, b, bytes.Repeat([]byte("x"), 64*int(1+i%3)))
		Reset(t, b)
		v.untilEnd()
		if v.End != unix.ECONNRESET {
			t.Errorf("round %d: ended by %v after %d bytes, want ECONNRESET", i, v.End, len(v.Data))
		}
	}
}

func receiveShutdown(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	for i, pair := range pairs {
		a, b := pair.make(t)
		tok := Token(ring.OpRecv, uint32(i))
		r.Recv(tok, a)
		r.Turn(0)
		r.Shutdown(a, unix.SHUT_RDWR)
		r.Expect(tok, 0)
		expectEnd(t, b)
	}
}

// A receive stops short at a byte of urgent data. What follows it must not wait
// for the peer to write again.
func receiveUrgentData(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	for i, early := range []bool{false, true} {
		a, b := TCPPair(t)
		v := &Receiver{R: r, Tok: Token(ring.OpRecv, uint32(i)), FD: a}
		if early {
			v.Arm()
			r.Turn(0)
		}
		Write(t, b, []byte("before"))
		if err := unix.Send(b, []byte("!"), unix.MSG_OOB); err != nil {
			t.Fatal(err)
		}
		Write(t, b, []byte("after"))
		if !early {
			v.Arm()
		}
		v.Until("the data behind the urgent byte", func() bool { return len(v.Data) >= len("beforeafter") })
		if string(v.Data) != "beforeafter" {
			t.Errorf("received %q", v.Data)
		}
	}
}

// The results of one turn on different connections come with different buffers.
func manyConnections(t *testing.T, e Engine) {
	r := e.open(t, 256, 64)
	const n = 200
	for i := range n {
		a, b := SocketPair(t)
		r.Recv(Token(ring.OpRecv, uint32(i)), a)
		Write(t, b, fmt.Appendf(nil, "to %d", i))
	}
	for i := range n {
		c := r.Take(Token(ring.OpRecv, uint32(i)))
		if want := fmt.Sprintf("to %d", i); string(c.Buf) != want {
			t.Fatalf("received %q, want %q", c.Buf, want)
		}
		defer r.Release(c.BufID)
	}
}

func receiveErrors(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	for i, test := range []struct {
		fd   int
		want unix.Errno
	}{
		{-1, unix.EBADF},
		{1 << 20, unix.EBADF},
		{devNull(t), unix.ENOTSOCK},
		{Socket(t, unix.AF_INET), unix.ENOTCONN},
	} {
		tok := Token(ring.OpRecv, uint32(i))
		r.Recv(tok, test.fd)
		r.Expect(tok, Errno(test.want))
	}
}
