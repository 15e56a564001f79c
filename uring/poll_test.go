package uring

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

func TestPoll(t *testing.T) {
	for _, test := range []struct {
		name   string
		events uint32
		make   func(t *testing.T, b int) // what to wait for; nil for nothing
		want   int32
	}{
		{"readable", unix.POLLIN, func(t *testing.T, b int) { write(t, b, []byte("x")) }, unix.POLLIN},
		{"writable", unix.POLLOUT, func(*testing.T, int) {}, unix.POLLOUT},
		{"half close", unix.POLLIN | unix.POLLRDHUP, func(_ *testing.T, b int) { _ = unix.Shutdown(b, unix.SHUT_WR) },
			unix.POLLIN | unix.POLLRDHUP},
		{"close", unix.POLLIN | unix.POLLRDHUP, func(_ *testing.T, b int) { unix.Close(b) },
			unix.POLLIN | unix.POLLRDHUP | unix.POLLHUP},
		{"close, not asked for", 0, func(_ *testing.T, b int) { unix.Close(b) }, unix.POLLHUP | unix.POLLRDHUP},
		{"half close, not asked for", 0, func(_ *testing.T, b int) { _ = unix.Shutdown(b, unix.SHUT_WR) }, unix.POLLRDHUP},
		{"nothing", unix.POLLIN | unix.POLLRDHUP, nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachTier(t, Config{}, func(t *testing.T, r *testRing) {
				a, b := socketPair(t)
				tok := token(ring.OpPoll, 1)
				r.Poll(tok, a, test.events)
				r.turn(0)
				if test.make == nil {
					r.quiet()
					return
				}
				test.make(t, b)
				r.expect(tok, test.want)
				r.quiet() // once only
			})
		})
	}
}

// What is ready already completes at once.
func TestPollOfReadySocket(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		a, b := socketPair(t)
		write(t, b, []byte("x"))
		for i := range 3 {
			tok := token(ring.OpPoll, uint32(i))
			r.Poll(tok, a, unix.POLLIN)
			r.expect(tok, unix.POLLIN)
		}
	})
}

// A parked connection is watched by a poll and received from when that completes.
func TestPollThenReceive(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		a, b := socketPair(t)
		poll, recv := token(ring.OpPoll, 1), token(ring.OpRecv, 1)
		r.Poll(poll, a, unix.POLLIN|unix.POLLRDHUP)
		r.turn(0)
		write(t, b, []byte("awake"))
		r.expect(poll, unix.POLLIN)
		r.Recv(recv, a)
		c := r.take(recv)
		if string(c.Buf) != "awake" {
			t.Errorf("received %q", c.Buf)
		}
		r.Release(c.BufID)
	})
}

func TestCancelAPoll(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		a, _ := socketPair(t)
		tok, cancel := token(ring.OpPoll, 1), token(ring.OpCancel, 1)
		r.Poll(tok, a, unix.POLLIN)
		r.Cancel(cancel, tok)
		r.expect(cancel, 0)
		r.expect(tok, errno(unix.ECANCELED))
	})
}
