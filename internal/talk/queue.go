package talk

import "github.com/ringkit/ringkit/conn"

// Queue is what waits to be sent, and who waits to send. It takes one word as long as
// that is nothing and nobody. The owner's mutex guards it.
type Queue struct{ q *queue }

type queue struct {
	head    []byte        // goes before all else
	pending [][]byte      // what the connection has not taken yet, behind that
	first   [1][]byte     // where pending begins: mostly one message waits
	waiting int           // what pending counts for, see pieceCost
	room    chan struct{} // closed when there is room, nil when nobody waits
	task    conn.Task     // has the loop look
	posted  bool          // task is on its way
}

// pieceCost is what a piece that waits counts for beside its bytes: what it takes to
// keep it, without which small ones would be many.
const pieceCost = 48

func (s *Queue) need() *queue {
	if s.q == nil {
		s.q = new(queue)
		s.q.pending = s.q.first[:0]
	}
	return s.q
}

// trim gives the memory up when there is nothing to be remembered.
func (s *Queue) trim() {
	if q := s.q; q != nil && s.Empty() && q.room == nil && !q.posted {
		s.q = nil
	}
}

// Empty reports whether nothing waits to be sent.
func (s *Queue) Empty() bool { return s.q == nil || s.q.head == nil && len(s.q.pending) == 0 }

// Pieces returns how many pieces wait, the head not among them.
func (s *Queue) Pieces() int {
	if s.q == nil {
		return 0
	}
	return len(s.q.pending)
}

// Waiting returns what the pieces count for: their bytes, and a little for each.
func (s *Queue) Waiting() int {
	if s.q == nil {
		return 0
	}
	return s.q.waiting
}

// SetHead sets what goes before all pieces, and is never dropped.
func (s *Queue) SetHead(head []byte) { s.need().head = head }

// Add adds a piece, which is kept.
func (s *Queue) Add(p []byte) {
	q := s.need()
	q.pending = append(q.pending, p)
	q.waiting += len(p) + pieceCost
}

// take takes the piece that has waited longest.
func (q *queue) take() []byte {
	p := q.pending[0]
	q.pending[0] = nil
	q.waiting -= len(p) + pieceCost
	if q.pending = q.pending[1:]; len(q.pending) == 0 {
		q.pending = nil
	}
	return p
}

// Drop forgets the piece that has waited longest, of which there is one.
func (s *Queue) Drop() { s.q.take() }

// HandOver gives c what waits, until that has share bytes to send. It is for the loop.
func (s *Queue) HandOver(c *conn.Conn, share int) {
	if s.Empty() {
		return
	}
	q := s.q
	c.Write(q.head)
	q.head = nil
	for len(q.pending) > 0 && c.Queued() < share {
		c.Write(q.take())
	}
	s.trim()
}

// Clear forgets what waits, and wakes who does.
func (s *Queue) Clear() {
	if q := s.q; q != nil {
		q.head, q.pending, q.waiting = nil, nil, 0
		q.first[0] = nil
	}
	s.Wake()
}

// Room returns what is closed by the next Wake.
func (s *Queue) Room() <-chan struct{} {
	q := s.need()
	if q.room == nil {
		q.room = make(chan struct{})
	}
	return q.room
}

// Wake has those look again who wait for room.
func (s *Queue) Wake() {
	if q := s.q; q != nil && q.room != nil {
		close(q.room)
		q.room = nil
	}
	s.trim()
}

// Posted reports whether the loop has been told to look, and has not yet.
func (s *Queue) Posted() bool { return s.q != nil && s.q.posted }

// Post has the loop call look, which calls Looked. It must not have been posted.
func (s *Queue) Post(l *conn.Loop, look func(*conn.Loop)) {
	q := s.need()
	q.posted = true
	q.task.Value = look
	l.Post(&q.task)
}

// Looked says that what was posted is being called.
func (s *Queue) Looked() {
	s.q.posted = false
	s.trim()
}
