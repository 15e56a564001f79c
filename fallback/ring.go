package fallback

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

// Config is how a ring is made. The zero value is what a server wants.
type Config struct {
	// Buffers is the number of receive buffers that can be lent at a time, up to
	// 65536; 0 means 256. The one given back last is used next, so that few are
	// ever touched.
	Buffers int
	// BufferSize is the size of one receive buffer in bytes; 0 means 20 KiB, in which a
	// record of TLS fits.
	BufferSize int
	// Events is how many descriptors one epoll_wait reports at most; 0 means 512.
	Events int
}

func (c Config) withDefaults() (Config, error) {
	if c.Buffers == 0 {
		c.Buffers = 256
	}
	if c.BufferSize == 0 {
		c.BufferSize = 20 << 10
	}
	if c.Events == 0 {
		c.Events = 512
	}
	if c.Buffers < 1 || c.Buffers > 1<<16 || c.BufferSize < 64 || c.BufferSize > 1<<20 || c.Events < 1 || c.Events > 1<<16 {
		return c, fmt.Errorf("fallback: %d buffers of %d bytes and %d events are out of range", c.Buffers, c.BufferSize, c.Events)
	}
	return c, nil
}

// acceptsPerTurn bounds how many connections are taken from a listener before
// anything else is looked at.
const acceptsPerTurn = 256

// burstMost bounds how many buffers of one connection are filled before others are looked
// at: what comes in bulk is received, and used, while it is in the cache.
const burstMost = 8

// Ring is one epoll instance with its receive buffers. Its methods are for the one
// goroutine that drives it; only Wake may be called by others.
type Ring struct {
	epfd   int
	events []unix.EpollEvent

	files files
	done  queue[ring.Completion]
	ready queue[int32] // descriptors to receive from or accept on in this turn
	again []int32      // and in the next one

	bulk  int32 // the descriptor that has just filled a buffer, -1 for none
	burst int   // how many it has filled at a stretch

	accepts    int  // left in this turn
	readyFirst bool // Next began with ready, not with done
	skipped    bool // Enter did not ask for events
	bufs       buffers

	wakeMu sync.Mutex
	wakeFD int

	stats Stats
}

// Stats are counters of a ring since it was made. They are written by the
// goroutine that drives the ring.
type Stats struct {
	Enters      uint64 // epoll_wait calls
	Completions uint64 // completions delivered
	Waits       uint64 // sends that could not be finished at once
	Starved     uint64 // receives that found no buffer
	Wakes       uint64 // wake-ups by another goroutine
}

// New makes a ring. It fails only for want of descriptors or memory.
func New(cfg Config) (*Ring, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &Ring{epfd: -1, wakeFD: -1, bulk: -1, events: make([]unix.EpollEvent, cfg.Events)}
	if err := r.open(cfg); err != nil {
		return nil, errors.Join(err, r.Close(0))
	}
	return r, nil
}

func (r *Ring) open(cfg Config) (err error) {
	if err := r.bufs.open(cfg.Buffers, cfg.BufferSize); err != nil {
		return err
	}
	if r.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return refused("epoll_create1", err)
	}
	if r.wakeFD, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return refused("eventfd", err)
	}
	// Edge-triggered, so that the counter need not be read: every write is an
	// edge, and it would take 2^64 of them to fill it.
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET&0xffffffff, Fd: int32(r.wakeFD)}
	if err := unix.EpollCtl(r.epfd, unix.EPOLL_CTL_ADD, r.wakeFD, &ev); err != nil {
		return refused("epoll_ctl", err)
	}
	return nil
}

// Stats returns the counters.
func (r *Ring) Stats() Stats { return r.stats }

// Enter waits until something can be completed: without limit when timeout is
// negative, not at all when it is zero or completions are unread. It may return
// early. An error means the ring is unusable.
//
// All events are looked at here, before the caller closes descriptors and opens
// others with their numbers, and however few completions it takes in a turn.
//
// After sends that have ended at once, as nearly all do, it does not ask for events: they
// are told first, and by the next call, which does, there are more of them, or there is
// nothing left to do but wait.
func (r *Ring) Enter(timeout time.Duration) error {
	r.accepts, r.bulk = acceptsPerTurn, -1
	for _, fd := range r.again {
		r.ready.push(fd)
	}
	r.again = r.again[:0]
	if timeout != 0 && r.ready.len() == 0 && r.done.len() > 0 && !r.skipped {
		r.skipped = true
		return nil
	}
	r.skipped = false
	if r.done.len()+r.ready.len() > 0 {
		timeout = 0
	}
	r.stats.Enters++
	n, errno := epollWait(r.epfd, r.events, timeout)
	switch errno {
	case 0:
		for i := range r.events[:n] {
			r.event(&r.events[i])
		}
		return nil
	case syscall.EINTR:
		return nil
	}
	return fmt.Errorf("epoll_wait: %w", errno)
}

