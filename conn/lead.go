package conn

import (
	"runtime"
	"sync/atomic"
	"time"
)

// A Call is user code that a loop runs for a connection. While it runs no input
// of the connection is delivered. Its methods are called in this order, each at
// most once: Run, Detached if the loop goes on without it, Done.
type Call interface {
	// Run runs the user's code. It may take as long as it likes: a loop that is
	// watched goes on without it. It touches neither the loop nor its
	// connections, but where lead allows it. It must not panic; it may call
	// runtime.Goexit.
	Run(lead Lead)
	// Detached is called by the loop when it has begun to go on without Run,
	// which still runs or has just ended.
	Detached(c *Conn)
	// Done is called by the loop when Run is over. c is nil when the connection
	// is. When it is over or closing, Run may not have been called at all.
	Done(c *Conn)
}

// Call has the loop run user code for the connection as soon as the present
// callback has returned. There must be no other call of this connection.
func (c *Conn) Call(call Call) {
	c.flags |= flagCalling
	c.loop.ready = append(c.loop.ready, pending{c, c.gen, call})
}

// Start notes a call of the connection that somebody else runs, with the zero
// Lead: no input is delivered until the one who does has called Finish. Deliver
// lets input be delivered all the same.
func (c *Conn) Start(call Call, deliver bool) Started {
	if !deliver {
		c.flags |= flagCalling
	}
	c.loop.started++
	c.loop.spawned, c.loop.lastRun = true, c.loop.now
	return Started{c.loop, pending{c, c.gen, call}}
}

// Started is a call that runs elsewhere.
type Started struct {
	loop *Loop
	p    pending
}

// Finish has the loop call Done. Any goroutine may call it, once; t is used to
// tell the loop.
func (s Started) Finish(t *Task) {
	t.Value = func(l *Loop) {
		l.started--
		l.lastRun = l.now
		l.settle(s.p)
	}
	s.loop.Post(t)
}

// Cancel undoes Start, when the call is not going to be run. It is for the loop's
// goroutine.
func (s Started) Cancel() {
	s.loop.started--
	if c := s.p.conn(); c != nil {
		c.flags &^= flagCalling
	}
}

// Call has the loop run user code that belongs to no connection: Detached and Done get
// nil. It is run as those of connections are, in order.
func (l *Loop) Call(call Call) { l.ready = append(l.ready, pending{call: call}) }

// Start notes a call that belongs to no connection and that somebody else runs, see
// Conn.Start.
func (l *Loop) Start(call Call) Started {
	l.started++
	l.spawned, l.lastRun = true, l.now
	return Started{l, pending{call: call}}
}

// pending is a call and the connection that it is for.
type pending struct {
	c    *Conn // nil if it is for none
	gen  uint32
	call Call
}

// conn returns the connection, or nil when it is closed, or there is none. It is for the
// loop's goroutine: slots stay where they are, but are used again.
func (p *pending) conn() *Conn {
	if c := p.c; c != nil && c.gen == p.gen && c.phase != phaseFree && c.phase != phaseStopping {
		return c
	}
	return nil
}

// Lead is what ties user code to the leadership of its loop: the right to touch
// the loop and its connections, which exactly one goroutine has at a time. Any
// goroutine may use it, also when the call is over; the zero value has lost it.
type Lead struct {
	loop  *Loop
	token uint64
}

// Hold reports whether the caller still leads the loop. If so it may touch the
// loop until it calls Continue or Leave, and nobody takes the lead meanwhile.
func (ld Lead) Hold() bool {
	return ld.loop != nil && ld.loop.token.takeDown(ld.token)
}

// Continue ends Hold: the loop may go on without the caller again.
func (ld Lead) Continue() {
	ld.loop.publish(ld.token)
	// Run may have ended meanwhile and given the lead up for lost.
	if ld.loop.token.over.Load() == ld.token && ld.Hold() {
		ld.Leave()
	}
}

// Leave ends Hold by giving the lead away: another goroutine goes on with the
// loop, and the caller may wait for what the loop does.
func (ld Lead) Leave() {
	ld.loop.left.Add(1)
	go ld.loop.substitute()
}

// leader is a goroutine that turns a loop, or did.
type leader struct {
	term     uint32 // its number
	home     bool   // it is the one on whose thread the loop's requests are best made
	fresh    bool   // it took the lead from a call that has not been told yet
	lost     bool   // it leads no more
	finished bool   // it may end
}

// home says which leader is at home, and whether it waits to be given the lead.
// The others may replace one that has been away for too long.
type home struct{ atomic.Uint64 }

const homeWaits = 1

func (h *home) is(term uint32) bool { return h.Load()>>1 == uint64(term) }
func (h *home) settle(term uint32)  { h.Store(uint64(term) << 1) }
func (h *home) wait(term uint32) bool {
	return h.CompareAndSwap(uint64(term)<<1, uint64(term)<<1|homeWaits)
}
func (h *home) replace(old uint64, term uint32) bool { return h.CompareAndSwap(old, uint64(term)<<1) }

// awayLimit is for how long a leader may be missed from home before the
// substitute takes its place for good.
const awayLimit = int64(100 * time.Millisecond)

// Run turns the loop until it has ended. The calling goroutine becomes the loop's
// home and is locked to its thread: the kernel completes requests on the thread
// that submitted them, so the thread must live as long as they do.
//
// A callback that panics ends Run with that panic. One that calls runtime.Goexit
// ends the goroutine and its connection; the loop goes on on another goroutine, and
// Done tells when it has ended. When user code has kept the goroutine for so long that
// another one became the home, Run only waits for the end.
func (l *Loop) Run() error {
	if l.watch {
		dog.add(l)
	}
	me := l.newLeader()
	me.home = true
	l.home.settle(me.term)
	l.byHand = false
	l.run(me)
	<-l.done // another goroutine may have taken its place
	return l.failure
}

