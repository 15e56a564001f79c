package client

import (
	"errors"
	"io"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/mapped"
	"github.com/ringkit/ringkit/internal/talk"
	"github.com/ringkit/ringkit/wsock"
)

// What the loop does with WebSockets. Everything here runs on the loop, but for what says
// that mu is held.

// endWait is how long a server has to end the connection after the closing handshake,
// which it should do first (RFC 6455, section 7.1.1).
const endWait = 2 * time.Second

// heardLast reports whether the last word has been heard.
func (ws *WebSocket) heardLast() bool {
	_, heard := ws.ending.Heard()
	return heard
}

// takesOver reports whether messages are compressed with reference to those before.
func (ws *WebSocket) takesOver() bool { return ws.agreed.Enabled && !ws.agreed.ClientNoTakeover }

// share is how much of the queue the connection has at most.
func (ws *WebSocket) share() int {
	return talk.Share(ws.opts.HighWater, ws.opts.Overflow == OverflowDropOldest)
}

// conn returns the connection as long as it is the WebSocket's, else nil.
func (ws *WebSocket) conn() *conn.Conn {
	c := ws.handle.Conn()
	if c == nil || ws.ended {
		return nil
	}
	return c
}

// begin gives the connection of l to the WebSocket. It is called from Data of l.
func (ws *WebSocket) begin(l *link, protocol string, agreed wsock.Compression) {
	c := l.c
	ws.w, ws.link, ws.handle = l.w, l, c.Handle()
	ws.head, ws.proto, ws.agreed = l.r.resp.Head(), protocol, agreed
	ws.enc.Init(true, agreed)
	ws.dec.Init(l.w.ws.decoders.Config(ws.opts.MaxMessageBytes), agreed)
	ws.heard = l.w.loop.Now()
	c.State = (*wsConn)(ws)
	c.SetProtocol((*wsConn)(ws))
	ws.listen(c)
	if ws.events.Open != nil {
		b := ws.takeCall()
		b.open = true
		ws.launch(c, b)
	}
}

// write appends a message to what c has to send; mu is held.
func (ws *WebSocket) write(c *conn.Conn, m wsock.Message) {
	if n := len(m.Data) + talk.FrameRoom; n <= mapped.MaxBlock/2 {
		c.Commit(wsock.AppendMessage(c.Reserve(n), m, newMask()))
	} else {
		c.Write(wsock.AppendMessage(nil, m, newMask()))
	}
}

// look is called when something was queued, or the WebSocket is to be closed.
func (ws *WebSocket) look(*conn.Loop) {
	ws.mu.Lock()
	ws.queue.Looked()
	ws.mu.Unlock()
	if c := ws.conn(); c != nil && !c.Closing() {
		ws.handOver(c)
	}
}

// handOver gives the connection to send what waits, as much as it takes. Behind the last
// of it comes the end, if that is wanted.
func (ws *WebSocket) handOver(c *conn.Conn) {
	ws.mu.Lock()
	ws.queue.HandOver(c, ws.share())
	ws.unsent = c.Queued()
	room := ws.full && ws.queued() <= ws.opts.LowWater
	if room {
		ws.full = false
		ws.queue.Wake()
	}
	ends := ws.order.Phase == talk.Closing && ws.queue.Empty()
	room = room && ws.order.Phase == talk.Open
	ws.mu.Unlock()
	switch {
	case ends:
		ws.end(c)
	case room:
		ws.drain = ws.events.Drained != nil
		ws.tellDrained(c)
	}
}

// tellDrained has Drained called if it is due, unless a callback runs: then it comes later.
func (ws *WebSocket) tellDrained(c *conn.Conn) {
	if ws.call == nil && ws.drain && !ws.ended && !c.Closing() {
		ws.drain = false
		b := ws.takeCall()
		b.drain = true
		ws.launch(c, b)
	}
}

