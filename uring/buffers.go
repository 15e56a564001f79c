package uring

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/mapped"
)

// buffers are the receive buffers of a ring. With provided-buffer rings (5.19) they are
// in groups, which the kernel takes in the order they were given; without they are a
// stack. The first group is there from the beginning. Another, as large as all before it
// together, is made when connections find no buffer, and given back when so many have not
// been used for a while.
//
// A receive takes from the group it was armed with. When that is gone, it ends as one that
// found no buffer, and is armed again with another.
type buffers struct {
	size   int
	first  int // buffers of the first group, 1<<shift
	shift  int
	most   int // in all groups
	groups []bufferGroup
	leave  *bufferGroup // has been taken away from the kernel; completions may still have its buffers

	ringFD int
	want   bool // the newest group was used up
	next   int  // what picks the group, once there are as many as there may be
	peak   int  // the most delivered between two calls of publish, since the last trim

	free []uint16 // the stack without a buffer ring

	lent   int // buffers in the caller's hands
	closed bool
	out    map[uint16]bool // which they are; kept in test builds only
}

// bufferGroup are buffers with consecutive numbers, contiguous in one mapping.
type bufferGroup struct {
	mem   []byte
	from  int // the number of the first
	count int

	ring  []byte // entries shared with the kernel; nil without a buffer ring
	tail  uint16 // not yet published
	shown uint16
	bid0  uint16 // buffer in entry 0, whose last two bytes are the ring's tail
	used  int    // delivered since the last publish
	bytes int    // that were in them
}

// bufEntry is struct io_uring_buf (5.19) without its last field, which in the
// first entry is the tail and must not be written with the rest.
type bufEntry struct {
	addr uint64
	len  uint32
	bid  uint16
}

func (b *buffers) open(ringFD, count, most, size int, kernelRing bool) error {
	b.ringFD, b.size, b.first, b.most = ringFD, size, count, most
	b.shift = bits.Len(uint(count - 1))
	if check.Enabled {
		b.out = make(map[uint16]bool)
	}
	if kernelRing {
		return b.grow()
	}
	// One is taken for each receive and given back before the next: there is no want.
	mem, err := mapped.Alloc(count * size)
	if err != nil {
		return refused("map receive buffers", err)
	}
	b.groups = []bufferGroup{{mem: mem, count: count}}
	b.free = make([]uint16, 0, count)
	for i := range count {
		b.free = append(b.free, uint16(i))
	}
	return nil
}

// groupOf returns the group of a buffer: the sizes of groups are 1, 1, 2, 4 ... times
// that of the first.
func (b *buffers) groupOf(id int) int { return bits.Len(uint(id) >> b.shift) }

func (b *buffers) total() int {
	last := &b.groups[len(b.groups)-1]
	return last.from + last.count
}

// grow makes one more group.
func (b *buffers) grow() (err error) {
	g := bufferGroup{count: b.first}
	if len(b.groups) > 0 {
		g.from = b.total()
		g.count = g.from
	}
	if g.mem, err = mapped.Alloc(g.count * b.size); err != nil {
		return refused("map receive buffers", err)
	}
	if g.ring, err = mapped.Alloc(g.count * pbufEntrySize); err != nil {
		err = refused("map the buffer ring", err)
	} else {
		reg := bufReg{ringAddr: address(g.ring), ringEntries: uint32(g.count), bgid: uint16(len(b.groups))}
		if err = register(b.ringFD, registerPbufRing, unsafe.Pointer(&reg), 1); err != nil {
			err = refused("register the buffer ring", err)
		}
	}
	if err != nil {
		return errors.Join(err, g.unmap())
	}
	for i := range g.count {
		g.add(g.from+i, b.size)
	}
	g.publish()
	b.groups = append(b.groups, g)
	return nil
}

// pick returns the number of the group for a receive that is armed: the newest, which has
// been made for those that found nothing in the others. With as many groups as there may
// be, those that find nothing go round.
func (b *buffers) pick() uint16 {
	if b.want {
		b.want = false
		if b.leave == nil && b.total() < b.most && b.grow() != nil {
			b.most = b.total() // there is no memory for more
		}
	}
	if b.total() < b.most {
		return uint16(len(b.groups) - 1)
	}
	b.next = (b.next + b.first) % b.total()
	return uint16(b.groupOf(b.next))
}

// missed is called when a receive found no buffer. Nobody says in which group: it is time
// for another when the newest has been used. But not where buffers come full: what has more
// to say than that waits in its socket as well, and a turn that goes through less memory
// finds it in the cache.
func (b *buffers) missed() {
	newest := &b.groups[len(b.groups)-1]
	if newest.ring != nil && 2*newest.used >= newest.count && newest.bytes <= newest.used*b.size/4 {
		b.want = true
	}
}

