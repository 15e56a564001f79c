package ringkit

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/wsock"
)

// Channel is a connection that both sides may use at any time: a WebSocket, or the
// answer to an HTTP request that is sent bit by bit or much later (streaming, long
// polling, server-sent events). [OpenChannel] makes one of a request.
//
// Its methods may be called by any goroutine, also when it is over: then they do
// nothing or return [ErrChannelClosed], and never touch another request.
type Channel struct {
	w      *worker
	origin *origin
	handle conn.Handle
	events Events
	opts   *ChannelOptions
	remote string
	route  route
	ws     *webSocket  // nil for HTTP
	stream *httpStream // nil for a WebSocket
	value  any         // under mu

	mu      sync.Mutex
	lead    conn.Lead // of the callback that runs
	phase   channelPhase
	pending [][]byte      // what the connection has not taken yet
	waiting int           // bytes in it
	unsent  int           // bytes the connection has not sent, when that was last looked at
	posted  bool          // task is on its way
	full    bool          // Drained is due when there is room again
	room    chan struct{} // closed when there is room, nil when nobody waits
	done    chan struct{} // closed when it is over, nil when nobody asked
	why     wsock.CloseInfo
	task    conn.Task

	gaveAway atomic.Bool // the lead, by a callback that waits

	// The rest is the loop's.
	callback *callback // that runs
	opened   bool      // Open was called, or is about to be
	drain    bool      // Drained is to be called
	held     bool      // by Pause
	ended    bool      // Close was called, or is about to be
	groups   []*members
}

type channelPhase uint8

const (
	channelOpen    channelPhase = iota
	channelClosing              // nothing more is accepted; what was is sent
	channelOver
)

// Events are the callbacks of a channel; each may be nil. For one channel they are called
// one at a time and in order: Open first, Close last, each exactly once. They run where
// handlers do, see [Mode], and may block: meanwhile no input of this connection is read.
type Events struct {
	// Open is called when the handler that opened the channel has returned.
	Open func(ch *Channel)

	// Message is called for each message of a WebSocket. Its data is valid until the
	// callback returns.
	Message func(ch *Channel, m wsock.Message)

	// Drained is called when a queue that was full has room again: it has gone
	// from above HighWater, or from where a Send was refused, to LowWater.
	Drained func(ch *Channel)

	// Close is called when the channel is over. For HTTP, a channel that was ended by
	// this side is clean with wsock.CloseNormal, and one whose client went away has
	// wsock.CloseAbnormal.
	Close func(ch *Channel, why wsock.CloseInfo)
}

// Overflow is what Send does when the queue of a channel is full.
type Overflow uint8

const (
	// OverflowError has Send return [ErrChannelFull]. It is the default.
	OverflowError Overflow = iota
	// OverflowWait has Send wait until there is room.
	OverflowWait
	// OverflowDropOldest drops messages that wait, the oldest first, until there is room.
	// Those that the connection has taken are beyond that.
	OverflowDropOldest
	// OverflowClose closes the channel, with wsock.ClosePolicyViolation.
	OverflowClose
)

// Defaults of [ChannelOptions].
const (
	DefaultMaxMessageBytes = 4 << 20
	DefaultHighWater       = 1 << 20
	DefaultLowWater        = 256 << 10
	DefaultPingInterval    = 30 * time.Second
	DefaultPongWait        = 10 * time.Second
	DefaultCloseWait       = 5 * time.Second
)

// ChannelOptions are settings of channels. The zero value of each is a safe default. They
// must not be changed once a channel was opened with them, and are shared by all that
// were.
type ChannelOptions struct {
	// Protocols are the subprotocols of a WebSocket that the server speaks. The first
	// of those the client offers that is among them is chosen.
	Protocols []string

	// CheckOrigin reports whether a page from origin, the value of that field, may open
	// a WebSocket on host, the value of Host. It is not asked when there is no Origin:
	// browsers always send one. The default is wsock.SameOrigin.
	CheckOrigin func(origin, host string) bool

	// NoCompression turns permessage-deflate off. Otherwise it is used when the client
	// offers it, for messages of at least 512 bytes. By default each message is
	// compressed by itself, so that a connection keeps no state for it.
	NoCompression bool

	// Compression has the details. Takeover costs up to 32 KiB per connection and
	// direction.
	Compression wsock.CompressionOptions

	// MaxMessageBytes bounds a message of a WebSocket, after inflation. What is longer
	// is refused with wsock.CloseMessageTooBig. 0 means the server's.
	MaxMessageBytes int

	// HighWater is up to how many bytes are queued to be sent; Overflow says what
	// happens beyond. A single message longer than that is accepted when nothing is
	// queued. LowWater is from where on there is room again. Defaults 1 MiB, 256 KiB.
	HighWater, LowWater int
	Overflow            Overflow

	// PingInterval is after how long a silent WebSocket gets a Ping, and PongWait how
	// long it may take to say anything then. Defaults 30 s and 10 s, negative
	// means never.
	PingInterval, PongWait time.Duration

	// CloseWait is how long the closing handshake of a WebSocket may take. Default 5 s.
	CloseWait time.Duration

	// LongPoll makes the first message on an HTTP channel the whole answer, as SendLast
	// does, so that the client asks again for the next.
	LongPoll bool

	// PollTimeout is how long an HTTP channel may be without anything to send: then
	// it is answered with a 204 and closed with [ErrPollTimeout]. 0 means for ever.
	PollTimeout time.Duration

	// Heartbeat is how often an HTTP channel that sends events gets a comment when there
	// is nothing else. Default 15 s, negative means never.
	Heartbeat time.Duration

	fixed fixedPointer // with the defaults
}

