package conn

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/ring"
)

// Below seals output below the socket, in the place of a layer that goes on opening
// input: TLS in the kernel. Its methods are called by the leader of the loop, or by whoever
// has the connection after Detach.
type Below interface {
	// Passed notes that n bytes have been sent, in plain.
	Passed(n int)
	// Sent reports whether the transport has all of them: what it has not is lost
	// when the socket is shut down.
	Sent(fd int) bool
}

// below is what a connection has whose output is sealed there.
type below struct {
	Below
	controls []control
	looks    uint // whether all has been sent
}

// control is something that is sent by a system call of its own.
type control struct {
	bytes int
	send  func(fd int) error
}

// controlBytes is what a control counts besides its bytes.
const controlBytes = 22

// SealBelow has b seal what is written from now on, instead of the layer, which is
// there and has nothing left to send. What that still has to say goes by way of Control.
// The connection keeps its descriptor: see KeepDescriptor.
func (c *Conn) SealBelow(b Below) {
	check.That(c.queued == 0 && c.flags&flagSending == 0, "SealBelow with output waiting")
	check.That(!c.IsDirect(), "SealBelow without a descriptor")
	c.dropOutput()
	c.secured.below = &below{Below: b}
}

// sealing reports whether output goes through a layer.
func (c *Conn) sealing() bool { return c.secured != nil && c.secured.below == nil }

// Control has the layer of a connection that is sealed below send something in a way of
// its own, before all output that is not on its way: when nothing is in flight, send is
// called, and called again when there is room, as long as it returns unix.EAGAIN. It
// passes n bytes on.
func (c *Conn) Control(n int, send func(fd int) error) {
	s := c.secured
	if !s.asked {
		if s.own += n + controlBytes; s.own > ownLimit {
			c.stop(errUnreadAnswers)
			return
		}
	}
	s.below.controls = append(s.below.controls, control{n, send})
	c.wrote(n)
}

// sendControls sends what was given to Control. It reports whether there is something
// to send behind it, now.
func (c *Conn) sendControls() (more bool) {
	if c.secured == nil || c.secured.below == nil || len(c.secured.below.controls) == 0 {
		return true
	}
	b := c.secured.below
	for len(b.controls) > 0 {
		next := b.controls[0]
		switch err := next.send(int(c.fd)); err {
		case nil:
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			c.awaitControl()
			return false
		default:
			c.flags &^= flagSending
			c.stop(err)
			return false
		}
		b.controls = b.controls[1:]
		b.Passed(next.bytes)
		c.loop.count.BytesOut += uint64(next.bytes)
		c.queued -= next.bytes
	}
	b.controls, c.secured.own, c.sendBy = nil, 0, 0
	if c.secured.err != nil { // the peer has been told: what was in flight then ends here
		c.flags &^= flagSending
		c.dropUnsealed()
		c.flags |= flagSending
	}
	if c.queued > 0 {
		return true
	}
	c.flags &^= flagSending
	c.dropOutput()
	c.flushed()
	c.detachIfQuiet()
	return false
}

// awaitControl has the loop try again when the socket has room.
func (c *Conn) awaitControl() {
	if c.sendBy == 0 {
		c.limitSend()
	}
	if c.flags&flagPolling != 0 { // it is parked, and closed: there can be no second poll
		c.flags &^= flagSending
		c.setDeadline(lastLook)
		return
	}
	c.flags |= flagAwaiting | flagControl
	c.inflight++
	c.loop.ring.Poll(c.token(ring.OpPoll), int(c.fd), unix.POLLOUT)
}

// passed notes that n bytes of output have been sent.
func (c *Conn) passed(n int) {
	if c.secured != nil && c.secured.below != nil {
		c.secured.below.Passed(n)
	}
}

// lookAgain goes on with a connection whose output did not go on by itself.
func (c *Conn) lookAgain() {
	if c.queued > 0 {
		c.queueSend()
	} else {
		c.endOutput()
	}
}

const (
	firstLook = 2 * time.Millisecond
	lastLook  = 256 * time.Millisecond
)

// allSent reports whether nothing of the output is left below the socket. While there is,
// on a connection whose peer is slow, it is looked at again and again, no longer than a
// send may take.
func (c *Conn) allSent() bool {
	if c.secured == nil || c.secured.below == nil {
		return true
	}
	b := c.secured.below
	if b.Sent(int(c.fd)) {
		c.sendBy = 0
		return true
	}
	if b.looks == 0 {
		c.limitSend()
	}
	c.setDeadline(min(firstLook<<min(b.looks, 16), lastLook))
	b.looks++
	return false
}
