package conn

import (
	"syscall"
	"time"

	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/ring"
	"github.com/ringkit/ringkit/internal/wheel"
)

// An armed receive holds memory in the kernel, of which the largest part is for a
// transfer that is not going on. So a connection from which nothing has come for a
// while is parked: a sweep cancels its receive, and a poll waits in its place.
//
//	receiving ──sweep──→ cancelling ──the receive is over──→ polling
//	    ↑                    │ data                             │ readiness
//	    └────────────────────┴──────────────────────────────────┘
//
// Whatever the poll reports, data, an end or an error, the receive that follows
// says what it is. The same poll tells of a reset that a receive has missed.

const (
	// DefaultParkAfter is for how long at least nothing is received or sent before a
	// connection is parked.
	DefaultParkAfter = 5 * time.Second

	// What one step of a sweep does at most. There is a step every tick of the wheel
	// (4 ms) until all connections have been looked at.
	sweepSlots = 4096
	sweepParks = 64
)

// Events of poll(2). Errors and hang-ups are reported unasked.
const (
	pollIn    = 0x1
	pollRDHup = 0x2000
)

// sweeper looks for connections to be parked. It makes a pass over the table every
// now and then, as long as there are receives: what it has found twice with nothing
// in between is idle. So being busy costs a connection nothing.
type sweeper struct {
	after int64 // between two passes, nanoseconds, 0 for never
	timer wheel.Timer
	next  uint32 // the slot to look at next
	again bool   // a receive was armed, or found, since the pass began
}

// parkAfter returns after how many nanoseconds connections are parked, 0 for never.
func parkAfter(cfg Config) int64 {
	if p, ok := cfg.Ring.(interface{ Parks() bool }); ok && !p.Parks() {
		return 0
	}
	if cfg.ParkAfter == 0 {
		return int64(DefaultParkAfter)
	}
	return max(0, int64(cfg.ParkAfter))
}

// expectSweep has connections looked at in a while: one has begun to receive.
func (l *Loop) expectSweep() {
	l.sweeper.again = true
	if l.sweeper.after > 0 && !l.sweeper.timer.Scheduled() {
		l.wheel.Schedule(&l.sweeper.timer, l.now+l.sweeper.after)
	}
}

// endSweeps keeps a loop without connections from waking up.
func (l *Loop) endSweeps() {
	l.wheel.Cancel(&l.sweeper.timer)
	l.sweeper.next, l.sweeper.again = 0, false
}

// sweep makes one step of a pass.
func (l *Loop) sweep() {
	s := &l.sweeper
	if !l.step() {
		l.wheel.Schedule(&s.timer, l.now) // with the next tick
		return
	}
	s.next = 0
	if s.again {
		s.again = false
		l.wheel.Schedule(&s.timer, l.now+s.after)
	}
}

// step looks at some connections and reports whether the pass is over. A substitute
// leaves them alone: what it submits completes by way of its thread.
func (l *Loop) step() (over bool) {
	if !l.atHome() {
		return false
	}
	s, parks := &l.sweeper, 0
	for range sweepSlots {
		if s.next >= l.table.slots() {
			return true
		}
		c := l.table.at(s.next)
		s.next++
		if c == nil || c.flags&flagReceiving == 0 {
			continue
		}
		s.again = true
		if c.sweep() {
			if parks++; parks == sweepParks {
				return false
			}
		}
	}
	return false
}

// sweep parks the connection if nothing has happened since the last pass.
func (c *Conn) sweep() (parks bool) {
	if c.phase != phaseOpen || c.queued > 0 || c.flags&flagSending != 0 {
		return false
	}
	if c.flags&flagQuiet == 0 {
		c.flags |= flagQuiet
		return false
	}
	c.flags |= flagParked
	c.cancelInput()
	return true
}

// poll is receive for a connection that is parked.
func (c *Conn) poll() {
	c.flags |= flagPolling
	c.inflight++
	c.loop.ring.Poll(c.token(ring.OpPoll), int(c.fd), pollIn|pollRDHup)
}

// polled handles the completion of a poll.
func (c *Conn) polled(e *ring.Completion) {
	check.That(!e.More(), "a poll that goes on")
	c.flags &^= flagPolling
	if c.phase == phaseStopping {
		return
	}
	if e.Res != -int32(syscall.ECANCELED) {
		c.flags &^= flagsIdle
	}
	// Cancelled, without being detached: its thread has ended. It is still parked.
	c.receive()
}

// Parked reports whether the connection is parked: it has been idle for a while, and
// waits for input with the least of memory in the kernel.
func (c *Conn) Parked() bool { return c.flags&flagPolling != 0 }
