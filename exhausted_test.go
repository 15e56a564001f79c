package ringkit

import (
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ringtest"
)

// Without descriptors clients wait, the loop sleeps, and the log says why, once. As
// soon as there is one the next client is served.
func TestAcceptWithoutDescriptors(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		if !ringtest.InChild(t) {
			return
		}
		ringtest.LimitDescriptors(t, 200) // io_uring goes by the limit at the time it is asked to accept
		s := serve(t, e, &Server{Loops: 2, Handler: HandlerFunc(helloNative)})
		s.listening(1)
		first := s.dial()
		first.get("/")
		const clients = 6
		var sockets []int
		for range clients {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			sockets = append(sockets, fd)
		}
		fillers := ringtest.UseAllDescriptors(t)
		port := s.Addrs()[0].(*net.TCPAddr).Port
		for _, fd := range sockets {
			if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
				t.Fatal(err)
			}
			if _, err := unix.Write(fd, []byte(smallRequest)); err != nil {
				t.Fatal(err)
			}
		}
		const limit = "too many open files"
		if !eventually(func() bool { return strings.Contains(s.log.String(), limit) }) {
			t.Fatalf("the log does not say %q", limit)
		}
		before, began := processorTime(t), time.Now()
		for end := began.Add(tick * 4); time.Now().Before(end); {
			first.get("/") // is served as ever
			time.Sleep(tick / 10)
		}
		if used, took := processorTime(t)-before, time.Since(began); used > took/2 {
			t.Errorf("used %v of processor time in %v without descriptors", used, took)
		}
		if n := strings.Count(s.log.String(), limit); n != 1 {
			t.Errorf("said %d times: %s", n, s.log.String())
		}
		if n := s.conns(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}

		first.Close() // by which two descriptors are free, the server's first
		for len(sockets) > 0 {
			fd := readable(t, sockets)
			n, err := unix.Read(fd, make([]byte, 1024))
			if err != nil || n == 0 {
				t.Fatalf("a client that waited: %d, %v", n, err)
			}
			unix.Close(fd)
			sockets = slices.DeleteFunc(sockets, func(other int) bool { return other == fd })
		}
		for _, fd := range fillers {
			syscall.Close(fd)
		}
		s.dial().get("/")
	})
}

// readable waits until one of the descriptors is, and returns it.
func readable(t *testing.T, fds []int) int {
	t.Helper()
	polls := make([]unix.PollFd, len(fds))
	for i, fd := range fds {
		polls[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if _, err := unix.Poll(polls, 1000); err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
		for i := range polls {
			if polls[i].Revents != 0 {
				return fds[i]
			}
		}
	}
	t.Fatalf("none of %d clients was answered", len(fds))
	return -1
}
