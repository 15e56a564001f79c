package ringkit

import (
	"sync"
	"sync/atomic"
)

// pool bounds the handlers that run on goroutines: so many run, so many wait for
// one of them to end, more are refused. Those that lost their loop count, too.
type pool struct {
	most, mostQueued int // negative: no limit

	mu      sync.Mutex
	running int
	queue   []func()
	head    int // of the queue
	spawned uint64
	refused uint64
}

// run runs f on a goroutine, now or when another has ended, and reports false if
// too many wait already. f calls release, at the latest when it ends.
func (p *pool) run(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.begin(f) {
		return true
	}
	if p.mostQueued >= 0 && len(p.queue)-p.head >= p.mostQueued {
		p.refused++
		return false
	}
	p.queue = append(p.queue, f)
	return true
}

// begin runs f on a goroutine if there is a place; mu is held.
func (p *pool) begin(f func()) bool {
	if p.most >= 0 && p.running >= p.most {
		return false
	}
	p.running++
	p.spawned++
	go f()
	return true
}

// await is run however many wait already.
func (p *pool) await(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.begin(f) {
		p.queue = append(p.queue, f)
	}
}

// seat says whether a handler counts in a pool.
type seat struct{ atomic.Int32 }

const (
	counts = 1 // it does
	ended  = 2 // it does not any more
)

// take counts a handler that blocked on its loop, unless it has ended.
func (l *seat) take(p *pool) {
	if l.CompareAndSwap(0, counts) {
		p.adopt()
	}
}

// leave ends that, and what run began with counts. It is called when the handler
// has returned, and once more when its call is done: it may have begun to count in
// between. Most handlers never count, and pay for no more than a look.
func (l *seat) leave(p *pool) {
	if l.Load() == counts && l.CompareAndSwap(counts, ended) {
		p.release()
	}
}

// adopt counts a handler that began on the loop and blocked: it runs already, however
// many others do.
func (p *pool) adopt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running++
}

// release gives the place of one goroutine to the one that has waited longest.
func (p *pool) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.head == len(p.queue) || p.most >= 0 && p.running > p.most {
		p.running--
		return
	}
	f := p.queue[p.head]
	p.queue[p.head] = nil
	p.head++
	if p.head == len(p.queue) {
		p.queue, p.head = p.queue[:0], 0
	} else if p.head > 1024 && p.head > len(p.queue)/2 {
		n := copy(p.queue, p.queue[p.head:])
		clear(p.queue[n:])
		p.queue, p.head = p.queue[:n], 0
	}
	p.spawned++
	go f()
}

func (p *pool) counts() (running, queued int, spawned, refused uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running, len(p.queue) - p.head, p.spawned, p.refused
}
