package ringkit

import (
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ringtest"
)

// At the limit of descriptors clients wait to be accepted, which takes no processor
// time; those that are there are served. When descriptors are free again all are.
func TestDescriptorLimit(t *testing.T) {
	const (
		clients = 20
		free    = 5
	)
	eachKind(t, func(t *testing.T, e engine) {
		if !ringtest.InChild(t) {
			return
		}
		// Before the server starts: a multishot accept keeps the limit it began with.
		ringtest.LimitDescriptors(t, 200)
		s := serve(t, e, &Server{Handler: HandlerFunc(hostNative), Loops: 2, ReadHeaderTimeout: time.Hour})
		good := s.dial()
		good.get("/")
		// The clients have their descriptors before there are none.
		var waiting []int
		for range clients {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			ringtest.Closing(t, fd)
			waiting = append(waiting, fd)
		}
		fillers := ringtest.UseAllDescriptors(t)
		for _, fd := range fillers[:free] {
			syscall.Close(fd)
		}
		port := s.Addrs()[0].(*net.TCPAddr).Port
		for _, fd := range waiting {
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(patience / time.Second)})
			if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
				t.Fatal(err)
			}
		}
		if !eventually(func() bool { return s.conns() == 1+free && strings.Contains(s.log.String(), "too many open files") }) {
			t.Errorf("%d connections at the limit, want %d; the log says %q", s.conns(), 1+free, s.log.String())
		}
		began, used := time.Now(), processorTime(t)
		for time.Since(began) < 4*tick {
			if a := good.get("/"); a.status != 200 {
				t.Errorf("answer %d", a.status)
			}
			time.Sleep(tick / 10)
		}
		if used = processorTime(t) - used; used > 2*tick {
			t.Errorf("%v of processor time at the limit, in %v", used, time.Since(began))
		}
		for _, fd := range fillers[free:] {
			syscall.Close(fd)
		}
		if !eventually(func() bool { return s.conns() == 1+clients }) {
			t.Errorf("%d connections when there were descriptors again, want %d", s.conns(), 1+clients)
		}
		answer := make([]byte, 12)
		for _, fd := range waiting {
			if _, err := unix.Write(fd, []byte(smallRequest)); err != nil {
				t.Error(err)
			}
			if n, err := unix.Read(fd, answer); string(answer[:max(n, 0)]) != "HTTP/1.1 200" {
				t.Errorf("answer %q, %v", answer[:max(n, 0)], err)
			}
		}
	})
}

// A server ends also while it has no descriptors, with all clients that wait.
func TestCloseAtDescriptorLimit(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		if !ringtest.InChild(t) {
			return
		}
		// Before the server starts: a multishot accept keeps the limit it began with.
		ringtest.LimitDescriptors(t, 200)
		s := serve(t, e, &Server{Handler: HandlerFunc(hostNative), Loops: 2})
		p := s.dial()
		p.get("/")
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		ringtest.Closing(t, fd)
		for _, fd := range ringtest.UseAllDescriptors(t) {
			ringtest.Closing(t, fd)
		}
		port := s.Addrs()[0].(*net.TCPAddr).Port
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
		if !eventually(func() bool { return strings.Contains(s.log.String(), "too many open files") }) {
			t.Errorf("the log says %q", s.log.String())
		}
		within(t, "Shutdown", func() {
			if err := s.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown = %v", err)
			}
		})
		if b, err := io.ReadAll(p.r); len(b) > 0 || err != nil {
			t.Errorf("%q, %v behind the last answer", b, err)
		}
	})
}
