package ringtest

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

// The number of a descriptor that was closed is soon that of another one.
var descriptorTests = []test{
	{"forgotten", forgottenDescriptor},
	{"close", closeFD},
	{"new life", numberIsUsedAgain},
	{"new life in the same batch", numberIsUsedAgainInABatch},
	{"closed with a duplicate", closedWithADuplicate},
	{"back from a duplicate", backFromADuplicate},
	{"many lives", manyLives},
}

// CloseFD closes; nothing completes. A failure completes nothing either.
func closeFD(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	a, b := nonblockingPair(t)
	Closing(t, b)
	r.CloseFD(a)
	r.CloseFD(-1)
	r.Quiet()
	expectEnd(t, b)
}

// replace closes fd by way of the ring and gives its number to a new socket, whose
// peer it returns.
func (r *Driver) replace(t *testing.T, fd int) (peer int) {
	t.Helper()
	a, b := nonblockingPair(t)
	r.CloseFD(fd)
	r.Turn(0)
	if err := unix.Dup3(a, fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	unix.Close(a)
	return Closing(t, b)
}

// Nothing of the old socket reaches the operations on the new one: not its data,
// not its end, not its readiness.
func numberIsUsedAgain(t *testing.T, e Engine) {
	r := e.open(t, buffers, 64)
	a, b := SocketPair(t)
	for i := range uint32(8) {
		old, young := ring.MakeToken(ring.OpRecv, i, 1), ring.MakeToken(ring.OpRecv, i+1, 1)
		r.Recv(old, a)
		Write(t, b, []byte("to the old one"))
		more := r.ExpectData(old, "to the old one")
		if i%2 == 0 {
			Write(t, b, make([]byte, 64))
			unix.Close(b)
		}
		for more {
			// As a loop does before it closes.
			r.Shutdown(a, unix.SHUT_RDWR)
			c := r.Take(old)
			if c.HasBuffer() {
				r.Release(c.BufID)
			}
			more = c.More()
		}
		b = r.replace(t, a)
		r.Recv(young, a)
		r.Quiet()
		Write(t, b, []byte("to the new one"))
		r.ExpectData(young, "to the new one")
		b = r.retire(t, young, a)
	}
}

// retire ends a receive, and the life of its descriptor.
func (r *Driver) retire(t *testing.T, tok ring.Token, fd int) (peer int) {
	t.Helper()
	cancel := ring.MakeToken(ring.OpCancel, tok.Generation(), tok.Slot())
	r.Cancel(cancel, tok)
	r.Take(cancel)
	r.Turn(0)
	r.Reap()
	for _, c := range r.Got[tok] {
		if c.HasBuffer() {
			r.Release(c.BufID)
		}
	}
	r.Got[tok] = nil
	return r.replace(t, fd)
}

// Of the sockets with events in one batch, the first that is looked at has the
// others closed, and their numbers taken by new sockets.
func numberIsUsedAgainInABatch(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	const n = 4
	fds, peers := make([]int, n), make([]int, n)
	for i := range n {
		fds[i], peers[i] = SocketPair(t)
		r.Poll(Token(ring.OpPoll, uint32(i)), fds[i], unix.POLLIN)
	}
	r.Turn(0)
	for i := range n {
		Write(t, peers[i], []byte("late"))
		unix.Close(peers[i])
	}
	var c ring.Completion
	for !r.Next(&c) {
		r.Turn(Patience)
	}
	first := int(c.Token.Slot())
	for i := range n {
		if i == first {
			continue
		}
		// Whether it had completed already or is cancelled now does not matter.
		r.Cancel(Token(ring.OpCancel, uint32(i)), Token(ring.OpPoll, uint32(i)))
		peers[i] = r.replace(t, fds[i])
		r.Recv(ring.MakeToken(ring.OpRecv, 2, uint32(i)), fds[i])
	}
	r.Turn(0)
	r.Reap()
	for i := range n {
		if i == first {
			continue
		}
		tok := ring.MakeToken(ring.OpRecv, 2, uint32(i))
		if cs := r.Got[tok]; len(cs) > 0 {
			t.Fatalf("socket %d: %s and %q of the socket before", i, ResultName(cs[0].Res), cs[0].Buf)
		}
		want := fmt.Sprintf("to %d", i)
		Write(t, peers[i], []byte(want))
		r.ExpectData(tok, want)
	}
}

// A socket that was closed may live on as a duplicate. What happens to it is none
// of the ring's business, and least of all of the next one with its number.
func closedWithADuplicate(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	a, b := SocketPair(t)
	old, young := Token(ring.OpRecv, 1), Token(ring.OpRecv, 2)
	r.Recv(old, a)
	Write(t, b, []byte("x"))
	r.ExpectData(old, "x")
	dup, err := unix.FcntlInt(uintptr(a), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	Closing(t, dup)
	peer := r.retire(t, old, a)
	r.Recv(young, a)
	r.Turn(0)
	Write(t, b, []byte("to the duplicate"))
	r.Quiet()
	Write(t, peer, []byte("to the new one"))
	r.ExpectData(young, "to the new one")
	unix.Close(b)
	r.Quiet()
	got := make([]byte, 100)
	if n, err := unix.Read(dup, got); string(got[:max(n, 0)]) != "to the duplicate" {
		t.Errorf("the duplicate read %q, %v", got[:max(n, 0)], err)
	}
}

// And the duplicate may take the old number again.
func backFromADuplicate(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	a, b := SocketPair(t)
	old, young := Token(ring.OpRecv, 1), Token(ring.OpRecv, 2)
	dup, err := unix.FcntlInt(uintptr(a), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	Closing(t, dup)
	r.Recv(old, a)
	Write(t, b, []byte("x"))
	r.ExpectData(old, "x")
	r.retire(t, old, a)
	r.CloseFD(a)
	r.Turn(0)
	if err := unix.Dup3(dup, a, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	Write(t, b, []byte("early"))
	r.Recv(young, a)
	if !r.ExpectData(young, "early") {
		r.Recv(young, a)
	}
	r.Quiet()
	Write(t, b, []byte("late"))
	r.ExpectData(young, "late")
}

// Connections come and go, with all numbers of descriptors used again and again.
func manyLives(t *testing.T, e Engine) {
	data := Mem(t, 64)
	r := e.open(t, buffers, bufferSize)
	for i := range uint32(2000) {
		a, b := nonblockingPair(t)
		recv, send := ring.MakeToken(ring.OpRecv, i, i%7), ring.MakeToken(ring.OpSend, i, i%7)
		r.Recv(recv, a)
		want := fmt.Sprintf("message %d", i)
		Write(t, b, []byte(want))
		more := r.ExpectData(recv, want)
		r.Send(send, a, data[:copy(data, want)])
		r.Expect(send, int32(len(want)))
		if !more {
			r.Recv(recv, a)
		}
		unix.Close(b)
		c := r.Take(recv)
		// A peer that closes with unread data resets.
		if c.Res != 0 && c.Res != Errno(unix.ECONNRESET) || c.More() {
			t.Fatalf("ended with %s", ResultName(c.Res))
		}
		r.CloseFD(a)
	}
}

// A forgotten descriptor is its new owner's: nothing that happens to it completes,
// until an operation is made on it again.
func forgottenDescriptor(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	for i, pair := range pairs {
		a, b := pair.make(t)
		v := &Receiver{R: r, Tok: Token(ring.OpRecv, uint32(i)), FD: a}
		v.Arm()
		Write(t, b, []byte("ours"))
		v.Until("the data", func() bool { return string(v.Data) == "ours" })
		v.pause()
		v.untilPaused()
		r.Forget(a)
		Write(t, b, []byte("theirs"))
		r.Quiet()
		got := make([]byte, 10)
		if n, err := unix.Read(a, got); err != nil || string(got[:n]) != "theirs" {
			t.Errorf("%s: the new owner read %q, %v", pair.name, got[:max(n, 0)], err)
		}
		Write(t, b, []byte(" again"))
		v.resume()
		v.Until("the data", func() bool { return string(v.Data) == "ours again" })
	}
}
