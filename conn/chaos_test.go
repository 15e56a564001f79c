package conn_test

import (
	"hash/fnv"
	"math/rand/v2"
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
	switch w.rng.IntN(24) {
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
	}
}

// later does something by a task, now or after a while.
func (ch *chaos) later(do func(*conn.Conn)) {
	handle := ch.self.handle
	task := func(*conn.Loop) {
		if c := handle.Conn(); c != nil {
			do(c)
		}
	}
	if ch.w.rng.IntN(2) == 0 {
		ch.w.loop.Do(task)
		return
	}
	ch.w.sim.After(ch.w.soon(), func() { ch.w.loop.Do(task) })
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
}

// The same seed gives the same run.
func TestSeedsRepeat(t *testing.T) {
	seeds(t, 40, func(w *world) {
		run := func() (stats simring.Stats, received uint64) {
			w := &world{T: w.T, seed: w.seed, rng: rand.New(rand.NewPCG(w.seed, 1)), peers: make(map[int]*simring.Peer)}
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
