package ringkit

import (
	"net/http"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
	"github.com/ringkit/ringkit/internal/bulk"
)

// step is what a session is doing.
type step uint8

const (
	stepIdle    step = iota // between requests
	stepHead                // part of a head has arrived
	stepBody                // the head is complete, the body is not
	stepBusy                // a handler is running, and has the whole request
	stepStream              // a handler is running and reads the body as it arrives
	stepDrain               // the handler is over; the rest of the body decides about the answer
	stepDiscard             // answered; the rest of the body is thrown away
)

const (
	// gatherLimit is how long a body may be to be complete in memory before a
	// standard handler runs. A longer one, and one in chunks that does not come in
	// one piece, is read by the handler as it arrives.
	gatherLimit = 64 << 10

	// gatherWait is how long a body that is being gathered may make no progress
	// before its handler runs after all: the client may want to hear something
	// before it sends the rest.
	gatherWait = 50 * time.Millisecond

	// discardLimit is how much of a body that the handler did not read is thrown
	// away to keep the connection, as net/http does.
	discardLimit = 256 << 10

	// drainWait is how long an answer waits for the rest of a body in chunks,
	// whose length nobody knows, to decide whether the connection can go on.
	drainWait = 200 * time.Millisecond
)

// session is a connection that is not idle: a request is arriving or being
// answered. An idle connection has none.
type session struct {
	w    *worker
	c    *conn.Conn
	req  http1.Request
	body http1.Body

	head      []byte   // copy of the head, where the receive buffer does not last
	content   []byte   // gathered body
	std       *call    // the standard handler's, while it runs
	channel   *Channel // that the handler has opened, while it runs
	later     *Reply   // that the handler waits for which has returned
	discarded int      // of the body
	route     route    // as found by goesAway

	step  step
	timed bool // the deadline for the head is set
	slow  bool // the head was not complete after slowHead
	last  bool // the body cannot be read to its end: the connection ends with the answer
}

// advance takes input and reports whether to go on with what is behind it.
func (s *session) advance(in []byte) (n int, more bool) {
	switch s.step {
	case stepBody:
		return s.gather(in)
	case stepStream:
		return s.stream(in), false
	case stepDrain, stepDiscard:
		return s.discard(in)
	}
	if s.c.Queued() > outputHigh {
		// Answers are asked for faster than they are read.
		s.c.Hold()
		return 0, false
	}
	s.w.changed(s.c, http.StateActive)
	n, err := s.req.Parse(in, &s.w.srv.limits)
	if err != nil {
		s.reject(err.(*http1.Error))
		return len(in), false
	}
	if n == 0 {
		s.step = stepHead
		return 0, false
	}
	s.w.count.Requests++
	if !s.req.HasBody() {
		s.dispatch(nil)
		return n, s.goesOn()
	}
	m, more := s.beginBody(in[:n], in[n:])
	return n + m, more
}

// goesOn reports whether another request may follow at once.
func (s *session) goesOn() bool {
	return s.step == stepIdle && !s.c.Closing() && !s.c.Held()
}

// beginBody is called when a head with a body is complete. A body that has
// arrived with its head is used where it is; otherwise the head is copied and the
// body gathered, or read by the handler as it arrives.
func (s *session) beginBody(head, rest []byte) (n int, more bool) {
	if err := s.body.Init(&s.req, &s.w.srv.limits); err != nil {
		s.reject(err.(*http1.Error))
		return len(rest), false
	}
	length := s.req.ContentLength()
	if length >= 0 && length <= int64(len(rest)) {
		s.dispatch(rest[:length])
		return int(length), s.goesOn()
	}
	s.head = append(s.head[:0], head...)
	s.req.Rebase(s.head)
	s.step = stepBody
	if s.w.srv.streamed != nil && (length > gatherLimit || s.req.ExpectContinue()) {
		if !s.beginStream(len(rest) == 0) {
			return len(rest), false
		}
		return s.stream(rest), false
	}
	if s.req.ExpectContinue() && len(rest) == 0 {
		s.c.Write(continueLine)
	}
	return s.gather(rest)
}

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// gather collects a body, whose limit the decoder knows. The buffer grows with
// what arrives, never on the word of the peer.
func (s *session) gather(in []byte) (used int, more bool) {
	for {
		data, n, done, err := s.body.Next(in[used:])
		if err != nil {
			s.reject(err.(*http1.Error))
			return len(in), false
		}
		used += n
		s.content = bulk.Append(s.content, data)
		if done {
			s.dispatch(s.content)
			return used, s.goesOn()
		}
		if s.req.Chunked() && s.w.srv.streamed != nil && (n == 0 || used == len(in)) {
			// Nobody knows how long the client takes, and it may want to hear
			// something first.
			if !s.beginStream(false) {
				return len(in), false
			}
			return used + s.stream(in[used:]), false
		}
		if n == 0 || used == len(in) {
			return used, false
		}
	}
}

