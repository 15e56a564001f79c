package ringkit

import (
	"io"
	"sync"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/talk"
	"github.com/ringkit/ringkit/wsock"
)

// webSocket is what a channel has that is a WebSocket. It belongs to the loop but for
// enc, see wsExtra, and dec while a callback decompresses.
type webSocket struct {
	dec   wsock.Decoder
	enc   wsock.Encoder
	since int64        // when something was received last, on the loop's clock
	end   *talk.Ending // nil until that begins
	extra *wsExtra     // nil for most
}

// socketChannel is a channel that is a WebSocket, in one piece: there are many of them that
// do nothing.
type socketChannel struct {
	Channel
	webSocket
}

// wsExtra is what a WebSocket has with a subprotocol, or whose context is taken over.
type wsExtra struct {
	protocol string
	encoding sync.Mutex // held while enc changes; is locked before the channel's
	coming   int        // bytes of messages that are being compressed; the channel's mutex guards it

	// What the contexts count for in the server's budget: that of dec, which is the
	// loop's, and that of enc, which encoding guards.
	received, sent int
}

// needEnding returns what is known of the end, to be changed.
func (s *webSocket) needEnding() *talk.Ending {
	if s.end == nil {
		s.end = new(talk.Ending)
	}
	return s.end
}

// open reports whether no Close has been sent.
func (s *webSocket) open() bool { return s.end == nil || s.end.Closing.Open() }

// heard returns the last word, an error or the peer's Close, behind which nothing is read.
func (s *webSocket) heard() (err error, heard bool) {
	if s.end == nil {
		return nil, false
	}
	return s.end.Heard()
}

// ended reports whether there was one.
func (s *webSocket) ended() bool {
	_, heard := s.heard()
	return heard
}

// protocol returns the subprotocol.
func (s *webSocket) protocol() string {
	if s.extra == nil {
		return ""
	}
	return s.extra.protocol
}

// takesOver reports whether messages are compressed with reference to those before.
func (s *webSocket) takesOver() bool {
	agreed := s.enc.Agreed()
	return agreed.Enabled && !agreed.ServerNoTakeover
}

// prepareWebSocket has frames read.
func (ch *Channel) prepareWebSocket(c *conn.Conn) {
	ch.ws.dec.Init(ch.origin.decoders.Config(ch.opts.MaxMessageBytes), ch.ws.enc.Agreed())
	ch.ws.since = ch.origin.loop.Now()
	c.SetProtocol((*webSocketConn)(ch))
	ch.listen(c)
}

// startWebSocket begins to read them.
func (ch *Channel) startWebSocket(c *conn.Conn) {
	if ch.held {
		c.Hold()
	} else if c.Held() {
		c.Resume()
	}
}

// listen sets the time by when something has to be heard.
func (ch *Channel) listen(c *conn.Conn) { c.SetDeadline(max(0, ch.opts.PingInterval)) }

// webSocketConn is the conn.Protocol of a channel that is a WebSocket.
type webSocketConn Channel

// Open implements conn.Protocol. It is not called: the connection has been open.
func (wc *webSocketConn) Open(*conn.Conn) {}

// Data implements conn.Protocol.
func (wc *webSocketConn) Data(c *conn.Conn, in []byte) int {
	ch := (*Channel)(wc)
	s := ch.ws
	s.since, ch.pinged = c.Loop().Now(), false
	if s.ended() {
		return len(in)
	}
	used, batch := ch.decode(c, in)
	if batch != nil {
		ch.callback = batch
		ch.launch(c)
		return used
	}
	if c.AtEOF() && used == len(in) {
		s.needEnding().HearError(io.EOF)
	}
	ch.goOn(c)
	return used
}

// decode takes frames from the input until there are none, or as many messages as are
// told in one go.
func (ch *Channel) decode(c *conn.Conn, in []byte) (used int, batch *callback) {
	s := ch.ws
	for batch == nil || !batch.messages.Full() {
		ev, n, err := s.dec.Next(in[used:])
		used += n
		if err != nil {
			s.needEnding().HearError(err)
			return len(in), batch
		}
		switch ev.Op {
		case 0:
			return used, batch
		case wsock.Text, wsock.Binary:
			if batch == nil {
				batch = ch.origin.takeCallback(ch)
			}
			ch.origin.count.Messages++
			if ev.Pending {
				batch.inflate = true
				return used, batch
			}
			batch.messages.Add(ev.Message())
		case wsock.Ping:
			// One of several Pings may go without an answer (RFC 6455, section
			// 5.5.3): who does not read gets none.
			if s.open() && c.Queued() < talk.HandOver {
				c.Commit(wsock.AppendPong(c.Reserve(wsock.MaxControl+talk.FrameRoom), ev.Data, wsock.Mask{}))
			}
		case wsock.Close:
			s.needEnding().HearClose(ev)
			return len(in), batch
		}
	}
	return used, batch
}

