package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptrace"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
)

// link is one connection to a server, and its conn.Protocol.
type link struct {
	t    *Transport
	host *host
	w    *worker
	tls  secured // nil without

	// Under mu of the transport:
	assigned     int         // exchanges that were given to it and are not over
	idle         bool        // it is in the lists of its host and of the transport
	used         bool        // it has answered something
	leaving      bool        // it gets nothing any more
	above, below *link       // idle ones of the same host, used later and before
	place        place[link] // among those of all hosts

	// The loop's:
	c         *conn.Conn // nil before Open
	over      bool
	detaching bool        // the descriptor goes to somebody else
	given     bool        // another protocol has the connection, or had it
	flight    []*exchange // whose responses are awaited, in this order
	r         *reader     // with flight
	since     int64       // when it became idle, or was heard last, on the loop's clock
	tlsState  *tls.ConnectionState
	due       *exchange // is answered, and is to be told so
	what      op        // that failed, with why
	why       error
}

// reader is what a link has while a response is awaited.
type reader struct {
	resp   http1.Response
	body   http1.Body
	inBody bool
}

// lookAfter is how often a connection is looked at whose response nobody reads: that it
// was reset is not told meanwhile.
const lookAfter = 5 * time.Second

// discardLimit and discardTime bound what is read of a body that nobody wants, to keep
// the connection.
const (
	discardLimit = 64 << 10
	discardTime  = 200 * time.Millisecond
)

// Open implements conn.Protocol.
func (l *link) Open(c *conn.Conn) {
	l.c = c
	c.Mark(conn.MarkClient)
	if l.tls != nil {
		l.tls.Attach(c)
		c.SetLayer(l.tls)
		state := l.tls.ConnectionState()
		l.tlsState = &state
	}
	l.t.mu.Lock()
	l.host.dialing--
	l.t.mu.Unlock()
	l.rest()
}

// rest is called when nothing is awaited: the link gets the next exchange, is idle, or
// is closed.
func (l *link) rest() {
	if l.over || l.c.Closing() {
		return
	}
	next, keep := l.t.release(l)
	switch {
	case next != nil:
		l.start(next)
	case !keep:
		l.close()
	case len(l.flight) == 0:
		l.since = l.w.loop.Now()
		l.c.State = nil
		l.c.SetDeadline(timeout(l.t.IdleConnTimeout, DefaultIdleConnTimeout))
	}
}

// close closes the connection after what is queued.
func (l *link) close() {
	if l.c != nil && !l.over {
		l.c.Close()
	}
}

// start sends an exchange that was assigned.
func (l *link) start(ex *exchange) {
	if cause := ex.cancelled.Load(); cause != nil {
		l.drop()
		ex.fail(l.w.loop, opQueue, *cause)
		l.restIfDone()
		return
	}
	if l.c == nil || l.over || l.c.Closing() || l.c.AtEOF() {
		// It was lost on the way here. Nothing was sent.
		l.drop()
		l.t.submit(ex)
		return
	}
	ex.reused = l.used || len(l.flight) > 0
	ex.sent = true
	if len(l.flight) == 0 {
		l.r = l.w.reader()
		l.r.resp.Reset(ex.method)
		l.c.State = l
	}
	l.flight = append(l.flight, ex)
	if ex.trace != nil {
		l.traceStart(ex)
	}
	l.c.Write(*ex.head)
	l.since = l.w.loop.Now()
	if ex.upload == nil {
		l.sentAll(ex)
		l.startBehind()
		return
	}
	ex.sending = true
	if ex.expects {
		if t := ex.trace; t != nil && t.Wait100Continue != nil {
			t.Wait100Continue()
		}
	} else {
		ex.upload.begin(l)
	}
	l.arm()
}

// startBehind sends another exchange behind those under way, if one waits that may be.
func (l *link) startBehind() {
	if next := l.t.behind(l); next != nil {
		l.start(next)
	}
}

func (l *link) traceStart(ex *exchange) {
	t := ex.trace
	if t.GotConn != nil {
		info := httptrace.GotConnInfo{Conn: l.view(), Reused: ex.reused}
		if l.used && len(l.flight) == 1 {
			info.WasIdle, info.IdleTime = true, time.Duration(l.w.loop.Now()-l.since)
		}
		t.GotConn(info)
	}
	if t.WroteHeaders != nil {
		t.WroteHeaders()
	}
}

