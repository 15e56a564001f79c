package fallback

import (
	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/ring"
)

// file is what is known of a descriptor: who waits for it and what it is ready
// for. A descriptor has at most one operation of each direction, and one poll.
type file struct {
	in   ring.Token // the armed receive or accept, 0 for none
	out  ring.Token // the unfinished send or connect
	poll ring.Token
	rest []byte // of the send
	sent int32  // of the send
	mask uint32 // of the poll
	gen  uint32 // counts the lives of the descriptor's number
	is_  fileState
}

type fileState uint8

const (
	fileRegistered fileState = 1 << iota // in the epoll set
	fileReadable                         // input was reported and not exhausted
	fileUnsure                           // a receive that fills no buffer need not be the last
	fileQueued                           // in Ring.ready or Ring.again
)

// life returns which life of its descriptor's number it is; f may be nil.
func (f *file) life() uint32 {
	if f == nil {
		return 0
	}
	return f.gen
}

func (f *file) is(s fileState) bool { return f.is_&s != 0 }
func (f *file) set(s fileState)     { f.is_ |= s }
func (f *file) clear(s fileState)   { f.is_ &^= s }

// files finds a file by its descriptor, and the descriptor by the slot of a token.
type files struct {
	chunks [][]file
	slots  []int32          // low slots: connections
	far    map[uint32]int32 // the others: listeners
}

const (
	fileChunk = 256
	farSlot   = 1 << 24 // slots from here on are few and far apart
)

// at returns the file of a descriptor, or nil when nothing is known of it.
func (t *files) at(fd int) *file {
	if fd < 0 || fd/fileChunk >= len(t.chunks) || t.chunks[fd/fileChunk] == nil {
		return nil
	}
	return &t.chunks[fd/fileChunk][fd%fileChunk]
}

func (t *files) get(fd int) *file {
	for fd/fileChunk >= len(t.chunks) {
		t.chunks = append(t.chunks, nil)
	}
	if t.chunks[fd/fileChunk] == nil {
		t.chunks[fd/fileChunk] = make([]file, fileChunk)
	}
	return &t.chunks[fd/fileChunk][fd%fileChunk]
}

// forget begins another life of a descriptor's number: events of the old one that
// are still to be looked at are recognised by their generation.
func (t *files) forget(fd int) {
	if f := t.at(fd); f != nil {
		if check.Enabled {
			check.That(f.in|f.out|f.poll == 0, "close of a descriptor with %v, %v, %v in flight", f.in, f.out, f.poll)
		}
		*f = file{gen: f.gen + 1}
	}
}

func (t *files) setSlot(slot uint32, fd int32) {
	if slot >= farSlot {
		if t.far == nil {
			t.far = make(map[uint32]int32)
		}
		t.far[slot] = fd
		return
	}
	for int(slot) >= len(t.slots) {
		t.slots = append(t.slots, -1)
	}
	t.slots[slot] = fd
}

func (t *files) ofSlot(slot uint32) int {
	if slot >= farSlot {
		if fd, ok := t.far[slot]; ok {
			return int(fd)
		}
		return -1
	}
	if int(slot) >= len(t.slots) {
		return -1
	}
	return int(t.slots[slot])
}
