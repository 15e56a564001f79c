package ringkit

import (
	"bytes"
	"context"
	"sync"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/talk"
	"github.com/ringkit/ringkit/wsock"
)

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

// send queues m. Who waits does so without leading the loop.
func (ch *Channel) send(ctx context.Context, m wsock.Message, overflow Overflow, last bool) error {
	if ch.ws != nil && ch.ws.enc.Agreed().Enabled && len(m.Data) >= wsock.DefaultThreshold {
		return ch.sendCompressed(ctx, m, overflow, last)
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if err := ch.admit(ctx, len(m.Data), overflow); err != nil {
		return err
	}
	last = last || ch.stream != nil && ch.opts.LongPoll
	return ch.endAfter(ch.enqueue(m, last), last)
}

// endAfter closes the channel behind its last message, if that was queued.
func (ch *Channel) endAfter(err error, last bool) error {
	if last && err == nil {
		ch.closeLocked(wsock.CloseNormal, "")
	}
	return err
}

// sendCompressed is send for a message that is worth being compressed.
func (ch *Channel) sendCompressed(ctx context.Context, m wsock.Message, overflow Overflow, last bool) error {
	z := talk.TakeCompressor()
	defer z.Free()
	if ch.ws.takesOver() {
		return ch.sendInTurn(ctx, len(m.Data), overflow, last, func() ([]byte, bool) {
			z.Frame = ch.ws.enc.AppendMessage(z.Frame[:0], m, &z.Deflater, wsock.Mask{})
			return z.Frame, false
		})
	}
	if ch.closed() {
		return ErrChannelClosed
	}
	z.Frame = ch.ws.enc.AppendMessage(z.Frame[:0], m, &z.Deflater, wsock.Mask{}) // which nothing depends on
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if err := ch.admit(ctx, len(z.Frame), overflow); err != nil {
		return err
	}
	return ch.endAfter(ch.enqueueFrame(z.Frame, false), last)
}

// sendInTurn queues a frame that depends on those before it: it is made when there is
// room for it, and queued before the next one is made.
func (ch *Channel) sendInTurn(ctx context.Context, n int, overflow Overflow, last bool, frame func() (b []byte, shared bool)) error {
	if err := ch.reserve(ctx, n, overflow); err != nil {
		return err
	}
	extra := ch.ws.extra
	defer ch.releaseEncoder() // if the channel ends meanwhile
	extra.encoding.Lock()
	defer extra.encoding.Unlock()
	b, shared := frame()
	ch.mu.Lock()
	defer ch.mu.Unlock()
	extra.coming -= n
	if ch.order.Phase != talk.Open {
		return ErrChannelClosed
	}
	return ch.endAfter(ch.enqueueFrame(b, shared), last)
}

func (ch *Channel) reserve(ctx context.Context, n int, overflow Overflow) error {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if err := ch.admit(ctx, n, overflow); err != nil {
		return err
	}
	ch.ws.extra.coming += n
	return nil
}

func (ch *Channel) closed() bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.order.Phase != talk.Open
}

// queued returns how much waits to be sent.
func (ch *Channel) queued() int {
	n := ch.unsent + ch.queue.Waiting()
	if ch.ws != nil && ch.ws.extra != nil {
		n += ch.ws.extra.coming
	}
	return n
}

// admit waits for room for n bytes, or makes it, or says why there is none.
func (ch *Channel) admit(ctx context.Context, n int, overflow Overflow) error {
	for {
		if ch.order.Phase != talk.Open {
			return ErrChannelClosed
		}
		if queued := ch.queued(); queued == 0 || queued+n <= ch.opts.HighWater {
			return nil
		}
		ch.full = true
		switch {
		case overflow == OverflowWait:
			if err := ch.await(ctx); err != nil {
				return err
			}
		case overflow == OverflowDropOldest && (ch.ws == nil || !ch.ws.takesOver()):
			if ch.queue.Pieces() == 0 {
				return nil
			}
			ch.queue.Drop()
		case overflow == OverflowClose:
			ch.needEnding().why = wsock.CloseInfo{Code: wsock.ClosePolicyViolation, Reason: "too slow", Err: errOverflow}
			ch.abort(errOverflow)
			return ErrChannelClosed
		default:
			return ErrChannelFull
		}
	}
}

