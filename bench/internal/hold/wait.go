package hold

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// soon is what is not worth giving the processor of the Go runtime back for: taking it again
// costs several times what the wait does. After a longer time its monitor would have taken
// it away, and goes on looking for it in every process.
const soon = 5 * time.Millisecond

// wait waits for events, at most for d; negative is for ever. Unlike epoll_wait(2) it does
// not round d to milliseconds (Linux 5.11, otherwise it does). quick says that they are
// going to come soon.
func wait(poll int, events []unix.EpollEvent, d time.Duration, quick bool) (int, error) {
	var spec *unix.Timespec
	if d >= 0 {
		t := unix.NsecToTimespec(int64(d))
		spec = &t
	}
	call := unix.Syscall6
	if quick || d >= 0 && d <= soon {
		call = unix.RawSyscall6
	}
	n, _, errno := call(unix.SYS_EPOLL_PWAIT2, uintptr(poll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)),
		uintptr(unsafe.Pointer(spec)), 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case unix.EINTR:
		return 0, nil
	case unix.ENOSYS:
		return waitMillis(poll, events, d)
	}
	return 0, errno
}

func waitMillis(poll int, events []unix.EpollEvent, d time.Duration) (int, error) {
	millis := -1
	if d >= 0 {
		millis = int((d + time.Millisecond - 1) / time.Millisecond)
	}
	n, err := unix.EpollWait(poll, events, millis)
	if err == unix.EINTR {
		return 0, nil
	}
	return n, err
}

// write sends what always finds room: no connection has more than one request under way.
func write(fd int32, data []byte) error {
	for {
		n, err := unix.Write(int(fd), data)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("write: %w", err)
		case n < len(data):
			return fmt.Errorf("write: %d of %d bytes", n, len(data))
		}
		return nil
	}
}
