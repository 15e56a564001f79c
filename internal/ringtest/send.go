package ringtest

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

var sendTests = []test{
	{"is complete", sendIsComplete},
	{"nothing", sendNothing},
	{"waits for the peer", sendWaitsForThePeer},
	{"one after the other", sendOneAfterTheOther},
	{"some, again and again", sendSomeAgainAndAgain},
	{"to a peer that resets", sendToAPeerThatResets},
	{"to a closed peer", sendToAClosedPeer},
	{"cancel", sendCancel},
	{"goes on after a cancel", sendGoesOnAfterACancel},
	{"shutdown", sendShutdown},
	{"while receiving", sendWhileReceiving},
	{"errors", sendErrors},
}

// ReadAll reads fd to its end on a goroutine of its own, in small pieces.
func ReadAll(t *testing.T, fd int) <-chan []byte {
	t.Helper()
	dup, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(dup, true); err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(dup), "peer")
	done := make(chan []byte, 1)
	go func() {
		var all bytes.Buffer
		if _, err := io.CopyBuffer(struct{ io.Writer }{&all}, struct{ io.Reader }{f}, make([]byte, 10_000)); err != nil {
			t.Error(err)
		}
		f.Close()
		done <- all.Bytes()
	}()
	return done
}

func randomBytes(p []byte) {
	for i := range p {
		p[i] = byte(rand.Uint32())
	}
}

// However much larger than the socket's buffers, a send completes once, whole.
func sendIsComplete(t *testing.T, e Engine) {
	data := Mem(t, 3<<20)
	randomBytes(data)
	r := e.open(t, buffers, bufferSize)
	for i, pair := range pairs {
		a, b := pair.make(t)
		// Small buffers on both sides: many partial sends.
		if err := unix.SetsockoptInt(a, unix.SOL_SOCKET, unix.SO_SNDBUF, 4096); err != nil {
			t.Fatal(err)
		}
		all := ReadAll(t, b)
		tok := Token(ring.OpSend, uint32(i))
		size := 1 << 20
		if i == 0 {
			size = len(data)
		}
		r.Send(tok, a, data[:size])
		r.Expect(tok, int32(size))
		r.Shutdown(a, unix.SHUT_WR)
		if got := <-all; !bytes.Equal(got, data[:size]) {
			t.Fatalf("the peer got %d bytes, want the %d sent", len(got), size)
		}
	}
}

func sendNothing(t *testing.T, e Engine) {
	data := Mem(t, 1)
	r := e.open(t, buffers, bufferSize)
	a, _ := SocketPair(t)
	tok := Token(ring.OpSend, 1)
	r.Send(tok, a, data[:0])
	r.Expect(tok, 0)
}

// A send waits for room, and says so by not completing.
func sendWaitsForThePeer(t *testing.T, e Engine) {
	data := Mem(t, 4<<20)
	r := e.open(t, buffers, bufferSize)
	a, b := SocketPair(t)
	tok := Token(ring.OpSend, 1)
	r.Send(tok, a, data)
	r.Turn(0)
	r.Quiet()
	all := ReadAll(t, b)
	r.Expect(tok, int32(len(data)))
	r.Shutdown(a, unix.SHUT_WR)
	<-all
}

// Sends of random sizes, each begun when the last was completed, arrive in order.
func sendOneAfterTheOther(t *testing.T, e Engine) {
	data := Mem(t, 1<<20)
	randomBytes(data)
	for _, pair := range pairs {
		r := e.open(t, buffers, bufferSize)
		a, b := pair.make(t)
		if err := unix.SetsockoptInt(a, unix.SOL_SOCKET, unix.SO_SNDBUF, 8192); err != nil {
			t.Fatal(err)
		}
		all := ReadAll(t, b)
		tok := Token(ring.OpSend, 1)
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1+rand.IntN(1<<(4+rand.IntN(16))))
			r.Send(tok, a, rest[:n])
			r.Expect(tok, int32(n))
			rest = rest[n:]
		}
		r.Shutdown(a, unix.SHUT_WR)
		if got := <-all; !bytes.Equal(got, data) {
			t.Fatalf("the peer got %d bytes, want the %d sent", len(got), len(data))
		}
	}
}

// SendSome sends something each time, and waits for room before it does.
func sendSomeAgainAndAgain(t *testing.T, e Engine) {
	data := Mem(t, 3<<20)
	randomBytes(data)
	for _, pair := range pairs {
		r := e.open(t, buffers, bufferSize)
		a, b := pair.make(t)
		if err := unix.SetsockoptInt(a, unix.SOL_SOCKET, unix.SO_SNDBUF, 4096); err != nil {
			t.Fatal(err)
		}
		all := ReadAll(t, b)
		tok := Token(ring.OpSend, 1)
		for rest := data; len(rest) > 0; {
			r.SendSome(tok, a, rest)
			n := r.Take(tok).Res
			if n <= 0 || int(n) > len(rest) {
				t.Fatalf("sent %d of %d bytes", n, len(rest))
			}
			rest = rest[n:]
		}
		r.Shutdown(a, unix.SHUT_WR)
		if got := <-all; !bytes.Equal(got, data) {
			t.Fatalf("the peer got %d bytes, want the %d sent", len(got), len(data))
		}
	}
}

// short takes the result of a send that was cut short. When a part went out, the
// rest is sent to learn why, as a caller does.
func (r *Driver) short(tok ring.Token, fd int, data []byte, sent int32) int32 {
	r.T.Helper()
	if sent < 0 {
		return sent
	}
	if int(sent) >= len(data) {
		r.T.Fatalf("sent %d of %d bytes, want less", sent, len(data))
	}
	r.Send(tok, fd, data[sent:])
	return r.Take(tok).Res
}

