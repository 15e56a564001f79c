package uring

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

// readAll reads fd to its end on a goroutine of its own, in small pieces.
func readAll(t *testing.T, fd int) <-chan []byte {
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
func TestSendIsComplete(t *testing.T) {
	data := mem(t, 3<<20)
	randomBytes(data)
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		for i, pair := range []func(testing.TB) (int, int){socketPair, tcpPair} {
			a, b := pair(t)
			// Small buffers on both sides: many partial sends.
			if err := unix.SetsockoptInt(a, unix.SOL_SOCKET, unix.SO_SNDBUF, 4096); err != nil {
				t.Fatal(err)
			}
			all := readAll(t, b)
			tok := token(ring.OpSend, uint32(i))
			size := 1 << 20
			if i == 0 {
				size = len(data)
			}
			r.Send(tok, a, data[:size])
			r.expect(tok, int32(size))
			r.Shutdown(a, unix.SHUT_WR)
			if got := <-all; !bytes.Equal(got, data[:size]) {
				t.Fatalf("the peer got %d bytes, want the %d sent", len(got), size)
			}
		}
	})
}

// A send waits for room, and says so by not completing.
func TestSendWaitsForThePeer(t *testing.T) {
	data := mem(t, 4<<20)
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		a, b := socketPair(t)
		tok := token(ring.OpSend, 1)
		r.Send(tok, a, data)
		r.turn(0)
		r.quiet()
		all := readAll(t, b)
		r.expect(tok, int32(len(data)))
		r.Shutdown(a, unix.SHUT_WR)
		<-all
	})
}

// short takes the result of a send that was cut short. When a part went out, the
// rest is sent to learn why, as a caller does.
func (r *testRing) short(tok ring.Token, fd int, data []byte, sent int32) int32 {
	r.t.Helper()
	if sent < 0 {
		return sent
	}
	if int(sent) >= len(data) {
		r.t.Fatalf("sent %d of %d bytes, want less", sent, len(data))
	}
	r.Send(tok, fd, data[sent:])
	return r.take(tok).Res
}

// A peer that resets in the middle of a send ends it with an error, or with what
// went out, after which the rest gives the error.
func TestSendToAPeerThatResets(t *testing.T) {
	data := mem(t, 16<<20)
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		a, b := tcpPair(t)
		tok := token(ring.OpSend, 1)
		r.Send(tok, a, data)
		r.turn(0)
		r.quiet()
		reset(t, b)
		res := r.short(tok, a, data, r.take(tok).Res)
		if res != errno(unix.ECONNRESET) && res != errno(unix.EPIPE) {
			t.Errorf("ended with %s", resultName(res))
		}
	})
}

// Sending to a closed peer is an error, and no SIGPIPE.
func TestSendToAClosedPeer(t *testing.T) {
	data := mem(t, 100)
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		a, b := socketPair(t)
		unix.Close(b)
		tok := token(ring.OpSend, 1)
		r.Send(tok, a, data)
		r.expect(tok, errno(unix.EPIPE))
	})
}

// A cancelled send ends with what went out, or ECANCELED.
func TestCancelASend(t *testing.T) {
	data := mem(t, 16<<20)
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		for i, pair := range []func(testing.TB) (int, int){socketPair, tcpPair} {
			a, _ := pair(t)
			tok, cancel := token(ring.OpSend, uint32(i)), token(ring.OpCancel, uint32(i))
			r.Send(tok, a, data)
			r.turn(0)
			r.quiet()
			r.Cancel(cancel, tok)
			r.expect(cancel, 0)
			c := r.take(tok)
			if c.More() || c.Res != errno(unix.ECANCELED) && (c.Res <= 0 || int(c.Res) >= len(data)) {
				t.Errorf("ended with %d (more %v)", c.Res, c.More())
			}
		}
	})
}

// Shutting down ends a send in the middle.
func TestShutdownEndsASend(t *testing.T) {
	data := mem(t, 16<<20)
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		for i, pair := range []func(testing.TB) (int, int){socketPair, tcpPair} {
			a, _ := pair(t)
			tok := token(ring.OpSend, uint32(i))
			r.Send(tok, a, data)
			r.turn(0)
			r.quiet()
			r.Shutdown(a, unix.SHUT_RDWR)
			if res := r.short(tok, a, data, r.take(tok).Res); res != errno(unix.EPIPE) && res != errno(unix.ECONNRESET) {
				t.Errorf("ended with %s", resultName(res))
			}
		}
	})
}

// A send and a receive of one connection do not hinder each other.
func TestSendWhileReceiving(t *testing.T) {
	data := mem(t, 4<<20)
	randomBytes(data)
	eachTier(t, Config{Buffers: 16}, func(t *testing.T, r *testRing) {
		a, b := tcpPair(t)
		v := &receiver{r: r, tok: token(ring.OpRecv, 1), fd: a}
		w := &receiver{r: r, tok: token(ring.OpRecv, 2), fd: b}
		v.arm()
		w.arm()
		r.Send(token(ring.OpSend, 1), a, data)
		r.Send(token(ring.OpSend, 2), b, data)
		v.until("both directions", func() bool { w.drain(); return len(v.data) >= len(data) && len(w.data) >= len(data) })
		if !bytes.Equal(v.data, data) || !bytes.Equal(w.data, data) {
			t.Error("received something else than was sent")
		}
		r.expect(token(ring.OpSend, 1), int32(len(data)))
		r.expect(token(ring.OpSend, 2), int32(len(data)))
	})
}
