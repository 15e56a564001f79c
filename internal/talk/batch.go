package talk

import "github.com/ringkit/ringkit/wsock"

// Batch is copies of messages, to be told in one go. It belongs to the loop, and while
// they are told to who tells them.
type Batch struct {
	data []byte
	list []span
}

type span struct {
	kind wsock.Opcode
	end  int
}

const (
	// batchBytes and batchMessages bound what is told in one go; a single message may be
	// longer.
	batchBytes    = 32 << 10
	batchMessages = 64

	batchKept = 64 << 10
)

// Add adds a message.
func (b *Batch) Add(m wsock.Message) {
	b.data = append(b.data, m.Data...)
	b.list = append(b.list, span{m.Kind, len(b.data)})
}

// Full reports whether it is to be told before more is added.
func (b *Batch) Full() bool { return len(b.data) >= batchBytes || len(b.list) >= batchMessages }

// Len returns how many messages there are.
func (b *Batch) Len() int { return len(b.list) }

// Message returns one of them. Its data cannot be appended to in place.
func (b *Batch) Message(i int) wsock.Message {
	from, m := 0, b.list[i]
	if i > 0 {
		from = b.list[i-1].end
	}
	return wsock.Message{Kind: m.kind, Data: b.data[from:m.end:m.end]}
}

// Large reports whether its memory is not worth being kept.
func (b *Batch) Large() bool { return cap(b.data) > batchKept }

// Emptied returns an empty batch with the same memory.
func (b *Batch) Emptied() Batch { return Batch{b.data[:0], b.list[:0]} }
