package fallback

import (
	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/mapped"
)

// buffers are the receive buffers, a stack: the one used last is in the cache.
type buffers struct {
	mem    []byte
	size   int
	free   []uint16
	lent   int // buffers in the caller's hands
	closed bool
	out    []bool // which they are; kept in test builds only
}

func (b *buffers) open(count, size int) (err error) {
	if b.mem, err = mapped.Alloc(count * size); err != nil {
		return refused("map receive buffers", err)
	}
	b.size = size
	b.free = make([]uint16, 0, count)
	for i := count - 1; i >= 0; i-- {
		b.free = append(b.free, uint16(i))
	}
	if check.Enabled {
		b.out = make([]bool, count)
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
	b.lent++
	if b.out != nil {
		b.out[id] = true
	}
	at := int(id) * b.size
	return id, b.mem[at : at+b.size : at+b.size], true
}

func (b *buffers) give(id uint16) {
	if b.out != nil {
		check.That(b.out[id], "receive buffer %d released twice", id)
		b.out[id] = false
	}
	at := int(id) * b.size
	check.Poison(b.mem[at : at+b.size : at+b.size])
	b.free = append(b.free, id)
	b.lent--
	if b.closed {
		_ = b.close()
	}
}

// close frees the memory once the last buffer in the caller's hands is released.
func (b *buffers) close() error {
	b.closed = true
	if b.lent > 0 {
		return nil
	}
	mem := b.mem
	b.mem = nil
	return mapped.Free(mem)
}
