package simring

import (
	"container/heap"
	"fmt"
	"time"
)

// event is something that will happen.
type event struct {
	at  int64
	seq uint64 // first scheduled, first served
	do  func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*h = old[:len(old)-1]
	return e
}

// Now returns the virtual time in nanoseconds.
func (r *Ring) Now() int64 { return r.now }

// After has do called by an Enter, once d of virtual time has passed. It is for
// the actions of peers, not for calls of the ring.
func (r *Ring) After(d time.Duration, do func()) { r.at(r.now+int64(d), do) }

func (r *Ring) at(at int64, do func()) {
	r.seq++
	heap.Push(&r.events, event{max(at, r.now), r.seq, do})
}

func (r *Ring) runDue() {
	for len(r.events) > 0 && r.events[0].at <= r.now {
		heap.Pop(&r.events).(event).do()
	}
}

// wait moves the clock as far as the caller of Enter is willing to wait, or blocks
// until Wake, and reports whether to look again for something to do. Where nothing
// happens of itself it marks the ring as idle.
func (r *Ring) wait(limit int64) bool {
	if r.takeWake() {
		return false
	}
	next := len(r.events) > 0
	switch {
	case next && (limit < 0 || r.events[0].at <= limit):
		r.now = r.events[0].at
		return true
	case limit >= 0 && (next || !r.still):
		r.now = limit
	case r.until != nil:
		r.waitForWake(limit)
	case r.blocking:
		<-r.wake
	default:
		r.idle = true
	}
	return false
}

// settleTurns bounds the turns of one call of Settle, Sleep or Until: what is not
// quiet by then is going round in circles.
const settleTurns = 1 << 20

// Settle turns the loop until it has nothing to do: what was on its way has
// arrived, and only time or a peer could make something happen. Timers fire only
// on the way to events that were scheduled already.
func (r *Ring) Settle(turn func() error) { r.drive(turn, func() bool { return r.quiet() }) }

// Sleep turns the loop until d of virtual time has passed.
func (r *Ring) Sleep(d time.Duration, turn func() error) {
	over := false
	r.After(d, func() { over = true })
	r.drive(turn, func() bool { return over && r.quiet() })
}

// patience is how long, in real time, Until lets other goroutines work before it
// lets virtual time pass, or gives up.
const patience = 100 * time.Millisecond

// Until turns the loop until done reports true. Where the simulated world is
// quiet, it waits in real time for another goroutine to wake the loop, and when
// none does it lets virtual time pass.
func (r *Ring) Until(turn func() error, done func() bool) {
	r.until = done
	defer func() { r.until = nil }()
	r.drive(turn, done)
}

func (r *Ring) waitForWake(limit int64) {
	for start := time.Now(); time.Since(start) < 100*patience; {
		if r.until() {
			return
		}
		select {
		case <-r.wake:
			return
		case <-time.After(patience):
			if limit >= 0 {
				r.now = limit
				return
			}
		}
	}
	r.fail("nothing happens and the condition is not met")
}

func (r *Ring) quiet() bool {
	return r.idle && len(r.prepared) == 0 && len(r.pending) == 0 && len(r.cq) == r.read
}

func (r *Ring) drive(turn func() error, done func() bool) {
	still, blocking := r.still, r.blocking
	r.still, r.blocking = true, false
	defer func() { r.still, r.blocking = still, blocking }()
	for range settleTurns {
		if err := turn(); err != nil {
			panic(fmt.Sprintf("simring: seed %d: %v", r.seed, err))
		}
		if done() {
			return
		}
	}
	r.fail("no end after %d turns", settleTurns)
}

// Idle reports whether the last Enter found nothing to do, and nothing scheduled.
func (r *Ring) Idle() bool { return r.idle }

// Drain lets everything on its way to the peers arrive, after the loop has ended.
func (r *Ring) Drain() {
	for len(r.events) > 0 {
		r.now = r.events[0].at
		r.runDue()
	}
}
