package ringtest

import (
	"errors"
	"net"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/mapped"
)

// Mem returns mapped memory that is freed with the test, after the ring when it
// is called before the ring is made.
func Mem(t testing.TB, n int) []byte {
	t.Helper()
	b, err := mapped.Alloc(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mapped.Free(b); err != nil {
			t.Error(err)
		}
	})
	return b[:n]
}

// SocketPair returns two connected unix sockets, closed with the test.
func SocketPair(t testing.TB) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	return Closing(t, fds[0]), Closing(t, fds[1])
}

// Closing closes fd with the test unless the test has done so.
func Closing(t testing.TB, fd int) int {
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// Listen returns a listening socket and its address.
func Listen(t testing.TB, family int) (fd int, addr unix.Sockaddr) {
	t.Helper()
	bindTo := map[int]unix.Sockaddr{
		unix.AF_UNIX:  &unix.SockaddrUnix{},
		unix.AF_INET:  &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}},
		unix.AF_INET6: &unix.SockaddrInet6{Addr: [16]byte(net.IPv6loopback)},
	}[family]
	fd = Socket(t, family)
	if err := unix.Bind(fd, bindTo); err != nil {
		if family == unix.AF_INET6 {
			t.Skipf("no IPv6 loopback: %v", err)
		}
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 1024); err != nil {
		t.Fatal(err)
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fd, addr
}

// Socket returns a non-blocking stream socket.
func Socket(t testing.TB, family int) int {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return Closing(t, fd)
}

// Dial connects a new blocking socket to addr.
func Dial(t testing.TB, family int, addr unix.Sockaddr) int {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, addr); err != nil {
		t.Fatal(err)
	}
	return Closing(t, fd)
}

// TCPPair returns the two ends of a TCP connection, both non-blocking.
func TCPPair(t testing.TB) (a, b int) {
	t.Helper()
	l, addr := Listen(t, unix.AF_INET)
	a = Dial(t, unix.AF_INET, addr)
	if err := unix.SetNonblock(a, true); err != nil {
		t.Fatal(err)
	}
	var err error
	// The listener does not block; the peer is in its queue since connect.
	if b, _, err = unix.Accept4(l, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	return a, Closing(t, b)
}

// pairs are the kinds of connections.
var pairs = []struct {
	name string
	make func(testing.TB) (a, b int)
}{
	{"unix", SocketPair},
	{"tcp", TCPPair},
}

// Reset closes fd in a way that makes its peer see ECONNRESET.
func Reset(t testing.TB, fd int) {
	t.Helper()
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
}

// Write writes all of p at once.
func Write(t testing.TB, fd int, p []byte) {
	t.Helper()
	if n, err := unix.Write(fd, p); n != len(p) || err != nil {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(p), err)
	}
}

// expectEnd reads fd, which has to be at the end of its stream.
func expectEnd(t testing.TB, fd int) {
	t.Helper()
	if err := unix.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.Read(fd, make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("the peer read %d, %v, want the end of the stream", n, err)
	}
}

// RawSockaddr stores addr in b in the kernel's format.
func RawSockaddr(t testing.TB, b []byte, addr unix.Sockaddr) []byte {
	t.Helper()
	switch a := addr.(type) {
	case *unix.SockaddrInet4:
		s := (*unix.RawSockaddrInet4)(unsafe.Pointer(&b[0]))
		*s = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: a.Addr}
		s.Port = networkOrder(a.Port)
		return b[:unix.SizeofSockaddrInet4]
	case *unix.SockaddrInet6:
		s := (*unix.RawSockaddrInet6)(unsafe.Pointer(&b[0]))
		*s = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: a.Addr}
		s.Port = networkOrder(a.Port)
		return b[:unix.SizeofSockaddrInet6]
	case *unix.SockaddrUnix:
		s := (*unix.RawSockaddrUnix)(unsafe.Pointer(&b[0]))
		*s = unix.RawSockaddrUnix{Family: unix.AF_UNIX}
		copy(b[2:], a.Name)
		if a.Name[0] == '@' {
			b[2] = 0 // an abstract name
		}
		return b[:2+len(a.Name)]
	}
	t.Fatalf("no raw form of %T", addr)
	return nil
}

func networkOrder(port int) (p uint16) {
	b := (*[2]byte)(unsafe.Pointer(&p))
	b[0], b[1] = byte(port>>8), byte(port)
	return p
}
