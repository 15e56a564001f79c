package simring

import (
	"syscall"
	"time"

	"github.com/ringkit/ringkit/internal/ring"
)

// file is a socket: one that listens, one end of a connection, or one that is not
// connected yet.
type file struct {
	r       *Ring
	fd      int // 0 until it is accepted
	ops     [8]*op
	active  bool
	names   int          // by which it is known: descriptors and slots
	closing map[int]bool // descriptors for which CloseFD was called
	closed  bool         // and carried out for the last name
	void    bool         // it is what is in a slot where there was no memory for a file
	resets  bool         // the peer is to see a reset

	listening bool
	backlog   []*file

	peer   *Peer
	rx     []byte
	rxEOF  bool
	err    syscall.Errno // to be reported once
	dead   bool          // and after that
	shutRD bool
	shutWR bool
}

// Listen makes a listening descriptor.
func (r *Ring) Listen() int { return r.install(&file{r: r, listening: true}) }

// Socket makes a descriptor to be connected with Connect.
func (r *Ring) Socket() int { return r.install(&file{r: r}) }

// Pair makes a connection that needs not be accepted: a descriptor and its peer.
func (r *Ring) Pair() (int, *Peer) {
	p := r.connection()
	return r.install(p.f), p
}

// OpenFDs returns how many descriptors are open.
func (r *Ring) OpenFDs() int { return len(r.files) }

// Exhaust makes accepting fail with EMFILE for d of virtual time.
func (r *Ring) Exhaust(d time.Duration) {
	r.scarce = r.now + int64(d)
	for fd := firstFD; fd < r.nextFD; fd++ {
		if f := r.files[fd]; f != nil && f.listening {
			r.activate(f)
		}
	}
}

func (r *Ring) install(f *file) int {
	f.fd = r.name(f)
	return f.fd
}

// name makes a descriptor of a file.
func (r *Ring) name(f *file) (fd int) {
	fd = r.nextFD
	r.nextFD++
	r.files[fd] = f
	f.names++
	return fd
}

// activate has a file looked at by the next pump.
func (r *Ring) activate(f *file) {
	if !f.active && !f.closed && !f.void {
		f.active = true
		r.active = append(r.active, f)
	}
}

// pump lets every file that may have something to do take a step.
func (r *Ring) pump() {
	files := r.active
	r.active = nil
	for _, f := range files {
		f.active = false
		if f.closed {
			continue
		}
		if f.listening {
			f.accept()
			continue
		}
		if f.peer == nil {
			continue
		}
		if f.fd != 0 && r.chance(r.faults.Reset) {
			f.fail(syscall.ECONNRESET)
			f.peer.gotReset()
		}
		for range 1 + r.rng.IntN(4) {
			f.receive()
			f.transmit()
		}
		f.poll()
	}
}

// armed returns the operation of a kind that waits for something to happen.
func (f *file) armed(kind ring.Op) *op {
	if o := f.ops[kind]; o != nil && o.submitted && !o.done && !o.leaving {
		return o
	}
	return nil
}

func (f *file) accept() {
	r := f.r
	for o := f.armed(ring.OpAccept); o != nil; o = f.armed(ring.OpAccept) {
		if r.chance(r.faults.Exhaust) {
			r.scarce = r.now + int64(10*r.delay())
		}
		switch {
		case r.now < r.scarce || len(r.files) >= r.maxFDs:
			r.complete(o, -int32(syscall.EMFILE))
		case r.chance(r.faults.CancelAccept):
			r.complete(o, -int32(syscall.ECANCELED))
		case len(f.backlog) == 0:
			return
		case r.chance(r.faults.AbortAccept):
			f.backlog[0].peer.gotReset()
			f.backlog = f.backlog[1:]
			r.complete(o, -int32(syscall.ECONNABORTED))
		default:
			c := ring.Completion{Token: o.token, Res: int32(r.install(f.backlog[0]))}
			f.backlog = f.backlog[1:]
			if o.done = r.chance(r.faults.EndAccept); !o.done {
				c.Flags = ring.More
			}
			r.post(o, c)
		}
	}
}

// receive delivers one piece of what has arrived.
func (f *file) receive() {
	r, o := f.r, f.armed(ring.OpRecv)
	if o == nil || o.lost || o.deaf && !f.shutRD {
		return
	}
	switch {
	case r.chance(r.faults.CancelRecv):
		r.endRecv(o, -int32(syscall.ECANCELED))
	case len(f.rx) > 0:
		f.receiveData(o)
	case f.err != 0:
		if o.deaf = o.brought && !f.shutRD && r.chance(r.faults.LoseReset); o.deaf {
			return
		}
		r.endRecv(o, -int32(f.err))
		f.err, f.dead = 0, true
	case f.shutRD && o.brought && r.chance(r.faults.LoseShutdown):
		o.lost = true
	case f.rxEOF || f.shutRD || f.dead:
		r.endRecv(o, 0)
	}
}

