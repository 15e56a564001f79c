package ringkit

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	systemdFirst = 3   // SD_LISTEN_FDS_START
	systemdMost  = 512 // descriptors that are believed in
)

// systemdVariables are what systemd passes sockets with, see sd_listen_fds(3).
var systemdVariables = []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"}

// SystemdListeners returns the sockets that the service manager listens on for this
// process (socket activation, systemd.socket(5)), to be given to [Server.Serve], and
// for each the name that its unit has for it (FileDescriptorName=; "unknown" without).
// Without any, as when the program is started by hand, both are nil.
//
// It takes them from the environment variables LISTEN_PID, LISTEN_FDS and
// LISTEN_FDNAMES, which it unsets: the sockets are the caller's, and those of no child
// process. So it is to be called once, early. They have to be stream sockets
// (ListenStream=, Accept=no); with any that is not, or variables that make no sense,
// there is an error and the others are closed. Files of unix sockets are systemd's and stay
// when the server ends.
func SystemdListeners() (listeners []net.Listener, names []string, err error) {
	pid, count := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	given := os.Getenv("LISTEN_FDNAMES")
	for _, v := range systemdVariables {
		os.Unsetenv(v)
	}
	if pid != strconv.Itoa(os.Getpid()) || count == "" {
		return nil, nil, nil // meant for nobody, or for a parent
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > systemdMost {
		return nil, nil, fmt.Errorf("ringkit: LISTEN_FDS=%q is no number of descriptors from 0 to %d", count, systemdMost)
	}
	names = make([]string, n)
	for i := range names {
		names[i] = "unknown"
	}
	if given != "" {
		if names = strings.Split(given, ":"); len(names) != n {
			err = fmt.Errorf("ringkit: LISTEN_FDNAMES=%q does not have %d names", given, n)
		}
	}
	var errs []error
	for i := range n {
		l, lerr := inherited(systemdFirst + i)
		if lerr != nil {
			errs = append(errs, fmt.Errorf("ringkit: descriptor %d of LISTEN_FDS: %w", systemdFirst+i, lerr))
			continue
		}
		listeners = append(listeners, l)
	}
	if err = errors.Join(append(errs, err)...); err != nil {
		for _, l := range listeners {
			l.Close()
		}
		return nil, nil, err
	}
	return listeners, names, nil
}

// inherited makes a listener of a descriptor that the process was started with. What
// is none is left alone: it may be somebody else's in the process.
func inherited(fd int) (net.Listener, error) {
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	switch {
	case err != nil:
		return nil, os.NewSyscallError("getsockopt", err)
	case listens == 0:
		return nil, errors.New("the socket does not listen")
	}
	f := os.NewFile(uintptr(fd), "inherited socket")
	defer f.Close()
	return net.FileListener(f) // has a duplicate that no child inherits
}
