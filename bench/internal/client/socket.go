package client

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ioTimeout bounds each read and write on a Socket.
const ioTimeout = 10 * time.Second

// Socket is a blocking TCP connection to loopback. It is one descriptor and
// nothing else: no goroutine, no buffer, so one process can hold many thousands.
type Socket int

// DialSocket connects to a port of 127.0.0.1.
func DialSocket(port int) (Socket, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	timeout := unix.NsecToTimeval(int64(ioTimeout))
	err = errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout),
	)
	if err == nil {
		err = connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return Socket(fd), nil
}

// connect survives signals: an interrupted connect goes on in the background, and
// its outcome is read once the socket is writable.
func connect(fd int, to unix.Sockaddr) error {
	err := unix.Connect(fd, to)
	if err == unix.EINTR {
		err = waitConnected(fd)
	}
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return nil
}

func waitConnected(fd int) error {
	deadline := time.Now().Add(ioTimeout)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return unix.ETIMEDOUT
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(left.Milliseconds())+1)
		if err == unix.EINTR || err == nil && n == 0 {
			continue
		}
		if err != nil {
			return err
		}
		code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err != nil {
			return err
		}
		if code != 0 {
			return syscall.Errno(code)
		}
		return nil
	}
}

// Exchange sends one request and reads its whole response, using scratch for it.
func (s Socket) Exchange(request, scratch []byte) error {
	for len(request) > 0 {
		n, err := unix.Write(int(s), request)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		request = request[n:]
	}
	for have := 0; ; {
		if have == len(scratch) {
			return fmt.Errorf("response of more than %d bytes", have)
		}
		n, err := unix.Read(int(s), scratch[have:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		have += n
		end, err := ParseResponse(scratch[:have])
		if err != nil {
			return err
		}
		if end == have {
			return nil
		}
		if end > 0 {
			return fmt.Errorf("%d bytes after the response", have-end)
		}
	}
}

// Close closes the connection.
func (s Socket) Close() error {
	return unix.Close(int(s))
}

// Probe does one exchange on a connection of its own.
func Probe(port int, route string) error {
	s, err := DialSocket(port)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Exchange(Request(route), make([]byte, 2*maxHead))
}
