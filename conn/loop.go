package conn

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ringkit/ringkit/internal/inbox"
	"github.com/ringkit/ringkit/internal/mapped"
	"github.com/ringkit/ringkit/internal/ring"
	"github.com/ringkit/ringkit/internal/wheel"
)

// Defaults and bounds of a loop.
const (
	// DefaultWriteTimeout ends a connection whose peer takes no data for so long.
	DefaultWriteTimeout = 60 * time.Second
	// DefaultInputLimit is how many received bytes a connection keeps while it is
	// held, before it stops receiving.
	DefaultInputLimit = 64 << 10

	turnCompletions = 4096 // handled before the loop looks at anything else
	closeWait       = time.Second
	yieldEvery      = int64(8 * time.Millisecond)
	yieldOften      = int64(time.Millisecond) // while calls run on goroutines

	// fairTime is for how long a turn goes on with the input that a connection has kept
	// before others wait too long: a pipelining peer has hundreds of requests waiting.
	fairTime   = int64(time.Millisecond)
	fairChecks = 8 // calls between two looks at the clock

	// A loop that waits keeps its P until the runtime's monitor takes it away, up to
	// 10 ms later, and so keeps the goroutines from running that it has started.
	// For as long as this after the last of them it wakes up to let them run.
	attentive = int64(20 * time.Millisecond)

	// trimEvery is after how long without use output blocks beyond those that are kept
	// give their memory back.
	trimEvery = int64(time.Second)
)

// Config is how a loop is made.
type Config struct {
	// Ring is the engine. The loop closes it when it ends.
	Ring Ring
	// Clock returns monotonic time in nanoseconds; nil means the system's.
	Clock func() int64
	// WriteTimeout is how long a send, of mapped.MaxBlock bytes at most, may wait
	// for the peer; 0 means DefaultWriteTimeout, negative means for ever.
	WriteTimeout time.Duration
	// InputLimit is in bytes; 0 means DefaultInputLimit.
	InputLimit int
	// ParkAfter is how long a connection may be idle before it is parked: less memory
	// in the kernel waits for its input then. It comes to at most twice that. 0 means
	// DefaultParkAfter, negative means never.
	ParkAfter time.Duration
	// Watch has another goroutine go on with the loop when user code (a Call) does
	// not return within a millisecond or two. Otherwise the loop waits for it.
	Watch bool
}

// Task is a function to be run by a loop. It can be embedded in a longer-lived
// object and posted again once it has run; Value is the function.
type Task = inbox.Node[func(*Loop)]

// Loop is an event loop: one ring and the connections on it.
type Loop struct {
	ring  Ring
	files FileTable // of the ring, nil without
	clock func() int64
	now   int64 // at the beginning of the turn, nanoseconds

	cqe   ring.Completion // the completion being handled
	table table
	wheel wheel.Wheel
	inbox inbox.Queue[func(*Loop)]
	arena mapped.Arena
	carry [][]byte // pooled buffers for input that had to be kept
	plain []byte   // where layers open what was received

	tasks   *Task   // taken from the inbox, not yet run
	dirty   []*Conn // have output and no send in flight
	starved []*Conn // want to receive but found no buffer
	over    []*Conn // nothing in flight any more, to be recycled

	ready   []pending // calls to be run
	served  int       // of them, have been
	later   []Handle  // have kept input that is delivered in the next turn
	due     []Handle  // in this one
	pieces  int       // of kept input, delivered in this turn behind a call
	spent   bool      // that took longer than fairTime
	current pending   // the call that runs or ran last
	started int       // calls that run on goroutines
	spawned bool      // one of them since the last yield
	lastRun int64     // when one was started or finished last

	token    token
	watch    bool
	term     uint32 // of the newest leader
	leader   uint32 // the term of the one that leads
	home     home
	byHand   bool          // home is who calls Turn
	homeTurn chan struct{} // tells the home goroutine that it leads again
	taken    atomic.Uint64
	left     atomic.Uint64

	active []*Conn // whose callbacks are running, the innermost last
	lent   bool    // the outermost is Data and reads from the receive buffer
	lentID uint16  // with this number

	direct    int // connections that are
	trimmer   wheel.Timer
	spare     spareBuffers // nil where there are always as many
	spareAt   int64        // when to trim them
	sweeper   sweeper
	dorm      dorm
	detaching map[uint32]func(int, []byte, error) // what to tell, by slot

	listeners []*Listener // by slot, nil where one has ended
	listening int
	listenGen uint32

	writeTimeout int64 // nanoseconds, 0 for ever
	inputLimit   int

	conns   atomic.Int64 // open connections, for balancing
	yielded int64        // when the processor was let go of last
	quit    atomic.Bool  // end when the last connection and listener are gone
	broken  error        // of the ring
	orphans []int        // descriptors to be closed without it
	done    chan struct{}
	failure error // why Run ended, valid once done is closed

	wakeLock sync.Mutex
	deaf     bool // the ring is about to be closed: no Wake any more

	turns   uint64
	count   Counters // but for Turns
	marked  [Marks]int
	closing int
}

