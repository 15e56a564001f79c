package conn

import (
	"time"
	"unsafe"

	"github.com/ringkit/ringkit/internal/wheel"
)

// timerKey is in the key of a timer that is no connection's and no listener's.
const timerKey = 1 << 30

// Timer calls a function once, on the loop. The zero value is idle. It belongs to the
// loop and is not copied while it is set.
type Timer struct {
	timer wheel.Timer // first: the wheel's timer is found again as this
	fire  func(*Loop)
}

// After has f called by the loop when d has passed, some 4 ms late at most while the loop
// has nothing else to do. It is for the loop's goroutine, as is Cancel. A timer that is
// set already is set anew. A loop that ends does not wait for its timers.
func (l *Loop) After(t *Timer, d time.Duration, f func(*Loop)) {
	t.timer.Key, t.fire = timerKey, f
	l.wheel.Schedule(&t.timer, l.clock()+min(int64(max(d, 0)), farthest))
}

// Cancel takes a timer back, and reports whether that came in time.
func (l *Loop) Cancel(t *Timer) bool { return l.wheel.Cancel(&t.timer) }

// timerOf returns the Timer that a timer of the wheel is the first field of.
func timerOf(t *wheel.Timer) *Timer { return (*Timer)(unsafe.Pointer(t)) }
