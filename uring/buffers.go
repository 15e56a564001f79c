package uring

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"unsafe"

	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/mapped"
)

const bufGroup = 0

// buffers are the receive buffers of a ring, contiguous in one mapping. With a
// provided-buffer ring (5.19) the kernel takes them in the order they were given;
// without it they are a stack.
type buffers struct {
	mem   []byte
	size  int
	count int

	ringFD int
	ring   []byte // entries shared with the kernel; nil without a buffer ring
	tail   uint16 // not yet published
	shown  uint16
	bid0   uint16 // buffer in entry 0, whose last two bytes are the ring's tail

	free []uint16 // the stack without a buffer ring

	lent   int // buffers in the caller's hands
	closed bool
	out    []bool // which they are; kept in test builds only
}

// bufEntry is struct io_uring_buf (5.19) without its last field, which in the
// first entry is the tail and must not be written with the rest.
type bufEntry struct {
	addr uint64
	len  uint32
	bid  uint16
}

func (b *buffers) open(ringFD, count, size int, kernelRing bool) (err error) {
	b.size, b.count = size, count
	if b.mem, err = mapped.Alloc(count * size); err != nil {
		return refused("map receive buffers", err)
	}
	if check.Enabled {
		b.out = make([]bool, count)
	}
	if !kernelRing {
		b.free = make([]uint16, 0, count)
	} else if err := b.register(ringFD); err != nil {
		return err
	}
	for i := range count {
		b.add(uint16(i))
	}
	b.publish()
	return nil
}

func (b *buffers) register(ringFD int) (err error) {
	if b.ring, err = mapped.Alloc(b.count * pbufEntrySize); err != nil {
		return refused("map the buffer ring", err)
	}
	reg := bufReg{ringAddr: address(b.ring), ringEntries: uint32(b.count), bgid: bufGroup}
	if err := register(ringFD, registerPbufRing, unsafe.Pointer(&reg), 1); err != nil {
		return refused("register the buffer ring", err)
	}
	b.ringFD = ringFD
	return nil
}

// take returns buffer id cut to n bytes, as the receiver sees it.
func (b *buffers) take(id uint16, n int) []byte {
	if b.out != nil {
		check.That(!b.out[id], "receive buffer %d delivered twice", id)
		b.out[id] = true
	}
	b.lent++
	at := int(id) * b.size
	return b.mem[at : at+n : at+b.size]
}

// give returns a buffer to the kernel, or to the stack.
func (b *buffers) give(id uint16) {
	if b.out != nil {
		check.That(b.out[id], "receive buffer %d released twice", id)
		b.out[id] = false
	}
	at := int(id) * b.size
	check.Poison(b.mem[at : at+b.size : at+b.size])
	b.lent--
	if b.closed {
		_ = b.freeUnused()
		return
	}
	b.add(id)
}

func (b *buffers) add(id uint16) {
	if b.ring == nil {
		b.free = append(b.free, id)
		return
	}
	i := int(b.tail) & (b.count - 1)
	e := (*bufEntry)(unsafe.Pointer(&b.ring[i*pbufEntrySize]))
	e.addr = address(b.mem[int(id)*b.size:])
	e.len = uint32(b.size)
	if i == 0 {
		b.bid0 = id
	} else {
		e.bid = id
	}
	b.tail++
}

func (b *buffers) pop() (uint16, bool) {
	n := len(b.free)
	if n == 0 {
		return 0, false
	}
	id := b.free[n-1]
	b.free = b.free[:n-1]
	return id, true
}

// publish shows the kernel the buffers added since the last call. The tail is 16
// bits wide, a width Go has no atomic store for: the store covers the bid of
// entry 0 beside it as well, which nobody else writes.
func (b *buffers) publish() {
	if b.ring == nil || b.tail == b.shown {
		return
	}
	b.shown = b.tail
	var v [4]byte
	binary.NativeEndian.PutUint16(v[0:], b.bid0)
	binary.NativeEndian.PutUint16(v[2:], b.tail)
	word := (*uint32)(unsafe.Pointer(&b.ring[pbufTailOffset-2]))
	atomic.StoreUint32(word, binary.NativeEndian.Uint32(v[:]))
}

// close frees the memory once the kernel is done with it, and the buffers in the
// caller's hands when the last of them is released.
func (b *buffers) close() error {
	b.closed = true
	err := mapped.Free(b.ring)
	b.ring = nil
	return errors.Join(err, b.freeUnused())
}

func (b *buffers) freeUnused() error {
	if b.lent > 0 {
		return nil
	}
	mem := b.mem
	b.mem = nil
	return mapped.Free(mem)
}
