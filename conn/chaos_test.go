package conn_test

import (
	"hash/fnv"
	"io"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/simring"
)

// chaos does anything that is allowed, at random, in every callback: to its own
// connection and to others.
type chaos struct {
	w    *world
	self *watched
	left int // what it may still do, so that it comes to an end
}

func newChaos(w *world, c *watched) *chaos {
	ch := &chaos{w: w, self: c, left: w.rng.IntN(60)}
	if c.peer == nil {
		ch.left = 0
	}
	return ch
}

func (ch *chaos) act(c *conn.Conn) {
	for range ch.w.rng.IntN(4) {
		if ch.left--; ch.left < 0 || ch.w.over {
			return
		}
		ch.one(c)
	}
}

func (ch *chaos) one(c *conn.Conn) {
	w := ch.w
	switch w.rng.IntN(29) {
	case 0, 1, 2, 3:
		c.Write(w.bytes(w.rng.IntN(1 << w.rng.IntN(18))))
	case 4, 5:
		n := w.rng.IntN(64 << 10)
		p := c.Reserve(n)
		p = append(p, w.bytes(w.rng.IntN(n+1))...)
		if w.rng.IntN(3) > 0 {
			c.Commit(p)
		}
	case 6, 7:
		c.Hold()
		ch.later(func(c *conn.Conn) { c.Resume() })
	case 8:
		c.Resume()
	case 9, 10:
		c.SetDeadline(time.Duration(w.rng.Int64N(int64(50 * time.Millisecond))))
	case 11:
		c.SetDeadline(1<<63 - 1)
	case 12:
		if w.rng.IntN(3) == 0 {
			c.Close()
		}
	case 13:
		if w.rng.IntN(3) == 0 {
			c.CloseLingering()
		}
	case 14:
		if w.rng.IntN(3) == 0 {
			c.Abort(nil)
		}
	case 15, 16:
		ch.later(ch.act)
	case 17:
		if len(w.conns) < 20 {
			ch.meet()
		}
	case 18, 19, 20:
		if other := w.conns[w.rng.IntN(len(w.conns))].handle; other.Conn() != nil {
			ch.one(other.Conn())
		}
	case 21:
		w.loop.Each(func(c *conn.Conn) {
			if w.rng.IntN(4) == 0 {
				ch.one(c)
			}
		})
	case 22:
		if w.rng.IntN(10) == 0 {
			w.ln.Close()
		}
	case 23:
		if w.rng.IntN(3) == 0 {
			w.detaching++
			c.Detach(func(int, []byte, error) { w.detaching-- })
		}
	case 24, 25:
		if c.Borrow() {
			w.lend(c)
		}
	case 26:
		if w.rng.IntN(3) == 0 {
			c.CloseReset()
		}
	case 27:
		if !c.Closing() && !c.Secured() {
			c.SetLayer(&sloppy{w, c, nil})
		}
	case 28:
		ch.later(func(c *conn.Conn) {
			if c.Secured() {
				c.Unseal(w.bytes(w.rng.IntN(1000)))
			}
		})
	}
}

// lend has a borrower try its luck, wait for room or not, and give the connection back
// at any time.
func (w *world) lend(c *conn.Conn) {
	fd := c.FD()
	for range w.rng.IntN(3) {
		w.sometime(func(*conn.Loop) {
			if w.borrows(c, fd) {
				c.AwaitRoom(0)
			}
		})
	}
	w.borrowed[c] = fd
	w.sometime(func(*conn.Loop) {
		if !w.borrows(c, fd) {
			w.Errorf("seed %d: a connection that was lent is another one's", w.seed)
		}
		delete(w.borrowed, c)
		c.GiveBack(1)
	})
}

// borrows reports whether it is still the same connection, and lent.
func (w *world) borrows(c *conn.Conn, fd int) bool { return w.borrowed[c] == fd && c.FD() == fd }

// sometime runs a task, now or after a while.
func (w *world) sometime(task func(*conn.Loop)) {
	if w.rng.IntN(2) == 0 {
		w.loop.Do(task)
		return
	}
	w.sim.After(w.soon(), func() { w.loop.Do(task) })
}

// sloppy is a layer that leaves everything as it is, most of the time.
type sloppy struct {
	w    *world
	c    *conn.Conn
	wire []byte
}

func (s *sloppy) Feed(wire []byte) { s.wire = wire }

func (s *sloppy) Read(p []byte) (int, error) {
	switch s.w.rng.IntN(100) {
	case 0:
		return 0, io.EOF
	case 1:
		return 0, errBadRecord
	case 2, 3, 4, 5:
		s.c.WriteWire(s.w.bytes(s.w.rng.IntN(1 << s.w.rng.IntN(16))))
	}
	n := copy(p[:1+s.w.rng.IntN(len(p))], s.wire)
	s.wire = s.wire[n:]
	return n, nil
}

