package ringkit

import (
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/wsock"
)

// callback is a call of the user's callbacks of one channel: a conn.Call. It has what is
// to be told: that the channel is open, some messages, that the queue has drained, that
// the channel is over, in this order.
type callback struct {
	ch      *Channel
	data    []byte // of the messages
	list    []span
	inflate bool // one more message is to be decompressed
	open    bool
	drain   bool
	last    bool

	end      *wsEnd // what came behind the messages, if it ends the WebSocket
	err      error  // of the decompression
	returned bool
	panicked any
	stack    []byte

	began    time.Time // on a goroutine
	away     bool
	seat     seat
	takeover takeover
	started  conn.Started
	finish   conn.Task
}

type span struct {
	kind wsock.Opcode
	end  int
}

const (
	// batchBytes and batchMessages bound what is told in one go; a single message may be
	// longer.
	batchBytes    = 32 << 10
	batchMessages = 64

	callbacksKept = 64
	dataKept      = 64 << 10
)

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
	if len(w.callbacks) >= callbacksKept || b.away || b.seat.Load() != 0 || !b.returned || cap(b.data) > dataKept {
		return
	}
	*b = callback{data: b.data[:0], list: b.list[:0]}
	w.callbacks = append(w.callbacks, b)
}

// add adds a message.
func (b *callback) add(m wsock.Message) {
	b.data = append(b.data, m.Data...)
	b.list = append(b.list, span{m.Kind, len(b.data)})
}

func (b *callback) full() bool { return len(b.data) >= batchBytes || len(b.list) >= batchMessages }

// launch runs the callback of the channel on the loop, or on a goroutine where it is
// going to block. c is nil when the connection is gone.
func (ch *Channel) launch(c *conn.Conn) {
	b, srv := ch.callback, ch.w.srv
	b.away = srv.Mode == Goroutine || srv.Mode == Auto && ch.route != noRoute && srv.predict.blocks(ch.route)
	if b.away && b.spawn(c) {
		return
	}
	b.away = false
	if c == nil {
		ch.w.loop.Call(b)
		return
	}
	c.Call(b)
}

// spawn runs the callback on a goroutine, if there is one to be had.
func (b *callback) spawn(c *conn.Conn) bool {
	b.seat.Store(counts)
	if c == nil {
		b.started = b.ch.w.loop.Start(b)
	} else {
		b.started = c.Start(b, false)
	}
	if b.ch.w.srv.pool.run(b.runAway) {
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
			b.ch.w.srv.predict.took(b.ch.route, time.Since(b.began))
		}
		b.started.Finish(&b.finish)
	}()
	b.Run(conn.Lead{})
}

// Run implements conn.Call.
func (b *callback) Run(lead conn.Lead) {
	ch := b.ch
	ch.setLead(lead)
	defer func() {
		if !b.returned {
			b.panicked, b.stack = recover(), debug.Stack()
		}
		b.seat.leave(&ch.w.srv.pool)
	}()
	b.tell(ch)
	b.returned = true
}

func (b *callback) tell(ch *Channel) {
	if b.open && ch.events.Open != nil {
		ch.events.Open(ch)
	}
	if f := ch.events.Message; f != nil {
		at := 0
		for _, m := range b.list {
			f(ch, wsock.Message{Kind: m.kind, Data: b.data[at:m.end:m.end]})
			at = m.end
		}
	}
	if b.inflate {
		b.tellInflated(ch)
	}
	if b.drain && ch.events.Drained != nil {
		ch.events.Drained(ch)
	}
	if b.last && ch.events.Close != nil {
		ch.events.Close(ch, ch.CloseInfo())
	}
}

var inflaters = sync.Pool{New: func() any { return new(wsock.Inflater) }}

// tellInflated decompresses a message that costs too much for the loop.
func (b *callback) tellInflated(ch *Channel) {
	z := inflaters.Get().(*wsock.Inflater)
	m, err := ch.ws.dec.Inflate(z)
	inflaters.Put(z)
	if b.err = err; err == nil && ch.events.Message != nil {
		ch.events.Message(ch, m)
	}
}

func (ch *Channel) setLead(lead conn.Lead) {
	ch.mu.Lock()
	ch.lead = lead
	ch.mu.Unlock()
}

// Detached implements conn.Call.
func (b *callback) Detached(*conn.Conn) {
	srv := b.ch.w.srv
	b.seat.take(&srv.pool)
	if !b.ch.gives() {
		b.takeover.begin(srv, http.MethodGet, "channel "+b.ch.remote)
	}
	srv.predict.blocked(b.ch.route, time.Now())
}

// Done implements conn.Call.
func (b *callback) Done(c *conn.Conn) {
	ch, w := b.ch, b.ch.w
	b.seat.leave(&w.srv.pool)
	b.takeover.end(w.srv, "")
	ch.callback = nil
	if !b.returned && b.stack != nil {
		w.srv.logPanic(ch.remote, b.panicked, b.stack)
	}
	last, end, err, failed := b.last, b.end, b.err, !b.returned && b.stack != nil
	w.putCallback(b)
	switch {
	case last:
		return
	case ch.ended:
		ch.callLast()
		return
	case c == nil || c.Closing():
		return // over is called
	case err != nil:
		ch.conclude(c, nil, wsEnd{err: err})
	case end != nil:
		ch.conclude(c, nil, *end)
	case failed:
		ch.CloseWith(wsock.CloseInternalError, "")
	}
	ch.call(c)
	if ch.ws != nil {
		ch.ws.goOn(ch, c)
	}
}
