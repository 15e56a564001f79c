package ringtest

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

var cancelTests = []test{
	{"nothing", cancelNothing},
	{"what is done", cancelWhatIsDone},
	{"in the same turn", cancelInTheSameTurn},
	{"leaves others alone", cancelLeavesOthersAlone},
	{"races with data", cancelRacesWithData},
	{"twice", cancelTwice},
}

func cancelNothing(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	cancel := Token(ring.OpCancel, 1)
	for _, target := range []ring.Token{
		Token(ring.OpRecv, 1), Token(ring.OpAccept, 1<<31), Token(ring.OpRecv, 1<<31-1), ring.MakeToken(ring.OpSend, 0, 0),
	} {
		r.Cancel(cancel, target)
		r.Expect(cancel, Errno(unix.ENOENT))
	}
}

// An operation that has completed cannot be cancelled, not even while nobody has
// read its completion.
func cancelWhatIsDone(t *testing.T, e Engine) {
	data := Mem(t, 5)
	r := e.open(t, buffers, bufferSize)
	a, b := SocketPair(t)
	send, cancel := Token(ring.OpSend, 1), Token(ring.OpCancel, 1)
	r.Send(send, a, data)
	r.Turn(0)
	r.Cancel(cancel, send)
	r.Expect(cancel, Errno(unix.ENOENT))
	r.Expect(send, 5)

	recv := Token(ring.OpRecv, 1)
	if err := unix.Shutdown(b, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	r.Recv(recv, a)
	r.Expect(recv, 0)
	r.Cancel(cancel, recv)
	r.Expect(cancel, Errno(unix.ENOENT))
	r.Quiet()
}

// Armed and cancelled in one turn.
func cancelInTheSameTurn(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	a, _ := SocketPair(t)
	recv, cancel := Token(ring.OpRecv, 1), Token(ring.OpCancel, 1)
	r.Recv(recv, a)
	r.Cancel(cancel, recv)
	r.Expect(cancel, 0)
	r.Expect(recv, Errno(unix.ECANCELED))
}

// Only the operation named is cancelled: not one of another slot, nor another one
// of the same connection.
func cancelLeavesOthersAlone(t *testing.T, e Engine) {
	data := Mem(t, 8<<20)
	r := e.open(t, buffers, bufferSize)
	a, b := SocketPair(t)
	x, y := SocketPair(t)
	recv, send, other, cancel := Token(ring.OpRecv, 1), Token(ring.OpSend, 1), Token(ring.OpRecv, 2), Token(ring.OpCancel, 1)
	r.Recv(recv, a)
	r.Send(send, a, data)
	r.Recv(other, x)
	r.Cancel(cancel, recv)
	r.Expect(recv, Errno(unix.ECANCELED))
	r.Expect(cancel, 0)
	r.Quiet()
	Write(t, b, []byte("nobody"))
	Write(t, y, []byte("somebody"))
	r.ExpectData(other, "somebody")
	r.Quiet()
	r.Cancel(cancel, ring.MakeToken(ring.OpSend, 2, 1)) // of another generation
	r.Expect(cancel, Errno(unix.ENOENT))
	all := ReadAll(t, b)
	r.Expect(send, int32(len(data)))
	r.Shutdown(a, unix.SHUT_WR)
	<-all
}

// A cancel may come too late: each operation ends exactly once all the same, the
// cancel says 0, ENOENT or EALREADY, and no byte is lost.
func cancelRacesWithData(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	late := 0
	for i := range uint32(500) {
		a, b := nonblockingPair(t)
		recv, cancel := Token(ring.OpRecv, i), Token(ring.OpCancel, i)
		r.Recv(recv, a)
		r.Turn(0)
		r.Reap()
		switch i % 3 {
		case 0:
			Write(t, b, []byte("data"))
			r.Cancel(cancel, recv)
		case 1:
			r.Cancel(cancel, recv)
			Write(t, b, []byte("data"))
		case 2:
			Write(t, b, []byte("data"))
			r.Turn(0) // the data is known, its completion is not read
			r.Cancel(cancel, recv)
		}
		got := ""
		for more := true; more; {
			c := r.Take(recv)
			if c.HasBuffer() {
				got += string(c.Buf)
				r.Release(c.BufID)
			} else if c.Res != Errno(unix.ECANCELED) {
				t.Fatalf("the receive ended with %s", ResultName(c.Res))
			}
			more = c.More()
		}
		c := r.Take(cancel)
		if c.Res != 0 && c.Res != Errno(unix.ENOENT) && c.Res != Errno(unix.EALREADY) {
			t.Fatalf("the cancel ended with %s", ResultName(c.Res))
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
		r.CloseFD(a)
		unix.Close(b)
	}
	t.Logf("%d of 500 cancels came too late", late)
}

// nonblockingPair is SocketPair for a test that closes both, the first with CloseFD.
func nonblockingPair(t *testing.T) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fds[0], fds[1]
}

// The second of two cancels finds nothing, and does not end what comes after.
func cancelTwice(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	a, b := SocketPair(t)
	recv, again := Token(ring.OpRecv, 1), ring.MakeToken(ring.OpRecv, 2, 1)
	first, second := Token(ring.OpCancel, 1), ring.MakeToken(ring.OpCancel, 2, 1)
	r.Recv(recv, a)
	r.Turn(0)
	r.Cancel(first, recv)
	r.Expect(recv, Errno(unix.ECANCELED))
	r.Expect(first, 0)
	r.Recv(again, a)
	r.Cancel(second, recv)
	r.Expect(second, Errno(unix.ENOENT))
	Write(t, b, []byte("still here"))
	r.ExpectData(again, "still here")
}
