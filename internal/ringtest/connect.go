package ringtest

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

var connectTests = []test{
	{"unix", func(t *testing.T, e Engine) { connectAndReceive(t, e, unix.AF_UNIX) }},
	{"tcp4", func(t *testing.T, e Engine) { connectAndReceive(t, e, unix.AF_INET) }},
	{"tcp6", func(t *testing.T, e Engine) { connectAndReceive(t, e, unix.AF_INET6) }},
	{"to nobody, unix", func(t *testing.T, e Engine) { connectToNobody(t, e, unix.AF_UNIX) }},
	{"to nobody, tcp4", func(t *testing.T, e Engine) { connectToNobody(t, e, unix.AF_INET) }},
	{"to nobody, tcp6", func(t *testing.T, e Engine) { connectToNobody(t, e, unix.AF_INET6) }},
	{"errors", connectErrors},
	{"second attempt", connectAgain},
	{"full queue, unix", connectToAFullQueue},
	{"pending", connectPending},
	{"cancel", connectCancel},
	{"shutdown", connectShutdown},
}

func connectAndReceive(t *testing.T, e Engine, family int) {
	addrMem, data := Mem(t, unix.SizeofSockaddrAny), Mem(t, 6)
	r := e.open(t, buffers, bufferSize)
	l, addr := Listen(t, family)
	accept, connect := Token(ring.OpAccept, 1), Token(ring.OpConnect, 2)
	r.Accept(accept, l)
	fd := Socket(t, family)
	r.Connect(connect, fd, RawSockaddr(t, addrMem, addr))
	r.Expect(connect, 0)
	peer, _ := r.Accepted(accept)
	Closing(t, peer)
	Write(t, fd, []byte("hello"))
	recv := Token(ring.OpRecv, 3)
	r.Recv(recv, peer)
	r.ExpectData(recv, "hello")
	// And the way back, on the descriptor that was connected.
	back, send := Token(ring.OpRecv, 2), Token(ring.OpSend, 3)
	r.Recv(back, fd)
	r.Send(send, peer, data[:copy(data, "answer")])
	r.Expect(send, 6)
	r.ExpectData(back, "answer")
}

func connectToNobody(t *testing.T, e Engine, family int) {
	addrMem := Mem(t, unix.SizeofSockaddrAny)
	r := e.open(t, buffers, bufferSize)
	l, addr := Listen(t, family)
	unix.Close(l)
	tok := Token(ring.OpConnect, 1)
	r.Connect(tok, Socket(t, family), RawSockaddr(t, addrMem, addr))
	r.Expect(tok, Errno(unix.ECONNREFUSED))
}

func connectErrors(t *testing.T, e Engine) {
	addrMem := Mem(t, unix.SizeofSockaddrAny)
	r := e.open(t, buffers, bufferSize)
	_, addr := Listen(t, unix.AF_INET)
	connected, _ := TCPPair(t)
	raw := RawSockaddr(t, addrMem, addr)
	for i, test := range []struct {
		fd   int
		addr []byte
		want unix.Errno
	}{
		{-1, raw, unix.EBADF},
		{Socket(t, unix.AF_INET), raw[:4], unix.EINVAL},
		{connected, raw, unix.EISCONN},
		{Socket(t, unix.AF_UNIX), raw, unix.EINVAL}, // of another family
	} {
		tok := Token(ring.OpConnect, uint32(i))
		r.Connect(tok, test.fd, test.addr)
		r.Expect(tok, Errno(test.want))
	}
}

// A socket whose attempt failed may be used for another one.
func connectAgain(t *testing.T, e Engine) {
	deadMem, addrMem := Mem(t, unix.SizeofSockaddrAny), Mem(t, unix.SizeofSockaddrAny)
	r := e.open(t, buffers, bufferSize)
	dead, deadAddr := Listen(t, unix.AF_INET)
	unix.Close(dead)
	_, addr := Listen(t, unix.AF_INET)
	fd := Socket(t, unix.AF_INET)
	tok := Token(ring.OpConnect, 1)
	for range 5 {
		r.Connect(tok, fd, RawSockaddr(t, deadMem, deadAddr))
		r.Expect(tok, Errno(unix.ECONNREFUSED))
	}
	r.Connect(tok, fd, RawSockaddr(t, addrMem, addr))
	r.Expect(tok, 0)
	if _, err := unix.Getpeername(fd); err != nil {
		t.Errorf("said to be connected: %v", err)
	}
}

