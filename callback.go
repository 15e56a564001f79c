package ringkit

import (
	"net/http"
	"runtime/debug"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/talk"
)

// callback is a call of the user's callbacks of one channel: a conn.Call. It has what is
// to be told: that the channel is open, some messages, that the queue has drained, that
// the channel is over, in this order.
type callback struct {
	ch       *Channel
	messages talk.Batch
	inflate  bool // one more message is to be decompressed
	open     bool
	drain    bool
	last     bool

	err      error // of the decompression
	ran      bool  // it has begun to
	returned bool

	began    time.Time // on a goroutine
	away     bool
	seat     seat
	takeover takeover
	started  conn.Started
	finish   conn.Task
}

const callbacksKept = 64

func (w *worker) takeCallback(ch *Channel) *callback {
	var b *callback
	if last := len(w.callbacks) - 1; last >= 0 {
		b = w.callbacks[last]
		w.callbacks = w.callbacks[:last]
	} else {
		b = new(callback)
	}
	b.ch = ch
	return b
}

func (w *worker) putCallback(b *callback) {
	if len(w.callbacks) >= callbacksKept || b.away || b.seat.Load() != 0 || b.messages.Large() {
		return
	}
	*b = callback{messages: b.messages.Emptied()}
	w.callbacks = append(w.callbacks, b)
}

// launch runs the callback of the channel.
func (ch *Channel) launch(c *conn.Conn) { ch.callback.launch(c) }

// launch runs the callback on the loop, or on a goroutine where it is going to block. c
// is nil when the connection is gone.
func (b *callback) launch(c *conn.Conn) {
	ch, srv := b.ch, b.ch.origin.srv
	b.away = srv.Mode == Goroutine || srv.Mode == Auto && ch.route != noRoute && srv.predict.blocks(ch.route)
	if b.away && b.spawn(c) {
		return
	}
	b.away = false
	if c == nil {
		ch.origin.loop.Call(b)
		return
	}
	c.Call(b)
}

// spawn runs the callback on a goroutine, if there is one to be had.
func (b *callback) spawn(c *conn.Conn) bool {
	b.seat.Store(counts)
	if c == nil {
		b.started = b.ch.origin.loop.Start(b)
	} else {
		b.started = c.Start(b, false)
	}
	srv := b.ch.origin.srv
	if srv.Mode == Goroutine {
		// There is nobody to tell that there are too many, and on the loop it would
		// be in the way of all: it waits, as one of each channel may.
		srv.pool.await(b.runAway)
		return true
	}
	if srv.pool.run(b.runAway) {
		return true
	}
	b.seat.Store(0)
	b.started.Cancel()
	return false
}

func (b *callback) runAway() {
	b.began = time.Now()
	defer func() {
		if b.ch.route != noRoute {
			b.ch.origin.srv.predict.took(b.ch.route, time.Since(b.began))
		}
		b.started.Finish(&b.finish)
	}()
	b.Run(conn.Lead{})
}

// Run implements conn.Call.
func (b *callback) Run(lead conn.Lead) {
	ch := b.ch
	defer b.seat.leave(&ch.origin.srv.pool)
	if b.last {
		ch.tellEnd()
		return
	}
	if !ch.enter(lead) {
		return
	}
	b.ran = true
	defer b.end()
	b.tell()
	b.returned = true
}

// end is deferred until the user's code is over, however it ends.
func (b *callback) end() {
	if !b.returned {
		b.ch.origin.srv.logPanic(b.ch.remote, recover(), debug.Stack())
	}
	if b.ch.exit() {
		b.ch.tellEnd()
	}
}

func (b *callback) tell() {
	ch := b.ch
	if b.open {
		ch.greet()
	}
	if f := ch.events.Message; f != nil {
		for i := range b.messages.Len() {
			f(ch, b.messages.Message(i))
		}
	}
	if b.inflate {
		b.tellInflated(ch)
	}
	if b.drain {
		ch.events.Drained(ch)
	}
}

// enter begins user code of the channel. It reports false when that comes too late.
func (ch *Channel) enter(lead conn.Lead) bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.order.Enter(lead)
}

// exit ends it, and that of the handler which opened the channel. It reports whether the
// channel ended meanwhile: then the caller calls tellEnd. The loop may not be there any
// more by now.
func (ch *Channel) exit() (tells bool) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.order.Exit()
}

// greet calls Open, unless it was called.
func (ch *Channel) greet() {
	ch.mu.Lock()
	greets := ch.order.Greet()
	ch.mu.Unlock()
	if greets && ch.events.Open != nil {
		ch.events.Open(ch)
	}
}

// tellEnd calls Close, behind everything else.
func (ch *Channel) tellEnd() {
	defer ch.protect((*Channel).part) // also if greet ends the goroutine
	ch.protect((*Channel).greet)
}

func (ch *Channel) part() {
	if f := ch.events.Close; f != nil {
		f(ch, ch.CloseInfo())
	}
}

// protect calls f, which may fail.
func (ch *Channel) protect(f func(*Channel)) {
	returned := false
	defer func() {
		if !returned {
			ch.origin.srv.logPanic(ch.remote, recover(), debug.Stack())
		}
	}()
	f(ch)
	returned = true
}

// tellInflated decompresses a message that costs too much for the loop.
func (b *callback) tellInflated(ch *Channel) {
	m, err := talk.Inflate(&ch.ws.dec)
	if b.err = err; err == nil && ch.events.Message != nil {
		ch.events.Message(ch, m)
	}
}

// Detached implements conn.Call.
func (b *callback) Detached(*conn.Conn) {
	ch, srv := b.ch, b.ch.origin.srv
	b.seat.take(&srv.pool)
	ch.mu.Lock()
	left := ch.order.Left
	ch.order.Left = false
	ch.mu.Unlock()
	if !left {
		b.takeover.begin(srv, http.MethodGet, "channel "+ch.remote)
	}
	srv.predict.blocked(ch.route, time.Now())
}

// Done implements conn.Call.
func (b *callback) Done(c *conn.Conn) {
	ch, w := b.ch, b.ch.origin.worker
	b.seat.leave(&w.srv.pool)
	b.takeover.end(w.srv, "")
	last, err, failed := b.last, b.err, b.ran && !b.returned
	if ch.callback == b {
		ch.callback = nil
	}
	w.putCallback(b)
	switch {
	case last:
		return
	case ch.ended:
		ch.release()
		return
	case c == nil || c.Closing():
		return // over is called
	case err != nil:
		ch.ws.needEnding().HearError(err)
	case failed:
		ch.fail(c)
	}
	ch.goOn(c)
}
