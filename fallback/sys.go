package fallback

import (
	"math"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below that cannot block are raw: telling the scheduler about them
// costs more than it gains.

func receive(fd int, buf []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)), unix.MSG_DONTWAIT, 0, 0)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

func send(fd int, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

func accept(fd int) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.Syscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0, 0)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

func connect(fd int, sockaddr []byte) syscall.Errno {
	_, _, errno := syscall.Syscall(unix.SYS_CONNECT, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(sockaddr))), uintptr(len(sockaddr)))
	return errno
}

// pollNow returns the poll(2) events of a descriptor as they are.
func pollNow(fd int, events uint32) uint32 {
	p := []unix.PollFd{{Fd: int32(fd), Events: int16(events)}}
	for {
		if _, err := unix.Poll(p, 0); err != unix.EINTR {
			return uint32(uint16(p[0].Revents))
		}
	}
}

func blocking(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_NONBLOCK == 0
}

// unblock makes a listening socket non-blocking. Whoever shares it may make it
// blocking at any time, as the Fd method of an os.File does.
func unblock(fd int) {
	if blocking(fd) {
		_ = unix.SetNonblock(fd, true) // what is wrong with it is accept's to say
	}
}

// epollWait waits as Enter does. epoll_wait counts in milliseconds: a wait is
// rounded up, so that a timer is never looked at before its time.
func epollWait(epfd int, events []unix.EpollEvent, timeout time.Duration) (int, syscall.Errno) {
	ms := milliseconds(timeout)
	at, most := unsafe.Pointer(unsafe.SliceData(events)), uintptr(len(events))
	if ms == 0 {
		n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(at), most, 0, 0, 0)
		return int(n), errno
	}
	n, _, errno := syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(at), most, uintptr(ms), 0, 0)
	return int(n), errno
}

// milliseconds is what epoll_wait takes for a timeout; -1 is for ever.
func milliseconds(timeout time.Duration) int {
	if timeout < 0 {
		return -1
	}
	ms := int64(timeout / time.Millisecond)
	if timeout%time.Millisecond != 0 {
		ms++
	}
	return int(min(ms, math.MaxInt32))
}
