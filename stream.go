package ringkit

import (
	"net/http"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
	"github.com/ringkit/ringkit/wsock"
)

// httpStream is what a channel has that is an answer over HTTP. The channel's mutex
// guards it.
type httpStream struct {
	status    int
	lines     []byte // field lines of the head
	has       field
	method    http1.Method
	minor     int
	keepAlive bool
	framing   http1.Framing

	headSent  bool // or queued
	headWaits bool // it is in the first piece that waits
	complete  bool // the end has been sent, or queued
	events    bool // it sends events
	began     int64
	sent      int64 // when the loop sent something last
}

// headLength returns about how many bytes a head takes that has not been sent.
func (s *httpStream) headLength(srv *Server) int {
	if s.headSent {
		return 0
	}
	return headRoom + len(s.lines) + len(srv.Name)
}

// append appends a piece of the answer, behind its head if that has not been sent.
func (s *httpStream) append(dst []byte, ch *Channel, m wsock.Message, last bool) []byte {
	if !s.headSent {
		length := int64(-1)
		if last {
			length = int64(len(m.Data))
		}
		kind := "text/plain; charset=utf-8"
		if m.Kind == wsock.Binary {
			kind = "application/octet-stream"
		}
		dst = s.appendHead(dst, ch.w.srv, length, kind)
	}
	switch s.framing {
	case http1.Chunked:
		dst = http1.AppendChunk(dst, m.Data)
		if last {
			dst = http1.AppendLastChunk(dst)
		}
	case http1.Length, http1.UntilClose:
		dst = append(dst, m.Data...)
	}
	s.complete = s.complete || last
	return dst
}

func (s *httpStream) appendHead(dst []byte, srv *Server, length int64, kind string) []byte {
	s.headSent, s.headWaits = true, true
	s.framing = http1.ResponseFraming(s.method, s.minor, s.status, length)
	s.keepAlive = s.keepAlive && s.framing != http1.UntilClose && !srv.stopping.Load()
	dst = http1.AppendStatusLine(dst, s.status)
	if s.has&hasServer == 0 {
		dst = appendServer(dst, srv.Name)
	}
	if s.has&hasDate == 0 {
		dst = appendDate(dst, time.Now())
	}
	dst = append(dst, s.lines...)
	if s.has&hasContentType == 0 && length != 0 && http1.BodyAllowed(http1.GET, s.status) {
		dst = http1.AppendField(dst, "Content-Type", kind)
	}
	switch s.framing {
	case http1.Chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case http1.Length:
		dst = http1.AppendContentLength(dst, length)
	}
	s.lines = nil
	return http1.AppendEnd(appendPersistence(dst, s.minor, s.keepAlive))
}

// startStream waits for what is to be sent. Meanwhile the client has nothing to say.
func (ch *Channel) startStream(c *conn.Conn) {
	ch.mu.Lock()
	ch.stream.began = ch.w.loop.Now()
	ch.stream.sent = ch.stream.began
	ch.mu.Unlock()
	c.SetProtocol((*streamConn)(ch))
	c.Hold()
	ch.setStreamDeadline(c)
	if c.AtEOF() {
		c.Abort(errGone)
	}
}

func (ch *Channel) setStreamDeadline(c *conn.Conn) {
	d := max(0, ch.opts.Heartbeat)
	if p := ch.opts.PollTimeout; p > 0 && (d == 0 || p < d) {
		d = p
	}
	c.SetDeadline(d)
}

// endStream ends the answer, and lets the connection go on.
func (ch *Channel) endStream(c *conn.Conn) {
	s := ch.stream
	ch.mu.Lock()
	var tail []byte
	switch {
	case s.complete:
	case !s.headSent:
		if ch.opts.LongPoll {
			s.status = http.StatusNoContent
		}
		tail = s.appendHead(nil, ch.w.srv, 0, "")
	case s.framing == http1.Chunked:
		tail = http1.AppendLastChunk(nil)
	}
	keepAlive, why := s.keepAlive && !ch.w.draining, ch.why
	ch.mu.Unlock()
	c.Write(tail)
	ch.w.count.Responses.add(s.status)
	why.Clean = why.Err == nil
	c.SetProtocol(ch.origin)
	c.State = nil
	ch.over(why)
	ch.w.settle(c, keepAlive)
}

// settle leaves a connection alone whose channel has answered.
func (w *worker) settle(c *conn.Conn, keepAlive bool) {
	c.Mark(markIdle)
	if !keepAlive {
		c.CloseLingering()
		return
	}
	w.changed(c, http.StateIdle)
	c.SetDeadline(w.idleTimeout)
	c.Resume()
	if c.State == nil && c.AtEOF() && c.Buffered() == 0 {
		c.Close()
	}
}

// streamConn is the conn.Protocol of a channel that is an answer over HTTP.
type streamConn Channel

// Open implements conn.Protocol. It is not called: the connection has been open.
func (*streamConn) Open(*conn.Conn) {}

// Data implements conn.Protocol. It is not called: the connection is held.
func (*streamConn) Data(*conn.Conn, []byte) int { return 0 }

// EOF implements conn.Protocol. Who waits for an answer that comes bit by bit does not
// end its side, unless it is gone.
func (sc *streamConn) EOF(c *conn.Conn) { c.Abort(errGone) }

// Drained implements conn.Protocol.
func (sc *streamConn) Drained(c *conn.Conn) {
	ch := (*Channel)(sc)
	ch.mu.Lock()
	ch.stream.sent = c.Loop().Now()
	ch.mu.Unlock()
	ch.drained(c)
}

// Timeout implements conn.Protocol.
func (sc *streamConn) Timeout(c *conn.Conn) {
	ch := (*Channel)(sc)
	s, now := ch.stream, c.Loop().Now()
	ch.mu.Lock()
	late := ch.opts.PollTimeout > 0 && !s.headSent && now-s.began >= int64(ch.opts.PollTimeout)
	beats := s.events && s.headSent && !s.complete && ch.opts.Heartbeat > 0 && now-s.sent >= int64(ch.opts.Heartbeat)
	if late && ch.phase == channelOpen {
		s.status = http.StatusNoContent
		ch.closeLocked(wsock.CloseNormal, "")
		ch.why.Err = ErrPollTimeout
	}
	if beats && ch.phase == channelOpen && len(ch.pending) == 0 && c.Queued() == 0 {
		c.Write(s.append(nil, ch, Text(":\n\n"), false))
	}
	ch.mu.Unlock()
	ch.setStreamDeadline(c)
}

// Closed implements conn.Protocol.
func (sc *streamConn) Closed(c *conn.Conn, err error) {
	ch := (*Channel)(sc)
	info := ch.info(err)
	ch.origin.Closed(c, err)
	ch.over(info)
}
