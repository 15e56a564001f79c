package uring

import (
	"bytes"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
	"github.com/ringkit/ringkit/internal/ringtest"
)

// The tail of the buffer ring is 16 bits wide. More receives than that run it
// around.
func TestBufferRingRunsAround(t *testing.T) {
	for _, count := range []int{1, 2, 64} {
		t.Run(fmt.Sprint(count, " buffers"), func(t *testing.T) {
			need(t, BufferRing)
			r := open(t, Config{Buffers: count, BufferSize: 64})
			a, b := socketPair(t)
			v := &ringtest.Receiver{R: r.Driver, Tok: token(ring.OpRecv, 1), FD: a}
			v.Arm()
			message, rounds := []byte("...."), 1<<16/count+3
			for i := range rounds {
				// One receive takes what fills a buffer.
				for j := range count {
					copy(message, fmt.Sprintf("%04x", (i*count+j)&0xffff))
					write(t, b, bytes.Repeat(message, 16))
				}
				v.Until("the data", func() bool { return len(v.Data) >= 64*count })
				for j := range count {
					want := fmt.Sprintf("%04x", (i*count+j)&0xffff)
					if got := v.Data[64*j : 64*j+64]; !bytes.Equal(got, bytes.Repeat([]byte(want), 16)) {
						t.Fatalf("message %s arrived as %q", want, got)
					}
				}
				v.Data = v.Data[:0]
			}
		})
	}
}

// close(2) does not reach an armed receive, which holds the socket: the peer is
// not told until the receive is cancelled. That is why a loop shuts down first.
func TestCloseDoesNotEndAReceive(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		a, b := tcpPair(t)
		tok, cancel := token(ring.OpRecv, 1), token(ring.OpCancel, 1)
		r.Recv(tok, a)
		r.Turn(0)
		if err := unix.Close(a); err != nil {
			t.Fatal(err)
		}
		r.Quiet()
		if n, err := unix.Read(b, make([]byte, 1)); err != unix.EAGAIN {
			t.Fatalf("the peer read %d, %v before the receive ended", n, err)
		}
		r.Cancel(cancel, tok)
		r.Expect(tok, errno(unix.ECANCELED))
		r.Expect(cancel, 0)
		poll := token(ring.OpPoll, 1)
		r.Poll(poll, b, unix.POLLIN)
		r.Take(poll)
		if n, err := unix.Read(b, make([]byte, 1)); n != 0 || err != nil {
			t.Errorf("the peer read %d, %v, want the end of the stream", n, err)
		}
	})
}

// What is known of a socket is forgotten with its descriptor, whose number the next one
// has.
func TestMultishotKnowsItsSocket(t *testing.T) {
	need(t, MultishotRecv)
	r := open(t, Config{Without: MultishotUnix})
	for name, end := range map[string]func(fd int){
		"CloseFD": func(fd int) { r.CloseFD(fd); r.Turn(0) },
		"Forget":  func(fd int) { r.Forget(fd); unix.Close(fd) },
	} {
		tcp, _ := tcpPair(t)
		fd, err := unix.FcntlInt(uintptr(tcp), unix.F_DUPFD_CLOEXEC, 500)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if !r.multishot(fd) {
				t.Error("a TCP socket has no multishot receive")
			}
		}
		end(fd)
		a, _ := socketPair(t)
		if err := unix.Dup3(a, fd, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		if r.multishot(fd) {
			t.Errorf("%s: a unix socket is taken for the TCP socket before it", name)
		}
		unix.Close(fd)
	}
	if r.multishot(-1) {
		t.Error("no descriptor has a multishot receive")
	}
}
