package ringkit

import (
	"unsafe"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/mapped"
	"github.com/ringkit/ringkit/wsock"
)

// What the loop does with channels. Everything here runs on the loop.

// handOverLimit is how much a connection is given to send at a time; the rest of a queue
// waits in the channel.
const handOverLimit = 256 << 10

// conn returns the connection as long as it is the channel's, else nil.
func (ch *Channel) conn() *conn.Conn {
	c := ch.handle.Conn()
	if c == nil || ch.ended {
		return nil
	}
	return c
}

// write appends n bytes at most to what c has to send.
func (ch *Channel) write(c *conn.Conn, n int, appending func([]byte) []byte) {
	if n > mapped.MaxBlock/2 {
		c.Write(appending(nil))
		return
	}
	room := c.Reserve(n)
	if p := appending(room); unsafe.SliceData(p) == unsafe.SliceData(room) {
		c.Commit(p)
	} else {
		c.Write(p) // it took more room on the way, or has a head of unknown length
	}
}

// look is called when something was queued, or the channel is to be closed.
func (ch *Channel) look(*conn.Loop) {
	ch.mu.Lock()
	ch.posted = false
	ch.mu.Unlock()
	if c := ch.conn(); c != nil && !c.Closing() {
		ch.handOver(c)
	}
}

// handOver gives the connection to send what waits, as much as it takes. Behind the last
// of it comes the end, if that is wanted.
func (ch *Channel) handOver(c *conn.Conn) {
	ch.mu.Lock()
	for len(ch.pending) > 0 && c.Queued() < handOverLimit {
		p := ch.pending[0]
		ch.pending[0] = nil
		ch.pending = ch.pending[1:]
		ch.waiting -= len(p)
		c.Write(p)
		if ch.stream != nil {
			ch.stream.headWaits = false
		}
	}
	if len(ch.pending) == 0 {
		ch.pending = nil
	}
	ch.unsent = c.Queued()
	room := ch.full && ch.waiting+ch.unsent <= ch.opts.LowWater
	if room {
		ch.full = false
		ch.wakeSenders()
	}
	ends := ch.phase == channelClosing && len(ch.pending) == 0
	ch.mu.Unlock()
	if ends && ch.opened {
		ch.end(c)
	}
	if room && ch.events.Drained != nil && ch.opened {
		ch.drain = true
		ch.call(c)
	}
}

// drained is called when the connection has sent all it was given.
func (ch *Channel) drained(c *conn.Conn) {
	if !c.Closing() {
		ch.handOver(c)
	}
}

// start gives the connection to the channel, when the handler that opened it is over.
func (ch *Channel) start(c *conn.Conn) {
	ch.opened = true
	c.State = ch
	c.Mark(markChannel)
	if ch.events.Open != nil {
		ch.callback = ch.w.takeCallback(ch)
		ch.callback.open = true
		ch.launch(c) // before anything can be delivered
	}
	if ch.ws != nil {
		ch.startWebSocket(c)
	} else {
		ch.startStream(c)
	}
	if c.Closing() {
		return
	}
	ch.handOver(c)
	if ch.ws != nil {
		ch.ws.goOn(ch, c)
	}
}

// call has what is due called, unless a callback runs: then it comes later.
func (ch *Channel) call(c *conn.Conn) {
	if ch.callback == nil && ch.drain && !c.Closing() {
		ch.callback = ch.w.takeCallback(ch)
		ch.callback.drain, ch.drain = true, false
		ch.launch(c)
	}
}

// over is called once, when the channel has no connection any more.
func (ch *Channel) over(why wsock.CloseInfo) {
	if ch.ended {
		return
	}
	ch.ended = true
	for len(ch.groups) > 0 {
		ch.groups[0].remove(ch)
	}
	ch.mu.Lock()
	ch.phase, ch.why = channelOver, why
	ch.pending, ch.waiting, ch.unsent = nil, 0, 0
	ch.wakeSenders()
	if ch.done != nil {
		close(ch.done)
	}
	ch.mu.Unlock()
	if ch.callback == nil {
		ch.callLast()
	}
}

// callLast calls Close, behind everything else.
func (ch *Channel) callLast() {
	open := !ch.opened && ch.events.Open != nil
	if ch.ws != nil {
		ch.ws.release(ch.w)
	}
	if ch.events.Close == nil && !open {
		return
	}
	b := ch.w.takeCallback(ch)
	b.open, b.last = open, true
	ch.callback = b
	ch.launch(nil)
}

// info is how a channel has ended whose connection did.
func (ch *Channel) info(err error) wsock.CloseInfo {
	ch.mu.Lock()
	why, phase := ch.why, ch.phase
	ch.mu.Unlock()
	if ch.ws != nil {
		if b := ch.callback; b != nil && b.end != nil {
			b.end.tell(&ch.ws.closing, nil) // it had come before the connection was lost
		}
		if !ch.ws.closing.Done() {
			ch.ws.closing.Lost(err)
		}
		info := ch.ws.closing.Info()
		if why.Err == errOverflow {
			return why
		}
		return info
	}
	if phase == channelClosing && err == nil {
		why.Clean = true
		return why
	}
	return wsock.CloseInfo{Code: wsock.CloseAbnormal, Err: err, Remote: true}
}

// gives reports, once, that a callback has given its lead away.
func (ch *Channel) gives() bool { return ch.gaveAway.Swap(false) }

// goingAway ends a channel of a server that is being shut down.
func (ch *Channel) goingAway() { ch.CloseWith(wsock.CloseGoingAway, "the server is stopping") }
