package conn

import (
	"syscall"

	"github.com/ringkit/ringkit/internal/bulk"
	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/ring"
)

// carryBytes is the size of a pooled buffer for kept input; a larger one is lent by
// package bulk.
const (
	carryBytes  = 4 << 10
	carryPooled = 256
)

// wantsInput reports whether a receive should be armed.
func (c *Conn) wantsInput() bool {
	if c.flags&flagEOF != 0 {
		return false
	}
	switch c.phase {
	case phaseOpen:
		return c.flags&flagsNoInput == 0 || len(c.in)-int(c.taken) < c.loop.inputLimit
	case phaseFlushing, phaseLingering:
		// Also while flushing: a peer that never stops sending would otherwise
		// never see the end of what it is being told.
		return true
	}
	return false
}

// receive arms a receive where one is wanted and none is there, or a poll where the
// connection is parked, or has it doze.
func (c *Conn) receive() {
	if c.flags&(flagReceiving|flagStarved|flagPolling|flagDozing) != 0 || !c.wantsInput() {
		return
	}
	if c.flags&flagDrowsy != 0 && c.doze() {
		return
	}
	if c.flags&flagParked != 0 {
		c.poll()
		return
	}
	c.flags |= flagReceiving
	c.armedBy = uint8(c.loop.leader)
	c.inflight++
	c.loop.ring.Recv(c.token(ring.OpRecv), int(c.fd))
	c.loop.expectSweep()
}

// pause ends the receive in flight when the protocol has enough input waiting.
func (c *Conn) pause() {
	if c.phase == phaseOpen && !c.wantsInput() {
		c.cancelInput()
	}
}

// bringHome ends a receive that another leader submitted: its completions come by way
// of that goroutine's thread. It is armed again when its end is reported.
func (c *Conn) bringHome() {
	if c.armedBy != uint8(c.loop.leader) && c.loop.atHome() && c.phase == phaseOpen {
		c.cancelInput()
	}
}

// cancelInput asks for the end of the receive, or of the poll in its place.
func (c *Conn) cancelInput() {
	op := ring.OpRecv
	if c.flags&flagPolling != 0 {
		op = ring.OpPoll
	}
	if c.flags&(flagReceiving|flagPolling) == 0 || c.flags&flagCancelling != 0 {
		return
	}
	c.flags |= flagCancelling
	c.inflight++
	c.loop.ring.Cancel(c.token(ring.OpCancel), c.token(op))
}

// cancelled handles the completion of a cancellation. What it was for may be over,
// and a receive or a poll be there that was armed since.
func (c *Conn) cancelled() {
	c.flags &^= flagCancelling
	c.cancelRoom()
	if c.phase == phaseDetaching {
		c.cancelInput()
	}
}

// received handles the completion of a receive.
func (c *Conn) received(e *ring.Completion) {
	if !e.More() {
		c.flags &^= flagReceiving
	}
	if e.HasBuffer() && (e.Res <= 0 || c.phase == phaseStopping) {
		c.loop.ring.Release(e.BufID)
	}
	switch {
	case c.phase == phaseStopping:
		return
	case e.Res > 0:
		c.loop.count.BytesIn += uint64(e.Res)
		c.arrived(e)
	case e.Res == 0:
		c.ended()
	default:
		c.receiveFailed(syscall.Errno(-e.Res))
	}
	c.receive()
	c.bringHome()
}

func (c *Conn) receiveFailed(errno syscall.Errno) {
	switch errno {
	case syscall.ENOBUFS:
		c.loop.count.Starved++
		c.flags |= flagStarved
		c.loop.starved = append(c.loop.starved, c)
	case syscall.ECANCELED, syscall.EINTR, syscall.EAGAIN:
		// Paused by us, or its thread ended: receive arms it again if wanted.
	default:
		c.stop(errno)
	}
}

// arrived takes received bytes. When nothing is kept they are delivered where
// they are; otherwise they join what is kept.
func (c *Conn) arrived(e *ring.Completion) {
	if c.secured != nil && (c.phase == phaseOpen || c.phase == phaseDetaching) {
		c.loop.lent, c.loop.lentID = true, e.BufID
		c.open(e.Buf)
		c.loop.lent = false
		c.loop.ring.Release(c.loop.lentID)
		c.pause()
		return
	}
	if c.phase == phaseDetaching {
		c.keep(e.Buf)
		c.loop.ring.Release(e.BufID)
		return
	}
	if c.phase != phaseOpen {
		c.loop.ring.Release(e.BufID)
		c.discard(len(e.Buf))
		return
	}
	if len(c.in) > 0 || c.flags&flagsNoInput != 0 {
		c.keep(e.Buf)
		c.loop.ring.Release(e.BufID)
		c.deliver()
		c.pause()
		return
	}
	c.loop.lent, c.loop.lentID = true, e.BufID
	buf := e.Buf
	c.consumed(buf, c.data(buf))
}

