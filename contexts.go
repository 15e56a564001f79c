package ringkit

import (
	"sync/atomic"

	"github.com/ringkit/ringkit/internal/talk"
	"github.com/ringkit/ringkit/wsock"
)

// DefaultMaxContextBytes is enough for 2048 WebSockets whose context is taken over in both
// directions with the largest window.
const DefaultMaxContextBytes = 128 << 20

// contexts is the budget of a server for the windows of WebSockets whose context is taken
// over.
type contexts struct {
	most    int64 // negative for none
	used    atomic.Int64
	refused atomic.Uint64
}

// take takes n bytes, if there are as many.
func (b *contexts) take(n int) bool {
	for {
		used := b.used.Load()
		if b.most >= 0 && used+int64(n) > b.most {
			b.refused.Add(1)
			return false
		}
		if b.used.CompareAndSwap(used, used+int64(n)) {
			return true
		}
	}
}

// give gives them back.
func (b *contexts) give(n int) {
	if n > 0 {
		b.used.Add(int64(-n))
	}
}

// accept answers an offer of compression, without takeover if there is no memory for it
// (RFC 7692, section 7.1.1). What is agreed on has been taken out of the budget.
func (b *contexts) accept(o wsock.CompressionOptions, offers []string) (agreed wsock.Compression, answer string, err error) {
	agreed, answer, err = o.Accept(offers)
	received, sent := agreed.Windows(false)
	if received+sent == 0 || b.take(received+sent) {
		return agreed, answer, err
	}
	o.ServerTakeover, o.ClientTakeover = false, false
	return o.Accept(offers)
}

// giveContexts gives back what a handshake has taken that led to nothing.
func (hs *wsHandshake) giveContexts(srv *Server) {
	received, sent := hs.agreed.Windows(false)
	srv.contexts.give(received + sent)
}

// releaseEncoder gives up the window of what was sent, once the channel is over; or leaves
// that to who is just encoding, and calls it then.
func (ch *Channel) releaseEncoder() {
	x := ch.ws.extra
	if x == nil || !ch.isOver() || !x.encoding.TryLock() {
		return
	}
	defer x.encoding.Unlock()
	ch.ws.enc.Release()
	ch.origin.srv.contexts.give(x.sent)
	x.sent = 0
}

func (ch *Channel) isOver() bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.order.Phase == talk.Over
}