// NewLoop makes a loop. Nothing happens until Run or Turn is called.
func NewLoop(cfg Config) *Loop {
	l := &Loop{
		ring:         cfg.Ring,
		clock:        cfg.Clock,
		writeTimeout: int64(cfg.WriteTimeout),
		inputLimit:   cfg.InputLimit,
		watch:        cfg.Watch,
		homeTurn:     make(chan struct{}, 1),
		done:         make(chan struct{}),
	}
	if l.clock == nil {
		start := time.Now()
		l.clock = func() int64 { return int64(time.Since(start)) }
	}
	switch {
	case cfg.WriteTimeout == 0:
		l.writeTimeout = int64(DefaultWriteTimeout)
	case cfg.WriteTimeout < 0:
		l.writeTimeout = 0
	}
	if l.inputLimit == 0 {
		l.inputLimit = DefaultInputLimit
	}
	l.spare, _ = cfg.Ring.(spareBuffers)
	if f, ok := cfg.Ring.(FileTable); ok && f.Files() > 0 {
		l.files, l.table.files = f, uint32(f.Files())
	}
	l.sweeper.after = parkAfter(cfg)
	_, l.dorm.closed = cfg.Ring.(interface{ Simulated() }) // its descriptors are none
	l.now = l.clock()
	l.wheel.Advance(l.now)
	return l
}

// Now returns the time of the present turn in nanoseconds of the loop's clock.
func (l *Loop) Now() int64 { return l.now }

// Watched reports whether somebody takes the lead from user code that does not
// return. Any goroutine may call it.
func (l *Loop) Watched() bool { return l.watch }

// Conns returns the number of open connections. Any goroutine may call it.
func (l *Loop) Conns() int { return int(l.conns.Load()) }

// Done is closed when the loop has ended. Any goroutine may wait for it.
func (l *Loop) Done() <-chan struct{} { return l.done }

// Err returns why the loop ended, nil if it was asked to; valid once Done is closed.
func (l *Loop) Err() error { return l.failure }

// Post has the loop run t.Value soon. Any goroutine may call it. Tasks posted by
// one goroutine run in order. It reports whether the task is going to run: not one that
// is posted to a loop which has ended.
func (l *Loop) Post(t *Task) bool {
	wake, ok := l.inbox.Push(t)
	if wake {
		l.wake()
	}
	return ok
}

// wake is called by at most one goroutine per turn. It must not meet the closing
// of the ring, whose descriptors may then belong to somebody else.
func (l *Loop) wake() {
	l.wakeLock.Lock()
	defer l.wakeLock.Unlock()
	if !l.deaf {
		l.ring.Wake()
	}
}

// Do is Post with a task of its own.
func (l *Loop) Do(f func(*Loop)) bool { return l.Post(&Task{Value: f}) }

// Quit makes the loop end once it has no connection, no listener and no task.
func (l *Loop) Quit() { l.quit.Store(true) }

