package client

import (
	"io"
	"net/http"
	"sync"

	"github.com/ringkit/ringkit/conn"
)

// body is the Body of a response. The loop adds to it what arrives, and stops receiving
// while more than bodyHigh bytes wait to be read.
type body struct {
	ex   *exchange
	link *link
	lead conn.Lead // of the callback that has the response

	mu      sync.Mutex
	cond    sync.Cond
	buf     []byte
	at      int   // what has been read of buf
	err     error // comes behind buf; nil while more may arrive
	trailer http.Header
	closed  bool
	held    bool // receiving has been stopped
	resume  conn.Task
	unwatch func() bool // ends the watch over the context of the request
}

const (
	bodyHigh = 128 << 10
	bodyLow  = 32 << 10
)

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(p) == 0 && b.lacks() {
		return 0, nil
	}
	if err := b.await(); err != nil {
		return 0, err
	}
	n := copy(p, b.buf[b.at:])
	b.at += n
	b.wantMore()
	return n, nil
}

// lacks reports whether there is neither something to read nor an end.
func (b *body) lacks() bool { return b.at == len(b.buf) && b.err == nil && !b.closed }

// await waits for something to read. The error is what comes instead.
func (b *body) await() error {
	for b.lacks() {
		if b.lead.Hold() {
			b.lead.Leave() // the loop has to go on, for something to arrive
		}
		b.cond.Wait()
	}
	switch {
	case b.closed:
		return http.ErrBodyReadAfterClose
	case b.at == len(b.buf):
		b.ended()
		return b.err
	}
	return nil
}

// WriteTo implements io.WriterTo: what has arrived is written without a copy.
func (b *body) WriteTo(w io.Writer) (n int64, err error) {
	var piece []byte
	for {
		if piece, err = b.take(piece); len(piece) == 0 {
			if err == io.EOF {
				err = nil
			}
			return n, err
		}
		m, err := w.Write(piece)
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
}

// take waits for something to read and takes all of it, in exchange for another buffer.
func (b *body) take(spare []byte) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.await(); err != nil {
		return nil, err
	}
	piece := b.buf[b.at:]
	b.buf, b.at = spare[:0], 0
	b.wantMore()
	return piece, nil
}

// ended gives the trailer to the response, once its end has been read.
func (b *body) ended() {
	if b.err != io.EOF || b.trailer == nil {
		return
	}
	resp := &b.ex.response
	if resp.Trailer == nil {
		resp.Trailer = make(http.Header, len(b.trailer))
	}
	for name, values := range b.trailer {
		resp.Trailer[name] = values
	}
	b.trailer = nil
}

// wantMore has the loop receive again when there is little left to read.
func (b *body) wantMore() {
	if b.at == len(b.buf) {
		b.buf, b.at = b.buf[:0], 0
	}
	if b.held && len(b.buf)-b.at <= bodyLow {
		b.held = false
		b.resume.Value = b.receive
		b.link.w.loop.Post(&b.resume)
	}
}

// receive is a task.
func (b *body) receive(*conn.Loop) {
	l := b.link
	if !l.over && !l.c.Closing() && l.carries(b.ex) && l.c.Held() {
		l.goOn()
	}
}

// goOn receives again.
func (l *link) goOn() {
	l.since = l.w.loop.Now()
	l.c.Resume()
	switch {
	case l.over || l.c.Closing() || l.c.Held() || len(l.flight) == 0:
	case l.c.AtEOF() && l.c.Buffered() == 0:
		l.ended()
	default:
		l.arm()
	}
}

// Close implements io.Closer. What is left of a body is thrown away if it is short, to keep
// the connection; otherwise the connection is closed.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	b.buf, b.at = nil, 0
	b.endWatch()
	if b.err == nil {
		l := b.link
		l.w.loop.Do(func(*conn.Loop) { l.discard(b.ex) })
	}
	b.cond.Broadcast()
	return nil
}

// discard throws away what comes of a body that nobody reads.
func (l *link) discard(ex *exchange) {
	if l.over || l.c.Closing() || !l.carries(ex) || ex.over {
		return
	}
	left := l.r.resp.ContentLength() - l.r.body.Received()
	if left > discardLimit || l.r.resp.ContentLength() < 0 && !l.r.resp.Chunked() || ex.sending {
		ex.over = true
		l.abort(errAbandoned)
		return
	}
	ex.discards = true
	if l.c.Held() {
		l.goOn()
		return
	}
	l.since = l.w.loop.Now()
	l.arm()
}

// push adds what has arrived, and reports whether receiving has to stop.
func (b *body) push(p []byte) (stop bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	if b.at > 0 && len(b.buf)+len(p) > cap(b.buf) {
		n := copy(b.buf, b.buf[b.at:])
		b.buf, b.at = b.buf[:n], 0
	}
	if b.at == len(b.buf) && b.ex.answered {
		b.link.w.loop.Woke()
	}
	b.buf = append(b.buf, p...)
	b.cond.Broadcast()
	b.held = len(b.buf)-b.at > bodyHigh
	return b.held
}

// finish says what comes behind what has arrived. Only the first call counts.
func (b *body) finish(err error, trailer http.Header) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err, b.trailer = err, trailer
		b.endWatch()
	}
	if b.cond.L != nil {
		b.cond.Broadcast()
	}
}

func (b *body) endWatch() {
	if b.unwatch != nil {
		b.unwatch()
		b.unwatch = nil
	}
}

// empty reports whether there is no body.
func (b *body) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err == io.EOF && len(b.buf) == 0
}
