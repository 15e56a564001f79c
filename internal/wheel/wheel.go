// Package wheel is a hierarchical timing wheel: a set of timers with O(1) schedule
// and cancel, for one event loop. Time is what the caller says it is, in
// nanoseconds of any monotonic clock.
package wheel

import "math/bits"

const (
	// TickNanos is the resolution, about 4.2 ms. A timer fires at the first tick
	// not before its time.
	TickNanos = 1 << 22

	slotBits = 6
	slots    = 1 << slotBits
	levels   = 6 // 64^6 ticks: nine years
	lastTick = 1<<(levels*slotBits) - 1
)

// Timer is one entry, embedded in whatever it times. The zero value is idle. It
// must not be copied while scheduled.
type Timer struct {
	next, prev *Timer
	when       int64 // tick
	place      int16 // 1 + level*slots + slot, 0 when idle
	// Key is the owner's, to recognise the timer by when it fires.
	Key uint32
}

// Scheduled reports whether the timer is in a wheel.
func (t *Timer) Scheduled() bool { return t.place != 0 }

// When returns the time in nanoseconds at which a scheduled timer fires.
func (t *Timer) When() int64 { return t.when * TickNanos }

// Wheel holds timers. The zero value is an empty wheel at time 0. It is not safe
// for concurrent use.
type Wheel struct {
	now    int64 // tick up to which timers have been looked at
	n      int
	due    *Timer // fired, not yet popped
	filled [levels]uint64
	slot   [levels * slots]*Timer
}

// Len returns how many timers are scheduled.
func (w *Wheel) Len() int { return w.n }

// Schedule makes t fire at the given time, whether or not it was scheduled. A
// time in the past fires with the next tick, one beyond nine years after time 0
// fires then.
func (w *Wheel) Schedule(t *Timer, at int64) {
	w.Cancel(t)
	t.when = min(max((at+TickNanos-1)/TickNanos, w.now+1), lastTick)
	w.insert(t)
	w.n++
}

// Cancel takes t out and reports whether it was in: false means that it has fired
// or was never scheduled.
func (w *Wheel) Cancel(t *Timer) bool {
	if t.place == 0 {
		return false
	}
	w.unlink(t)
	w.n--
	return true
}

// duePlace marks timers on the due list.
const duePlace = 1 + levels*slots

func (w *Wheel) insert(t *Timer) {
	level := 0
	if d := uint64(t.when ^ w.now); d >= slots {
		level = (bits.Len64(d) - 1) / slotBits
	}
	s := int(t.when>>(level*slotBits)) & (slots - 1)
	w.filled[level] |= 1 << s
	w.link(t, &w.slot[level*slots+s], int16(1+level*slots+s))
}

func (w *Wheel) link(t *Timer, head **Timer, place int16) {
	t.place = place
	t.prev = nil
	t.next = *head
	if t.next != nil {
		t.next.prev = t
	}
	*head = t
}

func (w *Wheel) unlink(t *Timer) {
	if t.next != nil {
		t.next.prev = t.prev
	}
	switch {
	case t.prev != nil:
		t.prev.next = t.next
	case t.place == duePlace:
		w.due = t.next
	default:
		i := int(t.place) - 1
		if w.slot[i] = t.next; t.next == nil {
			w.filled[i/slots] &^= 1 << (i % slots)
		}
	}
	t.next, t.prev, t.place = nil, nil, 0
}

// Next returns a time by which Advance has to be called for no timer to be late,
// and whether there is any timer. For a distant timer it may be early, at most
// once per level of the wheel.
func (w *Wheel) Next() (at int64, ok bool) {
	if w.due != nil {
		return w.now * TickNanos, true
	}
	tick, ok := w.nextTick()
	return tick * TickNanos, ok
}

// nextTick is the tick of the first slot that holds a timer. A timer is on the
// level of the highest digit in which its time differs from now, so its slot is
// always ahead of now's on that level, and lower levels come first.
func (w *Wheel) nextTick() (int64, bool) {
	for level, filled := range w.filled {
		if filled == 0 {
			continue
		}
		shift := level * slotBits
		ahead := int64(bits.TrailingZeros64(filled))
		return (w.now>>shift&^(slots-1) | ahead) << shift, true
	}
	return 0, false
}

// Advance moves the wheel to the given time. Timers that are due by then are
// returned by Pop. A time before the wheel's own changes nothing.
func (w *Wheel) Advance(now int64) {
	target := now / TickNanos
	for w.now < target {
		tick, ok := w.nextTick()
		if !ok || tick > target {
			w.now = target
			return
		}
		w.now = tick
		w.expire()
	}
}

// expire empties the slots that begin at the present tick: what is due goes to
// the due list, the rest moves down to a finer level.
func (w *Wheel) expire() {
	for level := levels - 1; level >= 0; level-- {
		shift := level * slotBits
		if w.now&(1<<shift-1) != 0 {
			continue
		}
		i := level*slots + int(w.now>>shift)&(slots-1)
		t := w.slot[i]
		w.slot[i] = nil
		w.filled[level] &^= 1 << (i % slots)
		for t != nil {
			next := t.next
			if t.when <= w.now {
				w.link(t, &w.due, duePlace)
			} else {
				w.insert(t)
			}
			t = next
		}
	}
}

// Pop returns a timer that has fired, or nil.
func (w *Wheel) Pop() *Timer {
	t := w.due
	if t != nil {
		w.Cancel(t)
	}
	return t
}