// Turn runs one turn: submit and wait, then completions, tasks, timers, output. If the
// lead is lost meanwhile, it waits until that has come back. Run is a loop around it;
// tests and simulations turn a loop by hand.
func (l *Loop) Turn() error {
	me := leader{term: l.leader, home: true}
	l.home.settle(me.term)
	l.byHand = true
	err := l.turn(&me)
	if me.lost {
		if l.comeBack(&me) {
			l.leader = me.term
		} else {
			err = l.failure
		}
	}
	return err
}

// newLeader is called by the goroutine that leads now.
func (l *Loop) newLeader() leader {
	l.term++
	return leader{term: l.term}
}

// substitute leads a loop whose leader is busy with user code, until home asks
// for the lead.
func (l *Loop) substitute() {
	me := l.newLeader()
	me.fresh = true
	l.run(me)
}

// run is what a leader's goroutine does.
func (l *Loop) run(me leader) {
	runtime.LockOSThread()
	defer func() {
		// An unlocked thread stays alive, as must what was submitted on it.
		runtime.UnlockOSThread()
		if me.finished {
			return
		}
		if p := recover(); p != nil {
			panic(p)
		}
		// The other connections are not to blame for the Goexit: another
		// goroutine goes on with the next completion.
		if me.home || !me.lost {
			go l.run(me)
		}
	}()
	for !me.finished {
		if me.lost {
			if !l.comeBack(&me) {
				return
			}
			// User code may have undone it.
			runtime.UnlockOSThread()
			runtime.LockOSThread()
		}
		l.leader = me.term
		l.abandon()
		if me.fresh {
			me.fresh = false
			l.detach()
		}
		l.lead(&me)
	}
}

// comeBack waits until the lead has been given back to the home goroutine. It
// reports false when there is nothing to come back to.
func (l *Loop) comeBack(me *leader) bool {
	if !me.home || !l.home.wait(me.term) {
		me.finished = true
		return false
	}
	l.wake()
	select {
	case <-l.homeTurn:
		me.lost = false
	case <-l.done:
		me.finished = true
	}
	return !me.finished
}

// detach tells the call that the loop goes on without it.
func (l *Loop) detach() {
	p := l.current
	l.current = pending{}
	if c := p.conn(); c != nil || p.c == nil {
		p.call.Detached(c)
	}
}

// lead turns the loop until it has ended or the lead is lost.
func (l *Loop) lead(me *leader) {
	since := l.clock()
	for l.broken == nil && !(l.ended() && l.inbox.Close()) {
		if !me.home && l.settleHome(me, since) {
			return
		}
		l.yield()
		err := l.turn(me)
		if me.lost {
			return
		}
		l.broken = err
	}
	if l.broken != nil && !l.endBroken(me) {
		return
	}
	l.end()
	me.finished = true
}

// settleHome gives the lead to the home goroutine if that waits for it, and makes
// its substitute the home goroutine if it has been away for long.
func (l *Loop) settleHome(me *leader, since int64) (lost bool) {
	h := l.home.Load()
	if h&homeWaits != 0 {
		l.home.Store(h &^ homeWaits)
		me.lost = true
		l.homeTurn <- struct{}{}
		return true
	}
	if !l.byHand && l.now-since > awayLimit && l.home.replace(h, me.term) {
		me.home = true
	}
	return false
}

// atHome reports whether the leader is the home goroutine.
func (l *Loop) atHome() bool { return l.home.is(l.leader) }

// serve runs the calls that are ready, and reports whether the caller still leads.
func (l *Loop) serve(me *leader) bool {
	for l.served < len(l.ready) {
		p := l.ready[l.served]
		l.ready[l.served] = pending{}
		l.served++
		if c := p.conn(); p.c != nil && (c == nil || c.phase != phaseOpen) {
			p.call.Done(c)
			continue
		}
		l.call(p, me)
		if me.lost {
			return false
		}
	}
	l.ready, l.served = l.ready[:0], 0
	return true
}

// call runs one call. From publish on the loop may be led by another goroutine: what
// it needs is in the loop, and nothing on this stack is touched before the token
// has been taken back.
func (l *Loop) call(p pending, me *leader) {
	l.current = p
	l.token.seq++
	lead := Lead{l, l.token.seq}
	returned := false
	defer func() {
		if !returned { // the user's code ends its goroutine
			l.ran(p, lead, me)
		}
	}()
	l.publish(lead.token)
	p.call.Run(lead)
	returned = true
	l.ran(p, lead, me)
}

func (l *Loop) ran(p pending, lead Lead, me *leader) {
	// Where another goroutine holds the lead, either that one sees in Continue that
	// this one is over, or this one gets it now.
	if lead.Hold() || l.token.end(lead.token) && lead.Hold() {
		l.settle(p)
		return
	}
	me.lost = true
	l.Do(func(l *Loop) { l.settle(p) })
}

// settle ends a call and goes on with what its connection has received.
func (l *Loop) settle(p pending) {
	c := p.conn()
	if c == nil {
		p.call.Done(nil)
		return
	}
	c.flags &^= flagCalling
	p.call.Done(c)
	if c.phase == phaseOpen {
		l.goOn(c)
	}
}

// publish puts the token up: from now on the watchdog may take the lead away.
func (l *Loop) publish(token uint64) {
	l.token.Store(token)
	if l.watch && !dog.awake.Load() {
		dog.rouse()
	}
}

// Takeovers returns how often the lead was taken from user code that ran for too
// long, and how often user code gave it away. Any goroutine may call it.
func (l *Loop) Takeovers() (taken, left uint64) { return l.taken.Load(), l.left.Load() }
