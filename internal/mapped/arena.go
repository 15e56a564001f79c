package mapped

import "github.com/ringkit/ringkit/internal/check"

// Block sizes of an arena, in bytes. The smallest is a page, the largest is what
// one response may occupy before it is sent in pieces.
const (
	MinBlock   = 4 << 10
	MaxBlock   = 64 << 10
	numClasses = 3 // 4, 16 and 64 KiB
	slabBytes  = 256 << 10
	// keepBytes of free blocks per class stay resident. Beyond that Trim has those that
	// are not used give their pages back, so that a burst does not stay in memory for ever.
	keepBytes = 1 << 20

	// trimBlocks is how many give them back at a time: each costs a system call.
	trimBlocks = 64
)

// Block is a piece of mapped memory for outgoing data. B is what has been written
// so far; it grows by append-like use of its spare capacity, never by append
// itself past cap (that would move the data to the Go heap).
type Block struct {
	B     []byte
	Next  *Block // the owner's, to queue blocks; nil in a block from Get
	class uint8
	used  bool
}

// Arena hands out blocks. It belongs to one loop and is not safe for concurrent use.
type Arena struct {
	hot  [numClasses]stack // free, pages resident, most recently used first
	cold [numClasses]stack // free, pages given back
	over bool              // there may be more hot ones than are kept
	maps [][]byte
	live int
}

type stack struct {
	top   *Block
	n     int
	low   int // the least n since Trim began to count
	stale int // so many were not used in the time before that
}

func (s *stack) push(b *Block) {
	b.Next = s.top
	s.top = b
	s.n++
}

func (s *stack) pop() *Block {
	b := s.top
	if b != nil {
		s.top, b.Next = b.Next, nil
		s.n--
		s.low = min(s.low, s.n)
	}
	return b
}

func classSize(c uint8) int { return MinBlock << (2 * c) }

// Get returns an empty block with room for at least n bytes, n <= MaxBlock.
// It fails only when the system has no memory left.
func (a *Arena) Get(n int) (*Block, error) {
	var c uint8
	for classSize(c) < n {
		c++
	}
	b := a.hot[c].pop()
	if b == nil {
		b = a.cold[c].pop()
	}
	if b == nil {
		if err := a.grow(c); err != nil {
			return nil, err
		}
		b = a.hot[c].pop()
	}
	check.That(!b.used, "block handed out twice")
	b.used = true
	b.B = b.B[:0]
	a.live++
	return b, nil
}

// Put takes a block back. No operation of the kernel may refer to it any more.
func (a *Arena) Put(b *Block) {
	check.That(b.used, "block freed twice")
	check.That(cap(b.B) == classSize(b.class), "B is not the block's memory any more")
	check.Poison(b.B)
	b.used = false
	a.live--
	s := &a.hot[b.class]
	s.push(b)
	a.over = a.over || s.n > kept(b.class)
}

// kept returns how many free blocks of a class stay resident.
func kept(c uint8) int { return keepBytes / classSize(c) }

// Excess reports whether more free blocks are resident than are kept: then Trim should be
// called, now and then, until it is false.
func (a *Arena) Excess() bool { return a.over }

// Trim gives back the pages of free blocks beyond those kept. What is used again and again
// keeps them, since they would have to come back one fault each: it is what has not been
// used between two calls that goes. It reports whether there is more of that, which
// should not wait for as long.
func (a *Arena) Trim() (more bool) {
	left := trimBlocks
	for c := range a.hot {
		s := &a.hot[c]
		for s.stale = min(s.stale, s.n-kept(uint8(c))); s.stale > 0; s.stale-- {
			if left == 0 {
				return true
			}
			left--
			a.cool(uint8(c))
		}
	}
	if left < trimBlocks {
		a.over = a.exceeds()
		return false
	}
	for c := range a.hot {
		s := &a.hot[c]
		s.stale = max(0, min(s.low, s.n-kept(uint8(c))))
		s.low = s.n
		more = more || s.stale > 0
	}
	a.over = a.exceeds()
	return more
}

func (a *Arena) exceeds() bool {
	for c := range a.hot {
		if a.hot[c].n > kept(uint8(c)) {
			return true
		}
	}
	return false
}

// cool has one free block give its pages back.
func (a *Arena) cool(c uint8) {
	b := a.hot[c].pop()
	if Discard(b.B[:classSize(c)]) != nil {
		a.hot[c].push(b)
		return
	}
	a.cold[c].push(b)
}

// Live returns how many blocks are in use.
func (a *Arena) Live() int { return a.live }

func (a *Arena) grow(c uint8) error {
	m, err := Alloc(slabBytes)
	if err != nil {
		return err
	}
	a.maps = append(a.maps, m)
	size := classSize(c)
	blocks := make([]Block, slabBytes/size)
	for i := range blocks {
		b := &blocks[i]
		b.B = m[i*size : i*size : (i+1)*size]
		b.class = c
		a.hot[c].push(b)
	}
	return nil
}

// Close unmaps everything. All blocks must be free or at least out of the
// kernel's reach.
func (a *Arena) Close() error {
	var err error
	for _, m := range a.maps {
		if e := Free(m); e != nil {
			err = e
		}
	}
	*a = Arena{}
	return err
}
