package ktls

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrUnavailable is matched by the reasons for which the kernel does not do it.
var ErrUnavailable = errors.New("kernel TLS is not available")

var probed struct {
	sync.Mutex
	done bool
	err  error
}

// Probe reports why the kernel cannot be used, nil if it can: it has sealed and sent
// records over the loopback interface, and has changed its keys in between. That is tried
// once for the process, and again when it failed for want of descriptors or memory.
func Probe() error {
	probed.Lock()
	defer probed.Unlock()
	if probed.done {
		return probed.err
	}
	err := probe()
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	probed.err, probed.done = err, true
	for _, errno := range []syscall.Errno{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOBUFS} {
		if errors.Is(err, errno) {
			probed.done = false
		}
	}
	return err
}

// probeLimit is how long a record may take over the loopback interface.
const probeLimit = 2 * time.Second

func probe() error {
	for _, s := range []*suite{aes128, aes256} {
		if err := probeSuite(s); err != nil {
			return explain(fmt.Errorf("%s: %w", tls.CipherSuiteName(s.id), err))
		}
	}
	return nil
}

// explain adds a cause, and its cure, to what the kernel says.
func explain(err error) error {
	switch {
	case errors.Is(err, errKeys):
		return err
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%w: the kernel is built without CONFIG_TLS, or module tls or one for the cipher is not loaded: modprobe tls", err)
	case errors.Is(err, unix.ENOPROTOOPT):
		return fmt.Errorf("%w: the kernel is older than 4.13, or a sandbox emulates it", err)
	}
	return err
}

var errKeys = errors.New("the kernel cannot change keys, which a client may ask for: it is older than 6.14")

func probeSuite(suite *suite) error {
	client, server, err := loopback()
	if err != nil {
		return err
	}
	defer client.Close()
	defer server.Close()
	raw, err := server.SyscallConn()
	if err != nil {
		return err
	}
	k, err := newKeys(suite, make([]byte, suite.hashed))
	if err != nil {
		return err
	}
	s := &Sealer{keys: k}
	there := *k
	failed := raw.Control(func(fd uintptr) { err = exchange(s, int(fd), client, &there) })
	return errors.Join(failed, err)
}

// exchange sends data, a change of keys and data again, and opens what arrives.
func exchange(s *Sealer, fd int, client net.Conn, there *keys) error {
	if err := s.Attach(fd); err != nil {
		return err
	}
	update := Record{typeHandshake, []byte{messageKeyUpdate, 0, 0, 1, 0}, there.next()}
	steps := []struct {
		kind byte
		send func() error
		want []byte
	}{
		{typeData, func() error { return sendData(s, fd, "before") }, []byte("before")},
		{typeHandshake, func() error { return s.Send(fd, update) }, update.Content},
		{typeData, func() error { return sendData(s, fd, "after") }, []byte("after")},
	}
	for i, step := range steps {
		if err := step.send(); err != nil {
			if errors.Is(err, unix.EBUSY) {
				return fmt.Errorf("%w (%w)", errKeys, err)
			}
			return err
		}
		record := make([]byte, overhead+len(step.want))
		if _, err := io.ReadFull(client, record); err != nil {
			return fmt.Errorf("receive a record: %w", err)
		}
		kind, content, err := there.open(record)
		if err != nil || kind != step.kind || !bytes.Equal(content, step.want) {
			return fmt.Errorf("record %d is not what was sent (%v)", i+1, err)
		}
		if step.kind == typeHandshake {
			s.Passed(len(step.want))
			there = there.next()
		}
	}
	if !s.Sent(fd) {
		return errors.New("the kernel counts its records in another way")
	}
	return nil
}

func sendData(s *Sealer, fd int, p string) error {
	n, err := unix.SendmsgN(fd, []byte(p), nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if err == nil && n != len(p) {
		err = io.ErrShortWrite
	}
	s.Passed(n)
	return os.NewSyscallError("sendmsg", err)
}

// loopback returns the two ends of a connection.
func loopback() (client, server *net.TCPConn, err error) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if client, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr)); err != nil {
		return nil, nil, err
	}
	end := time.Now().Add(probeLimit)
	for err == nil {
		if err = l.SetDeadline(end); err != nil {
			break
		}
		if server, err = l.AcceptTCP(); err != nil {
			break
		}
		if server.RemoteAddr().String() == client.LocalAddr().String() {
			return client, server, client.SetDeadline(end)
		}
		server.Close() // somebody else's
	}
	client.Close()
	return nil, nil, err
}
