package conn

import (
	"syscall"
	"time"

	"github.com/ringkit/ringkit/internal/ring"
	"github.com/ringkit/ringkit/internal/wheel"
)

// At the limit of descriptors or memory, accepting fails at once and would go on
// failing; it is tried again after a wait that doubles, or when a connection of
// this loop has been closed.
const (
	acceptRetryMin = 10 * time.Millisecond
	acceptRetryMax = 200 * time.Millisecond

	listenerKey = 1 << 31 // in a timer's key and a token's slot: a listener, not a connection
)

// Listener accepts connections on a listening descriptor. Its methods are for the
// goroutine that turns its loop.
type Listener struct {
	loop     *Loop
	fd       int
	slot     uint32
	gen      uint32
	events   ListenerEvents
	timer    wheel.Timer
	retry    time.Duration // the next wait, 0 when accepting works
	inflight int
	armed    bool
	ending   bool // its cancellation is in flight
	paused   bool
	closing  bool
}

// ListenerEvents are the functions a listener calls, on the loop's goroutine.
type ListenerEvents struct {
	// Accepted gets a connected descriptor: close-on-exec and non-blocking.
	Accepted func(fd int)
	// Exhausted is called when accepting has to wait for descriptors or memory:
	// once, until accepting has worked again. It may be nil.
	Exhausted func(err error)
	// Closed is called when the listener has ended and its descriptor is closed:
	// err is nil after Close. It may be nil.
	Closed func(err error)
}

// Listen begins to accept on a listening descriptor, which is the loop's to close
// from now on. One descriptor must not be given to several loops: the kernel would
// give the first nearly everything.
func (l *Loop) Listen(fd int, events ListenerEvents) *Listener {
	ln := &Listener{loop: l, fd: fd, events: events, slot: uint32(len(l.listeners))}
	for i, old := range l.listeners {
		if old == nil {
			ln.slot = uint32(i)
		}
	}
	if int(ln.slot) == len(l.listeners) {
		l.listeners = append(l.listeners, nil)
	}
	l.listeners[ln.slot] = ln
	l.listening++
	l.listenGen++
	ln.gen = l.listenGen & ring.MaxGeneration
	ln.timer.Key = listenerKey | ln.slot
	ln.accept()
	return ln
}

func (ln *Listener) token(op ring.Op) ring.Token {
	return ring.MakeToken(op, ln.gen, listenerKey|ln.slot)
}

func (ln *Listener) accept() {
	if ln.armed || ln.paused || ln.closing {
		return
	}
	ln.armed = true
	ln.inflight++
	ln.loop.ring.Accept(ln.token(ring.OpAccept), ln.fd)
}

// listenerEvent handles the completion of an accept, or of its cancellation.
func (l *Loop) listenerEvent(slot uint32, e *ring.Completion) {
	ln := l.listener(slot)
	if ln == nil || ln.gen != e.Token.Generation() {
		if e.Token.Op() == ring.OpAccept && e.Res >= 0 {
			l.ring.CloseFD(int(e.Res))
		}
		return
	}
	if !e.More() {
		ln.inflight--
	}
	switch e.Token.Op() {
	case ring.OpAccept:
		ln.accepted(e)
	case ring.OpCancel:
		ln.ending = false
		if ln.paused || ln.closing {
			ln.cancelAccept() // it was armed again in between
		}
	}
	ln.finishIfQuiet()
}

func (ln *Listener) finishIfQuiet() {
	if ln.closing && ln.inflight == 0 {
		ln.finish(nil)
	}
}

func (ln *Listener) accepted(e *ring.Completion) {
	if !e.More() {
		ln.armed = false
	}
	if e.Res < 0 {
		ln.failed(syscall.Errno(-e.Res))
		return
	}
	ln.retry = 0
	ln.accept()
	// Also while closing: the kernel has accepted this peer, which is owed an
	// answer, if only that the server is going away.
	ln.events.Accepted(int(e.Res))
}

func (l *Loop) listener(slot uint32) *Listener {
	if int(slot) >= len(l.listeners) {
		return nil
	}
	return l.listeners[slot]
}

// failed handles an error of accept.
func (ln *Listener) failed(errno syscall.Errno) {
	switch errno {
	case syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK, syscall.EOPNOTSUPP, syscall.EFAULT:
		ln.finish(errno)
	case syscall.ECONNABORTED, syscall.EPROTO, syscall.EPERM, syscall.EINTR, syscall.EAGAIN, syscall.ECANCELED:
		// About one peer that went away or was refused by a filter; ECANCELED
		// is Close, or the end of the thread that submitted the request.
		ln.accept()
	default: // EMFILE, ENFILE, ENOBUFS, ENOMEM, and what nobody has thought of
		ln.backOff(errno)
	}
}

func (ln *Listener) backOff(errno syscall.Errno) {
	if ln.closing {
		return
	}
	ln.loop.count.AcceptWaits++
	first := ln.retry == 0
	ln.retry = min(max(2*ln.retry, acceptRetryMin), acceptRetryMax)
	ln.loop.wheel.Schedule(&ln.timer, ln.loop.now+int64(ln.retry))
	if first && ln.events.Exhausted != nil {
		ln.events.Exhausted(errno)
	}
}

// retryAccept is called by the timer of a listener.
func (l *Loop) retryAccept(slot uint32) {
	if ln := l.listener(slot); ln != nil {
		ln.accept()
	}
}

// wakeListeners lets exhausted listeners try again: a descriptor was closed.
func (l *Loop) wakeListeners() {
	if l.listening == 0 {
		return
	}
	for _, ln := range l.listeners {
		if ln != nil && ln.retry != 0 && !ln.armed {
			l.wheel.Cancel(&ln.timer)
			ln.accept()
		}
	}
}

// Pause stops accepting, until Resume: who connects meanwhile waits in the backlog
// of the socket. What the kernel had accepted already is still handed out.
func (ln *Listener) Pause() {
	if ln.paused || ln.closing {
		return
	}
	ln.paused = true
	ln.cancelAccept()
}

// Resume ends Pause.
func (ln *Listener) Resume() {
	ln.paused = false
	ln.accept()
}

func (ln *Listener) cancelAccept() {
	if ln.armed && !ln.ending {
		ln.ending = true
		ln.inflight++
		ln.loop.ring.Cancel(ln.token(ring.OpCancel), ln.token(ring.OpAccept))
	}
}

// Close stops accepting and closes the descriptor, once what the kernel had
// accepted already has been handed out.
func (ln *Listener) Close() {
	if ln.closing {
		return
	}
	ln.closing = true
	ln.loop.wheel.Cancel(&ln.timer)
	ln.cancelAccept()
	ln.finishIfQuiet()
}

func (ln *Listener) finish(err error) {
	l := ln.loop
	if l.listener(ln.slot) != ln {
		return
	}
	l.wheel.Cancel(&ln.timer)
	l.listeners[ln.slot] = nil
	l.listening--
	ln.closing = true
	l.closeFD(ln.fd)
	if ln.events.Closed == nil {
		return
	}
	closed := func(*Loop) { ln.events.Closed(err) }
	if l.broken != nil {
		closed(l)
		return
	}
	// In the next turn: by then the descriptor has been closed, so that whoever
	// hears of it may listen on the same port.
	l.Do(closed)
}
