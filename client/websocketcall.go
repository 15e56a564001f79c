package client

import (
	"sync"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/wsock"
)

// wsCall is a call of the callbacks of one WebSocket: a conn.Call. It has what is to be
// told: that the WebSocket is open, some messages, that the queue has drained, that it is
// over, in this order.
type wsCall struct {
	ws      *WebSocket
	data    []byte // of the messages
	list    []wsSpan
	inflate bool // one more message is to be decompressed
	open    bool
	drain   bool
	last    bool

	err      error // of the decompression
	ran      bool  // it has begun to
	returned bool
}

type wsSpan struct {
	kind wsock.Opcode
	end  int
}

const (
	// batchBytes and batchMessages bound what is told in one go; a single message may be
	// longer.
	batchBytes    = 32 << 10
	batchMessages = 64

	callsKept     = 64
	callBytesKept = 64 << 10
)

// wsSpares are what the WebSockets of a loop lend each other, and have in common.
type wsSpares struct {
	calls    []*wsCall
	messages messageBuffers
	configs  map[int]*wsock.Config // by the limit of a message
}

// config returns what decoders with the given limit have in common.
func (s *wsSpares) config(maxMessage int) *wsock.Config {
	conf := s.configs[maxMessage]
	if conf == nil {
		if s.configs == nil {
			s.configs = make(map[int]*wsock.Config)
		}
		conf = &wsock.Config{Client: true, MaxMessage: maxMessage, Buffers: &s.messages, Inline: inflateInline}
		s.configs[maxMessage] = conf
	}
	return conf
}

// messageBuffers lends memory to messages that come in parts.
type messageBuffers struct{ free [][]byte }

const (
	messageBuffer      = 16 << 10
	messageBuffersKept = 64
)

// Take implements wsock.Buffers.
func (p *messageBuffers) Take(n int) []byte {
	if last := len(p.free) - 1; last >= 0 && n <= messageBuffer {
		b := p.free[last]
		p.free = p.free[:last]
		return b
	}
	return make([]byte, 0, max(n, min(messageBuffer, 2*n)))
}

// Put implements wsock.Buffers.
func (p *messageBuffers) Put(b []byte) {
	if cap(b) == messageBuffer && len(p.free) < messageBuffersKept {
		p.free = append(p.free, b[:0])
	}
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
	if len(s.calls) < callsKept && cap(b.data) <= callBytesKept {
		*b = wsCall{data: b.data[:0], list: b.list[:0]}
		s.calls = append(s.calls, b)
	}
}

// add adds a message.
func (b *wsCall) add(m wsock.Message) {
	b.data = append(b.data, m.Data...)
	b.list = append(b.list, wsSpan{m.Kind, len(b.data)})
}

func (b *wsCall) full() bool { return len(b.data) >= batchBytes || len(b.list) >= batchMessages }

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
		at := 0
		for _, m := range b.list {
			f(ws, wsock.Message{Kind: m.kind, Data: b.data[at:m.end:m.end]})
			at = m.end
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
	if ws.phase == wsOver {
		return false
	}
	ws.lead, ws.running = lead, true
	return true
}

// exit ends it, and reports whether the WebSocket ended meanwhile: then the caller calls
// tellEnd. The loop may not be there any more by now.
func (ws *WebSocket) exit() (tells bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.lead, ws.running = conn.Lead{}, false
	tells = ws.phase == wsOver && !ws.parted
	ws.parted = ws.parted || tells
	return tells
}

// greet calls Open, unless it was called.
func (ws *WebSocket) greet() {
	ws.mu.Lock()
	was := ws.greeted
	ws.greeted = true
	ws.mu.Unlock()
	if !was && ws.events.Open != nil {
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

var inflaters = sync.Pool{New: func() any { return new(wsock.Inflater) }}

// tellInflated decompresses a message that costs too much for the loop.
func (b *wsCall) tellInflated(ws *WebSocket) {
	z := inflaters.Get().(*wsock.Inflater)
	m, err := ws.dec.Inflate(z)
	inflaters.Put(z)
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
		ws.hear(lastWord{err: err})
	case failed:
		ws.hear(lastWord{err: errCallback})
	}
	ws.goOn(c)
}
