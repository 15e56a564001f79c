package ringkit

import (
	"fmt"
	"os"
	"sync"
	"time"
	"unsafe"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/talk"
	"github.com/ringkit/ringkit/wsock"
)

// Channel is a connection that both sides may use at any time: a WebSocket, or the
// answer to an HTTP request that is sent bit by bit or much later (streaming, long
// polling, server-sent events). [OpenChannel] makes one of a request.
//
// Its methods may be called by any goroutine, also when it is over: then they do
// nothing or return [ErrChannelClosed], and never touch another request.
type Channel struct {
	origin *origin // which has the worker
	handle conn.Handle
	events Events
	opts   *ChannelOptions
	remote string
	ws     *webSocket  // nil for HTTP
	stream *httpStream // nil for a WebSocket

	mu     sync.Mutex
	value  *any       // of SetValue, which few call
	order  talk.Order // of the callbacks and, before them, the handler that opened the channel
	queue  talk.Queue // what waits to be sent; its head is that of the answer
	ending *ending    // nil until that begins, or somebody asks
	unsent int        // bytes the connection has not sent, when that was last looked at
	full   bool       // Drained is due when there is room again

	// The rest is the loop's.
	opened   bool // the handler that opened the channel is over
	drain    bool // Drained is to be called
	held     bool // by Pause
	pinged   bool // a Ping waits for a sign of life
	ended    bool // Close was called, or is about to be
	route    route
	callback *callback   // that runs, or is about to
	groups   *membership // the first of them
}

// ending is how a channel ends.
type ending struct {
	done chan struct{} // closed when it is over, nil when nobody asked
	why  wsock.CloseInfo
}

// needEnding returns what is known of the channel's end, to be changed; mu is held.
func (ch *Channel) needEnding() *ending {
	if ch.ending == nil {
		ch.ending = new(ending)
	}
	return ch.ending
}

// why returns how the channel ends, as far as that is known; mu is held.
func (ch *Channel) why() wsock.CloseInfo {
	if ch.ending == nil {
		return wsock.CloseInfo{}
	}
	return ch.ending.why
}

// Events are the callbacks of a channel; each may be nil. For one channel they are called
// one at a time and in order: Open first, Close last, each exactly once. They run where
// handlers do, see [Mode], and may block: meanwhile no input of this connection is read.
// One that panics, or ends its goroutine, ends the channel: a WebSocket with
// wsock.CloseInternalError, an answer over HTTP with a 500 or, once it has begun, cut
// short. So does a handler that has opened a channel.
type Events struct {
	// Open is called when the handler that opened the channel has returned.
	Open func(ch *Channel)

	// Message is called for each message of a WebSocket. Its data is valid until the
	// callback returns. What the peer sent before its Close is told first, and what is
	// sent in answer goes out before the closing handshake is completed.
	Message func(ch *Channel, m wsock.Message)

	// Drained is called when a queue that was full has room again: it has gone
	// from above HighWater, or from where a Send found no room, to LowWater.
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
	// OverflowDropOldest drops messages that wait, the oldest first, until there is room
	// or nothing to drop: the last one is always accepted. The connection takes up to half
	// of HighWater, 256 KiB at most, and what it has taken is sent. As messages that
	// are lost cannot be referred to, Compression.ServerTakeover has no effect.
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
	// direction, and is agreed on only while Server.MaxContextBytes has room for it.
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

	// CloseWait is how long a WebSocket waits for the peer's Close once its own has been
	// sent. Default 5 s, negative means for ever.
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

	errPongTimeout  = fmt.Errorf("ringkit: the peer did not answer a Ping in time: %w", os.ErrDeadlineExceeded)
	errCloseTimeout = fmt.Errorf("ringkit: the closing handshake took too long: %w", os.ErrDeadlineExceeded)
	errOverflow     = errorString("the peer reads too slowly")
	errCallback     = errorString("a callback or handler of the channel failed")
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
	return ch.ws.protocol()
}

// RemoteAddr returns the address of the peer, "host:port", or "" when it is unknown.
func (ch *Channel) RemoteAddr() string { return ch.remote }

// SetValue keeps a value with the channel, for its callbacks to find.
func (ch *Channel) SetValue(v any) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.value = &v
}

// Value returns what SetValue was given last.
func (ch *Channel) Value() any {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.value == nil {
		return nil
	}
	return *ch.value
}

// Done returns a channel that is closed when this one is over. CloseInfo then says why.
func (ch *Channel) Done() <-chan struct{} {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	end := ch.needEnding()
	if end.done == nil {
		end.done = make(chan struct{})
		if ch.order.Phase == talk.Over {
			close(end.done)
		}
	}
	return end.done
}

// CloseInfo returns how the channel has ended, once Done is closed.
func (ch *Channel) CloseInfo() wsock.CloseInfo {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.why()
}

// Queued returns how many bytes wait to be sent, about.
func (ch *Channel) Queued() int {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.queued()
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
	if ch.order.Phase != talk.Open {
		return
	}
	if !code.Valid() && code != wsock.CloseNoStatus {
		code = wsock.CloseInternalError
	}
	ch.order.Phase = talk.Closing
	ch.needEnding().why = wsock.CloseInfo{Code: code, Reason: reason}
	ch.queue.Wake()
	ch.post()
}

// Abort ends the connection at once; what is queued is lost.
func (ch *Channel) Abort() {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.abort(ErrChannelClosed)
}

// abort ends the connection because of err; mu is held.
func (ch *Channel) abort(err error) {
	if ch.order.Phase >= talk.Aborting {
		return
	}
	ch.order.Phase = talk.Aborting
	ch.queue.Clear()
	ch.origin.loop.Do(func(*conn.Loop) {
		if c := ch.conn(); c != nil {
			c.Abort(err)
		}
	})
}

// Pause stops reading from a WebSocket until Resume or Close: once its buffers are full
// the peer cannot send. Messages that have been received may still be delivered.
// Meanwhile it is not found out whether the peer is there: there are no Pings.
func (ch *Channel) Pause() { ch.setHeld(true) }

// Resume ends Pause.
func (ch *Channel) Resume() { ch.setHeld(false) }

func (ch *Channel) setHeld(held bool) {
	if ch.ws == nil {
		return
	}
	ch.origin.loop.Do(func(*conn.Loop) {
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
