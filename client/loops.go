package client

import (
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/talk"
)

// worker is one of the loops of a transport.
type worker struct {
	t      *Transport
	loop   *conn.Loop
	load   atomic.Int64 // connections
	spares []*reader    // the loop's
	ws     wsSpares     // the loop's
}

const sparesKept = 256

// startLoops makes the workers; mu is held.
func (t *Transport) startLoops() error {
	loops := t.EventLoops
	if t.own = len(loops) == 0; t.own {
		var err error
		if loops, err = t.newLoops(); err != nil {
			return err
		}
	}
	for _, l := range loops {
		t.workers = append(t.workers, &worker{t: t, loop: l, ws: wsSpares{decoders: talk.Decoders{Client: true}}})
		if t.own && !t.hooks.byHand {
			go l.Run()
		}
	}
	return nil
}

func (t *Transport) newLoops() ([]*conn.Loop, error) {
	n := t.Loops
	if n <= 0 {
		n = (runtime.GOMAXPROCS(0) + 3) / 4
	}
	var loops []*conn.Loop
	for range n {
		ring, err := t.newRing()
		if err != nil {
			for _, l := range loops {
				l.Quit()
				go l.Run()
			}
			return nil, fmt.Errorf("start event loop %d of %d: %w", len(loops)+1, n, err)
		}
		loops = append(loops, conn.NewLoop(conn.Config{
			Ring: ring, Clock: t.hooks.clock, WriteTimeout: orDefault(t.WriteTimeout, DefaultWriteTimeout), Watch: !t.hooks.byHand,
		}))
	}
	return loops, nil
}

func (t *Transport) newRing() (conn.Ring, error) {
	if t.hooks.newRing != nil {
		return t.hooks.newRing()
	}
	e, err := t.Engine.Chosen()
	if err != nil {
		return nil, err
	}
	r, _, err := conn.KernelEngines.Open(e)
	return r, err
}

// end ends the connections of the worker, and its loop if that is the transport's.
func (w *worker) end() {
	w.loop.Do(func(l *conn.Loop) {
		l.Each(func(c *conn.Conn) {
			switch p := c.Protocol().(type) {
			case *link:
				if p.t == w.t {
					p.abort(ErrClosed)
				}
			case *wsConn:
				if p.w == w {
					c.Abort(ErrClosed)
				}
			}
		})
		if w.t.own {
			l.Quit()
		}
	})
}

// pick returns the living worker with the fewest connections; mu is held.
func (t *Transport) pick() *worker {
	var best *worker
	for range t.workers {
		t.turn++
		w := t.workers[t.turn%len(t.workers)]
		if !w.ended() && (best == nil || w.load.Load() < best.load.Load()) {
			best = w
		}
	}
	return best
}

// ended reports whether the loop has ended.
func (w *worker) ended() bool {
	select {
	case <-w.loop.Done():
		return true
	default:
		return false
	}
}

// anyLoop returns a loop to run a callback on, nil when there is none.
func (t *Transport) anyLoop() *conn.Loop {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w := t.pick(); w != nil {
		return w.loop
	}
	return nil
}