// Quitting reports whether Quit was called. Any goroutine may ask.
func (l *Loop) Quitting() bool { return l.quit.Load() }

// Woke says that a goroutine was woken which is not a Call: with as many loops as
// processors it runs when the loop lets it, which is before it waits again.
func (l *Loop) Woke() { l.spawned = true }

// calling notes that a callback of c is about to run; returned undoes it.
func (l *Loop) calling(c *Conn) (depth int) {
	l.active = append(l.active, c)
	return len(l.active) - 1
}

// returned also ends the connections of inner callbacks that never returned: they
// panicked, and an outer one recovered.
func (l *Loop) returned(depth int) {
	if len(l.active) > depth+1 {
		l.abandonAbove(depth + 1)
	}
	l.active = l.active[:depth]
}

// abandon ends the connections whose callbacks never returned.
func (l *Loop) abandon() {
	if l.lent {
		l.lent = false
		l.ring.Release(l.lentID)
	}
	l.abandonAbove(0)
	for _, ln := range l.listeners {
		if ln != nil {
			ln.finishIfQuiet()
		}
	}
}

func (l *Loop) abandonAbove(depth int) {
	for len(l.active) > depth {
		last := len(l.active) - 1
		c := l.active[last]
		l.active = l.active[:last]
		c.flags &^= flagDelivering | flagOpening
		c.stop(ErrAbandoned)
	}
}

func (l *Loop) ended() bool {
	return l.quit.Load() && l.listening == 0 && l.table.live == 0 && l.served == len(l.ready) && l.tasks == nil && l.inbox.Empty()
}

// endBroken tells everybody that the ring has failed, and runs what that leads to and what
// was posted before. It reports whether the caller still leads; who leads then calls it
// again, as does who comes behind one that has ended its goroutine.
func (l *Loop) endBroken(me *leader) (leading bool) {
	for _, ln := range l.listeners {
		if ln != nil {
			ln.finish(l.broken)
		}
	}
	l.table.each(func(c *Conn) { c.stop(l.broken) })
	for l.serve(me) {
		if l.tasks == nil && l.inbox.Close() {
			return true
		}
		l.runLast()
	}
	return false
}

// end frees what the loop holds. After a failure of the ring the memory the kernel may
// still refer to is left alone.
func (l *Loop) end() {
	if l.broken != nil {
		l.table.each(func(c *Conn) {
			// One that is borrowed is lost: nobody knows when it is given back.
			if c.flags&(flagDetached|flagBorrowed) == 0 && !c.IsDirect() {
				l.orphans = append(l.orphans, int(c.fd))
			}
		})
	} else {
		l.broken = l.ring.Enter(0) // submits the closes of the last turn
	}
	l.wheel.Cancel(&l.trimmer)
	l.wheel.Cancel(&l.dorm.timer)
	l.dorm.close()
	if l.watch {
		dog.remove(l)
	}
	l.wakeLock.Lock()
	l.deaf = true
	l.wakeLock.Unlock()
	err := l.ring.Close(closeWait)
	for _, fd := range l.orphans {
		syscall.Close(fd)
	}
	if l.broken == nil && err == nil {
		err = l.arena.Close()
	}
	l.failure = errors.Join(l.broken, err)
	close(l.done)
}

// closeFD closes a descriptor with nothing in flight. What is in a table goes with a ring
// that has failed.
func (l *Loop) closeFD(fd int) {
	direct := ring.IsDirect(fd)
	if direct {
		l.direct--
	}
	switch {
	case l.broken == nil:
		l.ring.CloseFD(fd)
	case !direct:
		l.orphans = append(l.orphans, fd)
	}
}