// await waits, without mu, until there is room or the channel is over.
func (ch *Channel) await(ctx context.Context) error {
	room, lead := ch.queue.Room(), ch.order.Lead
	if lead.Hold() {
		ch.order.Left = true
		lead.Leave() // the loop makes the room
	}
	ch.mu.Unlock()
	defer ch.mu.Lock()
	select {
	case <-room:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// direct reports whether the caller leads the loop and nothing is to be sent before
// what it has: then it holds the lead, and c is the connection, or nil if that is over.
func (ch *Channel) direct() (c *conn.Conn, held bool) {
	if !ch.queue.Empty() || !ch.order.Lead.Hold() {
		return nil, false
	}
	if c = ch.conn(); c == nil || c.Closing() {
		return nil, true
	}
	if c.Queued() >= ch.share() {
		ch.order.Lead.Continue()
		return nil, false
	}
	return c, true
}

// wrote ends what direct has begun.
func (ch *Channel) wrote(c *conn.Conn) error {
	if c == nil {
		ch.order.Lead.Continue()
		return ErrChannelClosed
	}
	ch.unsent = c.Queued()
	ch.full = ch.full || ch.queued() > ch.opts.HighWater
	ch.order.Lead.Continue()
	return nil
}

// enqueue queues a message: on the connection if the caller leads the loop, otherwise
// for the loop to take.
func (ch *Channel) enqueue(m wsock.Message, last bool) error {
	if c, held := ch.direct(); held {
		if c != nil {
			ch.write(c, m, last)
		}
		return ch.wrote(c)
	}
	if ch.stream != nil && !ch.stream.headSent {
		ch.queue.SetHead(ch.stream.appendHeadFor(nil, ch.origin.srv, m, last))
	}
	b := ch.encode(make([]byte, 0, ch.size(len(m.Data))), m, last)
	if len(b) > 0 {
		ch.wait(b)
	}
	ch.post()
	return nil
}

// enqueueFrame is enqueue for a frame that has been made; shared says that it may be kept.
func (ch *Channel) enqueueFrame(frame []byte, shared bool) error {
	if c, held := ch.direct(); held {
		if c != nil {
			c.Write(frame)
		}
		return ch.wrote(c)
	}
	if !shared {
		frame = bytes.Clone(frame)
	}
	ch.wait(frame)
	ch.post()
	return nil
}

// wait adds what the connection is to be given later.
func (ch *Channel) wait(b []byte) {
	ch.queue.Add(b)
	ch.full = ch.full || ch.queued() > ch.opts.HighWater
}

// post has the loop look at the queue.
func (ch *Channel) post() {
	if !ch.queue.Posted() {
		ch.queue.Post(ch.origin.loop, ch.look)
	}
}

// size returns about how many bytes a message with n bytes of data takes.
func (ch *Channel) size(n int) int {
	if ch.stream != nil {
		n += ch.stream.headLength(ch.origin.srv)
	}
	return n + talk.FrameRoom
}

// encode appends m as it goes over the connection.
func (ch *Channel) encode(dst []byte, m wsock.Message, last bool) []byte {
	if ch.ws != nil {
		return ch.ws.enc.AppendMessage(dst, m, nil, wsock.Mask{})
	}
	return ch.stream.append(dst, ch, m, last)
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
		c := talk.TakeCompressor()
		defer c.Free()
		z = &c.Deflater
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
	n := len(p.m.Data)
	if ch.ws != nil && ch.ws.takesOver() {
		return ch.sendInTurn(context.Background(), n, overflow, false, func() ([]byte, bool) {
			return ch.ws.enc.Frame(p.frames), true
		})
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if err := ch.admit(context.Background(), n, overflow); err != nil {
		return err
	}
	if ch.ws == nil {
		return ch.endAfter(ch.enqueue(p.over(ch.stream), ch.opts.LongPoll), ch.opts.LongPoll)
	}
	return ch.enqueueFrame(ch.ws.enc.Frame(p.frames), true)
}