// Errors of channels.
var (
	ErrChannelClosed = errorString("the channel is closed")
	ErrChannelFull   = errorString("the queue of the channel is full")
	ErrPollTimeout   = errorString("there was nothing to send in time")
	ErrNoChannel     = errorString("the request cannot become a channel")

	errPongTimeout  = errorString("the peer did not answer a Ping in time")
	errCloseTimeout = errorString("the closing handshake took too long")
	errOverflow     = errorString("the peer reads too slowly")
)

// Text makes a text message of s, which has to be UTF-8.
func Text(s string) wsock.Message {
	// Nobody modifies the data of a message.
	return wsock.Message{Kind: wsock.Text, Data: unsafe.Slice(unsafe.StringData(s), len(s))}
}

// Binary makes a binary message of b.
func Binary(b []byte) wsock.Message { return wsock.Message{Kind: wsock.Binary, Data: b} }

// IsWebSocket reports whether the channel is a WebSocket; otherwise it is an answer over
// HTTP.
func (ch *Channel) IsWebSocket() bool { return ch.ws != nil }

// Protocol returns the subprotocol that was chosen, or "".
func (ch *Channel) Protocol() string {
	if ch.ws == nil {
		return ""
	}
	return ch.ws.protocol
}

// RemoteAddr returns the address of the peer, "host:port", or "" when it is unknown.
func (ch *Channel) RemoteAddr() string { return ch.remote }

// SetValue keeps a value with the channel, for its callbacks to find.
func (ch *Channel) SetValue(v any) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.value = v
}

// Value returns what SetValue was given last.
func (ch *Channel) Value() any {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.value
}

// Done returns a channel that is closed when this one is over. CloseInfo then says why.
func (ch *Channel) Done() <-chan struct{} {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.done == nil {
		ch.done = make(chan struct{})
		if ch.phase == channelOver {
			close(ch.done)
		}
	}
	return ch.done
}

// CloseInfo returns how the channel has ended, once Done is closed.
func (ch *Channel) CloseInfo() wsock.CloseInfo {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.why
}

// Queued returns how many bytes wait to be sent, about.
func (ch *Channel) Queued() int {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.waiting + ch.unsent
}

// Send queues a message: a message of a WebSocket, a piece of the answer over HTTP. The
// data can be used again when it returns. When the queue is full it does what the
// options say; the errors are [ErrChannelClosed] and [ErrChannelFull].
func (ch *Channel) Send(m wsock.Message) error {
	return ch.send(context.Background(), m, ch.opts.Overflow, false)
}

// SendContext is Send, but waits for room in the queue, whatever the options say, until
// ctx ends.
func (ch *Channel) SendContext(ctx context.Context, m wsock.Message) error {
	return ch.send(ctx, m, OverflowWait, false)
}

// SendLast sends m and closes the channel. Over HTTP it makes a complete answer with a
// Content-Length, if nothing was sent before.
func (ch *Channel) SendLast(m wsock.Message) error {
	return ch.send(context.Background(), m, ch.opts.Overflow, true)
}

// SendPrepared is Send for a message that was prepared once for many channels.
func (ch *Channel) SendPrepared(p *Prepared) error {
	return ch.sendPrepared(p, ch.opts.Overflow)
}

// Close closes the channel after what was sent before: a WebSocket with wsock.CloseNormal.
// The event Close comes later. It may be called several times.
func (ch *Channel) Close() { ch.CloseWith(wsock.CloseNormal, "") }