// goOn is called when no callback runs.
func (s *webSocket) goOn(ch *Channel, c *conn.Conn) {
	if !s.ended() && c.AtEOF() && c.Buffered() == 0 {
		s.needEnding().HearError(io.EOF)
	}
	switch err, heard := s.heard(); {
	case !heard:
	case err != nil:
		ch.finish(c)
	default: // what was sent before goes out, and then the answer
		ch.mu.Lock()
		ch.stopSending()
		ch.mu.Unlock()
		ch.handOver(c)
	}
}

// stopSending ends sending: nothing comes behind a Close. mu is held.
func (ch *Channel) stopSending() {
	if ch.order.Phase == talk.Open {
		ch.order.Phase = talk.Closing
	}
	ch.queue.Wake()
}

// finish ends a WebSocket after the last word, when no callback runs.
func (ch *Channel) finish(c *conn.Conn) {
	c.Commit(ch.ws.end.Answer(c.Reserve(wsock.MaxControl+talk.FrameRoom), wsock.Mask{}))
	info := ch.info(nil)
	c.SetProtocol(ch.origin)
	c.State = nil
	if err, _ := ch.ws.heard(); err != nil && err != io.EOF {
		ch.origin.ends(c, err)
	}
	c.CloseLingering() // what the peer still sends must not destroy the Close
	ch.over(info)
}

// EOF implements conn.Protocol.
func (wc *webSocketConn) EOF(c *conn.Conn) {
	if c.Buffered() == 0 {
		(*Channel)(wc).goOn(c)
	}
}

// Drained implements conn.Protocol.
func (wc *webSocketConn) Drained(c *conn.Conn) {
	ch := (*Channel)(wc)
	if !ch.ws.open() {
		c.SetDeadline(ch.opts.CloseWait) // the peer has been sent the Close
	}
	ch.drained(c)
}

// Timeout implements conn.Protocol: it is time to hear something.
func (wc *webSocketConn) Timeout(c *conn.Conn) {
	ch := (*Channel)(wc)
	s := ch.ws
	silent := time.Duration(c.Loop().Now() - s.since)
	switch {
	case !s.open() && c.Queued() == 0:
		c.Abort(errCloseTimeout)
	case ch.callback != nil || c.Held() || c.Queued() > 0 || s.ended():
		// It is this side that does not listen; or the peer is to take what it was
		// sent before, which is limited by itself.
		ch.pinged = false
		ch.listen(c)
	case ch.pinged:
		c.Abort(errPongTimeout)
	case silent >= ch.opts.PingInterval:
		ch.pinged = true
		c.Commit(wsock.AppendPing(c.Reserve(wsock.MaxControl+talk.FrameRoom), nil, wsock.Mask{}))
		c.SetDeadline(ch.opts.PongWait)
	default:
		c.SetDeadline(ch.opts.PingInterval - silent)
	}
}

// Closed implements conn.Protocol.
func (wc *webSocketConn) Closed(c *conn.Conn, err error) {
	(*Channel)(wc).disconnected(c, err)
}

// end sends a Close, and gives the peer a while to answer; or answers that of the peer.
func (ch *Channel) end(c *conn.Conn) {
	s := ch.ws
	switch {
	case s == nil:
		ch.endStream(c)
	case s.ended():
		if ch.callback == nil {
			ch.finish(c)
		}
	case s.open():
		ch.mu.Lock()
		why := ch.why()
		ch.mu.Unlock()
		c.Commit(s.needEnding().Closing.Close(c.Reserve(wsock.MaxControl+talk.FrameRoom), why.Code, why.Reason, wsock.Mask{}))
		c.SetDeadline(ch.opts.CloseWait)
		if ch.held {
			ch.held = false
			c.Resume() // to read the answer
		}
	}
}
