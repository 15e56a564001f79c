package client

import (
	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/talk"
)

// wsCall is a call of the callbacks of one WebSocket: a conn.Call. It has what is to be
// told: that the WebSocket is open, some messages, that the queue has drained, that it is
// over, in this order.
type wsCall struct {
	ws       *WebSocket
	messages talk.Batch
	inflate  bool // one more message is to be decompressed
	open     bool
	drain    bool
	last     bool

	err      error // of the decompression
	ran      bool  // it has begun to
	returned bool
}

const callsKept = 64

// wsSpares are what the WebSockets of a loop lend each other, and have in common.
type wsSpares struct {
	calls    []*wsCall
	decoders talk.Decoders
}

func (ws *WebSocket) takeCall() *wsCall {
	s := &ws.w.ws
	if last := len(s.calls) - 1; last >= 0 {
		b := s.calls[last]
		s.calls = s.calls[:last]
		b.ws = ws
		return b
	}
	return &wsCall{ws: ws}
}

func (s *wsSpares) putCall(b *wsCall) {
	if len(s.calls) < callsKept && !b.messages.Large() {
		*b = wsCall{messages: b.messages.Emptied()}
		s.calls = append(s.calls, b)
	}
}

// Run implements conn.Call.
func (b *wsCall) Run(lead conn.Lead) {
	ws := b.ws
	if b.last {
		ws.tellEnd()
		return
	}
	if !ws.enter(lead) {
		return
	}
	b.ran = true
	defer func() { // also if the user's code ends its goroutine
		if ws.exit() {
			ws.tellEnd()
		}
	}()
	b.tell()
	b.returned = true
}

func (b *wsCall) tell() {
	ws := b.ws
	if b.open {
		ws.greet()
	}
	if f := ws.events.Message; f != nil {
		for i := range b.messages.Len() {
			f(ws, b.messages.Message(i))
		}
	}
	if b.inflate {
		b.tellInflated(ws)
	}
	if b.drain {
		ws.events.Drained(ws)
	}
}

// enter begins user code of the WebSocket. It reports false when that comes too late.
func (ws *WebSocket) enter(lead conn.Lead) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.order.Enter(lead)
}

// exit ends it, and reports whether the WebSocket ended meanwhile: then the caller calls
// tellEnd. The loop may not be there any more by now.
func (ws *WebSocket) exit() (tells bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.order.Exit()
}

// greet calls Open, unless it was called.
func (ws *WebSocket) greet() {
	ws.mu.Lock()
	greets := ws.order.Greet()
	ws.mu.Unlock()
	if greets && ws.events.Open != nil {
		ws.events.Open(ws)
	}
}

// tellEnd calls Close, behind everything else.
func (ws *WebSocket) tellEnd() {
	defer func() { // also if greet ends the goroutine
		if f := ws.events.Close; f != nil {
			f(ws, ws.CloseInfo())
		}
	}()
	ws.greet()
}

// tellInflated decompresses a message that costs too much for the loop.
func (b *wsCall) tellInflated(ws *WebSocket) {
	m, err := talk.Inflate(&ws.dec)
	if b.err = err; err == nil && ws.events.Message != nil {
		ws.events.Message(ws, m)
	}
}

// Detached implements conn.Call.
func (b *wsCall) Detached(*conn.Conn) {}

// Done implements conn.Call.
func (b *wsCall) Done(c *conn.Conn) {
	ws := b.ws
	last, err, failed := b.last, b.err, b.ran && !b.returned
	if ws.call == b {
		ws.call = nil
	}
	ws.w.ws.putCall(b)
	switch {
	case last:
		return
	case ws.ended:
		ws.dec.Release()
		return
	case c == nil || c.Closing():
		return // Closed is called
	case err != nil:
		ws.ending.HearError(err)
	case failed:
		ws.ending.HearError(errCallback)
	}
	ws.goOn(c)
}
