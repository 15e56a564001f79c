package hold

import (
	"math/rand/v2"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// load is an open loop: what is sent does not depend on what has been answered, and a
// request is late from when it was due. One that finds no connection free waits for one, as
// do those behind it, and the time counts.
type load struct {
	Load
	on      bool
	start   time.Duration
	end     time.Duration
	sent    int64
	last    int64 // so many are due in all
	flying  int   // in flight
	waiting bool  // for a free connection
	random  *rand.Rand
	latency *hdrhistogram.Histogram
}

// grace is how long after the end of a load requests are sent that were due before: this
// process may not have been running then.
const grace = time.Second

// tries is how many connections are looked at for one that is free.
const tries = 32

func (l *load) begin(o *Load, now time.Duration) {
	*l = load{
		Load: *o, on: true, start: now, end: now + o.Duration, last: o.count(),
		random: rand.New(rand.NewPCG(o.Seed, 0)), latency: NewHistogram(),
	}
}

// next is when the next request is due, if there is one that could be sent.
func (l *load) next() (time.Duration, bool) {
	if !l.on || l.waiting || l.sent == l.last {
		return 0, false
	}
	return l.start + l.due(l.sent), true
}

// over reports whether nothing is left to be sent or answered.
func (l *load) over(now time.Duration) bool {
	return !l.on || l.flying == 0 && (l.sent == l.last || now >= l.end+grace)
}

// finish puts what a load has found into a report.
func (l *load) finish(r *Report) (err error) {
	if !l.on {
		return nil
	}
	l.on = false
	r.Unsent += l.last - l.sent
	r.Latency, err = l.latency.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	return err
}

// fire sends the requests that are due.
func (h *holder) fire() {
	l := &h.load
	if !l.on {
		return
	}
	now := h.now()
	l.waiting = false
	for l.sent < l.last && now < l.end+grace {
		due := l.start + l.due(l.sent)
		if due > now {
			return
		}
		i, ok := h.choose()
		if !ok {
			l.waiting = true
			return
		}
		l.sent++
		l.flying++
		c := &h.conns[i]
		c.state, c.due = asked, due
		if err := write(c.fd, h.ask); err != nil {
			h.end(i, err)
		}
	}
}

// choose returns a connection that is free.
func (h *holder) choose() (int32, bool) {
	if h.report.Held == 0 {
		return 0, false
	}
	n := len(h.conns)
	at := h.load.random.IntN(n)
	for range tries {
		if h.conns[at].state == idle {
			return int32(at), true
		}
		at = h.load.random.IntN(n)
	}
	// Few are free. So that none is missed, all are looked at.
	for i := range n {
		if i := (at + i) % n; h.conns[i].state == idle {
			return int32(i), true
		}
	}
	return 0, false
}

func (h *holder) answeredAt(c *connection, now time.Duration) {
	l := &h.load
	l.flying--
	h.report.Answered++
	if now <= l.end {
		h.report.InTime++
	}
	_ = l.latency.RecordValue(max(1, (now - c.due).Microseconds())) // none is longer than there is room for
}
