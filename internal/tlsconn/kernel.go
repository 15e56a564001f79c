package tlsconn

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ktls"
)

// Watch has a server's handshake, whose first record has arrived and whose tls.Config
// has log as its KeyLogWriter, watched. It has to be ended with Sealer.
func (c *Conn) Watch(log *ktls.KeyLog) {
	h := c.transport.Conn.(*handshake)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watch = log.Watch(h.in)
}

// Sealer ends what Watch began, after the handshake. It returns what gives the sending to
// the kernel, nil if the handshake failed or the connection has to stay with crypto/tls.
func (c *Conn) Sealer() *ktls.Sealer {
	w := c.transport.Conn.(*handshake).watch
	if w == nil {
		return nil
	}
	s, err := w.End(c.Conn.ConnectionState())
	if err != nil {
		return nil
	}
	return s
}

// Offload tells that the kernel seals from now on. What crypto/tls has to say is sent
// by way of control, which calls what it is given, that passes n bytes on, when nothing
// else is being sent, and again when there is room as long as that is unix.EAGAIN.
func (c *Conn) Offload(s *ktls.Sealer, control func(n int, send func(fd int) error)) {
	a := c.transport.Conn.(*attached)
	a.sealer, a.control = s, control
}

// say sends what crypto/tls has sealed.
func (a *attached) say(p []byte) error {
	defer a.sealer.Rest()
	for len(p) > 0 {
		r, rest, err := a.sealer.Take(p)
		if err == nil && r.Data() {
			err = errData
		}
		if err != nil {
			a.control(1, func(int) error { return err }) // ends the connection
			return err
		}
		s := a.sealer
		a.control(len(r.Content), func(fd int) error { return s.Send(fd, r) })
		p = rest
	}
	return nil
}

var errData = errors.New("crypto/tls sealed data that is the kernel's to seal")

// sealed is the transport after Release where the kernel seals: what crypto/tls writes is
// opened again and given to the socket in plain.
type sealed struct {
	net.Conn
	raw syscall.RawConn

	mu     sync.Mutex // Close may come in the middle of a Write
	sealer *ktls.Sealer
}

func newSealed(nc net.Conn, s *ktls.Sealer) net.Conn {
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return nc // it is closed
	}
	return &sealed{Conn: nc, raw: raw, sealer: s}
}

// Write is called by crypto/tls, which writes one record after the other.
func (c *sealed) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		c.mu.Lock()
		r, more, err := c.sealer.Take(rest)
		c.mu.Unlock()
		if err == nil {
			err = c.send(r)
		}
		if err != nil {
			return 0, err
		}
		rest = more
	}
	return len(p), nil
}

func (c *sealed) send(r ktls.Record) error {
	if r.Data() {
		n, err := c.Conn.Write(r.Content)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sealer.Passed(n)
		return err
	}
	var err error
	failed := c.raw.Write(func(fd uintptr) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for err = unix.EINTR; err == unix.EINTR; {
			err = c.sealer.Send(int(fd), r)
		}
		if err == nil {
			c.sealer.Passed(len(r.Content))
		}
		return err != unix.EAGAIN
	})
	if failed != nil {
		return failed
	}
	return os.NewSyscallError("sendmsg", err)
}

const (
	// passing is how long a closed connection stays until its socket has all that was
	// sent; then it is lost.
	passing = time.Minute
	look    = 20 * time.Millisecond
)

// Close closes the connection. Where the peer has not taken everything, and so the socket
// does not have it all, that happens later.
func (c *sealed) Close() error {
	if c.sent() {
		return c.Conn.Close()
	}
	if err := c.Conn.SetDeadline(time.Unix(1, 0)); err != nil {
		return err
	}
	go func() {
		defer c.Conn.Close()
		for end := time.Now().Add(passing); !c.sent() && time.Now().Before(end); {
			time.Sleep(look)
		}
	}()
	return nil
}

func (c *sealed) sent() (sent bool) {
	err := c.raw.Control(func(fd uintptr) {
		c.mu.Lock()
		defer c.mu.Unlock()
		sent = c.sealer.Sent(int(fd))
	})
	return err != nil || sent
}
