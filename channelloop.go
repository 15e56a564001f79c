package ringkit

import (
	"errors"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/mapped"
	"github.com/ringkit/ringkit/internal/talk"
	"github.com/ringkit/ringkit/wsock"
)

// What the loop does with channels. Everything here runs on the loop, but for what says
// that mu is held.

// share is how much of the queue the connection has at most.
func (ch *Channel) share() int {
	return talk.Share(ch.opts.HighWater, ch.opts.Overflow == OverflowDropOldest)
}

// conn returns the connection as long as it is the channel's, else nil.
func (ch *Channel) conn() *conn.Conn {
	c := ch.handle.Conn()
	if c == nil || ch.ended {
		return nil
	}
	return c
}

// write appends a message to what c has to send; mu is held.
func (ch *Channel) write(c *conn.Conn, m wsock.Message, last bool) {
	n := ch.size(len(m.Data))
	if n > mapped.MaxBlock/2 {
		c.Write(ch.encode(nil, m, last))
		return
	}
	if p := ch.encode(c.Reserve(n), m, last); len(p) <= n {
		c.Commit(p)
	} else {
		c.Write(p) // it begins with a head of which nobody knew the length
	}
}

// look is called when something was queued, or the channel is to be closed.
func (ch *Channel) look(*conn.Loop) {
	ch.mu.Lock()
	ch.queue.Looked()
	ch.mu.Unlock()
	if c := ch.conn(); c != nil && !c.Closing() {
		ch.handOver(c)
	}
}

// handOver gives the connection to send what waits, as much as it takes. Behind the last
// of it comes the end, if that is wanted.
func (ch *Channel) handOver(c *conn.Conn) {
	ch.mu.Lock()
	ch.queue.HandOver(c, ch.share())
	ch.unsent = c.Queued()
	room := ch.full && ch.queued() <= ch.opts.LowWater
	if room {
		ch.full = false
		ch.queue.Wake()
	}
	ends := ch.order.Phase == talk.Closing && ch.queue.Empty()
	room = room && ch.order.Phase == talk.Open
	ch.mu.Unlock()
	switch {
	case ends && ch.opened:
		ch.end(c)
	case room:
		ch.drain = ch.events.Drained != nil
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
	if ch.ws != nil {
		ch.prepareWebSocket(c)
	} else {
		ch.prepareStream(c)
	}
	if ch.events.Open != nil {
		ch.callback = ch.origin.takeCallback(ch)
		ch.callback.open = true
		ch.launch(c) // from now on nothing is delivered until it has returned
	}
	if ch.ws != nil {
		ch.startWebSocket(c)
	} else {
		ch.startStream(c)
	}
	if !ch.ended {
		ch.handOver(c)
		ch.goOn(c)
	}
}

// call has what is due called, unless a callback runs: then it comes later.
func (ch *Channel) call(c *conn.Conn) {
	if ch.callback == nil && ch.drain && ch.opened && !ch.ended && !c.Closing() {
		ch.callback = ch.origin.takeCallback(ch)
		ch.callback.drain, ch.drain = true, false
		ch.launch(c)
	}
}

// goOn is called when no callback may run.
func (ch *Channel) goOn(c *conn.Conn) {
	if ch.ended || c.Closing() || ch.callback != nil {
		return
	}
	ch.call(c)
	if ch.callback == nil && ch.ws != nil {
		ch.ws.goOn(ch, c)
	}
}

// fail ends a channel whose callback has failed, or the handler that opened it.
func (ch *Channel) fail(c *conn.Conn) {
	if ch.ws != nil {
		ch.ws.needEnding().HearError(errCallback)
		return
	}
	ch.failStream(c)
}

// disconnected is called when the connection has ended that was the channel's.
func (ch *Channel) disconnected(c *conn.Conn, err error) {
	info := ch.info(err)
	ch.origin.Closed(c, err)
	ch.over(info)
}

// over is called when the channel has no connection any more.
func (ch *Channel) over(why wsock.CloseInfo) {
	if ch.ended {
		return
	}
	ch.ended = true
	for ch.groups != nil {
		ch.groups.members.remove(ch)
	}
	ch.mu.Lock()
	parts := ch.order.End() // otherwise who runs does, as the loop may not be there any more
	ch.unsent = 0
	ch.queue.Clear()
	end := ch.needEnding()
	end.why = why
	if end.done != nil {
		close(end.done)
	}
	silent := ch.events.Close == nil && (ch.order.Greeted() || ch.events.Open == nil)
	ch.mu.Unlock()
	if ch.callback == nil {
		ch.release()
	}
	if parts && !silent {
		b := ch.origin.takeCallback(ch)
		b.last = true
		b.launch(nil)
	}
}

// release gives back what a channel holds that is over.
func (ch *Channel) release() {
	if ch.ws == nil {
		return
	}
	ch.ws.dec.Release()
	if x := ch.ws.extra; x != nil {
		ch.origin.srv.contexts.give(x.received)
		x.received = 0
	}
	ch.releaseEncoder()
}

// info is how a channel ends whose connection has.
func (ch *Channel) info(err error) wsock.CloseInfo {
	err, local := causeOf(err)
	ch.mu.Lock()
	why, phase := ch.why(), ch.order.Phase
	ch.mu.Unlock()
	if why.Err == errOverflow {
		return why
	}
	if ch.ws != nil {
		return ch.ws.needEnding().Lost(err, local)
	}
	if phase == talk.Closing && err == nil {
		why.Clean = why.Err == nil
		return why
	}
	return wsock.CloseInfo{Code: wsock.CloseAbnormal, Err: err, Remote: !local}
}

// causeOf returns the error that the owner of a channel is told of, and whether it was
// this side that gave the connection up.
func causeOf(err error) (cause error, local bool) {
	switch {
	case err == errServerClosed:
		return errStopped, true
	case err == conn.ErrWriteTimeout:
		return errWriteTimeout, true
	}
	return err, err == ErrChannelClosed || errors.Is(err, errPongTimeout) || errors.Is(err, errCloseTimeout)
}

// goingAway ends a channel of a server that is being shut down.
func (ch *Channel) goingAway() { ch.CloseWith(wsock.CloseGoingAway, "the server is stopping") }
