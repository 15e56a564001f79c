package ringkit

import (
	"io"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/wsock"
)

// webSocket is what a channel has that is a WebSocket. It belongs to the loop but for
// enc, which the channel's mutex guards, and dec while a callback decompresses.
type webSocket struct {
	dec        wsock.Decoder
	enc        wsock.Encoder
	closing    wsock.Closing
	agreed     wsock.Compression
	protocol   string
	compresses bool
	finishing  bool  // the connection ends as soon as no callback runs
	pinged     bool  // a Ping waits for a sign of life
	heard      int64 // when something was received last, on the loop's clock
}

// inflateInline is up to where the loop decompresses messages itself.
const inflateInline = 4 << 10

// wsConfig returns what decoders with the given limit have in common on this loop.
func (w *worker) wsConfig(maxMessage int) *wsock.Config {
	conf := w.wsConfigs[maxMessage]
	if conf == nil {
		if w.wsConfigs == nil {
			w.wsConfigs = make(map[int]*wsock.Config)
		}
		conf = &wsock.Config{MaxMessage: maxMessage, Buffers: &w.messages, Inline: inflateInline}
		w.wsConfigs[maxMessage] = conf
	}
	return conf
}

// messageBuffers lends memory to messages that come in parts.
type messageBuffers struct{ free [][]byte }

const (
	messageBuffer      = 16 << 10
	messageBuffersKept = 64
)

// Take implements wsock.Buffers.
func (p *messageBuffers) Take(n int) []byte {
	if last := len(p.free) - 1; last >= 0 && n <= messageBuffer {
		b := p.free[last]
		p.free = p.free[:last]
		return b
	}
	return make([]byte, 0, max(n, min(messageBuffer, 2*n)))
}

// Put implements wsock.Buffers.
func (p *messageBuffers) Put(b []byte) {
	if cap(b) == messageBuffer && len(p.free) < messageBuffersKept {
		p.free = append(p.free, b[:0])
	}
}

// startWebSocket begins to read frames.
func (ch *Channel) startWebSocket(c *conn.Conn) {
	ch.ws.dec.Init(ch.w.wsConfig(ch.opts.MaxMessageBytes), ch.ws.agreed)
	ch.ws.heard = ch.w.loop.Now()
	c.SetProtocol((*webSocketConn)(ch))
	if c.Held() && !ch.held {
		c.Resume() // it is delivered when the handler is settled
	} else if ch.held {
		c.Hold()
	}
	ch.listen(c)
}

// listen sets the time by when something has to be heard.
func (ch *Channel) listen(c *conn.Conn) {
	if ch.opts.PingInterval > 0 {
		c.SetDeadline(ch.opts.PingInterval)
	}
}

// release gives back what the decoder holds.
func (s *webSocket) release(*worker) { s.dec.Release() }

// webSocketConn is the conn.Protocol of a channel that is a WebSocket.
type webSocketConn Channel

// Open implements conn.Protocol. It is not called: the connection has been open.
func (wc *webSocketConn) Open(*conn.Conn) {}

// Data implements conn.Protocol.
func (wc *webSocketConn) Data(c *conn.Conn, in []byte) int {
	ch := (*Channel)(wc)
	s := ch.ws
	s.heard = c.Loop().Now()
	if s.finishing {
		return len(in)
	}
	used, batch := ch.decode(c, in)
	if batch != nil {
		ch.callback = batch
		ch.launch(c)
	} else {
		if c.AtEOF() && used == len(in) {
			ch.endOfStream()
		}
		s.goOn(ch, c)
	}
	return used
}

// decode takes frames from the input until there are none, or as many messages as are
// told in one go.
func (ch *Channel) decode(c *conn.Conn, in []byte) (used int, batch *callback) {
	s := ch.ws
	for batch == nil || !batch.full() {
		ev, n, err := s.dec.Next(in[used:])
		used += n
		if err != nil {
			ch.conclude(c, batch, wsEnd{err: err})
			return len(in), batch
		}
		switch ev.Op {
		case 0:
			return used, batch
		case wsock.Text, wsock.Binary:
			if batch == nil {
				batch = ch.w.takeCallback(ch)
			}
			ch.w.count.Messages++
			if ev.Pending {
				batch.inflate = true
				return used, batch
			}
			batch.add(ev.Message())
		case wsock.Ping:
			// One of several Pings may go without an answer (RFC 6455, section
			// 5.5.3): who does not read gets none.
			if s.closing.Open() && c.Queued() < handOverLimit {
				c.Commit(wsock.AppendPong(c.Reserve(wsock.MaxControl+frameRoom), ev.Data, wsock.Mask{}))
			}
		case wsock.Close:
			ch.conclude(c, batch, wsEnd{code: ev.Code, reason: string(ev.Data)})
			return len(in), batch
		}
	}
	return used, batch
}