// sentAll is called when all of a request has been queued.
func (l *link) sentAll(ex *exchange) {
	if t := ex.trace; t != nil && t.WroteRequest != nil {
		t.WroteRequest(httptrace.WroteRequestInfo{})
	}
	l.since = l.w.loop.Now()
	if len(l.flight) > 0 && l.flight[0] == ex && ex.over {
		l.finished() // it was answered before
		return
	}
	l.arm()
}

// drop takes an assigned exchange away that has not been started.
func (l *link) drop() {
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	l.assigned--
	l.noteRoom(true)
}

func (l *link) restIfDone() {
	if l.c != nil && len(l.flight) == 0 {
		l.rest()
	}
}

func (l *link) carries(ex *exchange) bool { return slices.Contains(l.flight, ex) }

// cancel ends an exchange that was cancelled, and the connection with it.
func (l *link) cancel(ex *exchange) {
	switch {
	case ex.over:
	case l.carries(ex):
		l.failOne(ex, *ex.cancelled.Load())
	default:
		l.t.mu.Lock()
		elsewhere := ex.link != l
		l.t.mu.Unlock()
		if elsewhere {
			ex.findAndCancel()
		}
	}
}

// failOne ends one exchange of the link with an error that is its own. What is awaited
// besides is as if the connection had been lost.
func (l *link) failOne(ex *exchange, err error) {
	what := opHead
	if ex.answered {
		what = opBody
	}
	ex.fail(l.w.loop, what, err)
	l.abort(errAbandoned)
}

var errAbandoned = errors.New("another request on the connection was given up")

// fail ends the connection because of what is wrong with the exchange that is awaited.
func (l *link) fail(what op, err error) {
	l.what, l.why = what, err
	l.abort(err)
}

func (l *link) abort(err error) {
	if !l.over {
		l.c.Abort(err)
	}
}

// Limits on time. Which of them is the nearest depends on what is awaited.

// arm sets the deadline for what is awaited.
func (l *link) arm() {
	if len(l.flight) == 0 || l.c.Closing() {
		return
	}
	ex := l.flight[0]
	d, _ := l.limit(ex)
	if d > 0 {
		d = max(1, d-time.Duration(l.w.loop.Now()-l.since))
	}
	for _, ex := range l.flight {
		d = ex.patience(d)
	}
	l.c.SetDeadline(d)
}

// limit returns how long the present step may take, 0 for ever, and the error if it takes
// longer.
func (l *link) limit(ex *exchange) (time.Duration, error) {
	switch t := l.t; {
	case ex.discards:
		return discardTime, errReadTimeout
	case l.r.inBody && l.c.Held():
		return lookAfter, nil
	case l.r.inBody:
		return timeout(t.ReadTimeout, DefaultReadTimeout), errReadTimeout
	case ex.sending && ex.upload != nil && ex.upload.sender == nil:
		return timeout(t.ExpectContinueTimeout, DefaultExpectContinueTimeout), nil
	case ex.sending:
		return 0, nil // the queue of the connection has a limit on time
	default:
		return timeout(t.ResponseHeaderTimeout, DefaultResponseHeaderTimeout), errHeaderTimeout
	}
}

// Timeout implements conn.Protocol.
func (l *link) Timeout(c *conn.Conn) {
	if len(l.flight) == 0 {
		l.leave()
		c.Close() // it was idle for long enough
		return
	}
	for _, ex := range l.flight {
		if ex.expired() {
			l.failOne(ex, errTotalTimeout)
			return
		}
	}
	ex := l.flight[0]
	d, err := l.limit(ex)
	switch {
	case d == 0 || time.Duration(l.w.loop.Now()-l.since) < d:
	case err != nil:
		l.failOne(ex, err)
		return
	case l.r.inBody:
		if c.Gone() {
			l.fail(opBody, unix.ECONNRESET)
			return
		}
		l.since = l.w.loop.Now()
	default: // there was no 100
		ex.upload.begin(l)
	}
	l.arm()
}

// leave has the link get no further exchange.
func (l *link) leave() {
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	if l.idle {
		l.t.take(l)
	}
	l.leaving = true
	l.noteRoom(false)
}

// EOF implements conn.Protocol.
func (l *link) EOF(c *conn.Conn) {
	if len(l.flight) == 0 {
		l.leave()
		c.Close()
		return
	}
	if !c.Held() { // otherwise what is kept is read first
		l.ended()
	}
}