// Next stores the next completion in c, or reports false when there is none. The
// completion is consumed at once: whoever calls Next afterwards, on whatever
// goroutine, gets the following one.
func (r *Ring) Next(c *ring.Completion) bool {
	if r.nextBulk(c) {
		r.stats.Completions++
		return true
	}
	// They take turns: neither kind keeps the other waiting for ever.
	r.readyFirst = !r.readyFirst
	if r.readyFirst && r.nextReady(c) || r.done.pop(c) || r.nextReady(c) {
		r.stats.Completions++
		return true
	}
	return false
}

// completed queues the completion of an operation that has ended.
func (r *Ring) completed(t ring.Token, res int32) {
	r.done.push(ring.Completion{Token: t, Res: res})
}

// failed queues the completion of an operation that has failed.
func (r *Ring) failed(t ring.Token, errno syscall.Errno) { r.completed(t, -int32(errno)) }

// event notes what a descriptor is ready for and goes on with what waited for it.
func (r *Ring) event(ev *unix.EpollEvent) {
	if int(ev.Fd) == r.wakeFD {
		r.stats.Wakes++
		return
	}
	f := r.files.at(int(ev.Fd))
	if f == nil || f.gen != uint32(ev.Pad) {
		return // of a socket that was closed here and lives on as a duplicate
	}
	const ended = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	if ev.Events&(ended|unix.EPOLLPRI) != 0 {
		f.set(fileUnsure)
	}
	if ev.Events&(unix.EPOLLIN|ended) != 0 {
		f.set(fileReadable)
		r.schedule(ev.Fd, f)
		if f.in.Op() == ring.OpAccept {
			unblock(int(ev.Fd))
		}
	}
	if ev.Events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 && f.out != 0 {
		r.writable(int(ev.Fd), f)
	}
	if f.poll != 0 {
		r.poll(int(ev.Fd), f)
	}
}

// schedule has a readable descriptor served in this turn, if anybody wants it.
func (r *Ring) schedule(fd int32, f *file) {
	if f.in != 0 && f.is(fileReadable) && !f.is(fileQueued) {
		f.set(fileQueued)
		r.ready.push(fd)
	}
}

// nextBulk goes on receiving from a descriptor that has filled a buffer, if that has been
// used and given back.
func (r *Ring) nextBulk(c *ring.Completion) bool {
	fd := r.bulk
	if r.bulk = -1; fd < 0 || r.burst == burstMost || r.bufs.lent > 0 {
		return false
	}
	f := r.files.at(int(fd))
	if f == nil || f.in == 0 || !f.is(fileReadable) || !f.is(fileQueued) {
		return false
	}
	return r.receiveOne(c, fd, f)
}

// nextReady serves the descriptors that are ready until one gives a completion.
func (r *Ring) nextReady(c *ring.Completion) bool {
	for fd := int32(0); r.ready.pop(&fd); {
		f := r.files.at(int(fd))
		if f == nil || !f.is(fileQueued) {
			continue
		}
		f.clear(fileQueued)
		if f.in == 0 || !f.is(fileReadable) {
			continue
		}
		if f.in.Op() == ring.OpAccept {
			if r.acceptOne(c, fd, f) {
				return true
			}
		} else {
			r.burst = 0
			if r.receiveOne(c, fd, f) {
				return true
			}
		}
	}
	return false
}

// Release gives a receive buffer back.
func (r *Ring) Release(id uint16) { r.bufs.give(id) }

// Wake makes a waiting Enter return. Any goroutine may call it, also while Close
// runs and after it, when it does nothing.
func (r *Ring) Wake() {
	one := [8]byte{1}
	r.wakeMu.Lock() // the descriptor's number may be somebody else's after Close
	defer r.wakeMu.Unlock()
	for r.wakeFD >= 0 {
		_, err := unix.Write(r.wakeFD, one[:])
		if !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// Close frees the ring. Nothing can be in flight in the kernel, so there is
// nothing to wait for; what is in flight here does not complete any more. Receive
// buffers not yet released stay readable until they are. Afterwards only Release,
// Stats, Wake and Close may be called.
func (r *Ring) Close(time.Duration) error {
	r.wakeMu.Lock()
	if r.wakeFD >= 0 {
		unix.Close(r.wakeFD)
	}
	r.wakeFD = -1
	r.wakeMu.Unlock()
	if r.epfd >= 0 {
		unix.Close(r.epfd)
	}
	r.epfd = -1
	return r.bufs.close()
}