// launch has a callback run.
func (ws *WebSocket) launch(c *conn.Conn, b *wsCall) {
	ws.call = b
	c.Call(b)
}

// goOn is called when no callback may run.
func (ws *WebSocket) goOn(c *conn.Conn) {
	if ws.ended || c.Closing() || ws.call != nil {
		return
	}
	if ws.tellDrained(c); ws.call != nil {
		return
	}
	if !ws.heardLast() && c.AtEOF() && c.Buffered() == 0 {
		ws.ending.HearError(io.EOF)
	}
	switch err, heard := ws.ending.Heard(); {
	case !heard:
	case err != nil:
		ws.finish(c)
	default: // what was sent before goes out, and then the answer
		ws.mu.Lock()
		ws.stopSending()
		ws.mu.Unlock()
		ws.handOver(c)
	}
}

// stopSending ends sending: nothing comes behind a Close. mu is held.
func (ws *WebSocket) stopSending() {
	if ws.order.Phase == talk.Open {
		ws.order.Phase = talk.Closing
	}
	ws.queue.Wake()
}

// end sends a Close, and gives the server a while to answer; or answers that of the
// server.
func (ws *WebSocket) end(c *conn.Conn) {
	switch {
	case ws.heardLast():
		if ws.call == nil {
			ws.finish(c)
		}
	case ws.ending.Closing.Open():
		ws.mu.Lock()
		why := ws.why
		ws.mu.Unlock()
		c.Commit(ws.ending.Closing.Close(c.Reserve(wsock.MaxControl+talk.FrameRoom), why.Code, why.Reason, newMask()))
		c.SetDeadline(ws.opts.CloseWait)
		if ws.held {
			ws.held = false
			c.Resume() // to read the answer
		}
	}
}

// finish ends the WebSocket after the last word, when no callback runs.
func (ws *WebSocket) finish(c *conn.Conn) {
	c.Commit(ws.ending.Answer(c.Reserve(wsock.MaxControl+talk.FrameRoom), newMask()))
	info := ws.info(nil)
	c.SetProtocol(ws.link)
	c.State = nil
	err, _ := ws.ending.Heard()
	switch {
	case c.AtEOF():
		c.Close()
	case err != nil:
		c.CloseLingering() // what the server still sends must not destroy the Close
	default:
		if ws.held {
			c.Resume() // to see the end
		}
		c.SetDeadline(endWait)
	}
	ws.over(info)
}

// over is called when the WebSocket has no connection any more.
func (ws *WebSocket) over(why wsock.CloseInfo) {
	if ws.ended {
		return
	}
	ws.ended = true
	ws.mu.Lock()
	parts := ws.order.End() // otherwise who runs does, as the loop may not be there any more
	ws.why, ws.unsent = why, 0
	ws.queue.Clear()
	if ws.done != nil {
		close(ws.done)
		ws.w.loop.Woke()
	}
	ws.mu.Unlock()
	if ws.call == nil {
		ws.dec.Release()
	}
	if !parts {
		return
	}
	b := ws.takeCall()
	b.last = true
	ws.w.loop.Call(b)
}

// info is how a WebSocket ends whose connection has.
func (ws *WebSocket) info(err error) wsock.CloseInfo {
	ws.mu.Lock()
	why := ws.why
	ws.mu.Unlock()
	if why.Err == errOverflow {
		return why
	}
	return ws.ending.Lost(err, isLocal(err))
}

// isLocal reports whether it was this side that gave the connection up.
func isLocal(err error) bool {
	for _, local := range []error{ErrWebSocketClosed, ErrClosed, conn.ErrWriteTimeout, errPongTimeout, errCloseTimeout} {
		if errors.Is(err, local) {
			return true
		}
	}
	return false
}

// listen sets the time by when something has to be heard.
func (ws *WebSocket) listen(c *conn.Conn) { c.SetDeadline(ws.opts.PingInterval) }

// wsConn is the conn.Protocol of a WebSocket.
type wsConn WebSocket

