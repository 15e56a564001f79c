package ringkit

import (
	"net/http"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
)

// step is what a session is doing.
type step uint8

const (
	stepIdle step = iota // between requests
	stepHead             // part of a head has arrived
	stepBody             // the head is complete, the body is not
	stepBusy             // a handler is running on a goroutine
)

// session is a connection that is not idle: a request is arriving or being
// answered. An idle connection has none.
type session struct {
	w    *worker
	c    *conn.Conn
	req  http1.Request
	body http1.Body

	head    []byte // copy of the head, where the body comes later
	content []byte // gathered body
	call    *call  // the handler's, while it runs on a goroutine

	step  step
	timed bool // the deadline for the head is set
}

// advance takes input and reports whether to go on with what is behind it.
func (s *session) advance(in []byte) (n int, more bool) {
	if s.step == stepBody {
		return s.gather(in)
	}
	if s.c.Queued() > outputHigh {
		// Answers are asked for faster than they are read.
		s.c.Hold()
		return 0, false
	}
	n, err := s.req.Parse(in, &s.w.srv.limits)
	if err != nil {
		s.reject(err.(*http1.Error))
		return len(in), false
	}
	if n == 0 {
		s.step = stepHead
		return 0, false
	}
	if !s.req.HasBody() {
		s.dispatch(nil)
		return n, s.goesOn()
	}
	m, more := s.beginBody(in[:n], in[n:])
	return n + m, more
}

// goesOn ends a request and reports whether another may follow at once.
func (s *session) goesOn() bool {
	return s.step == stepIdle && !s.c.Closing() && !s.c.Held()
}

// beginBody is called when a head with a body is complete. A body that has
// arrived with its head is used where it is; otherwise the head is copied and the
// body gathered.
func (s *session) beginBody(head, rest []byte) (n int, more bool) {
	if err := s.body.Init(&s.req, &s.w.srv.limits); err != nil {
		s.reject(err.(*http1.Error))
		return len(rest), false
	}
	if length := s.req.ContentLength(); length >= 0 && length <= int64(len(rest)) {
		s.dispatch(rest[:length])
		return int(length), s.goesOn()
	}
	s.head = append(s.head[:0], head...)
	s.req.Rebase(s.head)
	s.step = stepBody
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
		s.content = append(s.content, data...)
		if done {
			s.dispatch(s.content)
			return used, s.goesOn()
		}
		if n == 0 || used == len(in) {
			return used, false
		}
	}
}

// dispatch has the complete request answered.
func (s *session) dispatch(body []byte) {
	srv := s.w.srv
	if srv.native == nil {
		h := srv.Handler
		if s.req.Form() == http1.AsteriskForm {
			h = serverOptions
		}
		s.serve(h, body)
		return
	}
	x := &s.w.exchange
	x.begin(s, body)
	if !x.run(srv.native) {
		return
	}
	if h := x.delegate; h != nil {
		x.end()
		s.serve(h, body)
		return
	}
	last := x.answer()
	x.end()
	s.finished(last)
}

// serverOptions answers OPTIONS requests about the server as a whole, of which
// standard handlers know nothing: net/http does not give them any either (RFC 9110,
// section 9.3.7).
var serverOptions = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// serve runs a standard handler on a goroutine, during which the connection is
// held.
func (s *session) serve(h http.Handler, body []byte) {
	if !s.w.srv.acquire() {
		s.refuse(errSaturated)
		return
	}
	call, err := newCall(s, h, body)
	if err != nil {
		s.w.srv.release()
		s.refuse(err)
		return
	}
	if s.c.AtEOF() {
		call.cancel() // as it would have been, had it begun before
	}
	s.step = stepBusy
	s.call = call
	s.c.Hold()
	go call.run()
}

// finished is called when a request has been answered completely.
func (s *session) finished(last bool) {
	if last {
		// A client that did not ask for the end may have sent more; it is given
		// time to read the answer before the connection goes.
		if s.req.KeepAlive() {
			s.c.CloseLingering()
		} else {
			s.c.Close()
		}
	}
	s.step, s.timed = stepIdle, false
	s.call = nil
	s.req.Reset()
	s.content = s.content[:0]
}

// reject answers a request that cannot be understood and closes the connection:
// nobody knows where the next request begins.
func (s *session) reject(e *http1.Error) {
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
	buf := s.c.Reserve(errorRoom + len(s.w.srv.Name))
	s.c.Commit(appendError(buf, s.w, e, s.req.MethodID(), last))
}

// keepAlive reports whether the connection may go on after this request.
func (s *session) keepAlive() bool { return s.req.KeepAlive() && !s.w.draining }
