package conn

import (
	"errors"
	"io"

	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/mapped"
)

// Layer stands between a protocol and the wire, as TLS does: the protocol has to do
// with plaintext, the socket with what the layer makes of it. Its methods are called
// by the leader of the loop, one at a time, and do not block.
type Layer interface {
	// Feed offers what was received. It is valid until Read returns nothing.
	Feed(wire []byte)
	// Read opens what was fed. No bytes and no error mean that all of it has been
	// used, io.EOF that the peer has ended its side, another error that the
	// connection is unusable. It may call WriteWire.
	Read(p []byte) (n int, err error)
	// Write seals p and hands the result to WriteWire.
	Write(p []byte) (n int, err error)
	// CloseWrite hands what ends this side to WriteWire.
	CloseWrite() error
}

const (
	plainBytes = 16 << 10 // what a layer is asked to open at a time, a TLS record

	// sealedLimit is how much plaintext goes into one block, so that what it is
	// sealed to fits into one, too: a TLS record adds at most 22 bytes with the
	// usual ciphers, to 1.3 KiB and more.
	sealedLimit = mapped.MaxBlock - 2<<10
)

// secured is what a connection with a layer has besides.
type secured struct {
	layer Layer
	first *mapped.Block // sealed output, which may be in flight
	last  *mapped.Block
	room  int    // how much is going to be sealed
	sent  int    // of the first block
	own   int    // what the layer has written by itself since all sealed output was sent
	asked bool   // what it writes now is not its own
	ended bool   // CloseWrite was called
	err   error  // of the layer
	below *below // what seals output in its place, nil if it does that itself
}

// ownLimit bounds what a layer answers by itself to a peer that does not read it: one
// that goes on asking for new keys, say.
const ownLimit = 16 << 10

var errUnreadAnswers = errors.New("the peer asks for answers below the protocol and does not read them")

// SetLayer puts a layer in front of the protocol. What was written before goes over
// the wire as it is; input that was kept belongs to the protocol already.
func (c *Conn) SetLayer(layer Layer) {
	if c.queued == 0 {
		c.dropOutput()
	}
	c.secured = &secured{layer: layer, first: c.out, last: c.last, sent: int(c.done)}
	c.out, c.last, c.done = nil, nil, 0
}

// Secured reports whether there is a layer between the protocol and the wire.
func (c *Conn) Secured() bool { return c.secured != nil }

// Unseal has the layer open received bytes that came another way than over the loop. It
// is for tasks, not for the callbacks of a protocol.
func (c *Conn) Unseal(wire []byte) {
	check.That(len(c.loop.active) == 0, "Unseal while input is delivered")
	if c.phase == phaseOpen {
		c.open(wire)
		c.pause()
		c.detachIfQuiet()
	}
}

// open has the layer open what was received, and delivers or keeps it.
func (c *Conn) open(wire []byte) {
	c.secured.layer.Feed(wire)
	c.flags |= flagOpening
	c.openFed()
	c.flags &^= flagOpening
}

func (c *Conn) openFed() {
	layer := c.secured.layer
	buf := c.loop.plainBuffer()
	for c.phase == phaseOpen || c.phase == phaseDetaching {
		n, err := layer.Read(buf)
		if c.phase == phaseStopping { // what it wrote could not be
			return
		}
		if n > 0 {
			c.opened(buf[:n])
		}
		switch {
		case err == io.EOF:
			c.ended()
			return
		case err != nil:
			c.layerFailed(err)
			return
		case n == 0:
			return
		}
	}
}

func (c *Conn) opened(plain []byte) {
	if len(c.in) > 0 || c.phase != phaseOpen || c.flags&flagsNoInput != 0 {
		c.keep(plain)
		c.deliver()
		return
	}
	n := c.data(plain)
	if n < len(plain) && (c.phase == phaseOpen || c.phase == phaseDetaching) {
		c.keep(plain[n:])
	}
	if n > 0 && c.flags&flagAgain != 0 {
		c.deliver()
	}
}

