package client

import (
	"bytes"
	"context"
	"unsafe"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/talk"
	"github.com/ringkit/ringkit/wsock"
)

// Send queues a message. The data, which is UTF-8 if it is a text, can be used again when
// it returns. When the queue is full it does what the options say; the errors are
// [ErrWebSocketClosed] and [ErrWebSocketFull].
func (ws *WebSocket) Send(m wsock.Message) error {
	return ws.send(context.Background(), m, ws.opts.Overflow)
}

// SendText is Send for a text message of s, which has to be UTF-8.
func (ws *WebSocket) SendText(s string) error {
	// Nobody modifies the data of a message.
	return ws.Send(wsock.Message{Kind: wsock.Text, Data: unsafe.Slice(unsafe.StringData(s), len(s))})
}

// SendContext is Send, but waits for room in the queue, whatever the options say, until
// ctx ends.
func (ws *WebSocket) SendContext(ctx context.Context, m wsock.Message) error {
	return ws.send(ctx, m, OverflowWait)
}

// send queues m. Who waits does so without leading the loop.
func (ws *WebSocket) send(ctx context.Context, m wsock.Message, overflow Overflow) error {
	if ws.agreed.Enabled && len(m.Data) >= wsock.DefaultThreshold {
		return ws.sendCompressed(ctx, m, overflow)
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if err := ws.admit(ctx, len(m.Data), overflow); err != nil {
		return err
	}
	if c, held := ws.direct(); held {
		if c != nil {
			ws.write(c, m)
		}
		return ws.wrote(c)
	}
	ws.wait(wsock.AppendMessage(make([]byte, 0, len(m.Data)+talk.FrameRoom), m, newMask()))
	return nil
}

// sendCompressed is send for a message that is worth being compressed.
func (ws *WebSocket) sendCompressed(ctx context.Context, m wsock.Message, overflow Overflow) error {
	z := talk.TakeCompressor()
	defer z.Free()
	if ws.takesOver() {
		return ws.sendInTurn(ctx, m, overflow, z)
	}
	if ws.closed() {
		return ErrWebSocketClosed
	}
	z.Frame = ws.enc.AppendMessage(z.Frame[:0], m, &z.Deflater, newMask()) // which nothing depends on
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if err := ws.admit(ctx, len(z.Frame), overflow); err != nil {
		return err
	}
	return ws.enqueueFrame(z.Frame)
}

// sendInTurn queues a message whose frame depends on those before it: it is made when
// there is room for it, and queued before the next one is made.
func (ws *WebSocket) sendInTurn(ctx context.Context, m wsock.Message, overflow Overflow, z *talk.Compressor) error {
	n := len(m.Data)
	if err := ws.reserve(ctx, n, overflow); err != nil {
		return err
	}
	ws.encoding.Lock()
	defer ws.encoding.Unlock()
	z.Frame = ws.enc.AppendMessage(z.Frame[:0], m, &z.Deflater, newMask())
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.coming -= n
	if ws.order.Phase != talk.Open {
		return ErrWebSocketClosed
	}
	return ws.enqueueFrame(z.Frame)
}

func (ws *WebSocket) reserve(ctx context.Context, n int, overflow Overflow) error {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if err := ws.admit(ctx, n, overflow); err != nil {
		return err
	}
	ws.coming += n
	return nil
}

func (ws *WebSocket) closed() bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.order.Phase != talk.Open
}

// queued returns how much waits to be sent.
func (ws *WebSocket) queued() int { return ws.queue.Waiting() + ws.coming + ws.unsent }

// admit waits for room for n bytes, or makes it, or says why there is none.
func (ws *WebSocket) admit(ctx context.Context, n int, overflow Overflow) error {
	for {
		if ws.order.Phase != talk.Open {
			return ErrWebSocketClosed
		}
		if queued := ws.queued(); queued == 0 || queued+n <= ws.opts.HighWater {
			return nil
		}
		ws.full = true
		switch overflow {
		case OverflowWait:
			if err := ws.await(ctx); err != nil {
				return err
			}
		case OverflowDropOldest:
			if ws.queue.Pieces() == 0 {
				return nil
			}
			ws.queue.Drop()
		case OverflowClose:
			ws.why = wsock.CloseInfo{Code: wsock.ClosePolicyViolation, Reason: "too slow", Err: errOverflow}
			ws.abort(errOverflow)
			return ErrWebSocketClosed
		default:
			return ErrWebSocketFull
		}
	}
}

// await waits, without mu, until there is room or the WebSocket is over.
func (ws *WebSocket) await(ctx context.Context) error {
	room, lead := ws.queue.Room(), ws.order.Lead
	if lead.Hold() {
		lead.Leave() // the loop makes the room
	}
	ws.mu.Unlock()
	defer ws.mu.Lock()
	select {
	case <-room:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// direct reports whether the caller leads the loop and nothing is to be sent before
// what it has: then it holds the lead, and c is the connection, or nil if that is over.
func (ws *WebSocket) direct() (c *conn.Conn, held bool) {
	if !ws.queue.Empty() || !ws.order.Lead.Hold() {
		return nil, false
	}
	if c = ws.conn(); c == nil || c.Closing() {
		return nil, true
	}
	if c.Queued() >= ws.share() {
		ws.order.Lead.Continue()
		return nil, false
	}
	return c, true
}

// wrote ends what direct has begun.
func (ws *WebSocket) wrote(c *conn.Conn) error {
	if c == nil {
		ws.order.Lead.Continue()
		return ErrWebSocketClosed
	}
	ws.unsent = c.Queued()
	ws.full = ws.full || ws.queued() > ws.opts.HighWater
	ws.order.Lead.Continue()
	return nil
}

// enqueueFrame queues a frame: on the connection if the caller leads the loop, otherwise
// a copy for the loop to take.
func (ws *WebSocket) enqueueFrame(frame []byte) error {
	if c, held := ws.direct(); held {
		if c != nil {
			c.Write(frame)
		}
		return ws.wrote(c)
	}
	ws.wait(bytes.Clone(frame))
	return nil
}

// wait adds what the connection is to be given later.
func (ws *WebSocket) wait(b []byte) {
	ws.queue.Add(b)
	ws.full = ws.full || ws.queued() > ws.opts.HighWater
	ws.post()
}

// post has the loop look at the queue.
func (ws *WebSocket) post() {
	if !ws.queue.Posted() {
		ws.queue.Post(ws.w.loop, ws.look)
	}
}
