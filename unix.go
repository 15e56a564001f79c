package ringkit

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultUnixMode is the mode of the socket files of a server: only its own user
// may connect.
const DefaultUnixMode os.FileMode = 0o600

// listenUnix listens on a socket file, or on an abstract name if path begins with @
// (unix(7)). A file that a server left behind is replaced.
func listenUnix(path string, mode os.FileMode) (net.Listener, error) {
	if path == "" || path == "@" {
		return nil, &net.OpError{Op: "listen", Net: "unix", Err: errors.New("the address has no path")}
	}
	if path[0] == '@' {
		return net.Listen("unix", path)
	}
	if mode == 0 {
		mode = DefaultUnixMode
	}
	mode = mode.Perm()
	// The file gets the mode of the socket, less the umask. So it never is more
	// open than it should be, also not for a moment; see unix_bind_bsd in the kernel.
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), uint32(mode)) })
		return errors.Join(cerr, err)
	}}
	l, err := config.Listen(context.Background(), "unix", path)
	if errors.Is(err, syscall.EADDRINUSE) && removeStale(path) {
		l, err = config.Listen(context.Background(), "unix", path)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// removeStale removes a socket file on which nobody listens any more.
func removeStale(path string) bool {
	before, err := os.Lstat(path)
	if err != nil || before.Mode()&os.ModeSocket == 0 || !refuses(path) {
		return false
	}
	now, err := os.Lstat(path)
	if err != nil || !os.SameFile(before, now) {
		return false // another server was quicker
	}
	return os.Remove(path) == nil
}

// refuses reports whether a socket file is certain to have no listener.
func refuses(path string) bool {
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// unixHint says what can be done about an error of listenUnix.
func unixHint(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "another process listens there, or the file is no socket"
	case errors.Is(err, syscall.EINVAL):
		return "a path has at most 107 bytes"
	case errors.Is(err, os.ErrNotExist):
		return "its directory has to be there"
	}
	return ""
}