// yield lets a busy loop go of the processor once in a while. A goroutine that has not been
// scheduled for 10 ms is taken for one that hogs its P: from then on the runtime's
// monitor (as of Go 1.26) takes the P away at every system call it finds, and to
// do so it looks every 20 µs instead of every 10 ms. On a busy loop that costs
// more than a tenth of a processor.
func (l *Loop) yield() {
	every := yieldEvery
	if l.started > 0 {
		// With as many loops as processors they run only when a loop lets them.
		every = yieldOften
	}
	if l.spawned || l.now-l.yielded > every {
		l.spawned = false
		l.yielded = l.now
		runtime.Gosched()
	}
}

// turn is one turn of a leader, who may lose the lead in the middle.
func (l *Loop) turn(me *leader) error {
	timeout := l.timeout()
	if timeout != 0 && !l.inbox.Sleep() {
		timeout = 0
	}
	err := l.ring.Enter(timeout)
	l.inbox.Awake()
	if err != nil {
		return fmt.Errorf("event loop: %w", err)
	}
	l.turns++
	l.pieces, l.spent = 0, false
	if len(l.due) == 0 {
		l.due, l.later = l.later, l.due
	}
	before := l.now
	if l.now = l.clock(); l.now-before > yieldEvery {
		l.yielded = l.now // it has waited: nobody takes it for a hog
	}
	if !l.serve(me) { // what was left when the lead changed, or called for between two turns
		return nil
	}
	for i := 0; i < turnCompletions && l.ring.Next(&l.cqe); i++ {
		l.count.Completions++
		l.dispatch(&l.cqe)
		if len(l.ready) != 0 && !l.serve(me) {
			return nil
		}
	}
	if !l.runTasks(me) || !l.deliverDue(me) {
		return nil
	}
	l.fireTimers()
	if !l.serve(me) {
		return nil
	}
	l.flush()
	l.feedStarved()
	l.recycle()
	if l.excess() && !l.trimmer.Scheduled() {
		l.wheel.Schedule(&l.trimmer, l.now+trimEvery)
	}
	return nil
}

// spareBuffers is a ring that makes more receive buffers where they are needed, see
// package uring.
type spareBuffers interface {
	ExcessBuffers() bool
	TrimBuffers()
}

// excess reports whether there is memory that may not be used for a while.
func (l *Loop) excess() bool {
	return l.arena.Excess() || l.count.Starved > 0 && l.spare != nil && l.spare.ExcessBuffers()
}

// trim gives back what memory for input and output has not been used for a while.
func (l *Loop) trim() {
	if l.spare != nil && l.now >= l.spareAt {
		l.spareAt = l.now + trimEvery
		l.spare.TrimBuffers()
	}
	if l.arena.Trim() {
		l.wheel.Schedule(&l.trimmer, l.now) // with the next tick
	}
}

func (l *Loop) runTasks(me *leader) (leading bool) {
	if l.tasks == nil {
		l.tasks = l.inbox.TakeAll()
	}
	for l.tasks != nil {
		run := l.tasks.Value
		l.tasks = l.tasks.Next()
		run(l)
		if !l.serve(me) {
			return false
		}
	}
	return true
}

// runLast runs the tasks of a loop whose ring has failed: whoever posted them learns what
// became of them.
func (l *Loop) runLast() {
	if l.tasks == nil {
		l.tasks = l.inbox.TakeAll()
	}
	for l.tasks != nil {
		run := l.tasks.Value
		l.tasks = l.tasks.Next()
		run(l)
	}
}

// goOn delivers what a connection has kept while its call ran, or has that done in the
// next turn, when this one has taken so long that others wait.
func (l *Loop) goOn(c *Conn) {
	if len(c.in) > 0 {
		if l.pieces++; !l.spent && l.pieces%fairChecks == 0 {
			l.spent = l.clock()-l.now > fairTime
		}
		if l.spent && c.flags&flagLater == 0 {
			c.flags |= flagLater
			l.later = append(l.later, c.Handle())
		}
	}
	c.deliver()
	c.receive()
}

