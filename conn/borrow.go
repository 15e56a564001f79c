package conn

import (
	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

// Borrow lends the sending side of the connection: until GiveBack the caller may
// write to the descriptor, with system calls that do not block and from any goroutine,
// and the loop does not. What is written to the connection meanwhile waits. Borrow reports
// false when output is waiting or in flight already, or the connection is parked, closing,
// has a layer that seals, or cannot be given a descriptor: whoever may write to the
// descriptor past the queue learns it here.
//
// To whom it is lent it looks like a send in flight: when the connection ends, the
// socket is shut down, which the next system call tells, and descriptor and slot stay
// what they are until GiveBack.
func (c *Conn) Borrow() bool {
	if c.phase != phaseOpen || c.queued > 0 || c.flags&(flagSending|flagParked|flagPolling) != 0 || c.sealing() || c.goReal() != nil {
		return false
	}
	c.dropOutput()
	c.flags = c.flags&^flagQuiet | flagSending | flagBorrowed
	c.inflight++
	return true
}

// AwaitRoom has Drained called when a descriptor that is borrowed takes data again, or
// may not any more, or the peer has ended its side: the caller finds out by trying. It
// reports how many bytes it has sent since it borrowed or asked last.
// The loop's WriteTimeout bounds the wait. On a connection that is over, or where this
// was asked already, nothing is waited for.
func (c *Conn) AwaitRoom(sent int64) {
	c.loop.count.BytesOut += uint64(sent)
	c.passed(int(sent))
	if c.phase == phaseStopping || c.flags&flagAwaiting != 0 {
		return
	}
	c.flags |= flagAwaiting
	c.inflight++
	c.limitSend()
	c.loop.ring.Poll(c.token(ring.OpPoll), int(c.fd), unix.POLLOUT)
}

// roomCame handles the completion of AwaitRoom, whose result does not matter.
func (c *Conn) roomCame() {
	c.flags &^= flagAwaiting | flagControl
	switch {
	case c.phase == phaseStopping:
	case c.flags&flagBorrowed == 0: // it was given back before, or was lent to nobody
		c.givenBack()
	default:
		c.sendBy = 0
		depth := c.loop.calling(c)
		c.proto.Drained(c)
		c.loop.returned(depth)
	}
}

// GiveBack ends Borrow, of whom has sent so many bytes since it borrowed or asked for
// room last. It may be called, by the loop's goroutine, also when the
// connection is over, whose memory is not another's before.
func (c *Conn) GiveBack(sent int64) {
	c.loop.count.BytesOut += uint64(sent)
	c.passed(int(sent))
	c.flags &^= flagBorrowed
	c.inflight--
	c.sendBy = 0
	c.goDirect()
	switch {
	case c.phase == phaseStopping:
	case c.flags&flagAwaiting != 0: // by somebody who waits no longer
		c.cancelRoom()
	default:
		c.givenBack()
	}
	c.detachIfQuiet()
	c.endIfQuiet()
}

// givenBack goes on with what waited for the descriptor.
func (c *Conn) givenBack() {
	c.flags &^= flagSending
	if c.queued > 0 {
		c.queueSend()
	} else if c.phase == phaseFlushing {
		c.endOutput()
	}
}

// cancelRoom asks for the end of a poll that nobody waits for any more. Until it has
// ended nothing is sent, nor is there another poll.
func (c *Conn) cancelRoom() {
	if c.flags&(flagAwaiting|flagBorrowed|flagCancelling|flagControl) != flagAwaiting || c.phase == phaseStopping {
		return
	}
	c.flags |= flagCancelling
	c.inflight++
	c.loop.ring.Cancel(c.token(ring.OpCancel), c.token(ring.OpPoll))
}
