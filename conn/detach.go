package conn

import (
	"errors"
	"slices"
)

// ErrDetached is what Closed is told of a connection whose descriptor went to
// somebody else.
var ErrDetached = errors.New("the connection was detached")

// Detach takes the descriptor away from the loop, once everything written has been
// sent: done gets it with the input that was received and not consumed. From now on
// no input is delivered and Write does nothing. Closed is called before done, with
// ErrDetached, or with what ended the connection before it could be detached; then
// done gets that error and no descriptor. A connection that cannot be given a descriptor
// goes on: done gets an ErrNoDescriptor.
func (c *Conn) Detach(done func(fd int, rest []byte, err error)) {
	if c.phase != phaseOpen {
		done(-1, nil, ErrClosed)
		return
	}
	if err := c.goReal(); err != nil {
		done(-1, nil, err)
		return
	}
	c.phase = phaseDetaching
	c.deadline = 0
	l := c.loop
	if l.detaching == nil {
		l.detaching = make(map[uint32]func(int, []byte, error))
	}
	l.detaching[c.slot] = done
	c.rouse()
	c.cancelInput()
	c.detachIfQuiet()
}

// detachIfQuiet ends what Detach began when nothing is in flight and nothing waits
// to be.
func (c *Conn) detachIfQuiet() {
	if c.phase != phaseDetaching || c.inflight != 0 || c.queued != 0 || c.flags&(flagDelivering|flagOpening) != 0 {
		return
	}
	rest := slices.Clone(c.in[c.taken:])
	c.flags |= flagDetached
	c.loop.ring.Forget(int(c.fd))
	fd := int(c.fd)
	done := c.takeDetaching()
	c.stop(ErrDetached)
	done(fd, rest, nil)
}

// takeDetaching returns what Detach was given, or nil.
func (c *Conn) takeDetaching() func(int, []byte, error) {
	done := c.loop.detaching[c.slot]
	delete(c.loop.detaching, c.slot)
	return done
}
