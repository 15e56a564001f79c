package fallback

import (
	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/mapped"
	"github.com/ringkit/ringkit/internal/ring"
)

// queue holds completions in order.
type queue struct {
	items []ring.Completion
	next  int
}

func (q *queue) len() int { return len(q.items) - q.next }

func (q *queue) push(t ring.Token, res int32, flags uint8) {
	q.items = append(q.items, ring.Completion{Token: t, Res: res, Flags: flags})
}

func (q *queue) pop(c *ring.Completion) bool {
	if q.next == len(q.items) {
		q.items, q.next = q.items[:0], 0
		return false
	}
	*c = q.items[q.next]
	q.next++
	return true
}

// buffers are the receive buffers, a stack: the one used last is in the cache.
type buffers struct {
	mem  []byte
	size int
	free []uint16
	lent []bool // kept in test builds only
}

func (b *buffers) open(count, size int) (err error) {
	if b.mem, err = mapped.Alloc(count * size); err != nil {
		return err
	}
	b.size = size
	b.free = make([]uint16, 0, count)
	for i := count - 1; i >= 0; i-- {
		b.free = append(b.free, uint16(i))
	}
	if check.Enabled {
		b.lent = make([]bool, count)
	}
	return nil
}

func (b *buffers) take() (id uint16, buf []byte, ok bool) {
	n := len(b.free)
	if n == 0 {
		return 0, nil, false
	}
	id = b.free[n-1]
	b.free = b.free[:n-1]
	if b.lent != nil {
		b.lent[id] = true
	}
	at := int(id) * b.size
	return id, b.mem[at : at+b.size : at+b.size], true
}

func (b *buffers) give(id uint16) {
	if b.lent != nil {
		check.That(b.lent[id], "receive buffer %d released twice", id)
		b.lent[id] = false
	}
	at := int(id) * b.size
	check.Poison(b.mem[at : at+b.size : at+b.size])
	b.free = append(b.free, id)
}
