package conn

import (
	"syscall"

	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/mapped"
	"github.com/ringkit/ringkit/internal/ring"
)

// Reserve returns an empty slice with room for n bytes, n <= mapped.MaxBlock, to
// append to and to hand to Commit. It is valid until the next call of any method
// of the connection, or until the callback returns. On a connection that is over, or when the system has no
// memory left, which ends it, the room is not sent anywhere.
func (c *Conn) Reserve(n int) []byte {
	b := c.room(n)
	if b == nil {
		return make([]byte, 0, n)
	}
	return b.B[len(b.B):]
}

// Commit queues what was appended to the slice that Reserve returned. It leaves
// at the end of the turn, together with everything else written by then.
func (c *Conn) Commit(p []byte) {
	b := c.last
	if !c.writable() || b == nil {
		return
	}
	n := len(b.B)
	b.B = b.B[:n+len(p)]
	check.That(len(p) == 0 || &b.B[n] == &p[0], "Commit of memory that is not from Reserve")
	if c.wrote(len(p)); c.queued == 0 {
		c.dropOutput()
	}
}

// Write queues a copy of p, of any length. The caller bounds what is queued by
// looking at Queued.
func (c *Conn) Write(p []byte) {
	for len(p) > 0 {
		b := c.room(min(len(p), c.blockLimit()))
		if b == nil {
			return
		}
		n := copy(b.B[len(b.B):cap(b.B)], p)
		b.B = b.B[:len(b.B)+n]
		c.wrote(n)
		p = p[n:]
	}
}

// Queued returns how many bytes wait to be sent, including those in flight.
func (c *Conn) Queued() int { return c.queued }

func (c *Conn) writable() bool { return c.phase == phaseOpen && c.flags&flagFailed == 0 }

// fail ends a connection that cannot take its output. Who writes is not told so by
// Closed in the middle of it: that comes soon.
func (c *Conn) fail(err error) {
	c.flags |= flagFailed
	h := c.Handle()
	c.loop.Do(func(*Loop) {
		if c := h.Conn(); c != nil {
			c.stop(err)
		}
	})
}

func (c *Conn) wrote(n int) {
	c.queued += n
	c.queueSend()
}

// queueSend has a send started at the end of the turn: by then everything that is
// written in this turn has joined it.
func (c *Conn) queueSend() {
	if c.queued > 0 && c.flags&(flagDirty|flagSending) == 0 {
		c.flags |= flagDirty
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

// room returns the last block of the queue with space for n bytes, making one
// where needed. A block that is not in flight grows by moving to a larger one, so
// that the answers of one turn leave in one send.
func (c *Conn) room(n int) *mapped.Block {
	if !c.writable() {
		return nil
	}
	b := c.last
	if b != nil && cap(b.B)-len(b.B) >= n && !c.inFlight(b) {
		return b
	}
	if b == nil || c.inFlight(b) || len(b.B)+n > c.blockLimit() {
		return c.append(n)
	}
	bigger, err := c.loop.arena.Get(len(b.B) + n)
	if err != nil {
		c.fail(err)
		return nil
	}
	bigger.B = append(bigger.B, b.B...)
	c.replace(b, bigger)
	return bigger
}

func (c *Conn) inFlight(b *mapped.Block) bool {
	return b == c.out && c.flags&(flagSending|flagBorrowed|flagAwaiting) == flagSending && !c.sealing()
}

// blockLimit is up to where a block grows.
func (c *Conn) blockLimit() int {
	if c.sealing() {
		return sealedLimit
	}
	return mapped.MaxBlock
}

func (c *Conn) append(n int) *mapped.Block {
	b, err := c.loop.arena.Get(n)
	if err != nil {
		c.fail(err)
		return nil
	}
	if c.last == nil {
		c.out = b
	} else {
		c.last.Next = b
	}
	c.last = b
	return b
}

func (c *Conn) replace(last, bigger *mapped.Block) {
	if c.out == last {
		c.out = bigger
	} else {
		b := c.out
		for b.Next != last {
			b = b.Next
		}
		b.Next = bigger
	}
	c.last = bigger
	c.loop.arena.Put(last)
}

// send starts sending the first block, if there is one and no send in flight.
func (c *Conn) send() {
	if c.queued == 0 || c.flags&flagSending != 0 || c.phase == phaseStopping {
		return
	}
	c.flags = c.flags&^flagQuiet | flagSending
	if !c.sendControls() {
		return
	}
	out, done := c.out, int(c.done)
	if c.sealing() {
		if out, done = c.sealed(); out == nil {
			c.flags &^= flagSending
			return
		}
	}
	c.inflight++
	c.limitSend()
	if c.secured != nil && !c.sealing() {
		c.loop.ring.SendSome(c.token(ring.OpSend), int(c.fd), out.B[done:])
		return
	}
	c.loop.ring.Send(c.token(ring.OpSend), int(c.fd), out.B[done:])
}

// limitSend ends the connection if its peer takes no data for too long from now on.
func (c *Conn) limitSend() {
	if w := c.loop.writeTimeout; w != 0 {
		c.sendBy = c.loop.now + w
		c.armTimer(c.sendBy)
	}
}

// sent handles the completion of a send.
func (c *Conn) sent(e *ring.Completion) {
	c.flags &^= flagSending
	c.sendBy = 0
	if e.Res > 0 {
		c.loop.count.BytesOut += uint64(e.Res)
		c.passed(int(e.Res))
	}
	if c.phase == phaseStopping {
		return
	}
	if e.Res < 0 {
		if errno := syscall.Errno(-e.Res); errno != syscall.EINTR && errno != syscall.ECANCELED && errno != syscall.EAGAIN {
			c.stop(errno)
			return
		}
		// Interrupted before the first byte, or the thread that submitted it
		// ended: nothing was sent, so it is sent again.
		c.queueSend()
		return
	}
	c.queued -= int(e.Res)
	if c.sealing() {
		c.sentSealed(int(e.Res))
	} else if c.done += uint32(e.Res); int(c.done) == len(c.out.B) {
		c.popBlock()
	}
	if c.queued > 0 {
		c.queueSend()
		return
	}
	c.dropOutput() // room that was reserved and not used
	c.flushed()
}

func (c *Conn) popBlock() {
	b := c.out
	c.out, b.Next, c.done = b.Next, nil, 0
	if c.out == nil {
		c.last = nil
	}
	c.loop.arena.Put(b)
}

// flushed is called when all output has been sent.
func (c *Conn) flushed() {
	switch c.phase {
	case phaseOpen:
		depth := c.loop.calling(c)
		c.proto.Drained(c)
		c.loop.returned(depth)
	case phaseFlushing:
		c.endOutput()
	}
}
