package ringkit

import (
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/ringkit/ringkit/conn"
)

// Timer is a call that [Server.AfterFunc] has scheduled. Any goroutine may use it.
type Timer struct {
	w     *worker
	state atomic.Int32
	timer conn.Timer
	plain *time.Timer // where the server did not run
	f     func()

	returned bool
	finish   conn.Task
	started  conn.Started
}

const (
	timerWaits = iota
	timerStopped
	timerRuns
)

// AfterFunc calls f once when d has passed, where handlers run: f may block. It costs no
// goroutine meanwhile, and setting and stopping take the same time however many there
// are. The resolution is some 4 ms. Timers that wait when the server is shut down are
// forgotten. Any goroutine may call it.
func (srv *Server) AfterFunc(d time.Duration, f func()) *Timer {
	t := &Timer{f: f}
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if len(srv.workers) == 0 {
		t.plain = time.AfterFunc(d, func() {
			if t.state.CompareAndSwap(timerWaits, timerRuns) {
				f()
			}
		})
		return t
	}
	t.w = srv.workers[int(srv.timers.Add(1))%len(srv.workers)]
	at := time.Now().Add(d)
	t.w.loop.Do(func(l *conn.Loop) {
		if t.state.Load() == timerWaits {
			l.After(&t.timer, time.Until(at), t.fire)
		}
	})
	return t
}

// Stop prevents the call, and reports whether it did: false means that f was called, or
// is about to be, or that Stop was called before.
func (t *Timer) Stop() bool {
	if !t.state.CompareAndSwap(timerWaits, timerStopped) {
		return false
	}
	if t.plain != nil {
		t.plain.Stop()
		return true
	}
	t.w.loop.Do(func(l *conn.Loop) { l.Cancel(&t.timer) })
	return true
}

func (t *Timer) fire(l *conn.Loop) {
	if !t.state.CompareAndSwap(timerWaits, timerRuns) {
		return
	}
	if t.w.srv.Mode != Goroutine {
		l.Call((*timerCall)(t))
		return
	}
	t.started = l.Start((*timerCall)(t))
	go func() {
		defer t.started.Finish(&t.finish)
		(*timerCall)(t).Run(conn.Lead{})
	}()
}

// timerCall is the conn.Call of a timer.
type timerCall Timer

// Run implements conn.Call.
func (t *timerCall) Run(conn.Lead) {
	defer func() {
		if !t.returned {
			t.w.srv.logTimer(recover(), debug.Stack())
		}
	}()
	t.f()
	t.returned = true
}

// Detached implements conn.Call.
func (t *timerCall) Detached(*conn.Conn) {}

// Done implements conn.Call.
func (t *timerCall) Done(*conn.Conn) {}