// ended is called when the server has ended its side, and all it has sent was read.
func (l *link) ended() {
	ex := l.flight[0]
	if !l.r.inBody {
		err := l.r.resp.EOF()
		var cut *http1.IncompleteError
		if errors.As(err, &cut) && cut.Where == http1.AtStart {
			err = fmt.Errorf("%w: %w", ErrServerClosed, err)
		}
		l.fail(opHead, err)
		return
	}
	err := l.r.body.EOF()
	if err == nil && l.tls != nil && !l.tls.CloseNotified() {
		err = errNotNotified
	}
	if err != nil {
		l.fail(opBody, err)
		return
	}
	l.endOfBody(ex)
	l.complete()
}

// errNotNotified is that of a body which ends with its connection, when that has ended
// without close_notify: somebody else may have cut it short (RFC 9112, section 9.8).
var errNotNotified = fmt.Errorf("TLS was ended without close_notify: %w", io.ErrUnexpectedEOF)

// Drained implements conn.Protocol.
func (l *link) Drained(*conn.Conn) {
	for _, ex := range l.flight {
		if ex.upload != nil && ex.upload.sender != nil && ex.upload.sender.waits {
			ex.upload.sender.waits = false
			ex.upload.sender.permit()
		}
	}
}

// finished is called when the first exchange has been answered completely, and goes on
// with the next. A server that has answered before it was sent all of the request gets the
// rest of it if that does not take long.
func (l *link) finished() {
	ex := l.flight[0]
	if ex.sending {
		l.leave()
		ex.endUpload()
	}
	keep := l.r.resp.KeepAlive() && !ex.closes && !ex.sending && !l.c.AtEOF()
	l.flight = slices.Delete(l.flight, 0, 1)
	ex.freeHead()
	l.t.mu.Lock()
	l.assigned--
	l.used = true
	l.leaving = l.leaving || !keep
	l.noteRoom(true)
	keep = !l.leaving
	l.t.mu.Unlock()
	l.r.inBody = false
	if t := ex.trace; t != nil && t.PutIdleConn != nil && keep {
		t.PutIdleConn(nil)
	}
	switch {
	case !keep && len(l.flight) > 0:
		l.abort(errNotKept) // who comes behind is repeated
	case !keep:
		l.free()
		l.c.Close()
	case len(l.flight) > 0:
		l.r.resp.Reset(l.flight[0].method)
		l.since = l.w.loop.Now()
		l.arm()
		l.startBehind()
	default:
		l.free()
	}
}

var errNotKept = errors.New("the connection does not persist")

// free gives the reader back.
func (l *link) free() {
	if l.r != nil {
		l.w.putReader(l.r)
		l.r = nil
	}
}

// Closed implements conn.Protocol.
func (l *link) Closed(_ *conn.Conn, err error) {
	l.over = true
	l.stopped()
	flight := l.flight
	l.flight = nil
	if err == nil {
		err = ErrServerClosed
	}
	for i, ex := range flight {
		what, why := opHead, err
		if i == 0 && l.why != nil {
			what, why = l.what, l.why
		} else if ex.answered {
			what = opBody
		} else if i > 0 || !ex.heard {
			why = lost(err)
		}
		l.end(ex, what, why)
	}
	l.free()
}

// lost makes an error of what ended a connection before a request was answered.
func lost(err error) error {
	var t timeoutError
	if errors.Is(err, ErrServerClosed) || errors.Is(err, ErrClosed) || errors.As(err, &t) || errors.Is(err, conn.ErrWriteTimeout) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrServerClosed, err)
}

// end ends an exchange whose connection is over: it is repeated if it may be.
func (l *link) end(ex *exchange, what op, err error) {
	if ex.over {
		return
	}
	if errors.Is(err, ErrServerClosed) && ex.repeats() {
		l.t.repeat(ex)
		return
	}
	ex.fail(l.w.loop, what, err)
}

// repeat sends a request once more, on a new connection.
func (t *Transport) repeat(ex *exchange) {
	t.mu.Lock()
	ex.repeated = true
	t.counts.Repeated++
	t.mu.Unlock()
	ex.sending = false
	t.submit(ex)
}

// reader lends what is needed to read responses.
func (w *worker) reader() *reader {
	if last := len(w.spares) - 1; last >= 0 {
		r := w.spares[last]
		w.spares = w.spares[:last]
		return r
	}
	return new(reader)
}

func (w *worker) putReader(r *reader) {
	r.inBody = false
	r.resp.Reset(http1.GET)
	if len(w.spares) < sparesKept {
		w.spares = append(w.spares, r)
	}
}

// view is the connection as traces get to see it: its addresses.
func (l *link) view() net.Conn {
	return &connView{
		local:  endpoint(l.c, l.c.LocalAddr(), unix.Getsockname),
		remote: endpoint(l.c, l.c.RemoteAddr(), unix.Getpeername),
	}
}
