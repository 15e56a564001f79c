package conn

import (
	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

// Borrow lends the sending side of the connection: until GiveBack the caller may
// write to the descriptor, with system calls that do not block and from any goroutine,
// and the loop does not. What is written to the connection meanwhile waits. Borrow reports
// false when output is waiting or in flight already, or the connection is parked, closing or has a layer: whoever may
// write to the descriptor past the queue learns it here.
//
// To whom it is lent it looks like a send in flight: when the connection ends, the
// socket is shut down, which the next system call tells, and descriptor and slot stay
// what they are until GiveBack.
func (c *Conn) Borrow() bool {
	if c.phase != phaseOpen || c.queued > 0 || c.flags&(flagSending|flagParked|flagPolling) != 0 || c.secured != nil {
		return false
	}
	c.dropOutput()
	c.flags |= flagSending | flagBorrowed
	c.inflight++
	return true
}

// AwaitRoom has Drained called when a descriptor that is borrowed takes data again, or
// may not any more, or the peer has ended its side: the caller finds out by trying.
// The loop's WriteTimeout bounds the wait. On a connection that is over it does nothing.
func (c *Conn) AwaitRoom() {
	if c.phase == phaseStopping {
		return
	}
	c.inflight++
	c.limitSend()
	c.loop.ring.Poll(c.token(ring.OpPoll), int(c.fd), unix.POLLOUT)
}

// roomCame handles the completion of AwaitRoom, whose result does not matter.
func (c *Conn) roomCame() {
	if c.flags&flagBorrowed == 0 || c.phase == phaseStopping {
		return // it was given back before
	}
	c.sendBy = 0
	depth := c.loop.calling(c)
	c.proto.Drained(c)
	c.loop.returned(depth)
}

// GiveBack ends Borrow. It may be called, by the loop's goroutine, also when the
// connection is over, whose memory is not another's before.
func (c *Conn) GiveBack() {
	c.flags &^= flagSending | flagBorrowed
	c.inflight--
	c.sendBy = 0
	switch {
	case c.phase == phaseStopping:
	case c.queued > 0:
		c.queueSend()
	case c.phase == phaseFlushing:
		c.endOutput()
	}
	c.detachIfQuiet()
	c.endIfQuiet()
}
