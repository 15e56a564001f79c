package talk

import (
	"io"

	"github.com/ringkit/ringkit/wsock"
)

// Ending is how a WebSocket ends. It belongs to the loop.
type Ending struct {
	Closing wsock.Closing
	last    *lastWord
}

// lastWord is what ends a WebSocket as soon as no callback runs; nothing is read behind it.
type lastWord struct {
	close wsock.Event
	err   error // nil for a Close
}

// HearClose notes the peer's Close as the last word. Of several the first counts.
func (e *Ending) HearClose(ev wsock.Event) {
	if e.last == nil {
		ev.Data = append([]byte(nil), ev.Data...)
		e.last = &lastWord{close: ev}
	}
}

// HearError notes what is wrong as the last word, io.EOF if the peer has ended the
// transport without a Close.
func (e *Ending) HearError(err error) {
	if e.last == nil {
		e.last = &lastWord{err: err}
	}
}

// Heard reports whether there is a last word; err is nil if that is a Close.
func (e *Ending) Heard() (err error, heard bool) {
	if e.last == nil {
		return nil, false
	}
	return e.last.err, true
}

// Answer ends the WebSocket after the last word: it appends what the peer is told.
func (e *Ending) Answer(dst []byte, mask wsock.Mask) []byte {
	switch err := e.last.err; err {
	case nil:
		return e.Closing.Received(dst, &e.last.close, mask)
	case io.EOF:
		e.Closing.Lost(err)
		return dst
	default:
		return e.Closing.Fail(dst, err, mask)
	}
}

// Lost says that the connection has ended, with err, which this side may have brought
// about, and returns how the WebSocket has.
func (e *Ending) Lost(err error, local bool) wsock.CloseInfo {
	lost := !e.Closing.Done()
	e.Closing.Lost(err)
	info := e.Closing.Info()
	switch {
	case lost && e.last != nil && e.last.err == nil:
		// Its Close has come all the same (RFC 6455, section 7.1.5), but no answer went
		// back.
		info.Code, info.Reason = e.last.close.Code, string(e.last.close.Data)
	case lost && local:
		info.Remote = false
	}
	return info
}
