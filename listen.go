package ringkit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// leftBehind is for how long an address in use is tried again. The kernel takes the rings
// of a process that was killed apart when that is gone already, so that its successor
// may find its sockets still listening (6.18: for some milliseconds).
const leftBehind = 500 * time.Millisecond

// listenOn makes a listener for an address as [Server].Addr has it. mode is that of
// a socket file.
func listenOn(addr string, mode os.FileMode) (net.Listener, error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		l, err := listenUnix(path, mode)
		if err != nil {
			return nil, listenError(err)
		}
		return l, nil
	}
	if addr == "" {
		addr = ":http"
	}
	// The options are there before the first connection is.
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { setOptions(int(fd)) })
	}}
	l, err := config.Listen(context.Background(), "tcp", addr)
	for end := time.Now().Add(leftBehind); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(end); {
		time.Sleep(leftBehind / 20)
		l, err = config.Listen(context.Background(), "tcp", addr)
	}
	if err != nil {
		return nil, listenError(err)
	}
	return l, nil
}

// setOptions sets the options of a connection, or of the connections of a listener,
// which inherit them, so that none costs a system call of its own. Failing here
// costs latency at most.
func setOptions(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
}

// backlog returns how many connections wait to be accepted. They are as the listener
// was when they came.
func backlog(fd int) int {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0
	}
	return int(info.Unacked) // of a listener: see tcp_get_info in the kernel
}

// listenError adds to the system's words what can be done about them.
func listenError(err error) error {
	hint := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = "another process listens there; choose another port, or 0 for a free one"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = "this machine has no such address; an empty host listens on all it has"
	case errors.Is(err, os.ErrPermission):
		hint = "ports below 1024 need CAP_NET_BIND_SERVICE"
	}
	if opErr := (*net.OpError)(nil); errors.As(err, &opErr) && opErr.Net == "unix" {
		hint = unixHint(err)
	}
	if hint == "" {
		return fmt.Errorf("ringkit: %w", err)
	}
	return fmt.Errorf("ringkit: %w (%s)", err, hint)
}
