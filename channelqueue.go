package ringkit

import "github.com/ringkit/ringkit/conn"

// channelQueue is what a channel has besides while something waits to be sent, or somebody
// waits to send. The channel's mutex guards it.
type channelQueue struct {
	head    []byte        // of the answer, as long as it waits
	pending [][]byte      // what the connection has not taken yet, behind that
	first   [1][]byte     // where pending begins: mostly one message waits
	waiting int           // what pending counts for, see pieceCost
	room    chan struct{} // closed when there is room, nil when nobody waits
	task    conn.Task     // has the loop look
	posted  bool          // task is on its way
}

// pieceCost is what a message that waits counts for beside its bytes: what it takes to
// keep it, without which small ones would be many.
const pieceCost = 48

// needQueue returns the queue, and makes it where there is none.
func (ch *Channel) needQueue() *channelQueue {
	if ch.queue == nil {
		ch.queue = new(channelQueue)
		ch.queue.pending = ch.queue.first[:0]
	}
	return ch.queue
}

// freeQueue gives the queue up when there is nothing in it.
func (ch *Channel) freeQueue() {
	if b := ch.queue; b != nil && b.empty() && b.room == nil && !b.posted {
		ch.queue = nil
	}
}

// clearQueue forgets what waits.
func (ch *Channel) clearQueue() {
	if b := ch.queue; b != nil {
		b.head, b.pending, b.waiting = nil, nil, 0
		b.first[0] = nil
	}
	ch.wakeSenders()
	ch.freeQueue()
}

// empty reports whether nothing waits; b may be nil.
func (b *channelQueue) empty() bool { return b == nil || b.head == nil && len(b.pending) == 0 }

// pieces returns how many messages wait; b may be nil.
func (b *channelQueue) pieces() int {
	if b == nil {
		return 0
	}
	return len(b.pending)
}

// add adds what the connection is to be given later.
func (b *channelQueue) add(p []byte) {
	b.pending = append(b.pending, p)
	b.waiting += len(p) + pieceCost
}

// take takes what has waited longest.
func (b *channelQueue) take() []byte {
	p := b.pending[0]
	b.pending[0] = nil
	b.waiting -= len(p) + pieceCost
	if b.pending = b.pending[1:]; len(b.pending) == 0 {
		b.pending = nil
	}
	return p
}

// post has the loop look at the queue.
func (ch *Channel) post() {
	if b := ch.needQueue(); !b.posted {
		b.posted = true
		b.task.Value = ch.look
		ch.origin.loop.Post(&b.task)
	}
}

// wakeSenders has those look again who wait for room.
func (ch *Channel) wakeSenders() {
	if b := ch.queue; b != nil && b.room != nil {
		close(b.room)
		b.room = nil
	}
}