// Open implements conn.Protocol. It is not called: the connection has been open.
func (wc *wsConn) Open(*conn.Conn) {}

// GoingAway closes the WebSocket: it is on a loop of a server that is being shut down.
func (wc *wsConn) GoingAway() {
	(*WebSocket)(wc).CloseWith(wsock.CloseGoingAway, "")
}

// Data implements conn.Protocol.
func (wc *wsConn) Data(c *conn.Conn, in []byte) int {
	ws := (*WebSocket)(wc)
	if ws.heard = c.Loop().Now(); ws.pinged {
		ws.pinged = false
		ws.listen(c) // PongWait may be the longer one
	}
	if ws.heardLast() {
		return len(in)
	}
	used, batch := ws.decode(c, in)
	if batch != nil {
		ws.launch(c, batch)
		return used
	}
	if c.AtEOF() && used == len(in) {
		ws.ending.HearError(io.EOF)
	}
	ws.goOn(c)
	return used
}

// decode takes frames from the input until there are none, or as many messages as are
// told in one go.
func (ws *WebSocket) decode(c *conn.Conn, in []byte) (used int, batch *wsCall) {
	for batch == nil || !batch.messages.Full() {
		ev, n, err := ws.dec.Next(in[used:])
		used += n
		if err != nil {
			ws.ending.HearError(err)
			return len(in), batch
		}
		switch ev.Op {
		case 0:
			return used, batch
		case wsock.Text, wsock.Binary:
			if batch == nil {
				batch = ws.takeCall()
			}
			if ev.Pending {
				batch.inflate = true
				return used, batch
			}
			batch.messages.Add(ev.Message())
		case wsock.Ping:
			// One of several Pings may go without an answer (RFC 6455, section 5.5.3):
			// who does not read gets none.
			if ws.ending.Closing.Open() && c.Queued() < talk.HandOver {
				c.Commit(wsock.AppendPong(c.Reserve(wsock.MaxControl+talk.FrameRoom), ev.Data, newMask()))
			}
		case wsock.Close:
			ws.ending.HearClose(ev)
			return len(in), batch
		}
	}
	return used, batch
}

// EOF implements conn.Protocol.
func (wc *wsConn) EOF(c *conn.Conn) {
	if c.Buffered() == 0 {
		(*WebSocket)(wc).goOn(c)
	}
}

// Drained implements conn.Protocol.
func (wc *wsConn) Drained(c *conn.Conn) {
	ws := (*WebSocket)(wc)
	if !ws.ending.Closing.Open() {
		c.SetDeadline(ws.opts.CloseWait) // the server has been sent the Close
	}
	if !c.Closing() {
		ws.handOver(c)
	}
}

// Timeout implements conn.Protocol: it is time to hear something.
func (wc *wsConn) Timeout(c *conn.Conn) {
	ws := (*WebSocket)(wc)
	silent := time.Duration(c.Loop().Now() - ws.heard)
	switch {
	case !ws.ending.Closing.Open() && c.Queued() == 0:
		c.Abort(errCloseTimeout)
	case ws.call != nil || c.Held() || c.Queued() > 0 || ws.heardLast():
		// It is this side that does not listen; or the server is to take what it was
		// sent before, which is limited by itself.
		ws.pinged = false
		ws.listen(c)
	case ws.pinged:
		c.Abort(errPongTimeout)
	case silent >= ws.opts.PingInterval:
		ws.pinged = true
		c.Commit(wsock.AppendPing(c.Reserve(wsock.MaxControl+talk.FrameRoom), nil, newMask()))
		c.SetDeadline(ws.opts.PongWait)
	default:
		c.SetDeadline(ws.opts.PingInterval - silent)
	}
}

// Closed implements conn.Protocol.
func (wc *wsConn) Closed(c *conn.Conn, err error) {
	ws := (*WebSocket)(wc)
	info := ws.info(err)
	ws.link.Closed(c, err)
	ws.over(info)
}