// consumed ends a delivery out of a receive buffer: the rest is kept, the buffer
// goes back.
func (c *Conn) consumed(buf []byte, n int) {
	if n < len(buf) && (c.phase == phaseOpen || c.phase == phaseDetaching) {
		c.keep(buf[n:])
	}
	c.loop.lent = false
	c.loop.ring.Release(c.loop.lentID)
	if n > 0 && c.flags&flagAgain != 0 {
		c.deliver()
	}
	c.pause()
}

func (c *Conn) data(in []byte) int {
	depth := c.loop.calling(c)
	c.flags = c.flags&^(flagAgain|flagsIdle|flagDrowsy) | flagDelivering
	n := c.proto.Data(c, in)
	for c.flags&flagHanded != 0 {
		c.flags &^= flagHanded
		if n < len(in) && c.phase == phaseOpen && c.flags&(flagHeld|flagCalling) == 0 {
			n += c.proto.Data(c, in[n:])
		}
	}
	c.flags &^= flagDelivering
	c.loop.returned(depth)
	check.That(n >= 0 && n <= len(in), "Data consumed %d of %d bytes", n, len(in))
	return n
}

// deliver offers the kept input to the protocol, unless it is held. When that
// resumes meanwhile, what it then left is offered once more.
func (c *Conn) deliver() {
	for c.phase == phaseOpen && c.flags&flagsNoInput == 0 && len(c.in) > 0 {
		n := c.data(c.in[c.taken:])
		c.taken += uint32(n)
		if int(c.taken) == len(c.in) || c.phase != phaseOpen && c.phase != phaseDetaching {
			c.dropInput()
		}
		if n == 0 || c.flags&flagAgain == 0 {
			break
		}
	}
	c.detachIfQuiet()
}

// keep appends p to the kept input.
func (c *Conn) keep(p []byte) {
	c.flags &^= flagsIdle
	if c.in == nil {
		c.in = c.loop.takeCarry()
	}
	if c.taken > 0 && len(c.in)+len(p) > cap(c.in) {
		c.in = c.in[:copy(c.in, c.in[c.taken:])]
		c.taken = 0
	}
	old := c.in
	c.in = bulk.Append(old, p)
	if cap(c.in) != cap(old) && cap(old) < bulk.Smallest { // others were given back
		c.loop.putCarry(old)
	}
}

func (c *Conn) dropInput() {
	c.loop.putCarry(c.in)
	c.in, c.taken = nil, 0
}

func (l *Loop) takeCarry() []byte {
	if n := len(l.carry); n > 0 {
		b := l.carry[n-1]
		l.carry = l.carry[:n-1]
		return b
	}
	return make([]byte, 0, carryBytes)
}

func (l *Loop) putCarry(b []byte) {
	check.Poison(b)
	if cap(b) != carryBytes {
		bulk.Put(b)
	} else if len(l.carry) < carryPooled {
		l.carry = append(l.carry, b[:0])
	}
}

// Hold stops the delivery of input, until Resume. What arrives meanwhile is kept,
// up to the loop's InputLimit and what is on its way; then receiving pauses.
func (c *Conn) Hold() { c.flags |= flagHeld }

// Held reports whether the connection is held.
func (c *Conn) Held() bool { return c.flags&flagHeld != 0 }

// Resume ends Hold and delivers what was kept, before it returns. Called from Data
// it has Data called once more with the rest, unless that consumed nothing.
func (c *Conn) Resume() {
	c.flags &^= flagHeld
	if c.flags&flagDelivering != 0 {
		c.flags |= flagAgain
		return
	}
	c.deliver()
	c.receive()
}

// Buffered returns the number of bytes received and not consumed.
func (c *Conn) Buffered() int { return len(c.in) - int(c.taken) }

// ended handles the end of the peer's side.
func (c *Conn) ended() {
	if c.flags&flagEOF != 0 {
		return
	}
	c.flags |= flagEOF
	switch c.phase {
	case phaseOpen:
		depth := c.loop.calling(c)
		c.proto.EOF(c)
		c.loop.returned(depth)
	case phaseLingering:
		c.stop(nil)
	}
}
