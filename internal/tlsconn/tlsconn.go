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

	"github.com/ringkit/ringkit/internal/ktls"
)

// Conn is one side of a TLS connection whose bytes somebody else sends and receives.
//
// First Handshake runs on a goroutine, while another one calls Arrived and Ended. After
// Attach it implements conn.Layer. After Release it is an ordinary connection.
type Conn struct {
	*tls.Conn
	transport transport
	notified  bool
}

// Sink takes records that are to be sent. It does not keep them.
type Sink interface{ WriteWire(p []byte) }

// transport is the net.Conn that the tls.Conn has: one after the other a handshake,
// an attached, and the network's.
type transport struct{ net.Conn }

// Line is what a handshake has of its connection. Its functions are called by the
// goroutine of the handshake.
type Line struct {
	Local, Remote net.Addr
	Send          func(p []byte) // sends a record, which it must not keep
	Hungry        func()         // Arrived said that it is full, and all of that has been read
}

// InputLimit is how many bytes may wait for a handshake that it has not read yet. It is
// enough for the usual messages, and most of it is what a hasty client sends behind.
const InputLimit = 64 << 10

// Server returns the server's side.
func Server(cfg *tls.Config, line Line) *Conn {
	c := newConn(line)
	c.Conn = tls.Server(&c.transport, cfg)
	return c
}

// Client returns the client's side.
func Client(cfg *tls.Config, line Line) *Conn {
	c := newConn(line)
	c.Conn = tls.Client(&c.transport, cfg)
	return c
}

func newConn(line Line) *Conn {
	h := &handshake{line: line}
	h.cond.L = &h.mu
	c := &Conn{}
	c.transport.Conn = h
	return c
}

// Arrived gives received bytes to the handshake. It reports whether more than
// InputLimit wait now: then nothing more should be given before Hungry is called, or
// the handshake is over.
func (c *Conn) Arrived(p []byte) (full bool) {
	h := c.transport.Conn.(*handshake)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.in = append(h.in, p...)
	h.full = len(h.in) > InputLimit
	h.cond.Signal()
	return h.full
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

// records finds the ends of records. A tls.Conn is given no more than the rest of one at
// a time: so it keeps none, and need not be asked when all that was received has been
// used.
type records struct {
	header [recordHeader]byte
	known  uint8  // bytes of it, recordHeader in a payload
	left   uint16 // of the payload
}

// copy copies from in to p up to the end of a record.
func (r *records) copy(p, in []byte) (n int) {
	if r.known < recordHeader {
		n = copy(r.header[r.known:], in[:min(len(in), len(p))])
		copy(p, in[:n])
		if r.known += uint8(n); r.known < recordHeader {
			return n
		}
		r.left = uint16(r.header[3])<<8 | uint16(r.header[4])
	}
	m := copy(p[n:], in[n:min(len(in), n+int(r.left))])
	if r.left -= uint16(m); r.left == 0 {
		r.known = 0
	}
	return n + m
}

// wants returns how many bytes there are at least to the end of a record.
func (r *records) wants() int {
	if r.known < recordHeader {
		return recordHeader - int(r.known)
	}
	return int(r.left)
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

// SplitRecord makes two records of the first one, if that is a large one which has
// arrived. A tls.Conn keeps for good the memory that the largest record has taken, and
// for most clients of a server that is their first, with the keys they offer; messages
// may be divided among records (RFC 8446 section 5.1).
func (c *Conn) SplitRecord() {
	h := c.transport.Conn.(*handshake)
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.in) < recordHeader || h.in[0] != typeHandshake {
		return
	}
	n := int(h.in[3])<<8 | int(h.in[4])
	if n < splitFrom || len(h.in) < recordHeader+n {
		return
	}
	first := (n + 1) / 2
	in := make([]byte, 0, recordHeader+len(h.in))
	in = append(in, h.in[0], h.in[1], h.in[2], byte(first>>8), byte(first))
	in = append(in, h.in[recordHeader:recordHeader+first]...)
	in = append(in, h.in[0], h.in[1], h.in[2], byte((n-first)>>8), byte(n-first))
	h.in = append(in, h.in[recordHeader+first:]...)
}

const (
	recordHeader  = 5
	typeHandshake = 22
	splitFrom     = 1024 // bytes in a record
)

// Attach ends the handshake, and returns what arrived behind it. From now on records
// are sent to sink.
func (c *Conn) Attach(sink Sink) (rest []byte) {
	a := &attached{sink: sink, local: c.transport.LocalAddr(), remote: c.transport.RemoteAddr()}
	if h, ok := c.transport.Conn.(*handshake); ok {
		rest = h.in
	}
	c.transport.Conn = a
	return rest
}

// Feed implements conn.Layer.
func (c *Conn) Feed(wire []byte) { c.transport.Conn.(*attached).in = wire }

// Read reads plaintext. While the connection is attached it returns nothing when all
// that was fed has been used.
func (c *Conn) Read(p []byte) (int, error) {
	a, ok := c.transport.Conn.(*attached)
	if !ok {
		return c.Conn.Read(p)
	}
	if len(a.in) == 0 && !a.more {
		return 0, nil
	}
	n, err := c.Conn.Read(p)
	switch err {
	case errMore:
		err = nil
	case io.EOF:
		c.notified = true
	}
	a.more = n == len(p)
	return n, err
}

// CloseNotified reports whether the peer has said that it ends its side (close_notify).
// An end of its bytes without that may be an attacker's (RFC 8446, section 6.1). It is for
// who leads the loop, from Attach on.
func (c *Conn) CloseNotified() bool { return c.notified }

// Release makes it a connection over nc.
func (c *Conn) Release(nc net.Conn) *tls.Conn {
	if a, ok := c.transport.Conn.(*attached); ok && a.sealer != nil {
		nc = newSealed(nc, a.sealer)
	}
	c.transport.Conn = nc
	return c.Conn
}

// undated is what a transport has to have, and has no use for.
type undated struct{}

func (undated) Close() error                     { return nil }
func (undated) SetDeadline(time.Time) error      { return nil }
func (undated) SetReadDeadline(time.Time) error  { return nil }
func (undated) SetWriteDeadline(time.Time) error { return nil }

// handshake is the transport of a handshake: its reads wait for Arrived.
type handshake struct {
	undated
	line  Line
	watch *ktls.Watch // nil for none

	mu      sync.Mutex
	cond    sync.Cond
	in      []byte
	records records
	full    bool
	err     error
}

func (h *handshake) LocalAddr() net.Addr  { return h.line.Local }
func (h *handshake) RemoteAddr() net.Addr { return h.line.Remote }

func (h *handshake) Read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.in) == 0 {
		if h.err != nil {
			return 0, h.err
		}
		if h.full {
			h.full = false
			h.line.Hungry()
		}
		h.cond.Wait()
	}
	n := h.records.copy(p, h.in)
	if h.in = h.in[n:]; len(h.in) == 0 {
		h.in = nil
	}
	return n, nil
}

