package client

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ringkit/ringkit/http1"
	"github.com/ringkit/ringkit/wsock"
)

// Overflow is what Send does when the queue of a WebSocket is full.
type Overflow uint8

const (
	// OverflowError has Send return [ErrWebSocketFull]. It is the default.
	OverflowError Overflow = iota
	// OverflowWait has Send wait until there is room.
	OverflowWait
	// OverflowDropOldest drops messages that wait, the oldest first, until there is room
	// or nothing to drop: the last one is always accepted. The connection takes up to half
	// of HighWater, 256 KiB at most, and what it has taken is sent. As messages that
	// are lost cannot be referred to, Compression.ClientTakeover has no effect.
	OverflowDropOldest
	// OverflowClose ends the WebSocket, with wsock.ClosePolicyViolation.
	OverflowClose
)

// Defaults of [WebSocketOptions].
const (
	DefaultMaxMessageBytes = 4 << 20
	DefaultHighWater       = 1 << 20
	DefaultLowWater        = 256 << 10
	DefaultPingInterval    = 30 * time.Second
	DefaultPongWait        = 10 * time.Second
	DefaultCloseWait       = 5 * time.Second
)

// WebSocketOptions are settings of WebSockets. The zero value of each is a safe default.
// They must not be changed once they have been used, and are shared by all WebSockets
// that were made with them.
type WebSocketOptions struct {
	// Client has the transport, cookies, and with its Timeout another bound on the
	// handshake. nil means DefaultClient.
	Client *Client

	// Header is sent with the handshake. What belongs to that cannot be set. A Host in it
	// is what the server is called instead of the host of the URL.
	Header http.Header

	// Origin is sent as Origin, for servers that ask for one (RFC 6455, section 4.1).
	Origin string

	// Protocols are the subprotocols that are offered, in order of preference.
	Protocols []string

	// NoCompression turns permessage-deflate off. Otherwise it is offered, and used for
	// messages of at least 512 bytes if the server accepts it. By default each message is
	// compressed by itself, so that a connection keeps no state for it.
	NoCompression bool

	// Compression has the details. Takeover costs up to 32 KiB per connection and
	// direction.
	Compression wsock.CompressionOptions

	// MaxMessageBytes bounds a message that is received, after inflation. What is longer
	// is refused with wsock.CloseMessageTooBig. Default 4 MiB.
	MaxMessageBytes int

	// HighWater is up to how many bytes are queued to be sent; Overflow says what
	// happens beyond. A single message longer than that is accepted when nothing is
	// queued. LowWater is from where on there is room again. Defaults 1 MiB, 256 KiB.
	HighWater, LowWater int
	Overflow            Overflow

	// PingInterval is after how long a silent server gets a Ping, and PongWait how long
	// it may take to say anything then. Defaults 30 s and 10 s, negative means never.
	PingInterval, PongWait time.Duration

	// CloseWait is how long the server's Close is waited for once that of this side has
	// been sent. Default 5 s, negative means for ever.
	CloseWait time.Duration

	fixed atomic.Pointer[WebSocketOptions] // with the defaults
}

// resolved returns the options with their defaults, as far as an open WebSocket needs them.
func (o *WebSocketOptions) resolved() *WebSocketOptions {
	if r := o.fixed.Load(); r != nil {
		return r
	}
	r := &WebSocketOptions{
		Overflow:        o.Overflow,
		MaxMessageBytes: orDefault(o.MaxMessageBytes, DefaultMaxMessageBytes),
		HighWater:       orDefault(o.HighWater, DefaultHighWater),
		LowWater:        max(0, orDefault(o.LowWater, DefaultLowWater)),
		PingInterval:    timeout(o.PingInterval, DefaultPingInterval),
		PongWait:        timeout(o.PongWait, DefaultPongWait),
		CloseWait:       timeout(o.CloseWait, DefaultCloseWait),
	}
	r.LowWater = min(r.LowWater, r.HighWater)
	if r.PongWait == 0 {
		r.PingInterval = 0 // a Ping that needs no answer finds out nothing
	}
	o.fixed.Store(r)
	return r
}

// compression returns what is offered.
func (o *WebSocketOptions) compression() wsock.CompressionOptions {
	options := o.Compression
	if o.Overflow == OverflowDropOldest {
		options.ClientTakeover = false // who is to inflate a message needs those before
	}
	return options
}

// header returns what a handshake with the given key has.
func (o *WebSocketOptions) header(key string) (http.Header, error) {
	h := make(http.Header, len(o.Header)+7)
	for name, values := range o.Header {
		switch name = http.CanonicalHeaderKey(name); name {
		case "Host":
			continue
		case "Connection", "Upgrade", "Content-Length", "Transfer-Encoding", "Trailer", "Expect",
			"Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Protocol", "Sec-Websocket-Extensions",
			"Sec-Websocket-Accept":
			return nil, fmt.Errorf("the field %q cannot be set for a WebSocket", name)
		}
		h[name] = values
	}
	if o.Origin != "" {
		h["Origin"] = []string{o.Origin}
	}
	h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	h["Sec-WebSocket-Key"], h["Sec-WebSocket-Version"] = []string{key}, []string{wsock.Version}
	for i, p := range o.Protocols {
		if !http1.ValidToken(p) {
			return nil, fmt.Errorf("the subprotocol %q is no token", p)
		}
		for _, other := range o.Protocols[:i] {
			if other == p {
				return nil, fmt.Errorf("the subprotocol %q is offered twice", p)
			}
		}
	}
	if len(o.Protocols) > 0 {
		h["Sec-WebSocket-Protocol"] = []string{strings.Join(o.Protocols, ", ")}
	}
	if !o.NoCompression {
		options := o.compression()
		h["Sec-WebSocket-Extensions"] = []string{options.Offer()}
	}
	return h, nil
}
