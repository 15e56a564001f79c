package ringkit

import (
	"context"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
	"github.com/ringkit/ringkit/internal/bulk"
)

// requestBody is the Body of a standard request. Either it is complete from the
// beginning, or the loop adds to it what arrives, and stops receiving while more
// than bodyHigh bytes wait to be read.
type requestBody struct {
	call *call // nil when the body is complete

	mu       sync.Mutex
	cond     sync.Cond
	buf      []byte
	at       int         // what has been read of buf
	err      error       // comes behind buf; nil while more may arrive
	trailer  http.Header // to be given to the request with the end
	request  *http.Request
	begun    bool // Read or Close was called
	closed   bool
	timedOut bool  // Read has failed for the deadline
	dropped  int64 // what arrived for nobody, or was not read
	expect   bool  // the client waits for "100 Continue"
	held     bool  // receiving has been stopped
	deadline time.Time
	alarm    alarm // at deadline
	resume   conn.Task
	posted   bool // resume is on its way
}

const (
	bodyHigh = 64 << 10
	bodyLow  = 16 << 10
)

// gathered returns a complete body, nil if there is none.
func gathered(b *http1.Body, chunked bool, data []byte) *requestBody {
	if len(data) == 0 && !chunked {
		return nil
	}
	body := &requestBody{buf: slices.Clone(data), err: io.EOF}
	if chunked {
		body.trailer = trailerOf(b)
	}
	body.cond.L = &body.mu
	return body
}

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begun = true
	for {
		switch {
		case b.closed:
			return 0, http.ErrBodyReadAfterClose
		case !b.deadline.IsZero() && !time.Now().Before(b.deadline):
			b.timedOut = true
			return 0, os.ErrDeadlineExceeded
		case b.at < len(b.buf):
			n := copy(p, b.buf[b.at:])
			b.at += n
			b.wantMore()
			return n, nil
		case b.err != nil:
			b.ended()
			return 0, b.err
		case len(p) == 0:
			return 0, nil
		}
		if b.expect {
			b.expect = false
			b.mu.Unlock()
			b.call.resp.proceedWithBody()
			b.mu.Lock()
			b.receive() // from now on the client can be late
			continue
		}
		b.cond.Wait()
	}
}

// ended gives the trailer to the request, once its end has been read.
func (b *requestBody) ended() {
	if b.err == io.EOF && b.trailer != nil && b.request != nil {
		if b.request.Trailer == nil {
			b.request.Trailer = make(http.Header, len(b.trailer))
		}
		for name, values := range b.trailer {
			b.request.Trailer[name] = values
		}
		b.trailer = nil
	}
}

// wantMore has the loop receive again when there is little left to read.
func (b *requestBody) wantMore() {
	if b.at == len(b.buf) {
		b.buf, b.at = b.buf[:0], 0
	}
	if b.held && len(b.buf)-b.at <= bodyLow {
		b.receive()
	}
}

// receive has the loop receive, unless it has been told already.
func (b *requestBody) receive() {
	if !b.posted {
		b.held, b.posted = false, true
		b.resume.Value = b.call.receiveBody
		b.call.w.loop.Post(&b.resume)
	}
}

// Close implements io.Closer. What was not read is thrown away.
func (b *requestBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.begun = true, true
	b.dropped += int64(len(b.buf) - b.at)
	b.at = len(b.buf)
	if b.call != nil {
		bulk.Put(b.buf)
		b.buf, b.at = nil, 0
	}
	b.alarm.stop()
	b.wantMore()
	b.cond.Broadcast()
	return nil
}

// rest takes what a complete body has left to read.
func (b *requestBody) rest() ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.call != nil || b.closed {
		return nil, false
	}
	rest := b.buf[b.at:]
	b.at = len(b.buf)
	b.ended()
	return rest, true
}

// surrender takes what was not read, for one who takes over the connection: nobody
// can read it here any more. begun reports whether somebody has tried to read before.
func (b *requestBody) surrender() (unread []byte, begun bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	unread = slices.Clone(b.buf[b.at:])
	b.at, b.err, b.trailer = len(b.buf), http.ErrHijacked, nil
	b.cond.Broadcast()
	return unread, b.begun
}

// allRead reports whether everything has arrived, and been read.
func (b *requestBody) allRead() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed || b.err != nil && b.at == len(b.buf)
}