// A peer that resets in the middle of a send ends it with an error, or with what
// went out, after which the rest gives the error.
func sendToAPeerThatResets(t *testing.T, e Engine) {
	data := Mem(t, 16<<20)
	r := e.open(t, buffers, bufferSize)
	a, b := TCPPair(t)
	tok := Token(ring.OpSend, 1)
	r.Send(tok, a, data)
	r.Turn(0)
	r.Quiet()
	Reset(t, b)
	res := r.short(tok, a, data, r.Take(tok).Res)
	if res != Errno(unix.ECONNRESET) && res != Errno(unix.EPIPE) {
		t.Errorf("ended with %s", ResultName(res))
	}
}

// Sending to a closed peer is an error, and no SIGPIPE.
func sendToAClosedPeer(t *testing.T, e Engine) {
	data := Mem(t, 100)
	r := e.open(t, buffers, bufferSize)
	a, b := SocketPair(t)
	unix.Close(b)
	tok := Token(ring.OpSend, 1)
	r.Send(tok, a, data)
	r.Expect(tok, Errno(unix.EPIPE))
}

// A cancelled send ends with what went out, or ECANCELED.
func sendCancel(t *testing.T, e Engine) {
	data := Mem(t, 16<<20)
	r := e.open(t, buffers, bufferSize)
	for i, pair := range pairs {
		a, _ := pair.make(t)
		tok, cancel := Token(ring.OpSend, uint32(i)), Token(ring.OpCancel, uint32(i))
		r.Send(tok, a, data)
		r.Turn(0)
		r.Quiet()
		r.Cancel(cancel, tok)
		r.Expect(cancel, 0)
		c := r.Take(tok)
		if c.More() || c.Res != Errno(unix.ECANCELED) && (c.Res <= 0 || int(c.Res) >= len(data)) {
			t.Errorf("ended with %d (more %v)", c.Res, c.More())
		}
	}
}

// What a cancelled send says to have sent is what went out: the rest, sent again,
// makes the whole.
func sendGoesOnAfterACancel(t *testing.T, e Engine) {
	data := Mem(t, 8<<20)
	randomBytes(data)
	r := e.open(t, buffers, bufferSize)
	for i, pair := range pairs {
		a, b := pair.make(t)
		tok, cancel := Token(ring.OpSend, uint32(i)), Token(ring.OpCancel, uint32(i))
		var all <-chan []byte
		cancels := 20
		for rest := data; len(rest) > 0; cancels-- {
			r.Send(tok, a, rest)
			r.Turn(0)
			if cancels > 0 {
				r.Cancel(cancel, tok)
				if n := r.Take(cancel).Res; n != 0 && n != Errno(unix.ENOENT) && n != Errno(unix.EALREADY) {
					t.Fatalf("the cancel ended with %s", ResultName(n))
				}
			}
			c := r.Take(tok)
			if c.Res < 0 && c.Res != Errno(unix.ECANCELED) {
				t.Fatalf("the send ended with %s", ResultName(c.Res))
			}
			rest = rest[max(0, c.Res):]
			if all == nil {
				all = ReadAll(t, b)
			}
		}
		r.Shutdown(a, unix.SHUT_WR)
		if got := <-all; !bytes.Equal(got, data) {
			t.Errorf("%s: the peer got %d bytes, want the %d sent", pair.name, len(got), len(data))
		}
	}
}

// Shutting down ends a send in the middle.
func sendShutdown(t *testing.T, e Engine) {
	data := Mem(t, 16<<20)
	r := e.open(t, buffers, bufferSize)
	for i, pair := range pairs {
		a, _ := pair.make(t)
		tok := Token(ring.OpSend, uint32(i))
		r.Send(tok, a, data)
		r.Turn(0)
		r.Quiet()
		r.Shutdown(a, unix.SHUT_RDWR)
		if res := r.short(tok, a, data, r.Take(tok).Res); res != Errno(unix.EPIPE) && res != Errno(unix.ECONNRESET) {
			t.Errorf("ended with %s", ResultName(res))
		}
	}
}

// A send and a receive of one connection do not hinder each other.
func sendWhileReceiving(t *testing.T, e Engine) {
	data := Mem(t, 4<<20)
	randomBytes(data)
	r := e.open(t, 16, bufferSize)
	a, b := TCPPair(t)
	v := &Receiver{R: r, Tok: Token(ring.OpRecv, 1), FD: a}
	w := &Receiver{R: r, Tok: Token(ring.OpRecv, 2), FD: b}
	v.Arm()
	w.Arm()
	r.Send(Token(ring.OpSend, 1), a, data)
	r.Send(Token(ring.OpSend, 2), b, data)
	v.Until("both directions", func() bool { w.Drain(); return len(v.Data) >= len(data) && len(w.Data) >= len(data) })
	if !bytes.Equal(v.Data, data) || !bytes.Equal(w.Data, data) {
		t.Error("received something else than was sent")
	}
	r.Expect(Token(ring.OpSend, 1), int32(len(data)))
	r.Expect(Token(ring.OpSend, 2), int32(len(data)))
}

func sendErrors(t *testing.T, e Engine) {
	data := Mem(t, 10)
	r := e.open(t, buffers, bufferSize)
	for i, test := range []struct {
		fd   int
		want unix.Errno
	}{
		{-1, unix.EBADF},
		{devNull(t), unix.ENOTSOCK},
		{Socket(t, unix.AF_INET), unix.EPIPE},
		{Socket(t, unix.AF_UNIX), unix.ENOTCONN},
	} {
		tok := Token(ring.OpSend, uint32(i))
		r.Send(tok, test.fd, data)
		r.Expect(tok, Errno(test.want))
	}
}