func (h *handshake) Write(p []byte) (int, error) {
	if h.watch != nil {
		h.watch.Wrote(p)
	}
	h.line.Send(p)
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
	undated
	sink          Sink
	local, remote net.Addr

	in      []byte
	records records
	more    bool // plaintext may be left from the last read

	sealer  *ktls.Sealer // of the kernel, nil while records are sealed here
	control func(n int, send func(fd int) error)
}

func (a *attached) LocalAddr() net.Addr  { return a.local }
func (a *attached) RemoteAddr() net.Addr { return a.remote }

func (a *attached) Read(p []byte) (int, error) {
	if len(a.in) == 0 {
		a.in = nil
		return 0, errMore
	}
	n := a.records.copy(p, a.in)
	a.in = a.in[n:]
	return n, nil
}

func (a *attached) Write(p []byte) (int, error) {
	if a.sealer != nil {
		if err := a.say(p); err != nil {
			return 0, err
		}
		return len(p), nil
	}
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

// ClientOver returns the client's side of a connection whose handshake runs over nc, on
// the goroutine that calls Handshake. Nothing behind the handshake is read from nc, which
// is not used any more after Attach.
func ClientOver(nc net.Conn, cfg *tls.Config) *Conn {
	c := &Conn{}
	c.transport.Conn = &direct{Conn: nc}
	c.Conn = tls.Client(&c.transport, cfg)
	return c
}

// direct is the transport of a handshake that reads from the network itself.
type direct struct {
	net.Conn
	records records
}

// Read reads no further than to the end of a record.
func (d *direct) Read(p []byte) (int, error) {
	n, err := d.Conn.Read(p[:min(len(p), d.records.wants())])
	d.records.copy(p[:n], p[:n])
	return n, err
}
