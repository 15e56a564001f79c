package conn

import (
	"github.com/ringkit/ringkit/internal/ring"
)

// table holds the connections of a loop by slot. Connections live in chunks so
// that they never move, and a million of them are few objects for the collector.
type table struct {
	chunks [][]Conn
	free   []uint32
	live   int // slots in use

	files  uint32   // slots that have a place in the ring's table of files
	beyond []uint32 // free slots that have none; empty if there is no table
	ends   [][]ends // by slot, of those that have
}

// chunkSize is such that a chunk has no page of its own that is not full: 512 times 176
// bytes are 11 of the allocator's, 256 would take 6 for 5.5.
const chunkSize = 512

func (t *table) at(slot uint32) *Conn {
	chunk := slot / chunkSize
	if int(chunk) >= len(t.chunks) {
		return nil
	}
	c := &t.chunks[chunk][slot%chunkSize]
	if c.phase == phaseFree {
		return nil
	}
	return c
}

// slots returns how many there are, in use or not.
func (t *table) slots() uint32 { return uint32(len(t.chunks)) * chunkSize }

// endsOf returns where the addresses of a direct connection are.
func (t *table) endsOf(slot uint32) *ends { return &t.ends[slot/chunkSize][slot%chunkSize] }

func (t *table) take() *Conn {
	free := &t.free
	if len(*free) == 0 && len(t.beyond) == 0 {
		t.grow()
	}
	if len(*free) == 0 {
		free = &t.beyond
	}
	slot := (*free)[len(*free)-1]
	*free = (*free)[:len(*free)-1]
	t.live++
	return &t.chunks[slot/chunkSize][slot%chunkSize]
}

func (t *table) grow() {
	chunk := make([]Conn, chunkSize)
	first := t.slots()
	t.chunks = append(t.chunks, chunk)
	if first < t.files {
		t.ends = append(t.ends, make([]ends, chunkSize))
	}
	for i := chunkSize - 1; i >= 0; i-- {
		chunk[i].slot = first + uint32(i)
		t.release(chunk[i].slot)
	}
}

func (t *table) release(slot uint32) {
	if t.files > 0 && slot >= t.files {
		t.beyond = append(t.beyond, slot)
		return
	}
	t.free = append(t.free, slot)
}

// put recycles a slot: its generation moves on, so that whatever still names the
// old connection finds nothing.
func (t *table) put(c *Conn) {
	slot, gen := c.slot, c.gen
	*c = Conn{slot: slot, gen: (gen + 1) & ring.MaxGeneration}
	t.release(slot)
	t.live--
}

func (t *table) each(f func(*Conn)) {
	for i := range t.chunks {
		for j := range t.chunks[i] {
			if c := &t.chunks[i][j]; c.phase != phaseFree {
				f(c)
			}
		}
	}
}

// Each calls f for every connection that has not ended, also for one that is
// being closed.
func (l *Loop) Each(f func(*Conn)) {
	l.table.each(func(c *Conn) {
		if c.phase != phaseStopping {
			f(c)
		}
	})
}

// Handle names a connection for goroutines other than the loop's. It is a value,
// and stays harmless when the connection is gone; so is the zero value.
type Handle struct {
	loop *Loop
	slot uint32
	gen  uint32
}

// Handle returns the connection's handle.
func (c *Conn) Handle() Handle { return Handle{c.loop, c.slot, c.gen} }

// Slot returns the connection's place in its loop, a small number that is used again
// by others when the connection is gone.
func (h Handle) Slot() uint32 { return h.slot }

// Loop returns the loop to send tasks to. Any goroutine may call it.
func (h Handle) Loop() *Loop { return h.loop }

// Conn returns the connection, or nil when it is closed. It is for the loop's
// goroutine.
func (h Handle) Conn() *Conn {
	if h.loop == nil {
		return nil
	}
	c := h.loop.table.at(h.slot)
	if c == nil || c.gen != h.gen || c.phase == phaseStopping {
		return nil
	}
	return c
}
