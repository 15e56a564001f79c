package ringkit

import (
	"net/http"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
	"github.com/ringkit/ringkit/internal/talk"
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

	headSent bool // or queued
	complete bool // the end has been sent, or queued
	broken   bool // the answer is not to look complete
	events   bool // it sends events
	began    int64
	sent     int64 // when the loop sent something last
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
		dst = s.appendHeadFor(dst, ch.origin.srv, m, last)
	}
	switch {
	case s.status == http.StatusResetContent: // which has no content
	case s.framing == http1.Chunked:
		dst = http1.AppendChunk(dst, m.Data)
		if last {
			dst = http1.AppendLastChunk(dst)
		}
	case s.framing == http1.Length, s.framing == http1.UntilClose:
		dst = append(dst, m.Data...)
	}
	s.complete = s.complete || last
	return dst
}

// appendHeadFor appends the head of an answer that begins with m.
func (s *httpStream) appendHeadFor(dst []byte, srv *Server, m wsock.Message, last bool) []byte {
	length := int64(-1)
	if last {
		length = int64(len(m.Data))
	}
	kind := "text/plain; charset=utf-8"
	if m.Kind == wsock.Binary {
		kind = "application/octet-stream"
	}
	return s.appendHead(dst, srv, length, kind)
}

func (s *httpStream) appendHead(dst []byte, srv *Server, length int64, kind string) []byte {
	s.headSent = true
	if s.status == http.StatusResetContent {
		length = 0
	}
	s.framing = http1.ResponseFraming(s.method, s.minor, s.status, length)
	s.keepAlive = s.keepAlive && s.framing != http1.UntilClose && !srv.stopping.Load() && !http1.LeavesHTTP(s.method, s.status)
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

// prepareStream waits for what is to be sent. Meanwhile the client has nothing to say.
func (ch *Channel) prepareStream(c *conn.Conn) {
	ch.mu.Lock()
	ch.stream.began = ch.origin.loop.Now()
	ch.stream.sent = ch.stream.began
	ch.mu.Unlock()
	c.SetProtocol((*streamConn)(ch))
	c.Hold()
	ch.setStreamDeadline(c)
}

// startStream looks whether there is somebody.
func (ch *Channel) startStream(c *conn.Conn) {
	if c.AtEOF() {
		ch.leftAlone(c)
	}
}

// leftAlone is called when the client has ended its side. Who waits for an answer that
// comes bit by bit does not, unless it is gone; but who has sent its request that way
// gets an answer which is there.
func (ch *Channel) leftAlone(c *conn.Conn) {
	if !ch.closed() {
		c.Abort(errGone)
	}
}

// setStreamDeadline sets the time at which there is something to do.
func (ch *Channel) setStreamDeadline(c *conn.Conn) {
	ch.mu.Lock()
	s, next := ch.stream, int64(0)
	if p := ch.opts.PollTimeout; p > 0 && !s.headSent {
		next = s.began + int64(p)
	}
	if h := ch.opts.Heartbeat; h > 0 && s.events {
		next = s.sent + int64(h)
	}
	open := ch.order.Phase == talk.Open
	ch.mu.Unlock()
	if next == 0 || !open {
		c.SetDeadline(0)
		return
	}
	c.SetDeadline(max(1, time.Duration(next-c.Loop().Now())))
}

// failStream ends an answer that cannot be completed.
func (ch *Channel) failStream(c *conn.Conn) {
	ch.mu.Lock()
	if ch.order.Phase <= talk.Closing && !ch.stream.complete {
		ch.stopSending()
		ch.stream.broken = true
		ch.needEnding().why = wsock.CloseInfo{Code: wsock.CloseInternalError, Err: errCallback}
	}
	ch.mu.Unlock()
	ch.handOver(c)
}

// endStream ends the answer, and lets the connection go on.
func (ch *Channel) endStream(c *conn.Conn) {
	s := ch.stream
	ch.mu.Lock()
	tail, cut := s.appendTail(nil, ch.origin.srv, ch.opts.LongPoll)
	keepAlive, why := s.keepAlive && !ch.origin.draining, ch.why()
	ch.mu.Unlock()
	c.Write(tail)
	why.Clean = why.Err == nil
	c.SetProtocol(ch.origin)
	c.State = nil
	ch.over(why)
	switch {
	case cut && s.framing == http1.UntilClose:
		c.CloseReset() // the end of the connection would look like that of the answer
	case cut:
		c.CloseLingering()
	default:
		ch.origin.count.Responses.add(s.status)
		ch.origin.settle(c, keepAlive)
	}
}

// appendTail appends what is left to send of the answer, and reports whether it is cut
// short.
func (s *httpStream) appendTail(dst []byte, srv *Server, longPoll bool) (tail []byte, cut bool) {
	switch {
	case s.complete:
	case s.broken && s.headSent:
		return dst, true
	case s.broken:
		s.status, s.lines, s.has, s.keepAlive = http.StatusInternalServerError, nil, 0, false
		text := "500 Internal Server Error: " + errPanic.Reason + "\n"
		dst = s.appendHead(dst, srv, int64(len(text)), "text/plain; charset=utf-8")
		if s.framing == http1.Length {
			dst = append(dst, text...)
		}
	case !s.headSent:
		if longPoll {
			s.status = http.StatusNoContent
		}
		dst = s.appendHead(dst, srv, 0, "")
	case s.framing == http1.Chunked:
		dst = http1.AppendLastChunk(dst)
	}
	return dst, false
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

// EOF implements conn.Protocol.
func (sc *streamConn) EOF(c *conn.Conn) { (*Channel)(sc).leftAlone(c) }

// Drained implements conn.Protocol.
func (sc *streamConn) Drained(c *conn.Conn) {
	ch := (*Channel)(sc)
	ch.mu.Lock()
	ch.stream.sent = c.Loop().Now()
	ch.mu.Unlock()
	ch.setStreamDeadline(c)
	ch.drained(c)
}

// Timeout implements conn.Protocol.
func (sc *streamConn) Timeout(c *conn.Conn) {
	ch := (*Channel)(sc)
	s, now := ch.stream, c.Loop().Now()
	ch.mu.Lock()
	open := ch.order.Phase == talk.Open
	switch {
	case open && !s.headSent && ch.opts.PollTimeout > 0 && now-s.began >= int64(ch.opts.PollTimeout):
		s.status = http.StatusNoContent
		ch.closeLocked(wsock.CloseNormal, "")
		ch.needEnding().why.Err = ErrPollTimeout
	case open && s.events && now-s.sent >= int64(ch.opts.Heartbeat):
		s.sent = now
		if ch.queue.Empty() && c.Queued() == 0 {
			c.Write(s.append(nil, ch, Text(":\n\n"), false))
		}
	}
	ch.mu.Unlock()
	ch.setStreamDeadline(c)
}

// Closed implements conn.Protocol.
func (sc *streamConn) Closed(c *conn.Conn, err error) {
	(*Channel)(sc).disconnected(c, err)
}