// layerFailed ends a connection whose layer has said why to the peer: it has nothing
// to add to that, so output that is not sealed is lost.
func (c *Conn) layerFailed(err error) {
	s := c.secured
	s.err, s.ended = err, true
	c.dropUnsealed()
	if c.phase == phaseDetaching || c.flags&flagBorrowed != 0 {
		c.stop(err)
		return
	}
	c.CloseLingering()
}

// dropUnsealed drops the output that nobody has sealed, and that is not in flight.
func (c *Conn) dropUnsealed() {
	if c.out != nil && c.inFlight(c.out) {
		for b := c.out.Next; b != nil; {
			next := b.Next
			c.queued -= len(b.B)
			b.Next = nil
			c.loop.arena.Put(b)
			b = next
		}
		c.out.Next, c.last = nil, c.out
		return
	}
	for c.out != nil {
		c.queued -= len(c.out.B) - int(c.done)
		c.popBlock()
	}
}

func (l *Loop) plainBuffer() []byte {
	if l.plain == nil {
		l.plain = make([]byte, plainBytes)
	}
	return l.plain
}

// sealed returns the first block that is to go over the wire and how much of it has,
// nil when the connection is over.
func (c *Conn) sealed() (b *mapped.Block, sent int) {
	s := c.secured
	for (s.first == nil || len(s.first.B) == 0) && c.out != nil && c.phase != phaseStopping {
		c.seal() // into room that was reserved and not used, where there is some
	}
	if c.phase == phaseStopping {
		return nil, 0
	}
	return s.first, s.sent
}

// seal has the layer seal the first block of output.
func (c *Conn) seal() {
	b := c.out
	plain := len(b.B)
	s := c.secured
	s.room, s.asked = plain+mapped.MaxBlock-sealedLimit, true
	_, err := s.layer.Write(b.B)
	s.asked = false
	c.popBlock()
	c.queued -= plain
	if err != nil {
		c.stop(err)
	}
}

// WriteWire queues a copy of p behind what the layer has handed over before. It is
// for the layer.
func (c *Conn) WriteWire(p []byte) {
	s := c.secured
	check.That(s.below == nil, "the layer seals output that is sealed below")
	if !s.asked {
		if s.own += len(p); s.own > ownLimit {
			c.stop(errUnreadAnswers)
			return
		}
	}
	for len(p) > 0 {
		b := s.last
		if b == nil || len(b.B) == cap(b.B) {
			if b = c.sealedBlock(len(p)); b == nil {
				return
			}
		}
		n := copy(b.B[len(b.B):cap(b.B)], p)
		b.B = b.B[:len(b.B)+n]
		c.wrote(n)
		p = p[n:]
	}
}

func (c *Conn) sealedBlock(n int) *mapped.Block {
	s := c.secured
	b, err := c.loop.arena.Get(min(max(n, s.room), mapped.MaxBlock))
	if err != nil {
		c.stop(err)
		return nil
	}
	s.room = 0
	if s.last == nil {
		s.first = b
	} else {
		s.last.Next = b
	}
	s.last = b
	return b
}

// sentSealed notes that n bytes of the first block have been sent.
func (c *Conn) sentSealed(n int) {
	s := c.secured
	if s.sent += n; s.sent == len(s.first.B) {
		c.popSealed()
	}
}

func (c *Conn) popSealed() {
	s := c.secured
	b := s.first
	s.first, b.Next, s.sent = b.Next, nil, 0
	if s.first == nil {
		s.last, s.own = nil, 0
	}
	c.loop.arena.Put(b)
}

// endLayer has the layer end its side, once, and reports whether there is something
// to be sent now.
func (c *Conn) endLayer() bool {
	s := c.secured
	if s == nil || s.ended {
		return false
	}
	s.ended, s.asked = true, true
	err := s.layer.CloseWrite()
	s.asked = false
	return err == nil && c.queued > 0
}

// dropOutput gives back all blocks.
func (c *Conn) dropOutput() {
	for c.out != nil {
		c.popBlock()
	}
	for c.secured != nil && c.secured.first != nil {
		c.popSealed()
	}
}