// wsEnd is what the peer has sent that ends a WebSocket: a Close, or what cannot be.
type wsEnd struct {
	err    error // of the decoder; the rest is for a Close
	code   wsock.CloseCode
	reason string
}

// tell has the closing handshake know, and appends what the peer is told.
func (e *wsEnd) tell(closing *wsock.Closing, dst []byte) []byte {
	if e.err != nil {
		return closing.Fail(dst, e.err, wsock.Mask{})
	}
	ev := wsock.Event{Op: wsock.Close, Code: e.code, Data: []byte(e.reason)}
	return closing.Received(dst, &ev, wsock.Mask{})
}

// conclude is called with the end of what the peer sends. The messages of batch are
// before that, if there are any: they are told first, and may be answered.
func (ch *Channel) conclude(c *conn.Conn, batch *callback, end wsEnd) {
	if batch != nil {
		batch.end = &end
		return
	}
	ch.stopSending(c)
	c.Commit(end.tell(&ch.ws.closing, c.Reserve(wsock.MaxControl+frameRoom)))
	ch.ws.finishing = true
}

// stopSending ends sending, as nothing comes behind a Close. What was accepted before
// goes to c, unless that is nil.
func (ch *Channel) stopSending(c *conn.Conn) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.phase == channelOpen {
		ch.phase = channelClosing
	}
	if c != nil && ch.ws.closing.Open() {
		for _, p := range ch.pending {
			c.Write(p)
		}
	}
	ch.pending, ch.waiting = nil, 0
	ch.wakeSenders()
}

// endOfStream is called when the peer has ended the transport, and all it sent has been
// told.
func (ch *Channel) endOfStream() {
	ch.stopSending(nil)
	ch.ws.closing.Lost(io.EOF)
	ch.ws.finishing = true
}

// goOn ends the connection when that is due and no callback runs.
func (s *webSocket) goOn(ch *Channel, c *conn.Conn) {
	if ch.callback != nil {
		return
	}
	if !s.finishing && c.AtEOF() && c.Buffered() == 0 {
		ch.endOfStream()
	}
	if s.finishing {
		info := ch.info(nil)
		c.SetProtocol(ch.origin)
		c.State = nil
		c.CloseLingering() // what the peer still sends must not destroy the Close
		ch.over(info)
	}
}

// EOF implements conn.Protocol.
func (wc *webSocketConn) EOF(c *conn.Conn) {
	ch := (*Channel)(wc)
	ch.ws.goOn(ch, c)
}

// Drained implements conn.Protocol.
func (wc *webSocketConn) Drained(c *conn.Conn) { (*Channel)(wc).drained(c) }

// Timeout implements conn.Protocol: it is time to hear something.
func (wc *webSocketConn) Timeout(c *conn.Conn) {
	ch := (*Channel)(wc)
	s := ch.ws
	silent := time.Duration(c.Loop().Now() - s.heard)
	switch {
	case !s.closing.Open():
		ch.lose(c, errCloseTimeout)
	case ch.callback != nil || c.Held():
		ch.listen(c) // it is this side that does not listen
	case s.pinged && silent >= ch.opts.PongWait:
		ch.lose(c, errPongTimeout)
	case !s.pinged && silent >= ch.opts.PingInterval:
		s.pinged = true
		c.Commit(wsock.AppendPing(c.Reserve(wsock.MaxControl+frameRoom), nil, wsock.Mask{}))
		c.SetDeadline(ch.opts.PongWait)
	default:
		s.pinged = false
		c.SetDeadline(ch.opts.PingInterval - min(silent, ch.opts.PingInterval-time.Millisecond))
	}
}

// lose gives up a peer that does not answer.
func (ch *Channel) lose(c *conn.Conn, err error) {
	ch.ws.closing.Lost(err)
	c.Abort(err)
}

// Closed implements conn.Protocol.
func (wc *webSocketConn) Closed(c *conn.Conn, err error) {
	ch := (*Channel)(wc)
	info := ch.info(err)
	ch.origin.Closed(c, err)
	ch.over(info)
}

// end sends a Close, and gives the peer a while to answer.
func (ch *Channel) end(c *conn.Conn) {
	if ch.ws == nil {
		ch.endStream(c)
		return
	}
	s := ch.ws
	if !s.closing.Open() {
		return
	}
	ch.mu.Lock()
	why := ch.why
	ch.mu.Unlock()
	c.Commit(s.closing.Close(c.Reserve(wsock.MaxControl+frameRoom), why.Code, why.Reason, wsock.Mask{}))
	c.SetDeadline(ch.opts.CloseWait)
}