// excess reports whether there is something to trim.
func (b *buffers) excess() bool { return len(b.groups) > 1 || b.leave != nil }

// trim takes the newest group away from the kernel, when half of the others would have
// been enough since the last time. reaped says that all completions there were have been
// read: the memory of a group that was taken away before can be given back.
func (b *buffers) trim(reaped bool) {
	if b.leave != nil && reaped && b.lent == 0 {
		_ = b.leave.unmap()
		b.leave = nil
	}
	n := len(b.groups) - 1
	if n > 0 && b.leave == nil && 2*b.peak <= b.groups[n].from {
		reg := bufReg{bgid: uint16(n)}
		if register(b.ringFD, unregisterPbufRing, unsafe.Pointer(&reg), 1) == nil {
			g := b.groups[n]
			b.leave, b.groups = &g, b.groups[:n]
		}
	}
	b.peak, b.want = 0, false
}

// take returns buffer id cut to n bytes, as the receiver sees it.
func (b *buffers) take(id uint16, n int) []byte {
	if b.out != nil {
		check.That(!b.out[id], "receive buffer %d delivered twice", id)
		b.out[id] = true
	}
	b.lent++
	g := b.holder(id)
	g.used++
	g.bytes += n
	at := (int(id) - g.from) * b.size
	return g.mem[at : at+n : at+b.size]
}

// holder returns the group with the memory of a buffer.
func (b *buffers) holder(id uint16) *bufferGroup {
	if i := b.groupOf(int(id)); i < len(b.groups) {
		return &b.groups[i]
	}
	return b.leave
}

// give returns a buffer to the kernel, or to the stack.
func (b *buffers) give(id uint16) {
	g := b.holder(id)
	if check.Enabled {
		check.That(b.out[id], "receive buffer %d released twice", id)
		delete(b.out, id)
		at := (int(id) - g.from) * b.size
		check.Poison(g.mem[at : at+b.size : at+b.size])
	}
	b.lent--
	switch {
	case b.closed:
		_ = b.freeUnused()
	case g.ring == nil:
		b.free = append(b.free, id)
	case g != b.leave:
		g.add(int(id), b.size)
	}
}

func (g *bufferGroup) add(id, size int) {
	i := int(g.tail) & (g.count - 1)
	e := (*bufEntry)(unsafe.Pointer(&g.ring[i*pbufEntrySize]))
	e.addr = address(g.mem[(id-g.from)*size:])
	e.len = uint32(size)
	if i == 0 {
		g.bid0 = uint16(id)
	} else {
		e.bid = uint16(id)
	}
	g.tail++
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

// publish shows the kernel the buffers added since the last call.
func (b *buffers) publish() {
	if len(b.groups) == 1 {
		b.groups[0].publish()
		return
	}
	used := 0
	for i := range b.groups {
		used += b.groups[i].used
		b.groups[i].publish()
	}
	b.peak = max(b.peak, used)
}

// publish shows the kernel the buffers that were added. The tail is 16
// bits wide, a width Go has no atomic store for: the store covers the bid of
// entry 0 beside it as well, which nobody else writes.
func (g *bufferGroup) publish() {
	if g.used, g.bytes = 0, 0; g.ring == nil || g.tail == g.shown {
		return
	}
	g.shown = g.tail
	var v [4]byte
	binary.NativeEndian.PutUint16(v[0:], g.bid0)
	binary.NativeEndian.PutUint16(v[2:], g.tail)
	word := (*uint32)(unsafe.Pointer(&g.ring[pbufTailOffset-2]))
	atomic.StoreUint32(word, binary.NativeEndian.Uint32(v[:]))
}

// close frees the memory once the kernel is done with it, and the buffers in the
// caller's hands when the last of them is released.
func (b *buffers) close() error {
	b.closed = true
	return b.freeUnused()
}

func (b *buffers) freeUnused() (err error) {
	if b.lent > 0 {
		return nil
	}
	for i := range b.groups {
		err = errors.Join(err, b.groups[i].unmap())
	}
	if b.leave != nil {
		err = errors.Join(err, b.leave.unmap())
	}
	b.groups, b.leave = nil, nil
	return err
}

func (g *bufferGroup) unmap() error {
	err := errors.Join(mapped.Free(g.ring), mapped.Free(g.mem))
	g.ring, g.mem = nil, nil
	return err
}
