package conn

import (
	"errors"
	"syscall"
	"time"
)

// Errors with which a connection can end, beside the errno of an operation.
var (
	ErrWriteTimeout = errors.New("the peer took no data for the write timeout")
	ErrClosed       = errors.New("the connection was closed")
	ErrAbandoned    = errors.New("a callback ended its goroutine")
)

// Lingering is bounded in time and bytes: a peer gets this much of both to notice
// that nobody listens any more.
const (
	LingerTime  = 2 * time.Second
	LingerBytes = 8 << 20
)

// Close ends the connection once its output has been sent. Input is no longer
// delivered and Write does nothing from now on. Closed is called with nil when it
// is over.
func (c *Conn) Close() { c.finish(0) }

// CloseLingering is Close for a peer that may still be sending: closing a socket
// with unread input makes the kernel reset the connection, which can destroy what
// was sent last before the peer has read it. So only the sending side is ended
// (RFC 9112 section 9.6), and input is thrown away until the peer ends too, at
// most LingerTime and LingerBytes.
func (c *Conn) CloseLingering() { c.finish(flagLinger) }

// CloseReset is Close for a peer that must not take the end of its input for a good
// one: it sees a reset. What is on its way to it by then may be lost.
func (c *Conn) CloseReset() { c.finish(flagReset) }

// finish begins the end; how is what is special about it.
func (c *Conn) finish(how flag) {
	if c.phase != phaseOpen {
		return
	}
	c.rouse()
	c.closingBegins()
	c.phase = phaseFlushing
	c.deadline = 0
	c.flags |= how
	if c.in != nil && c.flags&flagDelivering == 0 {
		c.dropInput()
	}
	if c.queued == 0 && c.flags&flagSending == 0 {
		c.endOutput()
	}
	if c.phase == phaseFlushing {
		c.receive() // it may have been paused
	}
}

// endOutput goes on with closing once everything is sent.
func (c *Conn) endOutput() {
	if c.flags&flagReset != 0 {
		c.loop.ring.Reset(int(c.fd))
		c.stop(nil)
		return
	}
	if c.endLayer() || c.phase == phaseStopping || !c.allSent() {
		return
	}
	if c.flags&flagLinger == 0 || c.flags&flagEOF != 0 {
		c.stop(nil)
		return
	}
	c.phase = phaseLingering
	c.done = 0 // counts what is thrown away
	c.loop.ring.Shutdown(int(c.fd), syscall.SHUT_WR)
	c.setDeadline(LingerTime)
	c.receive()
}

func (c *Conn) discard(n int) {
	if c.phase != phaseLingering {
		return
	}
	if c.done += uint32(n); c.done > LingerBytes {
		c.stop(nil)
	}
}

// Abort ends the connection at once; output not yet sent is lost. Closed is
// called with err before Abort returns.
func (c *Conn) Abort(err error) {
	if err == nil {
		err = ErrClosed
	}
	c.stop(err)
}

// stop is the end for the protocol. The slot lives on until the kernel has let go
// of everything: a shut-down socket completes its receive and its send at once.
func (c *Conn) stop(err error) {
	if c.phase == phaseStopping {
		return
	}
	if c.phase == phaseDetaching {
		if done := c.takeDetaching(); done != nil {
			defer done(-1, nil, err)
		}
	}
	c.rouse()
	c.over(err)
	c.phase = phaseStopping
	if err == nil && c.secured != nil {
		err = c.secured.err
	}
	c.deadline, c.sendBy = 0, 0
	c.loop.wheel.Cancel(&c.timer)
	if c.inflight > 0 {
		how := syscall.SHUT_RDWR
		if c.flags&(flagReset|flagSending) == flagReset {
			how = syscall.SHUT_RD // the other way would say that all is well
		}
		c.loop.ring.Shutdown(int(c.fd), how)
		c.deadline = c.loop.now + int64(stopWait)
		c.armTimer(c.deadline)
	}
	c.endIfQuiet()
	depth := c.loop.calling(c)
	c.proto.Closed(c, err)
	c.loop.returned(depth)
	c.State = nil
}

// stopWait is after how long a receive is cancelled that the end of its socket has not
// ended: where data and an end come at once, a multishot receive (of 6.18 at least) may
// report the data and forget the end.
const stopWait = 100 * time.Millisecond

// endIfQuiet has the slot recycled at the end of the turn, when no frame on the
// stack can refer to it any more, once nothing is in flight.
func (c *Conn) endIfQuiet() {
	if c.phase == phaseStopping && c.inflight == 0 && c.flags&flagOver == 0 {
		c.flags |= flagOver
		c.loop.over = append(c.loop.over, c)
	}
}