// push adds what has arrived, and reports whether receiving has to stop.
func (b *requestBody) push(p []byte) (stop bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expect = false // the client did not wait
	if b.closed {
		b.dropped += int64(len(p))
		return false
	}
	if b.at > 0 && len(b.buf)+len(p) > cap(b.buf) {
		n := copy(b.buf, b.buf[b.at:])
		b.buf, b.at = b.buf[:n], 0
	}
	b.buf = bulk.Append(b.buf, p)
	b.cond.Broadcast()
	b.held = len(b.buf)-b.at > bodyHigh
	return b.held
}

// asked notes that the client has been told to send the body.
func (b *requestBody) asked() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.expect {
		b.expect = false
		b.receive()
	}
}

// finish says what comes behind what has arrived: io.EOF and the trailer, or why
// there will be no more. Only the first call counts.
func (b *requestBody) finish(err error, trailer http.Header) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err, b.trailer = err, trailer
	}
	b.cond.Broadcast()
}

// unread returns how many bytes have arrived for nobody.
func (b *requestBody) unread() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}

// expects reports whether the client still waits to be told to send the body.
func (b *requestBody) expects() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.expect
}

// givenUp reports whether the handler has given the body up: it did not come in time,
// or the client still waits to be told to send it.
func (b *requestBody) givenUp() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.expect || b.timedOut
}

// setDeadline makes Read fail from then on; a zero time means never.
func (b *requestBody) setDeadline(t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.deadline = t
	b.alarm.set(t, &b.cond)
	b.cond.Broadcast()
}

// alarm wakes those who wait for a condition at a certain time. It is used with the
// lock of the condition held.
type alarm struct{ timer *time.Timer }

// set makes it ring at t; a zero time means never.
func (a *alarm) set(t time.Time, cond *sync.Cond) {
	a.stop()
	if t.IsZero() {
		return
	}
	a.timer = time.AfterFunc(time.Until(t), func() {
		// Who has looked at the clock with the lock held is waiting by now.
		cond.L.Lock()
		defer cond.L.Unlock()
		cond.Broadcast()
	})
}

func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
}

// beginStream runs the handler of a request whose body is still to come, in part
// or as a whole. It reports false when the request was refused.
func (s *session) beginStream(waits bool) bool {
	body := &requestBody{expect: waits && s.req.ExpectContinue(), buf: slices.Clone(s.content)}
	body.cond.L = &body.mu
	c, err := newCall(s, s.handler(), body)
	if err != nil {
		s.reject(err)
		return false
	}
	body.call = c
	s.step, s.std, s.route = stepStream, c, noRoute
	if !s.spawn(c, true) {
		s.reject(errSaturated)
		return false
	}
	return true
}

// stream gives the handler what has arrived of the body.
func (s *session) stream(in []byte) (used int) {
	body := s.std.body
	for {
		data, n, done, err := s.body.Next(in[used:])
		if err != nil {
			s.streamEnded(s.bodyError(err.(*http1.Error)))
			return len(in)
		}
		used += n
		stop := len(data) > 0 && body.push(data)
		if done {
			s.step = stepBusy
			s.c.Hold()
			body.finish(io.EOF, trailerOf(&s.body))
			return used
		}
		if stop {
			s.c.Hold()
		}
		if stop || n == 0 || used == len(in) {
			return used
		}
	}
}

func (s *session) bodyError(e *http1.Error) error {
	if e.Status == http.StatusRequestEntityTooLarge {
		return &http.MaxBytesError{Limit: s.w.srv.limits.Body}
	}
	return e
}

// streamEnded is called when the rest of the body cannot arrive.
func (s *session) streamEnded(err error) {
	s.step, s.last = stepBusy, true
	s.std.resp.mustClose.Store(true)
	s.std.body.finish(err, nil)
	if err == io.ErrUnexpectedEOF {
		s.std.ctx.cancel(context.Canceled)
	}
	s.c.Hold()
	s.c.SetDeadline(s.w.lookAfter)
}

// receiveBody goes on receiving, on the loop.
func (c *call) receiveBody(*conn.Loop) {
	c.body.mu.Lock()
	c.body.posted = false
	c.body.mu.Unlock()
	cn := c.handle.Conn()
	if cn == nil || cn.Closing() || c.s.step != stepStream || c.s.std != c {
		return
	}
	cn.Resume()
	c.w.rest(cn, c.s)
}
