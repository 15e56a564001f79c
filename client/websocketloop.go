package client

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/mapped"
	"github.com/ringkit/ringkit/wsock"
)

// What the loop does with WebSockets. Everything here runs on the loop, but for what says
// that mu is held.

// handOverLimit is how much a connection is given to send at a time; the rest of a queue
// waits in the WebSocket.
const handOverLimit = 256 << 10

// inflateInline is up to where the loop decompresses messages itself.
const inflateInline = 4 << 10

// endWait is how long a server has to end the connection after the closing handshake,
// which it should do first (RFC 6455, section 7.1.1).
const endWait = 2 * time.Second

// lastWord is what ends a WebSocket as soon as no callback runs: the server's Close, or
// what is wrong.
type lastWord struct {
	close wsock.Event
	err   error // nil for a Close, io.EOF if the server ended the transport without one
}

// hear notes the last word, of which the first counts.
func (ws *WebSocket) hear(word lastWord) {
	if ws.last == nil {
		ws.last = &word
	}
}

// takesOver reports whether messages are compressed with reference to those before.
func (ws *WebSocket) takesOver() bool { return ws.agreed.Enabled && !ws.agreed.ClientNoTakeover }

// share is how much of the queue the connection has at most.
func (ws *WebSocket) share() int {
	if ws.opts.Overflow == OverflowDropOldest {
		return min(handOverLimit, max(1, ws.opts.HighWater/2)) // the rest can be dropped
	}
	return handOverLimit
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
	ws.dec.Init(l.w.ws.config(ws.opts.MaxMessageBytes), agreed)
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
	if n := len(m.Data) + frameRoom; n <= mapped.MaxBlock/2 {
		c.Commit(wsock.AppendMessage(c.Reserve(n), m, newMask()))
	} else {
		c.Write(wsock.AppendMessage(nil, m, newMask()))
	}
}

// look is called when something was queued, or the WebSocket is to be closed.
func (ws *WebSocket) look(*conn.Loop) {
	ws.mu.Lock()
	ws.posted = false
	ws.mu.Unlock()
	if c := ws.conn(); c != nil && !c.Closing() {
		ws.handOver(c)
	}
}

// handOver gives the connection to send what waits, as much as it takes. Behind the last
// of it comes the end, if that is wanted.
func (ws *WebSocket) handOver(c *conn.Conn) {
	ws.mu.Lock()
	for share := ws.share(); len(ws.pending) > 0 && c.Queued() < share; {
		c.Write(ws.takePending())
	}
	ws.unsent = c.Queued()
	room := ws.full && ws.queued() <= ws.opts.LowWater
	if room {
		ws.full = false
		ws.wakeSenders()
	}
	ends := ws.phase == wsClosing && len(ws.pending) == 0
	room = room && ws.phase == wsOpen
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
	if ws.last == nil && c.AtEOF() && c.Buffered() == 0 {
		ws.hear(lastWord{err: io.EOF})
	}
	switch {
	case ws.last == nil:
	case ws.last.err != nil:
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
	if ws.phase == wsOpen {
		ws.phase = wsClosing
	}
	ws.wakeSenders()
}

// end sends a Close, and gives the server a while to answer; or answers that of the
// server.
func (ws *WebSocket) end(c *conn.Conn) {
	switch {
	case ws.last != nil:
		if ws.call == nil {
			ws.finish(c)
		}
	case ws.closing.Open():
		ws.mu.Lock()
		why := ws.why
		ws.mu.Unlock()
		c.Commit(ws.closing.Close(c.Reserve(wsock.MaxControl+frameRoom), why.Code, why.Reason, newMask()))
		c.SetDeadline(ws.opts.CloseWait)
		if ws.held {
			ws.held = false
			c.Resume() // to read the answer
		}
	}
}

// finish ends the WebSocket after the last word, when no callback runs.
func (ws *WebSocket) finish(c *conn.Conn) {
	buf := c.Reserve(wsock.MaxControl + frameRoom)
	switch err := ws.last.err; err {
	case nil:
		buf = ws.closing.Received(buf, &ws.last.close, newMask())
	case io.EOF:
		ws.closing.Lost(err)
	default:
		buf = ws.closing.Fail(buf, err, newMask())
	}
	c.Commit(buf)
	info := ws.info(nil)
	c.SetProtocol(ws.link)
	c.State = nil
	switch {
	case c.AtEOF():
		c.Close()
	case ws.last.err != nil:
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
	ws.phase, ws.why = wsOver, why
	ws.pending, ws.waiting, ws.unsent = nil, 0, 0
	ws.wakeSenders()
	if ws.done != nil {
		close(ws.done)
		ws.w.loop.Woke()
	}
	tells := !ws.running && !ws.parted // otherwise who runs does, as the loop may not be there any more
	ws.parted = ws.parted || tells
	ws.mu.Unlock()
	if ws.call == nil {
		ws.dec.Release()
	}
	if !tells {
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
	lost := !ws.closing.Done()
	ws.closing.Lost(err)
	info := ws.closing.Info()
	switch {
	case lost && ws.last != nil && ws.last.err == nil:
		// Its Close has come all the same (RFC 6455, section 7.1.5), but no answer went
		// back.
		info.Code, info.Reason = ws.last.close.Code, string(ws.last.close.Data)
	case lost && isLocal(err):
		info.Remote = false
	}
	return info
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
	if ws.last != nil {
		return len(in)
	}
	used, batch := ws.decode(c, in)
	if batch != nil {
		ws.launch(c, batch)
		return used
	}
	if c.AtEOF() && used == len(in) {
		ws.hear(lastWord{err: io.EOF})
	}
	ws.goOn(c)
	return used
}

// decode takes frames from the input until there are none, or as many messages as are
// told in one go.
func (ws *WebSocket) decode(c *conn.Conn, in []byte) (used int, batch *wsCall) {
	for batch == nil || !batch.full() {
		ev, n, err := ws.dec.Next(in[used:])
		used += n
		if err != nil {
			ws.hear(lastWord{err: err})
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
			batch.add(ev.Message())
		case wsock.Ping:
			// One of several Pings may go without an answer (RFC 6455, section 5.5.3):
			// who does not read gets none.
			if ws.closing.Open() && c.Queued() < handOverLimit {
				c.Commit(wsock.AppendPong(c.Reserve(wsock.MaxControl+frameRoom), ev.Data, newMask()))
			}
		case wsock.Close:
			ev.Data = bytes.Clone(ev.Data)
			ws.hear(lastWord{close: ev})
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
	if !ws.closing.Open() {
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
	case !ws.closing.Open() && c.Queued() == 0:
		c.Abort(errCloseTimeout)
	case ws.call != nil || c.Held() || c.Queued() > 0 || ws.last != nil:
		// It is this side that does not listen; or the server is to take what it was
		// sent before, which is limited by itself.
		ws.pinged = false
		ws.listen(c)
	case ws.pinged:
		c.Abort(errPongTimeout)
	case silent >= ws.opts.PingInterval:
		ws.pinged = true
		c.Commit(wsock.AppendPing(c.Reserve(wsock.MaxControl+frameRoom), nil, newMask()))
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
