// Package tlsconn runs crypto/tls on an event loop. The handshake has a goroutine,
// which crypto/tls cannot do without; from then on records are opened and sealed by
// whoever leads the loop, and an idle connection has no goroutine. That works because a
// tls.Conn keeps its state when its transport reports a temporary error: here that
// nothing more has been received.
package tlsconn

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Conn is one side of a TLS connection whose bytes somebody else sends and receives.
//
// First Handshake runs on a goroutine, while another one calls Arrived and Ended. After
// Attach it implements conn.Layer. After Release it is an ordinary connection.
type Conn struct {
	*tls.Conn
	transport transport
}

// Sink takes records that are to be sent. It does not keep them.
type Sink interface{ WriteWire(p []byte) }

// transport is the net.Conn that the tls.Conn has: one after the other a handshake,
// an attached, and the network's.
type transport struct{ net.Conn }

// Server returns the server's side. Records of the handshake are given to send, which
// must not keep them.
func Server(cfg *tls.Config, local, remote net.Addr, send func([]byte)) *Conn {
	c := newConn(local, remote, send)
	c.Conn = tls.Server(&c.transport, cfg)
	return c
}

// Client returns the client's side.
func Client(cfg *tls.Config, local, remote net.Addr, send func([]byte)) *Conn {
	c := newConn(local, remote, send)
	c.Conn = tls.Client(&c.transport, cfg)
	return c
}

func newConn(local, remote net.Addr, send func([]byte)) *Conn {
	h := &handshake{addrs: addrs{local, remote}, send: send}
	h.cond.L = &h.mu
	c := &Conn{}
	c.transport.Conn = h
	return c
}

// Arrived gives received bytes to the handshake, which may not have read them all: it
// returns how many wait for it.
func (c *Conn) Arrived(p []byte) (waiting int) {
	h := c.transport.Conn.(*handshake)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.in = append(h.in, p...)
	h.cond.Signal()
	return len(h.in)
}

// Ended tells the handshake that nothing will arrive any more, and why.
func (c *Conn) Ended(err error) {
	h := c.transport.Conn.(*handshake)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = err
	}
	h.cond.Signal()
}

// HasRecord reports whether a whole record waits for the handshake, or what can be
// none: before that nothing is gained by starting one.
func (c *Conn) HasRecord() bool {
	h := c.transport.Conn.(*handshake)
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.in) < recordHeader {
		return false
	}
	return h.in[0] != typeHandshake || len(h.in) >= recordHeader+int(h.in[3])<<8+int(h.in[4])
}

const (
	recordHeader  = 5
	typeHandshake = 22
)

// Attach ends the handshake, and returns what arrived behind it. From now on records
// are sent to sink.
func (c *Conn) Attach(sink Sink) (rest []byte) {
	h := c.transport.Conn.(*handshake)
	c.transport.Conn = &attached{addrs: h.addrs, sink: sink}
	return h.in
}

// Feed implements conn.Layer.
func (c *Conn) Feed(wire []byte) { c.transport.Conn.(*attached).in = wire }

// Read reads plaintext. While the connection is attached it returns nothing when all
// that was fed has been used.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == errMore {
		err = nil
	}
	return n, err
}

// Release makes it a connection over nc.
func (c *Conn) Release(nc net.Conn) *tls.Conn {
	c.transport.Conn = nc
	return c.Conn
}

// addrs are the addresses of a connection that has none of its own, and what else
// it has to have.
type addrs struct{ local, remote net.Addr }

func (a *addrs) LocalAddr() net.Addr              { return a.local }
func (a *addrs) RemoteAddr() net.Addr             { return a.remote }
func (a *addrs) Close() error                     { return nil }
func (a *addrs) SetDeadline(time.Time) error      { return nil }
func (a *addrs) SetReadDeadline(time.Time) error  { return nil }
func (a *addrs) SetWriteDeadline(time.Time) error { return nil }

// handshake is the transport of a handshake: its reads wait for Arrived.
type handshake struct {
	addrs
	send func([]byte)

	mu   sync.Mutex
	cond sync.Cond
	in   []byte
	err  error
}

func (h *handshake) Read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.in) == 0 {
		if h.err != nil {
			return 0, h.err
		}
		h.cond.Wait()
	}
	n := copy(p, h.in)
	if h.in = h.in[n:]; len(h.in) == 0 {
		h.in = nil
	}
	return n, nil
}

func (h *handshake) Write(p []byte) (int, error) {
	h.send(p)
	return len(p), nil
}

// Close is called when the context of the handshake ends.
func (h *handshake) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = net.ErrClosed
	}
	h.cond.Signal()
	return nil
}

// attached is the transport on a loop: it has what was fed.
type attached struct {
	addrs
	sink Sink
	in   []byte
}

func (a *attached) Read(p []byte) (int, error) {
	if len(a.in) == 0 {
		a.in = nil
		return 0, errMore
	}
	n := copy(p, a.in)
	a.in = a.in[n:]
	return n, nil
}

func (a *attached) Write(p []byte) (int, error) {
	a.sink.WriteWire(p)
	return len(p), nil
}

// errMore is temporary for crypto/tls, which goes on after it where it was.
var errMore = error(more{})

type more struct{}

func (more) Error() string   { return "nothing more has been received" }
func (more) Timeout() bool   { return true }
func (more) Temporary() bool { return true }
func (more) Unwrap() error   { return os.ErrDeadlineExceeded }

var (
	_ net.Error = more{}
	_ io.Reader = (*Conn)(nil)
)