// deliverDue goes on with the connections that have waited for this turn.
func (l *Loop) deliverDue(me *leader) (leading bool) {
	for n := len(l.due); n > 0; n = len(l.due) {
		h := l.due[n-1]
		l.due = l.due[:n-1]
		c := h.Conn()
		if c == nil {
			continue
		}
		c.flags &^= flagLater
		c.deliver()
		c.receive()
		if !l.serve(me) {
			return false
		}
	}
	return true
}

// timeout is how long the loop may wait: until the next timer, and not at all with
// work at hand. That is there when a turn was left in its middle, or when somebody
// used a connection between two turns.
func (l *Loop) timeout() time.Duration {
	if l.tasks != nil || len(l.dirty)+len(l.starved)+len(l.over)+len(l.ready)+len(l.due)+len(l.later) > 0 || l.ended() {
		return 0
	}
	wait := time.Duration(-1)
	if at, ok := l.wheel.Next(); ok {
		wait = max(0, time.Duration(at-l.clock()))
	}
	if l.started > 0 && l.now-l.lastRun < attentive && (wait < 0 || wait > time.Duration(yieldOften)) {
		wait = time.Duration(yieldOften)
	}
	return wait
}

func (l *Loop) dispatch(e *ring.Completion) {
	slot := e.Token.Slot()
	if slot&listenerKey != 0 {
		l.listenerEvent(slot&^listenerKey, e)
		return
	}
	c := l.table.at(slot)
	if c == nil || c.gen != e.Token.Generation() {
		// The slot was recycled. By the rules of the close protocol this does
		// not happen; if it does, nobody is harmed.
		if e.HasBuffer() {
			l.ring.Release(e.BufID)
		}
		return
	}
	if !e.More() {
		c.inflight--
	}
	switch e.Token.Op() {
	case ring.OpRecv:
		c.received(e)
	case ring.OpSend:
		c.sent(e)
	case ring.OpPoll:
		if c.flags&flagPolling != 0 {
			c.polled(e)
		} else {
			c.roomCame()
		}
	case ring.OpCancel:
		c.cancelled()
	}
	c.detachIfQuiet()
	c.endIfQuiet()
}

func (l *Loop) fireTimers() {
	l.wheel.Advance(l.now)
	for t := l.wheel.Pop(); t != nil; t = l.wheel.Pop() {
		switch {
		case t == &l.sweeper.timer:
			l.sweep()
		case t == &l.dorm.timer:
			l.lookAtDorm()
		case t == &l.trimmer:
			l.trim()
		case t.Key == timerKey:
			timerOf(t).fire(l)
		case t.Key&listenerKey != 0:
			l.retryAccept(t.Key &^ listenerKey)
		default:
			if c := l.table.at(t.Key); c != nil {
				c.timerFired()
			}
		}
	}
}

// flush starts a send on every connection that was written to in this turn.
func (l *Loop) flush() {
	for i := 0; i < len(l.dirty); i++ { // who is told of an end may write to others
		c := l.dirty[i]
		l.dirty[i] = nil
		c.flags &^= flagDirty
		c.send()
	}
	l.dirty = l.dirty[:0]
}

// feedStarved lets connections receive again that found no buffer. By now the
// buffers of this turn's completions have been returned. The first one armed can
// take them all, so another is the first in every turn.
func (l *Loop) feedStarved() {
	n := len(l.starved)
	if n == 0 {
		return
	}
	first := int(l.turns % uint64(n))
	for i := range n {
		c := l.starved[(first+i)%n]
		c.flags &^= flagStarved
		c.receive()
	}
	clear(l.starved)
	l.starved = l.starved[:0]
}

// recycle frees the connections that are over.
func (l *Loop) recycle() {
	for i, c := range l.over {
		l.over[i] = nil
		l.wheel.Cancel(&c.timer)
		if c.flags&flagDetached == 0 {
			l.closeFD(int(c.fd))
		}
		c.dropOutput()
		if c.in != nil {
			c.dropInput()
		}
		l.table.put(c)
	}
	if len(l.over) > 0 {
		l.over = l.over[:0]
		if l.table.live == 0 {
			l.endSweeps()
		}
		l.wakeListeners()
	}
}
