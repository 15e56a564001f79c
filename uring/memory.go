package uring

import (
	"unsafe"

	"github.com/ringkit/ringkit/internal/mapped"
)

// mapRings maps the two rings (one mapping since 5.4), the submission entries,
// and a page for the arguments of io_uring_enter.
func (r *Ring) mapRings(p *params) (err error) {
	size := max(int(p.CQOffset.Cqes)+int(p.CQEntries)*cqeSize, int(p.SQOffset.Array)+int(p.SQEntries)*4)
	if r.ringMem, err = mapped.File(r.fd, offRings, size); err != nil {
		return refused("map the rings", err)
	}
	if r.sqeMem, err = mapped.File(r.fd, offSQEs, int(p.SQEntries)*sqeSize); err != nil {
		return refused("map the submission entries", err)
	}
	if r.scratch, err = mapped.Alloc(argSize + int(unsafe.Sizeof(timespec{}))); err != nil {
		return refused("map the arguments", err)
	}
	r.arg = (*getEventsArg)(unsafe.Pointer(&r.scratch[0]))
	r.ts = (*timespec)(unsafe.Pointer(&r.scratch[argSize]))
	r.mapSQ(p)
	r.mapCQ(p)
	return nil
}

func (r *Ring) word(offset uint32) *uint32 {
	return (*uint32)(unsafe.Pointer(&r.ringMem[offset]))
}

func (r *Ring) mapSQ(p *params) {
	q, off := &r.sq, p.SQOffset
	q.tail, q.flags = r.word(off.Tail), r.word(off.Flags)
	q.entries, q.mask = p.SQEntries, p.SQEntries-1
	q.entry = unsafe.Slice((*sqe)(unsafe.Pointer(&r.sqeMem[0])), p.SQEntries)
	if r.setup&setupNoSQArray == 0 {
		array := unsafe.Slice(r.word(off.Array), p.SQEntries)
		for i := range array {
			array[i] = uint32(i)
		}
	}
}

func (r *Ring) mapCQ(p *params) {
	q, off := &r.cq, p.CQOffset
	q.head, q.tail, q.overflow = r.word(off.Head), r.word(off.Tail), r.word(off.Overflow)
	q.mask = p.CQEntries - 1
	q.entry = unsafe.Slice((*cqe)(unsafe.Pointer(&r.ringMem[off.Cqes])), p.CQEntries)
}