// fullListener returns the address of a TCP listener whose queue is full, so that
// the next connect to it stays pending.
func fullListener(t *testing.T) (l int, addr unix.Sockaddr) {
	t.Helper()
	l, addr = Listen(t, unix.AF_INET)
	if err := unix.Listen(l, 0); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		fd := Socket(t, unix.AF_INET)
		if err := unix.Connect(fd, addr); err != nil && err != unix.EINPROGRESS {
			t.Fatal(err)
		}
		if pollNow(fd, unix.POLLOUT, 50) == 0 {
			return l, addr
		}
	}
	t.Skip("a listener without a queue takes any number of connections here")
	return -1, nil
}

// A unix socket does not wait for room in the listener's queue.
func connectToAFullQueue(t *testing.T, e Engine) {
	addrMem := Mem(t, unix.SizeofSockaddrAny)
	r := e.open(t, buffers, bufferSize)
	l, addr := Listen(t, unix.AF_UNIX)
	if err := unix.Listen(l, 0); err != nil {
		t.Fatal(err)
	}
	raw := RawSockaddr(t, addrMem, addr)
	first, second := Token(ring.OpConnect, 1), Token(ring.OpConnect, 2)
	fd := Socket(t, unix.AF_UNIX)
	r.Connect(first, Socket(t, unix.AF_UNIX), raw)
	r.Expect(first, 0)
	r.Connect(second, fd, raw)
	r.Expect(second, Errno(unix.EAGAIN))
	c, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	Closing(t, c)
	r.Connect(second, fd, raw)
	r.Expect(second, 0)
}

// A connect that has to wait completes when there is an answer, and not before.
func connectPending(t *testing.T, e Engine) {
	if e.Brief {
		t.Skip("takes a second")
	}
	addrMem := Mem(t, unix.SizeofSockaddrAny)
	r := e.open(t, buffers, bufferSize)
	l, addr := fullListener(t)
	tok := Token(ring.OpConnect, 1)
	fd := Socket(t, unix.AF_INET)
	r.Connect(tok, fd, RawSockaddr(t, addrMem, addr))
	r.Turn(0)
	r.Quiet()
	// The next attempt is a matter of seconds.
	r.Until("the connection", func() bool {
		if c, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC); err == nil {
			unix.Close(c)
		}
		return len(r.Got[tok]) > 0
	})
	r.Expect(tok, 0)
	if _, err := unix.Getpeername(fd); err != nil {
		t.Errorf("said to be connected: %v", err)
	}
}

func connectCancel(t *testing.T, e Engine) {
	addrMem := Mem(t, unix.SizeofSockaddrAny)
	r := e.open(t, buffers, bufferSize)
	_, addr := fullListener(t)
	tok, cancel := Token(ring.OpConnect, 1), Token(ring.OpCancel, 1)
	r.Connect(tok, Socket(t, unix.AF_INET), RawSockaddr(t, addrMem, addr))
	r.Turn(0)
	r.Quiet()
	r.Cancel(cancel, tok)
	r.Expect(cancel, 0)
	r.Expect(tok, Errno(unix.ECANCELED))
}

// Shutting the socket down ends a pending connect as well.
func connectShutdown(t *testing.T, e Engine) {
	addrMem := Mem(t, unix.SizeofSockaddrAny)
	r := e.open(t, buffers, bufferSize)
	_, addr := fullListener(t)
	tok := Token(ring.OpConnect, 1)
	fd := Socket(t, unix.AF_INET)
	r.Connect(tok, fd, RawSockaddr(t, addrMem, addr))
	r.Turn(0)
	r.Quiet()
	r.Shutdown(fd, unix.SHUT_RDWR)
	if c := r.Take(tok); c.Res >= 0 || c.More() {
		t.Errorf("ended with %d (more %v), want an error", c.Res, c.More())
	}
}
