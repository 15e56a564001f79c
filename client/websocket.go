package client

import (
	"fmt"
	"net/http"
	"os"
	"sync"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
	"github.com/ringkit/ringkit/internal/talk"
	"github.com/ringkit/ringkit/wsock"
)

// WebSocket is the client's end of a WebSocket (RFC 6455). It lives on an event loop of
// its [Transport], where an idle one costs no goroutine. [Client.Dial] and
// [WebSocketOptions.Dial] make one.
//
// Its methods may be called by any goroutine, also when it is over: then they do nothing
// or return [ErrWebSocketClosed].
type WebSocket struct {
	w      *worker
	link   *link
	handle conn.Handle
	events Events
	opts   *WebSocketOptions
	head   []byte // of the response
	proto  string

	mu     sync.Mutex
	value  any
	order  talk.Order    // of the callbacks
	queue  talk.Queue    // what waits to be sent
	full   bool          // Drained is due when there is room again
	coming int           // bytes of messages that are being compressed
	unsent int           // bytes the connection has not sent, when that was last looked at
	done   chan struct{} // closed when it is over, nil when nobody asked
	why    wsock.CloseInfo

	// enc changes, with encoding held, only if the context is taken over. encoding is
	// locked before mu.
	enc      wsock.Encoder
	encoding sync.Mutex
	agreed   wsock.Compression

	// The rest is the loop's, but for dec while a callback decompresses.
	dec    wsock.Decoder
	ending talk.Ending
	heard  int64   // when something was received last, on the loop's clock
	call   *wsCall // that runs, or is about to
	pinged bool    // a Ping waits for a sign of life
	drain  bool    // Drained is to be called
	held   bool    // by Pause
	ended  bool    // Close was called, or is about to be
}

// Events are the callbacks of a WebSocket; each may be nil. They are called one at a time
// and in order: Open first, Close last, each exactly once. They run on the event loop,
// whose other connections go on without it if one takes longer than a millisecond or two,
// and may block: meanwhile nothing is read from this connection. A panic in a callback is
// a panic of the program; one that ends its goroutine ends the WebSocket, with
// wsock.CloseInternalError.
type Events struct {
	// Open is called when the handshake is over, possibly before Dial has returned.
	Open func(ws *WebSocket)

	// Message is called for each message. Its data is valid until the callback returns.
	// What the server sent before its Close is told first, and what is sent in answer
	// goes out before the closing handshake is completed.
	Message func(ws *WebSocket, m wsock.Message)

	// Drained is called when a queue that was full has room again: it has gone from
	// above HighWater, or from where a Send found no room, to LowWater.
	Drained func(ws *WebSocket)

	// Close is called when the WebSocket is over.
	Close func(ws *WebSocket, why wsock.CloseInfo)
}

// Errors of WebSockets. That of one whose server did not answer in time matches
// os.ErrDeadlineExceeded.
var (
	ErrWebSocketClosed = errorString("the WebSocket is closed")
	ErrWebSocketFull   = errorString("the queue of the WebSocket is full")

	errPongTimeout  = fmt.Errorf("ringkit/client: the server did not answer a Ping in time: %w", os.ErrDeadlineExceeded)
	errCloseTimeout = fmt.Errorf("ringkit/client: the closing handshake took too long: %w", os.ErrDeadlineExceeded)
	errOverflow     = errorString("the server reads too slowly")
	errCallback     = errorString("a callback of the WebSocket ended its goroutine")
)

// errorString is an error of this package that is returned as it is.
type errorString string

func (e errorString) Error() string { return "ringkit/client: " + string(e) }

// Protocol returns the subprotocol that the server has chosen, or "".
func (ws *WebSocket) Protocol() string { return ws.proto }

// Response returns what the server has answered to the handshake. It is made anew by each
// call, and has no body and no Request.
func (ws *WebSocket) Response() *http.Response {
	var r http1.Response
	r.Reset(http1.GET)
	resp := &http.Response{Body: http.NoBody, TLS: ws.link.tlsState}
	if _, err := r.Parse(ws.head, &ws.w.t.limits); err != nil {
		panic(err) // it was parsed before
	}
	headOf(&r, resp, nil)
	return resp
}

// SetValue keeps a value with the WebSocket, for its callbacks to find.
func (ws *WebSocket) SetValue(v any) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.value = v
}

// Value returns what SetValue was given last.
func (ws *WebSocket) Value() any {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.value
}

// Done returns a channel that is closed when the WebSocket is over. CloseInfo then says
// why.
func (ws *WebSocket) Done() <-chan struct{} {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.done == nil {
		ws.done = make(chan struct{})
		if ws.order.Phase == talk.Over {
			close(ws.done)
		}
	}
	return ws.done
}

// CloseInfo returns how the WebSocket has ended, once Done is closed.
func (ws *WebSocket) CloseInfo() wsock.CloseInfo {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.why
}

// Queued returns how many bytes wait to be sent, about.
func (ws *WebSocket) Queued() int {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.queued()
}

// Close closes the WebSocket after what was sent before, with wsock.CloseNormal. The
// event Close comes later. It may be called several times.
func (ws *WebSocket) Close() { ws.CloseWith(wsock.CloseNormal, "") }

// CloseWith is Close with a code, of those a Close frame may have, and a reason of up to
// 123 bytes; what is longer is cut. A code that may not be sent becomes
// wsock.CloseInternalError.
func (ws *WebSocket) CloseWith(code wsock.CloseCode, reason string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.order.Phase != talk.Open {
		return
	}
	if !code.Valid() && code != wsock.CloseNoStatus {
		code = wsock.CloseInternalError
	}
	ws.order.Phase = talk.Closing
	ws.why = wsock.CloseInfo{Code: code, Reason: reason}
	ws.queue.Wake()
	ws.post()
}

// Abort ends the connection at once; what is queued is lost.
func (ws *WebSocket) Abort() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.abort(ErrWebSocketClosed)
}

// abort ends the connection because of err; mu is held.
func (ws *WebSocket) abort(err error) {
	if ws.order.Phase >= talk.Aborting {
		return
	}
	ws.order.Phase = talk.Aborting
	ws.queue.Clear()
	ws.w.loop.Do(func(*conn.Loop) {
		if c := ws.conn(); c != nil {
			c.Abort(err)
		}
	})
}

// Pause stops reading until Resume or Close: once its buffers are full the server cannot
// send. Messages that have been received may still be told. Meanwhile it is not found out
// whether the server is there: there are no Pings.
func (ws *WebSocket) Pause() { ws.setHeld(true) }

// Resume ends Pause.
func (ws *WebSocket) Resume() { ws.setHeld(false) }

func (ws *WebSocket) setHeld(held bool) {
	ws.w.loop.Do(func(*conn.Loop) {
		c := ws.conn()
		if c == nil || ws.held == held {
			return
		}
		if ws.held = held; held {
			c.Hold()
		} else {
			c.Resume()
		}
	})
}