// CloseWith is Close with a code, of those a Close frame may have, and a reason of up to
// 123 bytes; what is longer is cut. HTTP knows neither. A code that may not be sent
// becomes wsock.CloseInternalError.
func (ch *Channel) CloseWith(code wsock.CloseCode, reason string) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.closeLocked(code, reason)
}

func (ch *Channel) closeLocked(code wsock.CloseCode, reason string) {
	if ch.phase != channelOpen {
		return
	}
	if !code.Valid() && code != wsock.CloseNoStatus {
		code = wsock.CloseInternalError
	}
	ch.phase = channelClosing
	ch.why = wsock.CloseInfo{Code: code, Reason: reason}
	ch.wakeSenders()
	ch.post()
}

// Abort ends the connection at once; what is queued is lost.
func (ch *Channel) Abort() {
	ch.w.loop.Do(func(*conn.Loop) {
		if c := ch.conn(); c != nil {
			c.Abort(ErrChannelClosed)
		}
	})
}

// Pause stops reading from a WebSocket until Resume: once its buffers are full the peer
// cannot send. Messages that have been received may still be delivered.
func (ch *Channel) Pause() { ch.setHeld(true) }

// Resume ends Pause.
func (ch *Channel) Resume() { ch.setHeld(false) }

func (ch *Channel) setHeld(held bool) {
	if ch.ws == nil {
		return
	}
	ch.w.loop.Do(func(*conn.Loop) {
		c := ch.conn()
		if c == nil || ch.held == held {
			return
		}
		ch.held = held
		switch {
		case !ch.opened: // start looks at held
		case held:
			c.Hold()
		default:
			c.Resume()
		}
	})
}

// send queues m. Who waits does so without leading the loop.
func (ch *Channel) send(ctx context.Context, m wsock.Message, overflow Overflow, last bool) error {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if err := ch.admit(ctx, len(m.Data), overflow); err != nil {
		return err
	}
	last = last || ch.stream != nil && ch.opts.LongPoll
	z := ch.deflater(len(m.Data))
	err := ch.enqueue(ch.size(len(m.Data)), func(dst []byte) []byte { return ch.encode(dst, m, z, last) })
	putDeflater(z)
	if last && err == nil {
		ch.closeLocked(wsock.CloseNormal, "")
	}
	return err
}

// frameRoom is more than a frame or a chunk has around its data.
const frameRoom = 32

// size returns about how many bytes a message with n bytes of data takes.
func (ch *Channel) size(n int) int {
	if ch.stream != nil {
		n += ch.stream.headLength(ch.w.srv)
	}
	return n + frameRoom
}

// encode appends m as it goes over the connection.
func (ch *Channel) encode(dst []byte, m wsock.Message, z *wsock.Deflater, last bool) []byte {
	if ch.ws != nil {
		return ch.ws.enc.AppendMessage(dst, m, z, wsock.Mask{})
	}
	return ch.stream.append(dst, ch, m, last)
}

// admit waits for room for n bytes, or makes it, or says why there is none.
func (ch *Channel) admit(ctx context.Context, n int, overflow Overflow) error {
	for {
		if ch.phase != channelOpen {
			return ErrChannelClosed
		}
		queued := ch.waiting + ch.unsent
		if queued == 0 || queued+n <= ch.opts.HighWater {
			return nil
		}
		ch.full = true
		switch overflow {
		case OverflowWait:
			if err := ch.await(ctx); err != nil {
				return err
			}
		case OverflowDropOldest:
			if ch.waiting == 0 {
				return ErrChannelFull
			}
			ch.dropOldest()
		case OverflowClose:
			ch.abandon()
			return ErrChannelClosed
		default:
			return ErrChannelFull
		}
	}
}

