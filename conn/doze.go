package conn

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/wheel"
)

// A peer that sends a byte at a time has the loop woken for each of them, which costs
// far more than to look at the byte. So such a connection dozes: its descriptor is in an
// epoll set that nobody waits for and that is looked at four times a second, for all of
// them together. What little has come by then is read at once; an end, or more, is left
// to the receive that follows, with which the doze ends.

// DozeTime is how long input may wait at a connection that dozes.
const DozeTime = 250 * time.Millisecond

const (
	dozeEvents = 128 // taken from the set with one system call
	dozeBytes  = 512 // read at once; a connection that has more is awake
)

// dorm is the epoll set of a loop, made when the first connection is to doze.
type dorm struct {
	fd     int // 0 while there is none
	closed bool
	n      int // connections that doze
	timer  wheel.Timer
	events []unix.EpollEvent
	buf    []byte
}

// Doze has the input that arrives next wait for up to DozeTime. It is for peers that
// have shown to be slow: whoever calls it does so again in each Data, or the connection
// is awake from then on. While something is being sent it does nothing; nor for direct
// connections, since what is in an epoll set has a descriptor.
func (c *Conn) Doze() {
	if c.phase == phaseOpen && !c.loop.dorm.closed && !c.IsDirect() {
		c.flags |= flagDrowsy
		c.cancelInput()
	}
}

// Dozing reports whether the connection dozes.
func (c *Conn) Dozing() bool { return c.flags&flagDozing != 0 }

// doze is receive for a connection that is drowsy, and reports false if it has to be
// received all the same.
func (c *Conn) doze() bool {
	c.flags &^= flagDrowsy
	l := c.loop
	if c.phase != phaseOpen || c.secured != nil || c.IsDirect() || c.queued > 0 || c.flags&(flagSending|flagAwaiting) != 0 || !l.dorm.open() {
		return false
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff, Fd: int32(c.slot), Pad: int32(c.gen)}
	if unix.EpollCtl(l.dorm.fd, unix.EPOLL_CTL_ADD, int(c.fd), &ev) != nil {
		return false
	}
	l.ring.Forget(int(c.fd)) // an engine that has it in a set of its own would be woken
	c.flags |= flagDozing
	l.dorm.n++
	if !l.dorm.timer.Scheduled() {
		l.wheel.Schedule(&l.dorm.timer, l.now+int64(DozeTime))
	}
	return true
}

// rouse ends a doze.
func (c *Conn) rouse() {
	if c.flags&flagDozing != 0 {
		c.flags &^= flagDozing
		c.loop.dorm.n--
		_ = unix.EpollCtl(c.loop.dorm.fd, unix.EPOLL_CTL_DEL, int(c.fd), nil)
	}
}

// lookAtDorm goes on with the connections that the set reports.
func (l *Loop) lookAtDorm() {
	d := &l.dorm
	for n := dozeEvents; n == dozeEvents && d.n > 0; {
		n, _ = unix.EpollWait(d.fd, d.events, 0) // interrupted it is -1: with the next tick
		for i := range max(n, 0) {
			ev := &d.events[i]
			if c := l.table.at(uint32(ev.Fd)); c != nil && c.gen == uint32(ev.Pad) && c.Dozing() {
				c.stir()
			}
		}
	}
	if d.n > 0 {
		l.wheel.Schedule(&d.timer, l.now+int64(DozeTime))
	}
}

// stir takes what a connection that dozes has received, and rouses it unless it is to
// go on so.
func (c *Conn) stir() {
	l := c.loop
	n, err := unix.Read(int(c.fd), l.dorm.buf)
	switch {
	case err == unix.EAGAIN, err == unix.EINTR:
	case err != nil:
		c.stop(err) // nobody is told of it a second time
		return
	case n > 0:
		l.count.BytesIn += uint64(n)
		c.keep(l.dorm.buf[:n])
		c.deliver()
		drowsy := c.flags&flagDrowsy != 0
		c.flags &^= flagDrowsy
		if drowsy && n < dozeBytes && c.Dozing() {
			return
		}
	}
	c.rouse()
	c.receive()
	c.endIfQuiet()
}

// open makes the set, and reports whether there is one.
func (d *dorm) open() bool {
	if d.fd == 0 && !d.closed {
		fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			return false
		}
		d.fd, d.events, d.buf = fd, make([]unix.EpollEvent, dozeEvents), make([]byte, dozeBytes)
	}
	return d.fd != 0
}

// close ends it for good.
func (d *dorm) close() {
	d.closed = true
	if d.fd != 0 {
		unix.Close(d.fd)
		d.fd = 0
	}
}
