package hold

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// MaxAddresses is how many source addresses there are: 127.0.0.2 to 127.0.0.255, 127.0.1.0
// and so on up to 127.0.255.255.
const MaxAddresses = 1<<16 - 2

// source returns a source address.
func source(i int) [4]byte {
	i += 2
	return [4]byte{127, 0, byte(i >> 8), byte(i)}
}

// dial begins to connect connection i. With the source address its port is left to
// connect, which takes one that is free for this pair of addresses.
func (h *holder) dial(i int) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	h.from.Addr = source((h.First + i) / h.PerAddress)
	err = errors.Join(
		// Whatever ends this process, its ports are free again, and the server has no
		// connection that waits for the rest of its end.
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1),
		unix.Bind(fd, &h.from),
	)
	if err == nil {
		if err = unix.Connect(fd, &h.to); err == unix.EINPROGRESS || err == unix.EINTR {
			err = nil
		}
	}
	if err == nil {
		event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(i)}
		err = unix.EpollCtl(h.poll, unix.EPOLL_CTL_ADD, fd, &event)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("connect: %w", err)
	}
	return fd, nil
}

// connected returns what became of connecting.
func connected(fd int) error {
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return nil
}
