package conn

import (
	"runtime"
	"sync/atomic"
	"time"
)

// observed is set in a token while a goroutine that does not lead looks at the loop.
// Nobody takes the token down meanwhile: Hold waits, the watchdog passes over it.
const observed = 1 << 63

// observeEvery is how often Observe looks whether user code runs by now.
const observeEvery = time.Millisecond

// Observe runs f while nobody changes the loop, and reports whether it did: it gives up
// after the given time. Where user code runs (a Call), f runs at once, on the goroutine
// of the caller, who may be that code; otherwise the loop runs it in its next turn, for
// which it is woken; once the loop has ended the caller does. So it is only in vain
// when a callback of a Protocol or a task takes that long, which includes the case that
// this is the caller. f must be short and must not change anything. Any goroutine may
// call Observe.
func (l *Loop) Observe(limit time.Duration, f func()) bool {
	if l.observe(f) {
		return true
	}
	var claimed atomic.Bool // f runs once, or never
	ran := make(chan struct{})
	once := func() {
		if claimed.CompareAndSwap(false, true) {
			f()
			close(ran)
		}
	}
	l.Do(func(*Loop) { once() })
	again := time.NewTicker(observeEvery)
	defer again.Stop()
	for end := time.Now().Add(limit); ; {
		select {
		case <-ran:
			return true
		case <-l.done:
			once()
			<-ran
			return true
		case now := <-again.C:
			if l.observe(once) {
				<-ran
				return true
			}
			if now.After(end) && claimed.CompareAndSwap(false, true) {
				return false
			}
		}
	}
}

// observe runs f if user code runs, which keeps the loop from changing.
func (l *Loop) observe(f func()) bool {
	t := l.token.Load()
	if t == 0 || t&observed != 0 || !l.token.CompareAndSwap(t, t|observed) {
		return false
	}
	defer l.token.Store(t)
	f()
	return true
}

// takeDown takes the token down if it is up, and reports whether it was.
func (t *token) takeDown(token uint64) bool {
	for !t.CompareAndSwap(token, 0) {
		if t.Load()&^observed != token {
			return false
		}
		runtime.Gosched() // somebody looks at the loop
	}
	return true
}