func (f *file) receiveData(o *op) {
	r := f.r
	id, ok := uint16(0), !r.chance(r.faults.NoBuffer)
	if ok {
		id, ok = r.bufs.take()
	}
	if !ok {
		r.complete(o, -int32(syscall.ENOBUFS))
		return
	}
	buf := r.bufs.mem[id]
	n := r.split(min(len(f.rx), len(buf)))
	copy(buf, f.rx[:n])
	f.rx = f.rx[n:]
	c := ring.Completion{Token: o.token, Res: int32(n), Flags: ring.HasBuffer, BufID: id, Buf: buf[:n:len(buf)]}
	if o.done = r.chance(r.faults.EndRecv); !o.done {
		c.Flags |= ring.More
	}
	o.brought = true
	r.post(o, c)
	r.activate(f)
}

// endRecv ends a receive that brings no data, on some kernels with a buffer.
func (r *Ring) endRecv(o *op, res int32) {
	o.done = true
	c := ring.Completion{Token: o.token, Res: res}
	if r.chance(r.faults.BufferAtEnd) {
		if id, ok := r.bufs.take(); ok {
			c.Flags, c.BufID, c.Buf = ring.HasBuffer, id, r.bufs.mem[id][:0]
		}
	}
	r.post(o, c)
}

// transmit sends one piece, as far as there is room on the way to the peer.
func (f *file) transmit() {
	r, o := f.r, f.armed(ring.OpSend)
	if o == nil {
		return
	}
	if f.err != 0 || f.dead || f.shutWR {
		f.sendFailed(o)
		return
	}
	if r.chance(r.faults.ShortSend) {
		switch {
		case o.moved > 0:
			r.complete(o, int32(o.moved))
		case r.rng.IntN(2) == 0:
			r.complete(o, -int32(syscall.EINTR))
		default:
			r.complete(o, -int32(syscall.ECANCELED))
		}
		return
	}
	room := r.window - len(f.peer.wire)
	if room <= 0 {
		return
	}
	n := r.split(min(room, len(o.p)-o.moved))
	f.peer.wire = append(f.peer.wire, o.p[o.moved:o.moved+n]...)
	o.moved += n
	f.peer.wantRead()
	switch {
	case o.moved < len(o.p):
		r.activate(f)
	case r.chance(r.faults.LateSend):
		o.leaving = true
		r.After(r.delay(), func() { r.complete(o, int32(len(o.p))) })
	default:
		r.complete(o, int32(len(o.p)))
	}
}

func (f *file) sendFailed(o *op) {
	switch {
	case o.moved > 0:
		f.r.complete(o, int32(o.moved))
	case f.err != 0:
		f.r.complete(o, -int32(f.err))
		f.err, f.dead = 0, true
	default:
		f.r.complete(o, -int32(syscall.EPIPE))
	}
}

// Events of poll(2).
const (
	pollIn    = 0x1
	pollOut   = 0x4
	pollErr   = 0x8
	pollHup   = 0x10
	pollRDHup = 0x2000
)

func (f *file) poll() {
	o := f.armed(ring.OpPoll)
	if o == nil {
		return
	}
	if f.r.chance(f.r.faults.CancelRecv) {
		f.r.complete(o, -int32(syscall.ECANCELED))
		return
	}
	ready := uint32(0)
	if len(f.rx) > 0 || f.rxEOF || f.shutRD || f.dead || f.err != 0 {
		ready |= pollIn
	}
	if f.rxEOF || f.shutRD || f.dead || f.err != 0 {
		ready |= pollRDHup
	}
	if len(f.peer.wire) < f.r.window || f.shutWR || f.dead || f.err != 0 {
		ready |= pollOut
	}
	if f.err != 0 {
		ready |= pollErr
	}
	if f.dead || f.shutWR && f.rxEOF {
		ready |= pollHup
	}
	if ready &= o.mask | pollErr | pollHup; ready != 0 {
		f.r.complete(o, int32(ready))
	}
}

// fail breaks a connection: what has arrived can still be received.
func (f *file) fail(errno syscall.Errno) {
	if !f.dead && f.err == 0 {
		f.err = errno
		f.r.activate(f)
	}
}

func (f *file) shutdown(how int) {
	if how == syscall.SHUT_RD || how == syscall.SHUT_RDWR {
		f.shutRD = true
	}
	if (how == syscall.SHUT_WR || how == syscall.SHUT_RDWR) && !f.shutWR {
		f.shutWR = true
		f.peer.fin = true
		f.peer.wantRead()
	}
	f.r.activate(f)
}

// close ends a socket. A peer whose data was not read is told so the hard way.
func (f *file) close() {
	f.closed = true
	for _, c := range f.backlog {
		c.closed = true
		c.peer.gotReset()
	}
	switch p := f.peer; {
	case p == nil:
	case len(f.rx) > 0 || f.err != 0 || f.dead || f.resets:
		p.gotReset()
	default:
		p.fin = true
		p.wantRead()
	}
}