// discard throws away the rest of a body.
func (s *session) discard(in []byte) (used int, more bool) {
	for {
		data, n, done, err := s.body.Next(in[used:])
		used += n
		if s.discarded += len(data); err != nil || s.discarded > discardLimit {
			s.discardedBody(false)
			return len(in), false
		}
		if done {
			s.discardedBody(true)
			return used, s.goesOn()
		}
		if n == 0 || used == len(in) {
			return used, false
		}
	}
}

// discardedBody goes on when the rest of a body has been thrown away, or is not
// going to be.
func (s *session) discardedBody(all bool) {
	switch {
	case s.step == stepDrain:
		s.drained(!all)
	case all:
		s.step = stepIdle
	default:
		s.c.CloseLingering()
	}
}

// drained answers a request whose body has been thrown away, or not.
func (s *session) drained(last bool) {
	s.step, s.last = stepBusy, last
	s.std.answer(s.c)
}

// dispatch has the complete request answered.
func (s *session) dispatch(body []byte) {
	srv := s.w.srv
	if srv.native != nil {
		s.call(srv.native, body)
		return
	}
	s.serve(s.handler(), body)
}

// handler returns the standard handler for the request.
func (s *session) handler() http.Handler {
	if s.req.Form() == http1.AsteriskForm {
		return serverOptions
	}
	return s.w.srv.streamed
}

// serverOptions answers OPTIONS requests about the server as a whole, of which
// standard handlers know nothing: net/http does not give them any either (RFC 9110,
// section 9.3.7).
var serverOptions = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// finished is called when a request has been answered completely.
func (s *session) finished(last bool) {
	if last {
		// A client that did not ask for the end may have sent more, and one that
		// was answered early is still sending; it is given time to read the answer
		// before the connection goes.
		if s.req.KeepAlive() || s.last || s.step == stepStream {
			s.c.CloseLingering()
		} else {
			s.c.Close()
		}
	} else {
		s.w.changed(s.c, http.StateIdle)
	}
	s.c.SetDeadline(0) // it was for the handler
	s.step, s.timed, s.slow, s.last = stepIdle, false, false, false
	s.std = nil
	s.req.Reset()
	s.head, s.content = s.head[:0], s.content[:0]
}

// proceed is called after a request has been answered by a call, when there may be
// input that arrived meanwhile.
func (s *session) proceed(c *conn.Conn) {
	if c.Closing() {
		return
	}
	if c.Held() {
		c.Resume()
	}
	if c.Buffered() == 0 {
		s.w.rest(c, s)
	}
}

// abandoned is called when a call is done whose connection is over.
func (s *session) abandoned(c *conn.Conn) {
	s.step, s.std = stepIdle, nil
	if c == nil {
		s.w.recycle(s)
	}
}

// failed answers a request whose handler did not return. A handler that aborts
// wants no answer, but what was sent before is sent.
func (s *session) failed(aborts bool) {
	s.step, s.std = stepIdle, nil
	if aborts {
		s.c.CloseLingering()
		return
	}
	s.reject(errPanic)
}

// reject answers a request that cannot be understood and closes the connection:
// nobody knows where the next request begins.
func (s *session) reject(e *http1.Error) {
	s.w.ends(s.c, e)
	s.answerError(e, true)
	s.c.CloseLingering()
}

// refuse answers a complete request that is not going to be handled.
func (s *session) refuse(e *http1.Error) {
	last := !s.keepAlive()
	s.answerError(e, last)
	s.finished(last)
}

func (s *session) answerError(e *http1.Error, last bool) {
	s.w.count.Responses.add(e.Status)
	if e != errPanic {
		s.w.rejected(s.c, e.Status, e.Reason)
	}
	buf := s.c.Reserve(errorRoom + len(s.w.srv.Name))
	s.c.Commit(appendError(buf, s.w, e, s.req.MethodID(), last))
}

// keepAlive reports whether the connection may go on after this request.
func (s *session) keepAlive() bool { return s.req.KeepAlive() && !s.w.draining }
