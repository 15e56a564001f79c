package conn

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/mapped"
	"github.com/ringkit/ringkit/internal/ring"
	"github.com/ringkit/ringkit/internal/wheel"
)

// phase is where a connection is in its life.
type phase uint8

const (
	phaseFree      phase = iota // the slot is not in use
	phaseOpen                   // input is delivered, output is sent
	phaseFlushing               // Close was called: output is sent, input is ignored
	phaseLingering              // output is sent and ended: input is thrown away until the peer ends
	phaseDetaching              // output is sent, then the descriptor goes to somebody else
	phaseStopping               // over for the protocol; waiting for nothing to be in flight
)

type flag uint32

const (
	flagReceiving  flag = 1 << iota // a receive is in flight
	flagCancelling                  // a cancellation is, of the receive or the poll
	flagHeld                        // the protocol takes no input now
	flagEOF                         // the peer has ended its side
	flagSending                     // a send is in flight
	flagDirty                       // is in Loop.dirty
	flagStarved                     // is in Loop.starved
	flagLinger                      // linger once flushed
	flagOver                        // is in Loop.over
	flagDelivering                  // Data is running
	flagAgain                       // Resume was called meanwhile
	flagCalling                     // user code runs for it, or is about to
	flagDetached                    // the descriptor is somebody else's
	flagQuiet                       // nothing was received or sent since the last sweep
	flagParked                      // a poll is to wait for input, or does
	flagPolling                     // a poll is in flight
	flagBorrowed                    // somebody else writes to it; flagSending is set, too
	flagAwaiting                    // the poll of AwaitRoom is in flight; flagSending is set, too
	flagReset                       // the peer is to see a reset once flushed
	flagHanded                      // SetProtocol was called from Data
	flagFailed                      // it takes no output any more and is about to be stopped
	flagLater                       // is in Loop.later or Loop.due
	flagOpening                     // the layer may have more to open
	flagDrowsy                      // is to doze instead of receiving
	flagDozing                      // is in the dorm
	flagControl                     // the poll in flight is of sendControls; so is flagAwaiting
	flagKeeps                       // keeps its descriptor

	flagsIdle    = flagQuiet | flagParked
	flagsNoInput = flagHeld | flagCalling | flagLater // input is kept
)

// Conn is one connection. An idle one is this struct and nothing else.
type Conn struct {
	// State is the protocol's. It should be nil while the connection is idle.
	State any

	loop  *Loop
	proto Protocol

	in   []byte        // input kept: not consumed, or arrived while held
	out  *mapped.Block // queue of blocks to send; the first may be in flight
	last *mapped.Block // end of that queue

	secured *secured // nil without a layer

	timer    wheel.Timer
	deadline int64 // the protocol's, nanoseconds, 0 none
	sendBy   int64 // of the send in flight, nanoseconds, 0 none

	fd       int32 // a descriptor, or ring.Direct(slot)
	slot     uint32
	gen      uint32
	taken    uint32 // how much of in has been consumed
	done     uint32 // how much of the first block has been sent
	queued   int    // bytes in out not yet sent
	flags    flag
	inflight uint8 // operations without terminal completion
	armedBy  uint8 // the term of the leader that submitted the receive, as far as it fits
	phase    phase
	mark     Mark
}

// Adopt takes over a connected, non-blocking descriptor and calls p.Open, for which it
// is there; afterwards the connection may be a direct one.
func (l *Loop) Adopt(fd int, p Protocol) {
	c := l.table.take()
	c.loop, c.proto, c.fd, c.phase = l, p, int32(fd), phaseOpen
	c.timer.Key = c.slot
	l.conns.Add(1)
	l.count.Opened++
	l.marked[0]++
	depth := l.calling(c)
	p.Open(c)
	l.returned(depth)
	if l.broken != nil {
		c.stop(l.broken)
	}
	c.goDirect()
	if l.files != nil && c.slot >= l.table.files {
		l.count.FilesFull++
	}
	c.receive()
}

// Loop returns the connection's loop.
func (c *Conn) Loop() *Loop { return c.loop }

// Protocol returns the protocol of the connection.
func (c *Conn) Protocol() Protocol { return c.proto }

// SetProtocol has p speak from now on, instead of what spoke so far; neither is
// told, not even by Open.
// Called from Data, what that does not consume is delivered to p as soon as it
// returns. Otherwise kept input is delivered with what arrives next, or by Resume.
func (c *Conn) SetProtocol(p Protocol) {
	c.proto = p
	if c.flags&flagDelivering != 0 {
		c.flags |= flagHanded
	}
}

// FD returns the descriptor, which is the connection's to close. That of a direct
// connection is negative: see WithDescriptor and KeepDescriptor.
func (c *Conn) FD() int { return int(c.fd) }

// AtEOF reports whether the peer has ended its side.
func (c *Conn) AtEOF() bool { return c.flags&flagEOF != 0 }

// Closing reports whether Close or Abort was called, or the connection failed.
func (c *Conn) Closing() bool { return c.phase != phaseOpen }

// Gone asks the kernel whether the connection was reset, or is closed in both
// directions, whatever has been reported: nothing is while receiving is paused, and a
// multishot receive can miss a reset. It costs a system call, with a direct connection
// three; without a descriptor for that the answer is no.
func (c *Conn) Gone() (gone bool) {
	_ = c.WithDescriptor(func(fd int) {
		p := [1]unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(p[:], 0)
		gone = err == nil && n == 1 && p[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
	})
	return gone
}

func (c *Conn) token(op ring.Op) ring.Token { return ring.MakeToken(op, c.gen, c.slot) }

// SetDeadline has Timeout called once the loop's clock passes now+d. A later call
// replaces it; d <= 0 means never. It costs next to nothing to move a deadline
// into the future: the timer that is set already is looked at again when it fires.
// On a connection that is closing it does nothing.
func (c *Conn) SetDeadline(d time.Duration) {
	if c.phase != phaseOpen {
		return
	}
	if c.deadline = 0; d > 0 {
		c.setDeadline(d)
	}
}

// farthest is a time that is never reached, with room to add to it.
const farthest = 1 << 61

// setDeadline is not inlined, so that SetDeadline(0) is.
//
//go:noinline
func (c *Conn) setDeadline(d time.Duration) {
	c.deadline = c.loop.now + min(int64(d), farthest)
	c.armTimer(c.deadline)
}

func (c *Conn) armTimer(at int64) {
	if !c.timer.Scheduled() || c.timer.When() > at+wheel.TickNanos {
		c.loop.wheel.Schedule(&c.timer, at)
	}
}

func (c *Conn) timerFired() {
	now := c.loop.now
	switch {
	case c.phase == phaseStopping:
		c.cancelInput()
		if c.IsDirect() && c.inflight > 0 {
			c.loop.ring.Shutdown(int(c.fd), unix.SHUT_RDWR)
		}
		return
	case c.sendBy != 0 && c.sendBy <= now:
		c.stop(ErrWriteTimeout)
		return
	case c.deadline != 0 && c.deadline <= now:
		c.deadline = 0
		if c.phase == phaseOpen {
			depth := c.loop.calling(c)
			c.proto.Timeout(c)
			c.loop.returned(depth)
		} else if c.phase == phaseFlushing {
			c.lookAgain()
		} else {
			c.stop(nil)
		}
	}
	if c.phase == phaseStopping {
		return
	}
	if c.sendBy != 0 {
		c.armTimer(c.sendBy)
	}
	if c.deadline != 0 {
		c.armTimer(c.deadline)
	}
}
