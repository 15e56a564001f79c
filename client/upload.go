package client

import (
	"fmt"
	"io"
	"sync"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
)

const (
	// uploadPiece is how much of a body is read at a time, and uploadHigh how much of it
	// may wait to be sent before more is read.
	uploadPiece = 32 << 10
	uploadHigh  = 128 << 10
)

// upload is the body of a request that is read on a goroutine, as fast as the server
// takes it. It belongs to the loop of the exchange's link.
type upload struct {
	ex     *exchange
	body   io.ReadCloser
	length int64 // -1 when unknown
	sender *sender
}

// sender sends a body once. If the request is repeated there is another one.
type sender struct {
	l       *link
	ex      *exchange
	body    io.ReadCloser
	left    int64 // of its length
	chunked bool

	room    chan struct{} // has something when the next piece may be sent
	stopped chan struct{}
	once    sync.Once
	waits   bool // for the queue to drain; the loop's
}

// begin sends the body on a link.
func (u *upload) begin(l *link) {
	s := &sender{l: l, ex: u.ex, body: u.body, left: u.length, chunked: u.length < 0,
		room: make(chan struct{}, 1), stopped: make(chan struct{})}
	u.sender = s
	go s.run()
}

// rewind makes the body ready to be sent once more, if it can be.
func (u *upload) rewind() bool {
	if u.sender == nil {
		return true // nothing of it was read
	}
	req := u.ex.req
	if req.GetBody == nil {
		return false
	}
	body, err := req.GetBody()
	if err != nil {
		return false
	}
	u.sender.stop()
	u.body, u.sender = body, nil
	return true
}

// endUpload ends sending, and closes the body if nobody else does.
func (ex *exchange) endUpload() {
	u := ex.upload
	if u == nil {
		return
	}
	if u.sender != nil {
		u.sender.stop()
	} else {
		u.body.Close()
	}
	ex.upload = nil
}

// stop ends the sender. Who reads the body may be waiting for it: closing it, as
// http.Transport does, is how that ends.
func (s *sender) stop() {
	s.once.Do(func() {
		close(s.stopped)
		go s.body.Close()
	})
}

// run reads the body and has the loop send it.
func (s *sender) run() {
	buf := make([]byte, uploadPiece)
	for {
		n, err := s.read(buf)
		if err != nil && err != io.EOF {
			s.post(func() { s.l.uploadFailed(s.ex, err) })
			return
		}
		piece, last := s.frame(buf[:n], err == io.EOF)
		if last != nil {
			s.post(func() { s.l.uploadFailed(s.ex, last) })
			return
		}
		s.post(func() { s.l.send(s, piece, err == io.EOF) })
		if err == io.EOF {
			s.once.Do(func() { s.body.Close() })
			return
		}
		select {
		case <-s.room:
		case <-s.stopped:
			return
		}
	}
}

// read fills the buffer, or returns io.EOF with the last bytes.
func (s *sender) read(buf []byte) (n int, err error) {
	if s.chunked {
		n, err = s.body.Read(buf) // what there is may be waited for at the other end
	} else {
		n, err = io.ReadAtLeast(s.body, buf[:min(int64(len(buf)), s.left)], 1)
		if s.left -= int64(n); s.left == 0 && err == nil {
			return n, s.atEnd()
		}
		if err == io.EOF {
			length := s.ex.upload.length
			return n, lengthError(length, length-s.left)
		}
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("the body of the request: %w", err)
	}
	return n, err
}

// atEnd reports io.EOF if the body has no more than its length.
func (s *sender) atEnd() error {
	var one [1]byte
	if n, _ := io.ReadFull(s.body, one[:]); n > 0 {
		return lengthError(1, 2)
	}
	return io.EOF
}

// frame makes what is sent of a piece.
func (s *sender) frame(p []byte, last bool) (piece []byte, err error) {
	if !s.chunked {
		return append(piece, p...), nil
	}
	piece = http1.AppendChunk(make([]byte, 0, len(p)+32), p)
	if last {
		return appendTrailer(piece, s.ex.req.Trailer)
	}
	return piece, nil
}

// post runs f on the loop, unless the sender was stopped by then.
func (s *sender) post(f func()) {
	s.l.w.loop.Do(func(*conn.Loop) {
		select {
		case <-s.stopped:
		default:
			f()
		}
	})
}

// permit lets the sender go on.
func (s *sender) permit() {
	select {
	case s.room <- struct{}{}:
		s.l.w.loop.Woke()
	default:
	}
}

// send sends a piece of a body.
func (l *link) send(s *sender, piece []byte, last bool) {
	if l.over || l.c.Closing() {
		return
	}
	l.c.Write(piece)
	switch {
	case last:
		s.ex.sending = false
		l.sentAll(s.ex)
	case l.c.Queued() < uploadHigh:
		s.permit()
	default:
		s.waits = true
	}
}

// uploadFailed ends an exchange whose body cannot be read.
func (l *link) uploadFailed(ex *exchange, err error) {
	if l.carries(ex) {
		l.fail(opSend, err)
	}
}
