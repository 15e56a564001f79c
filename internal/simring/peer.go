package simring

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"time"

	"github.com/ringkit/ringkit/internal/ring"
)

// Peer is the other end of a connection. It reads what arrives, as it arrives,
// unless told otherwise.
type Peer struct {
	// Notify, when not nil, is called whenever the peer has read something, the
	// end, or a reset.
	Notify func(*Peer)

	r      *Ring
	f      *file
	latest int64 // when what was written last arrives

	wire    []byte // sent to the peer, not read
	fin     bool   // the end comes after it
	reading bool   // a read is scheduled
	limit   int    // how much more is read, negative: everything
	chunk   int    // at a time, 0: everything
	every   time.Duration

	received    []byte
	eof         bool
	reset       bool
	writeClosed bool
	closed      bool
}

func (r *Ring) connection() *Peer {
	p := &Peer{r: r, limit: -1}
	p.f = &file{r: r, peer: p}
	return p
}

// Dial connects a peer to a listening descriptor.
func (r *Ring) Dial(listener int) *Peer {
	l, p := r.open(listener, "dial"), r.connection()
	p.latest = r.now + int64(r.delay())
	r.at(p.latest, func() {
		if l.closed {
			p.f.closed = true
			p.gotReset()
			return
		}
		l.backlog = append(l.backlog, p.f)
		r.activate(l)
	})
	return p
}

// remote is where Connect leads to.
type remote struct{ accept func(*Peer) }

// Remote makes an address that Connect can reach. Accept is called with the peer
// of each connection; where it is nil the address never answers. Connecting to
// any other address is refused.
func (r *Ring) Remote(addr netip.AddrPort, accept func(*Peer)) {
	r.remotes[addr.String()] = &remote{accept}
}

func (r *Ring) connect(o *op) {
	to := r.remotes[parseSockaddr(o.p).String()]
	if to != nil && to.accept == nil {
		return
	}
	r.After(r.delay(), func() {
		if o.done {
			return
		}
		if to == nil {
			r.complete(o, -int32(syscall.ECONNREFUSED))
			return
		}
		p := &Peer{r: r, f: o.f, limit: -1}
		o.f.peer = p
		r.complete(o, 0)
		to.accept(p)
	})
}

func parseSockaddr(b []byte) netip.AddrPort {
	if len(b) < 8 {
		return netip.AddrPort{}
	}
	port := binary.BigEndian.Uint16(b[2:])
	switch family := binary.NativeEndian.Uint16(b); {
	case family == syscall.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), port)
	case family == syscall.AF_INET6 && len(b) >= 24:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), port)
	}
	return netip.AddrPort{}
}

// FD returns the descriptor of the other end, 0 while it is not accepted.
func (p *Peer) FD() int { return p.f.fd }

// arrive has do happen at the other end after everything written before.
func (p *Peer) arrive(do func(f *file)) {
	p.latest = max(p.latest, p.r.now+int64(p.r.delay()))
	p.r.at(p.latest, func() {
		if p.reset {
			return
		}
		do(p.f)
		p.r.activate(p.f)
	})
}

// Write sends b. On a connection that is over it does nothing.
func (p *Peer) Write(b []byte) {
	if p.closed || p.writeClosed || p.reset {
		return
	}
	b = append([]byte(nil), b...)
	p.arrive(func(f *file) {
		if f.closed {
			p.gotReset()
			return
		}
		f.rx = append(f.rx, b...)
	})
}

// WriteString sends s.
func (p *Peer) WriteString(s string) { p.Write([]byte(s)) }

// CloseWrite ends the peer's side; it goes on reading.
func (p *Peer) CloseWrite() {
	if !p.writeClosed && !p.closed {
		p.writeClosed = true
		p.arrive(func(f *file) { f.rxEOF = true })
	}
}

// Close ends the peer. With unread data, or when some arrives later, the
// connection is reset.
func (p *Peer) Close() {
	if p.closed {
		return
	}
	unread := len(p.wire) > 0
	if unread {
		p.Reset()
		return
	}
	p.CloseWrite()
	p.closed = true
}

// Reset breaks the connection.
func (p *Peer) Reset() {
	p.closed, p.wire = true, nil
	p.arrive(func(f *file) { f.fail(syscall.ECONNRESET) })
}

// Received returns everything the peer has read.
func (p *Peer) Received() []byte { return p.received }

// Take returns what the peer has read since the last call of Take.
func (p *Peer) Take() []byte {
	b := p.received
	p.received = nil
	return b
}

// SawEOF reports whether the peer has read everything up to the end.
func (p *Peer) SawEOF() bool { return p.eof }

// SawReset reports whether the connection was reset.
func (p *Peer) SawReset() bool { return p.reset }

// Over reports whether the peer will not read anything more.
func (p *Peer) Over() bool { return p.eof || p.reset || p.closed }

// Unread returns how many bytes have been sent to the peer that it did not read.
func (p *Peer) Unread() int { return len(p.wire) }

// Unreceived returns how many bytes have arrived at the other end that it did not
// receive.
func (p *Peer) Unreceived() int { return len(p.f.rx) }

// ReadLimit lets the peer read n more bytes and then stop; negative means no
// limit.
func (p *Peer) ReadLimit(n int) {
	p.limit = n
	p.wantRead()
}

// ReadSlowly lets the peer read n bytes at a time, with a pause between.
func (p *Peer) ReadSlowly(n int, pause time.Duration) { p.chunk, p.every = n, pause }

func (p *Peer) wantRead() {
	if p.reading || p.eof || p.reset || len(p.wire) == 0 && !p.fin || len(p.wire) > 0 && p.limit == 0 {
		return
	}
	p.reading = true
	p.r.After(p.every+p.r.delay(), p.readNow)
}

func (p *Peer) readNow() {
	p.reading = false
	if p.reset {
		return
	}
	if p.closed {
		if len(p.wire) > 0 {
			p.wire = nil
			p.f.fail(syscall.ECONNRESET)
		}
		return
	}
	n := len(p.wire)
	if p.chunk > 0 {
		n = min(n, p.chunk)
	}
	if p.limit >= 0 {
		n = min(n, p.limit)
		p.limit -= n
	}
	p.received = append(p.received, p.wire[:n]...)
	p.wire = p.wire[n:]
	if len(p.wire) == 0 && p.fin {
		p.eof = true
	}
	p.r.activate(p.f)
	if p.Notify != nil {
		p.Notify(p)
	}
	p.wantRead()
}

func (p *Peer) gotReset() {
	if p.reset || p.closed {
		return
	}
	p.reset, p.wire = true, nil
	if p.Notify != nil {
		p.r.After(0, func() { p.Notify(p) })
	}
}

// The operations of a ring index file.ops.
var _ = [1]struct{}{}[ring.OpWake-7]
