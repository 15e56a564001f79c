package conn

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// User code that runs for a whole period loses the lead: it has then run for one
// to two periods.
const watchPeriod = time.Millisecond

// quietPeriods is for how long no user code may be seen running before the
// watchdog sleeps. A loop with short calls is seen in one of them every now and
// then; if not, being roused once in this time costs nothing.
const quietPeriods = 20

// token is up (not zero) while user code runs on the leader's goroutine. Whoever
// takes it down leads.
type token struct {
	atomic.Uint64
	over atomic.Uint64 // the newest one that was found taken when its user code was over
	seq  uint64        // of the last one put up, the leader's
	seen uint64        // by the watchdog when it looked last, the watchdog's
}

// end notes that the user code which put up a token is over, unless newer has been:
// the older one cannot be put up again. It reports whether it did.
func (t *token) end(token uint64) bool {
	for {
		over := t.over.Load()
		if over > token {
			return false
		}
		if t.over.CompareAndSwap(over, token) {
			return true
		}
	}
}

// watchdog takes the lead of loops away from user code that does not return. There
// is one for the process, on a goroutine that exists while there are loops to watch.
type watchdog struct {
	awake atomic.Bool
	bell  chan struct{} // rouses it

	mu      sync.Mutex
	loops   []*Loop
	running bool
}

var dog = watchdog{bell: make(chan struct{}, 1)}

func (d *watchdog) add(l *Loop) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.loops = append(d.loops, l)
	if !d.running {
		d.running = true
		d.awake.Store(true)
		go d.run()
	}
}

func (d *watchdog) remove(l *Loop) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.Index(d.loops, l); i >= 0 {
		d.loops = slices.Delete(d.loops, i, i+1)
	}
	if len(d.loops) == 0 {
		d.rouse() // to end
	}
}

// rouse wakes the watchdog if it sleeps. A token is put up, or the last loop removed,
// before awake is read, and awake is cleared before the loops and their tokens are
// looked at for the last time: one of the two sees the other.
func (d *watchdog) rouse() {
	if d.awake.CompareAndSwap(false, true) {
		select {
		case d.bell <- struct{}{}:
		default: // it has been rung already
		}
	}
}

func (d *watchdog) run() {
	for quiet := 0; ; {
		calls, loops := d.look()
		if loops == 0 {
			return
		}
		if quiet++; calls > 0 {
			quiet = 0
		}
		if quiet < quietPeriods {
			time.Sleep(watchPeriod)
			continue
		}
		quiet = 0
		d.awake.Store(false)
		if !d.idle() {
			d.awake.Store(true)
			continue
		}
		<-d.bell
	}
}

// look takes the lead from every call that it saw the last time as well.
func (d *watchdog) look() (calls, loops int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.loops) == 0 {
		d.running = false
	}
	for _, l := range d.loops {
		t := l.token.Load() &^ observed
		if t != 0 {
			calls++
			if t == l.token.seen {
				l.take(t)
			}
		}
		l.token.seen = t
	}
	return calls, len(d.loops)
}

// idle reports whether there are loops and none runs user code.
func (d *watchdog) idle() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.loops) > 0 && !slices.ContainsFunc(d.loops, func(l *Loop) bool { return l.token.Load() != 0 })
}

// take has another goroutine lead, if the user code that put up t still runs.
func (l *Loop) take(t uint64) bool {
	if !l.token.CompareAndSwap(t, 0) {
		return false
	}
	l.taken.Add(1)
	go l.substitute()
	return true
}
