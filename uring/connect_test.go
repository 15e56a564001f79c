package uring

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

var families = map[string]int{"unix": unix.AF_UNIX, "tcp4": unix.AF_INET, "tcp6": unix.AF_INET6}

func TestConnect(t *testing.T) {
	for name, family := range families {
		t.Run(name, func(t *testing.T) {
			addrMem := mem(t, unix.SizeofSockaddrAny)
			eachTier(t, Config{}, func(t *testing.T, r *testRing) {
				l, addr := listen(t, family)
				accept, connect := token(ring.OpAccept, 1), token(ring.OpConnect, 1)
				r.Accept(accept, l)
				fd := socket(t, family)
				r.Connect(connect, fd, rawSockaddr(t, addrMem, addr))
				r.expect(connect, 0)
				peer, _ := r.accepted(accept)
				closing(t, peer)
				write(t, fd, []byte("hello"))
				recv := token(ring.OpRecv, 1)
				r.Recv(recv, peer)
				c := r.take(recv)
				if string(c.Buf) != "hello" {
					t.Errorf("received %q", c.Buf)
				}
				r.Release(c.BufID)
			})
		})
	}
}

func TestConnectToNobody(t *testing.T) {
	for name, family := range families {
		t.Run(name, func(t *testing.T) {
			addrMem := mem(t, unix.SizeofSockaddrAny)
			eachTier(t, Config{}, func(t *testing.T, r *testRing) {
				l, addr := listen(t, family)
				unix.Close(l)
				tok := token(ring.OpConnect, 1)
				r.Connect(tok, socket(t, family), rawSockaddr(t, addrMem, addr))
				r.expect(tok, errno(unix.ECONNREFUSED))
			})
		})
	}
}

func TestConnectErrors(t *testing.T) {
	addrMem := mem(t, unix.SizeofSockaddrAny)
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		_, addr := listen(t, unix.AF_INET)
		connected, _ := tcpPair(t)
		raw := rawSockaddr(t, addrMem, addr)
		for i, test := range []struct {
			fd   int
			addr []byte
			want unix.Errno
		}{
			{-1, raw, unix.EBADF},
			{socket(t, unix.AF_INET), raw[:4], unix.EINVAL},
			{connected, raw, unix.EISCONN},
			{socket(t, unix.AF_UNIX), raw, unix.EINVAL}, // of another family
		} {
			tok := token(ring.OpConnect, uint32(i))
			r.Connect(tok, test.fd, test.addr)
			r.expect(tok, errno(test.want))
		}
	})
}

// fullListener returns the address of a TCP listener whose queue is full, so that
// the next connect to it stays pending.
func fullListener(t *testing.T) (addr unix.Sockaddr) {
	t.Helper()
	l, addr := listen(t, unix.AF_INET)
	if err := unix.Listen(l, 0); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		fd := socket(t, unix.AF_INET)
		if err := unix.Connect(fd, addr); err != nil && err != unix.EINPROGRESS {
			t.Fatal(err)
		}
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		if n, _ := unix.Poll(poll, 50); n == 0 {
			return addr
		}
	}
	t.Skip("a listener without a queue takes any number of connections here")
	return nil
}

func TestCancelAConnect(t *testing.T) {
	addrMem := mem(t, unix.SizeofSockaddrAny)
	addr := fullListener(t)
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		tok, cancel := token(ring.OpConnect, 1), token(ring.OpCancel, 1)
		r.Connect(tok, socket(t, unix.AF_INET), rawSockaddr(t, addrMem, addr))
		r.turn(0)
		r.quiet()
		r.Cancel(cancel, tok)
		r.expect(cancel, 0)
		r.expect(tok, errno(unix.ECANCELED))
	})
}

// Shutting the socket down ends a pending connect as well.
func TestShutdownEndsAConnect(t *testing.T) {
	addrMem := mem(t, unix.SizeofSockaddrAny)
	addr := fullListener(t)
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		tok := token(ring.OpConnect, 1)
		fd := socket(t, unix.AF_INET)
		r.Connect(tok, fd, rawSockaddr(t, addrMem, addr))
		r.turn(0)
		r.quiet()
		r.Shutdown(fd, unix.SHUT_RDWR)
		if c := r.take(tok); c.Res >= 0 || c.More() {
			t.Errorf("ended with %d (more %v), want an error", c.Res, c.More())
		}
	})
}