// await waits, without mu, until there is room or the channel is over.
func (ch *Channel) await(ctx context.Context) error {
	if ch.room == nil {
		ch.room = make(chan struct{})
	}
	room, lead := ch.room, ch.lead
	ch.mu.Unlock()
	defer ch.mu.Lock()
	if lead.Hold() {
		ch.gaveAway.Store(true)
		lead.Leave() // the loop makes the room
	}
	select {
	case <-room:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (ch *Channel) wakeSenders() {
	if ch.room != nil {
		close(ch.room)
		ch.room = nil
	}
}

// dropOldest drops the message that has waited longest.
func (ch *Channel) dropOldest() {
	if ch.stream != nil && ch.stream.headWaits {
		// The head of the answer is not to be lost with its first piece.
		ch.stream.headSent, ch.stream.headWaits = false, false
	}
	ch.waiting -= len(ch.pending[0])
	ch.pending[0] = nil
	if ch.pending = ch.pending[1:]; len(ch.pending) == 0 {
		ch.pending = nil
	}
}

// abandon ends a channel whose peer does not read, without waiting for it.
func (ch *Channel) abandon() {
	ch.pending, ch.waiting = nil, 0
	ch.phase = channelClosing
	ch.why = wsock.CloseInfo{Code: wsock.ClosePolicyViolation, Reason: "too slow", Err: errOverflow}
	ch.wakeSenders()
	ch.w.loop.Do(func(*conn.Loop) {
		if c := ch.conn(); c != nil {
			c.Abort(errOverflow)
		}
	})
}

// enqueue queues n bytes at most, which appending makes: on the connection if the caller
// leads the loop and nothing is before them, otherwise for the loop to take.
func (ch *Channel) enqueue(n int, appending func([]byte) []byte) error {
	if len(ch.pending) == 0 && ch.lead.Hold() {
		c := ch.conn()
		if c == nil || c.Closing() {
			ch.lead.Continue()
			return ErrChannelClosed
		}
		ch.write(c, n, appending)
		if ch.stream != nil {
			ch.stream.headWaits = false
		}
		ch.unsent = c.Queued()
		ch.lead.Continue()
		return nil
	}
	b := appending(make([]byte, 0, n))
	if len(b) == 0 {
		return nil
	}
	ch.pending = append(ch.pending, b)
	ch.waiting += len(b)
	ch.post()
	return nil
}

// post has the loop look at the queue.
func (ch *Channel) post() {
	if !ch.posted {
		ch.posted = true
		ch.task.Value = ch.look
		ch.w.loop.Post(&ch.task)
	}
}

// deflaters are for those who send: a loop should not have to compress what is long.
var deflaters = sync.Pool{New: func() any { return new(wsock.Deflater) }}

// deflater returns what compresses a message of n bytes, nil if nothing does.
func (ch *Channel) deflater(n int) *wsock.Deflater {
	if ch.ws == nil || !ch.ws.compresses || n < wsock.DefaultThreshold {
		return nil
	}
	return deflaters.Get().(*wsock.Deflater)
}

func putDeflater(z *wsock.Deflater) {
	if z != nil {
		deflaters.Put(z)
	}
}

// Prepared is a message that was encoded, and compressed, once, to be sent on many
// channels. It is safe for concurrent use.
type Prepared struct {
	m      wsock.Message
	frames *wsock.Prepared
	event  func() []byte // m as the data of an event
}

// Prepare prepares m, which it copies.
func Prepare(m wsock.Message) *Prepared {
	m.Data = append([]byte(nil), m.Data...)
	return prepare(m, func() []byte {
		e := ServerEvent{Data: string(m.Data)}
		return e.Append(nil)
	})
}

// PrepareEvent is Prepare for an event: a channel that sends events gets it whole, any
// other its data as a text message.
func PrepareEvent(e ServerEvent) *Prepared {
	return prepare(Text(e.Data), func() []byte { return e.Append(nil) })
}

func prepare(m wsock.Message, event func() []byte) *Prepared {
	var z *wsock.Deflater
	if len(m.Data) >= wsock.DefaultThreshold {
		z = deflaters.Get().(*wsock.Deflater)
		defer deflaters.Put(z)
	}
	return &Prepared{m, wsock.Prepare(m, z), sync.OnceValue(event)}
}

// over returns the message as it goes over an answer.
func (p *Prepared) over(s *httpStream) wsock.Message {
	if s.events {
		return wsock.Message{Kind: wsock.Text, Data: p.event()}
	}
	return p.m
}

func (ch *Channel) sendPrepared(p *Prepared, overflow Overflow) error {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if err := ch.admit(context.Background(), len(p.m.Data), overflow); err != nil {
		return err
	}
	if ch.ws == nil {
		m, last := p.over(ch.stream), ch.opts.LongPoll
		err := ch.enqueue(ch.size(len(m.Data)), func(dst []byte) []byte { return ch.encode(dst, m, nil, last) })
		if last && err == nil {
			ch.closeLocked(wsock.CloseNormal, "")
		}
		return err
	}
	frame := ch.ws.enc.Frame(p.frames)
	if len(ch.pending) == 0 && ch.lead.Hold() {
		c := ch.conn()
		if c == nil || c.Closing() {
			ch.lead.Continue()
			return ErrChannelClosed
		}
		c.Write(frame)
		ch.unsent = c.Queued()
		ch.lead.Continue()
		return nil
	}
	ch.pending = append(ch.pending, frame)
	ch.waiting += len(frame)
	ch.post()
	return nil
}