func (s *sloppy) Write(p []byte) (int, error) {
	if s.w.rng.IntN(100) == 0 {
		return 0, errBadRecord
	}
	n := s.w.rng.IntN(len(p) + 1)
	s.c.WriteWire(p[:n])
	s.c.WriteWire(p[n:])
	return len(p), nil
}

func (s *sloppy) CloseWrite() error {
	s.c.WriteWire(s.w.bytes(s.w.rng.IntN(100)))
	if s.w.rng.IntN(10) == 0 {
		return errBadRecord
	}
	return nil
}

// later does something by a task, now or after a while.
func (ch *chaos) later(do func(*conn.Conn)) {
	handle := ch.self.handle
	task := func(*conn.Loop) {
		if c := handle.Conn(); c != nil {
			do(c)
		}
	}
	ch.w.sometime(task)
}

// meet adopts a new connection in the middle of everything.
func (ch *chaos) meet() {
	ch.w.babble(ch.w.pair(func(c *watched) conn.Protocol { return newChaos(ch.w, c) }))
}

func (ch *chaos) Open(c *conn.Conn) {
	if ch.act(c); ch.w.over {
		c.Close()
	}
}

func (ch *chaos) Data(c *conn.Conn, in []byte) int {
	ch.act(c)
	return ch.w.rng.IntN(len(in) + 1)
}

func (ch *chaos) EOF(c *conn.Conn)     { ch.act(c) }
func (ch *chaos) Drained(c *conn.Conn) { ch.act(c) }
func (ch *chaos) Timeout(c *conn.Conn) { ch.act(c) }

// Closed uses the connection although it must not: by then that does nothing.
func (ch *chaos) Closed(c *conn.Conn, _ error) { ch.act(c) }

// babble has a peer do anything a peer may do.
func (w *world) babble(p *simring.Peer) {
	at := time.Duration(0)
	for range w.rng.IntN(12) {
		at += time.Duration(w.rng.Int64N(int64(20 * time.Millisecond)))
		switch w.rng.IntN(16) {
		case 0:
			w.sim.After(at, p.Close)
		case 1:
			w.sim.After(at, p.Reset)
		case 2:
			w.sim.After(at, p.CloseWrite)
		case 3:
			n := w.rng.IntN(1000)
			w.sim.After(at, func() { p.ReadLimit(n) })
		case 4:
			w.sim.After(at, func() { p.ReadLimit(-1) })
		case 5:
			p.ReadSlowly(256<<w.rng.IntN(9), time.Duration(w.rng.Int64N(int64(2*time.Millisecond))))
		default:
			data := w.bytes(1 + w.rng.IntN(1<<w.rng.IntN(13)))
			w.sim.After(at, func() { p.Write(data) })
		}
	}
}

func TestSeedsChaos(t *testing.T) { seeds(t, 2000, (*world).chaos) }

func (w *world) chaos() {
	w.start(func(c *watched) conn.Protocol { return newChaos(w, c) })
	for range 1 + w.rng.IntN(6) {
		w.babble(w.dial())
	}
	w.sim.Settle(w.loop.Turn)
	w.sim.Sleep(50*time.Millisecond, w.loop.Turn)
	w.loop.Do(func(l *conn.Loop) {
		w.over = true
		l.Each(func(c *conn.Conn) {
			switch w.rng.IntN(3) {
			case 0:
				c.Close()
			case 1:
				c.CloseLingering()
			case 2:
				c.Abort(nil)
			}
		})
	})
	w.end()
	if w.detaching != 0 {
		w.Errorf("seed %d: %d connections were to be detached and nobody was told", w.seed, w.detaching)
	}
	if len(w.borrowed) != 0 {
		w.Errorf("seed %d: %d connections are lent at the end", w.seed, len(w.borrowed))
	}
}

// The same seed gives the same run.
func TestSeedsRepeat(t *testing.T) {
	seeds(t, 40, func(w *world) {
		run := func() (stats simring.Stats, received uint64) {
			w := newWorld(w.T, w.seed)
			w.chaos()
			sum := fnv.New64()
			for i := range len(w.peers) {
				sum.Write(w.peers[i].Received())
			}
			return w.sim.Stats(), sum.Sum64()
		}
		stats, sum := run()
		if again, sumAgain := run(); stats != again || sum != sumAgain {
			w.Errorf("seed %d: %+v %x, then %+v %x", w.seed, stats, sum, again, sumAgain)
		}
	})
}
