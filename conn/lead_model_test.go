package conn_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// This is the protocol by which the lead of a loop changes hands (lead.go and
// watchdog.go) as a model small enough for every interleaving to be tried: a state is
// what the goroutines share and the place in the code where each of them is, a step is
// what one of them does with one atomic operation. What is left out does not take part
// in the protocol: connections, completions, timers, the ring but for its waiting.
//
// Two kinds of steps: one that must happen sooner or later once it can, and one that
// may happen, as user code may return or block for ever. Two kinds of rules: what
// holds in every state (broken), and what the loop comes to by itself from every
// state, should nothing happen any more that only may (settled).

// place is where a goroutine is: what it does next.
type place uint8

const (
	gone place = iota // it does not exist

	// A leader: run, lead, settleHome, turn.
	detaches // the call is told: Detached
	leads    // has the loop ended?
	looks    // settleHome: home.Load
	hands    // settleHome: home.Store, home does not wait any more
	sends    // settleHome: homeTurn<-
	replaces // settleHome: home.replace
	sleeps   // inbox.Sleep: sleep.Store(true)
	peeks    // inbox.Sleep: head.Load
	polls    // ring.Enter, without waiting
	waits    // ring.Enter, until an event or Wake
	awakes   // inbox.Awake
	serves   // handles completions, which may make calls
	runs     // runs the tasks that TakeAll took
	removes  // end: dog.remove
	removed  // end: dog.rouse, awake.CompareAndSwap
	knells   // end: dog.rouse, bell<-
	closes   // end: close(done)

	// Around user code: call, publish, ran, comeBack; and Hold.
	publishes // token.Store
	rouses    // awake.Load
	rousesCAS // awake.CompareAndSwap
	bells     // bell<-
	uses      // user code runs
	holds     // it called Hold and leads
	takesBack // ran: token.CompareAndSwap
	settles   // ran: it still leads, Done
	overs     // ran: token.end
	triesBack // ran: token.CompareAndSwap once more
	posts     // ran: inbox.Push
	wakes     // ran: inbox.Push, sleep.CompareAndSwap
	wakesRing // ran: ring.Wake
	comesBack // comeBack: home.wait
	callsHome // comeBack: ring.Wake
	selects   // comeBack: select
	checks    // Continue: token.over.Load
	takesOver // Continue: token.CompareAndSwap

	// The watchdog.
	watches  // look: mu.Lock, token.Load
	takes    // take: token.CompareAndSwap
	clears   // awake.Store(false)
	rechecks // idle
	restores // awake.Store(true)
	hears    // <-bell
)

// proc is a goroutine.
type proc struct {
	at   place
	call uint8 // whose user code it runs, or whose Lead it uses; also its token
	term uint8 // me.term
	saw  uint8 // what it has loaded
	home bool  // me.home
}

// calls is a set of calls.
type calls uint8

func (c calls) has(call uint8) bool { return c&(1<<call) != 0 }
func (c *calls) add(call uint8)     { *c |= 1 << call }

// state is all there is. Calls are numbered in the order in which they are made, so
// the number of a call is its token.
type state struct {
	token, over uint8 // l.token
	current     uint8 // l.current
	homeTerm    uint8 // l.home
	homeWaits   bool  // l.home
	homeTurn    bool  // there is something in the channel
	done        bool  // the channel is closed

	inbox, tasks calls // posted for Done
	sleep        bool  // l.inbox.sleep
	wake         bool  // the ring has been woken

	awake, bell, mu bool  // dog
	loops           bool  // the loop is among dog.loops
	seen            uint8 // l.token.seen

	made     uint8 // calls
	returned calls // Run is over
	moved    calls // the lead was taken from them, or given away
	detached calls // Detached was called
	answered calls // Done was called

	takeovers, held uint8 // bounded

	leaders [5]proc // of which the first is Run's goroutine
	other   proc    // uses Hold, Continue and Leave of somebody's Lead
	dog     proc

	wrong fault // a step did what must not be done
}

type fault uint8

const (
	fine fault = iota
	detachedTwice
	detachedLate
	detachedForNothing
	doneTwice
	doneEarly
	doneBeforeDetached
	turnTwice
)

var faults = [...]string{
	detachedTwice:      "Detached is called twice",
	detachedLate:       "Detached is called after Done",
	detachedForNothing: "Detached is called though the lead has not moved",
	doneTwice:          "Done is called twice",
	doneEarly:          "Done is called before Run is over",
	doneBeforeDetached: "Done is called and Detached is not, though the lead has moved",
	turnTwice:          "the home goroutine is told twice that it leads",
}

// mutation is a mistake in the protocol, made on purpose.
type mutation string

const (
	takeByStore      mutation = "take stores instead of comparing and swapping"
	ranByStore       mutation = "ran stores instead of comparing and swapping"
	homeForgotten    mutation = "settleHome does not look whether home waits"
	homeStillWaits   mutation = "settleHome leaves the flag up when it gives the lead to home"
	replaceByStore   mutation = "settleHome stores instead of home.replace"
	comeBackSilent   mutation = "comeBack does not wake the ring"
	comeBackUnasked  mutation = "comeBack waits at home without asking home"
	postSilent       mutation = "Post does not wake the ring"
	noRecheck        mutation = "the watchdog does not look again before it sleeps"
	recheckFirst     mutation = "the watchdog looks again before it clears awake"
	rouseFirst       mutation = "publish looks at awake before it puts the token up"
	bellLost         mutation = "rouse does not ring the bell"
	exitEndsLead     mutation = "a goroutine that ends with the lead is not replaced"
	detachUncovered  mutation = "nobody goes on when Detached ends its goroutine"
	continueCareless mutation = "Continue does not look whether Run is over"
	overByStore      mutation = "ran stores that it is over though a later one is"
	ranGivesUp       mutation = "ran does not try again after it has said that it is over"
	endUnnoticed     mutation = "the watchdog sleeps although there is no loop"
)

var mistakes = []mutation{
	takeByStore, ranByStore, homeForgotten, homeStillWaits, replaceByStore, comeBackSilent, comeBackUnasked, postSilent, noRecheck, recheckFirst, rouseFirst, bellLost, exitEndsLead, detachUncovered, continueCareless, overByStore, ranGivesUp, endUnnoticed,
}

// model bounds what may happen.
type model struct {
	calls     uint8 // that are made
	takeovers uint8 // of user code that runs
	holds     uint8 // by another goroutine
	watch     bool  // Config.Watch
	sleeps    bool  // the watchdog may find that it has been quiet for long
	mistake   mutation
}

func (m *model) start() (s state) {
	s.homeTerm = 1
	s.leaders[0] = proc{at: leads, term: 1, home: true}
	if m.watch {
		s.loops, s.awake = true, true
		s.dog.at = watches
	}
	return s
}

// step is a step of one goroutine, p is it in the state to come.
type step struct {
	who  string
	what string
	must bool
	to   state
}

// steps collects what can happen in a state, for one goroutine at a time.
type steps struct {
	*model
	from *state
	who  int // index of a leader, or one of the below
	list []step
}

const otherProc, dogProc = -1, -2

func (t *state) proc(who int) *proc {
	switch who {
	case otherProc:
		return &t.other
	case dogProc:
		return &t.dog
	}
	return &t.leaders[who]
}

func (x *steps) step(must bool, what string, do func(t *state, p *proc)) {
	x.list = append(x.list, step{must: must, what: what, to: *x.from})
	last := &x.list[len(x.list)-1]
	switch x.who {
	case otherProc:
		last.who = "other"
	case dogProc:
		last.who = "watchdog"
	default:
		last.who = leaderNames[x.who]
	}
	do(&last.to, last.to.proc(x.who))
}

var leaderNames = [...]string{"Run", "substitute 1", "substitute 2", "substitute 3", "substitute 4"}

func (x *steps) must(what string, do func(t *state, p *proc)) { x.step(true, what, do) }
func (x *steps) may(what string, do func(t *state, p *proc))  { x.step(false, what, do) }

// next returns everything that can happen in a state.
func (x *steps) next(s *state) []step {
	x.from, x.list = s, x.list[:0]
	for x.who = range s.leaders {
		x.leader(s.leaders[x.who])
	}
	x.who = otherProc
	x.otherGoroutine()
	x.who = dogProc
	x.watchdog()
	return x.list
}

// leader is run, and what it calls.
func (x *steps) leader(me proc) {
	s := x.from
	switch me.at {
	case detaches:
		x.must("Detached", func(t *state, p *proc) { t.detach(); p.at = leads })
		x.may("Goexit in Detached", func(t *state, p *proc) {
			t.detach()
			p.at = leads // in a new goroutine, as in the defer of run
			if x.mistake == detachUncovered {
				*p = proc{}
			}
		})
	case leads:
		if s.inbox|s.tasks == 0 { // and there is no connection, which the model does not know
			x.may("the loop has ended", func(_ *state, p *proc) {
				p.at = closes
				if x.watch {
					p.at = removes
				}
			})
		}
		x.must("turn again", func(_ *state, p *proc) {
			p.at = looks
			if me.home {
				p.at = sleeps
			}
		})

	case looks:
		switch {
		case s.homeWaits && x.mistake != homeForgotten:
			x.must("settleHome: home.Load, home waits", func(t *state, p *proc) { p.saw, p.at = t.homeTerm, hands })
		default:
			x.must("settleHome: home.Load", func(_ *state, p *proc) { p.at = sleeps })
			if !s.homeWaits {
				x.may("settleHome: home.Load, home is away for long", func(t *state, p *proc) { p.saw, p.at = t.homeTerm, replaces })
			}
		}
	case hands:
		x.must("settleHome: home.Store", func(t *state, p *proc) {
			t.homeTerm, t.homeWaits = p.saw, x.mistake == homeStillWaits
			p.at = sends
		})
	case sends:
		x.must("settleHome: homeTurn<-", func(t *state, p *proc) {
			if t.homeTurn {
				t.wrong = turnTwice
			}
			t.homeTurn = true
			*p = proc{} // me.lost, and it is not home
		})
	case replaces:
		x.must("settleHome: home.replace", func(t *state, p *proc) {
			if !t.homeWaits && t.homeTerm == p.saw || x.mistake == replaceByStore {
				t.homeTerm, t.homeWaits, p.home = p.term, false, true
			}
			p.saw, p.at = 0, sleeps
		})

	case sleeps:
		x.must("inbox.Sleep: sleep.Store", func(t *state, p *proc) {
			if t.tasks != 0 { // work at hand: timeout is 0
				p.at = polls
				return
			}
			t.sleep, p.at = true, peeks
		})
	case peeks:
		x.must("inbox.Sleep: head.Load", func(t *state, p *proc) {
			p.at = waits
			if t.inbox != 0 {
				p.at = polls
			}
		})
	case polls:
		x.must("ring.Enter does not wait", func(t *state, p *proc) { t.wake, p.at = false, awakes })
	case waits:
		if s.wake {
			x.must("ring.Enter is woken", func(t *state, p *proc) { t.wake, p.at = false, awakes })
		} else if s.made < x.calls {
			x.may("ring.Enter has an event", func(_ *state, p *proc) { p.at = awakes })
		}
	case awakes:
		x.must("inbox.Awake", func(t *state, p *proc) { t.sleep, p.at = false, serves })
	case serves, runs:
		if s.made < x.calls {
			x.may("call", func(t *state, p *proc) {
				t.made++
				t.seen, t.over = 0, 0 // only the newest token can come up: others are as good as none
				t.current, p.call, p.at = t.made, t.made, publishes
				if x.mistake == rouseFirst && x.watch {
					p.at = rouses
				}
			})
		}
		switch {
		case me.at == serves:
			x.must("inbox.TakeAll", func(t *state, p *proc) {
				if t.tasks == 0 {
					t.tasks, t.inbox = t.inbox, 0
				}
				p.at = runs
			})
		case s.tasks == 0:
			x.must("end of the turn", func(_ *state, p *proc) { p.at = leads })
		default:
			for call := uint8(1); call <= s.made; call++ {
				if s.tasks.has(call) {
					x.must("task: Done", func(t *state, _ *proc) { t.tasks &^= 1 << call; t.settle(call) })
				}
			}
		}
	case removes:
		if !s.mu {
			x.must("end: dog.remove", func(t *state, p *proc) { t.mu, t.loops, p.at = true, false, removed })
		}
	case removed:
		x.must("end: dog.rouse, awake.CompareAndSwap", func(t *state, p *proc) {
			p.at = knells
			if t.awake {
				t.mu, p.at = false, closes
			}
			t.awake = true
		})
	case knells:
		x.must("end: dog.rouse, bell<-", func(t *state, p *proc) { t.bell, t.mu, p.at = true, false, closes })
	case closes:
		x.must("end: close(done)", func(t *state, p *proc) { t.done = true; *p = proc{} })

	case publishes, rouses, rousesCAS, bells:
		x.publish(me, uses)
	case uses:
		x.may("user code returns, or calls Goexit", func(t *state, p *proc) { t.returned.add(p.call); p.at = takesBack })
		if s.token == me.call {
			x.may("Hold", func(t *state, p *proc) { t.token, p.at = 0, holds })
		}
	case holds:
		x.must("Continue", func(_ *state, p *proc) { p.at = publishes }) // Run is not over
		if x.mayMove(me.call) {
			x.may("Leave", func(t *state, p *proc) { p.at = uses; t.substitute() })
		}

	case takesBack:
		x.must("ran: token.CompareAndSwap", func(t *state, p *proc) {
			if p.at = overs; t.token == p.call || x.mistake == ranByStore {
				t.token, p.at = 0, settles
			}
		})
	case settles:
		x.must("ran: Done", func(t *state, p *proc) { t.settle(p.call); p.at, p.call = serves, 0 })
		x.may("ran: Done, after Goexit", func(t *state, p *proc) {
			t.settle(p.call)
			p.at, p.call = leads, 0 // in a new goroutine, as in the defer of run
			if x.mistake == exitEndsLead {
				*p = proc{}
			}
		})
	case overs:
		x.must("ran: token.end", func(t *state, p *proc) {
			p.at = triesBack
			if p.call == t.made {
				t.over = p.call // the newest, and no older one overwrites it
			} else if x.mistake == overByStore {
				t.over = 0
			}
			if x.mistake == ranGivesUp {
				p.at = posts
			}
		})
	case triesBack:
		x.must("ran: token.CompareAndSwap again", func(t *state, p *proc) {
			if p.at = posts; t.token == p.call {
				t.token, p.at = 0, settles
			}
		})
	case posts:
		x.must("ran: inbox.Push", func(t *state, p *proc) {
			t.inbox.add(p.call)
			p.at, p.call = wakes, 0 // after Goexit a new goroutine does the same
			if x.mistake == postSilent {
				p.at = comesBack
			}
		})
	case wakes:
		x.must("ran: inbox.Push, sleep.CompareAndSwap", func(t *state, p *proc) {
			p.at = comesBack
			if t.sleep {
				t.sleep, p.at = false, wakesRing
			}
		})
	case wakesRing:
		x.must("ran: ring.Wake", func(t *state, p *proc) { t.wake, p.at = true, comesBack })
	case comesBack:
		x.must("comeBack: home.wait", func(t *state, p *proc) {
			switch {
			case !p.home || t.homeTerm != p.term && x.mistake != comeBackUnasked:
				*p = proc{}
				return
			case t.homeTerm == p.term:
				t.homeWaits = true
			}
			p.at = callsHome
			if x.mistake == comeBackSilent {
				p.at = selects
			}
		})
	case callsHome:
		x.must("comeBack: ring.Wake", func(t *state, p *proc) { t.wake, p.at = true, selects })
	case selects:
		if s.homeTurn {
			x.must("comeBack: <-homeTurn", func(t *state, p *proc) { t.homeTurn, p.at = false, leads })
		}
		if s.done {
			x.must("comeBack: <-done", func(_ *state, p *proc) { *p = proc{} })
		}
	}
}

// publish is Loop.publish, by a leader before it runs user code or by who continues.
func (x *steps) publish(me proc, then place) {
	switch me.at {
	case publishes:
		x.must("publish: token.Store", func(t *state, p *proc) {
			t.token = p.call
			p.at = then
			if x.watch && x.mistake != rouseFirst {
				p.at = rouses
			}
		})
	case rouses:
		x.must("publish: awake.Load", func(t *state, p *proc) {
			p.at = rousesCAS
			if t.awake {
				p.at = then
				if x.mistake == rouseFirst {
					p.at = publishes
				}
			}
		})
	case rousesCAS:
		x.must("rouse: awake.CompareAndSwap", func(t *state, p *proc) {
			p.at = bells
			if t.awake || x.mistake == bellLost {
				p.at = then
			}
			t.awake = true
		})
	case bells:
		x.must("rouse: bell<-", func(t *state, p *proc) {
			t.bell, p.at = true, then
			if x.mistake == rouseFirst {
				p.at = publishes
			}
		})
	}
}

// otherGoroutine is one to which user code has given its Lead.
func (x *steps) otherGoroutine() {
	s, me := x.from, x.from.other
	switch me.at {
	case gone:
		if s.token != 0 && s.held < x.holds {
			x.may("Hold", func(t *state, p *proc) { p.call, p.at, t.token = t.token, holds, 0; t.held++ })
		}
	case holds:
		x.must("Continue", func(_ *state, p *proc) { p.at = publishes })
		if x.mayMove(me.call) {
			x.may("Leave", func(t *state, p *proc) { *p = proc{}; t.substitute() })
		}
	case checks:
		x.must("Continue: token.over.Load", func(t *state, p *proc) {
			if t.over != p.call || x.mistake == continueCareless {
				*p = proc{}
				return
			}
			p.at = takesOver
		})
	case takesOver:
		x.must("Continue: token.CompareAndSwap", func(t *state, p *proc) {
			if t.token == p.call {
				t.token = 0
				t.substitute()
			}
			*p = proc{}
		})
	default:
		x.publish(me, checks)
	}
}

// watchdog is watchdog.run. It looks any number of times before it finds that it has
// been quiet for long.
func (x *steps) watchdog() {
	s, me := x.from, x.from.dog
	switch me.at {
	case watches:
		switch {
		case s.mu:
		case !s.loops:
			x.must("look: no loops", func(_ *state, p *proc) { *p = proc{} })
		case s.token == 0:
			x.must("look: no token", func(t *state, _ *proc) { t.seen = 0 })
			if x.sleeps {
				x.must("look: no token for long", func(t *state, p *proc) {
					t.seen, p.at = 0, clears
					if x.mistake == recheckFirst {
						p.at = rechecks
					}
				})
			}
		case s.token != s.seen:
			x.must("look: a token", func(t *state, _ *proc) { t.seen = t.token })
		case x.mayMove(s.token):
			x.must("look: the same token", func(t *state, p *proc) { p.saw, p.at, t.mu = t.token, takes, true })
		}
	case takes:
		x.must("take: token.CompareAndSwap", func(t *state, p *proc) {
			if t.token == p.saw || x.mistake == takeByStore {
				t.token = 0
				t.substitute()
			}
			p.saw, p.at, t.mu = 0, watches, false
		})
	case clears:
		x.must("awake.Store(false)", func(t *state, p *proc) {
			t.awake, p.at = false, rechecks
			if x.mistake == noRecheck || x.mistake == recheckFirst {
				p.at = hears
			}
		})
	case rechecks:
		if s.mu {
			break
		}
		x.must("idle: token.Load", func(t *state, p *proc) {
			switch {
			case t.token != 0 || !t.loops && x.mistake != endUnnoticed:
				p.at = restores
			case x.mistake == recheckFirst:
				p.at = clears
			default:
				p.at = hears
			}
		})
	case restores:
		x.must("awake.Store(true)", func(t *state, p *proc) { t.awake, p.at = true, watches })
	case hears:
		if s.bell {
			x.must("<-bell", func(t *state, p *proc) { t.bell, p.at = false, watches })
		}
	}
}

// mayMove bounds how often the lead is lost by user code that runs. A token that is
// up and nobody runs user code for is always taken.
func (x *steps) mayMove(call uint8) bool {
	return x.from.takeovers < x.takeovers || x.from.returned.has(call)
}

// substitute is go l.substitute(), by who has just taken the lead, or leads.
func (t *state) substitute() {
	t.takeovers++
	t.moved.add(t.current)
	i := slices.IndexFunc(t.leaders[:], func(p proc) bool { return p.at == gone })
	t.leaders[i] = proc{at: detaches, term: uint8(i + 1)}
}

func (t *state) detach() {
	switch call := t.current; {
	case t.detached.has(call):
		t.wrong = detachedTwice
	case t.answered.has(call):
		t.wrong = detachedLate
	case !t.moved.has(call):
		t.wrong = detachedForNothing
	default:
		t.detached.add(call)
	}
	t.current = 0
}

func (t *state) settle(call uint8) {
	switch {
	case t.answered.has(call):
		t.wrong = doneTwice
	case !t.returned.has(call):
		t.wrong = doneEarly
	case t.moved.has(call) && !t.detached.has(call):
		t.wrong = doneBeforeDetached
	}
	t.answered.add(call)
	t.returned &^= 1 << call
	t.moved &^= 1 << call
	t.detached &^= 1 << call
	if t.over == call {
		t.over = 0
	}
}

// leading reports whether a goroutine leads at a place.
func (p proc) leading() bool {
	switch p.at {
	case detaches, leads, looks, hands, sends, replaces, sleeps, peeks, polls, waits, awakes, serves, runs,
		removes, removed, knells, closes, publishes, holds, settles:
		return true
	}
	return false
}

// broken says what is wrong with a state, at once: the lead is in one place, with a
// goroutine, under the token or on its way home, until the loop has ended. And one
// goroutine is at home, which may be out.
func (m *model) broken(s *state) string {
	if s.wrong != fine {
		return faults[s.wrong]
	}
	places, homes, waiting := 0, 0, 0
	for _, p := range append(s.leaders[:], s.other) {
		if p.leading() || m.mistake == rouseFirst && p.call != 0 && (p.at == rouses || p.at == rousesCAS || p.at == bells) {
			places++
		}
		if p.at != gone && p.home && p.term == s.homeTerm {
			homes++
		}
		if p.at == selects {
			waiting++
		}
	}
	if s.token != 0 {
		places++
	}
	if s.homeTurn {
		places++
	}
	switch {
	case places > 1:
		return "two lead"
	case s.done && places != 0:
		return "somebody leads a loop that has ended"
	case !s.done && places == 0:
		return "the lead is lost"
	case !s.done && homes != 1:
		return fmt.Sprintf("%d goroutines are the home", homes)
	case waiting > 1:
		return "two goroutines wait at home"
	}
	return ""
}

// settled reports whether all is well with nothing left that must happen: the loop has
// ended and everybody with it, but for user code that still runs; or its leader waits
// for events, and nobody for the leader; or the leader runs user code that the
// watchdog has an eye on.
func (m *model) settled(s *state) bool {
	idle, waiting, user := 0, 0, false
	for _, p := range s.leaders {
		switch p.at {
		case gone:
		case uses:
			user = user || p.call == s.token
		case waits:
			idle++
		case selects:
			waiting++
		default:
			return false
		}
	}
	asleep := !m.watch || !m.sleeps && s.dog.at == watches || s.dog.at == hears && !s.bell && !s.awake
	switch {
	case s.other.at != gone:
		return false
	case s.done:
		return idle+waiting == 0 && s.dog.at == gone
	case s.token != 0:
		return user && (!m.watch || s.takeovers >= m.takeovers && s.dog.at == watches)
	default:
		return idle == 1 && waiting == 0 && asleep && !s.wake && s.inbox|s.tasks == 0 &&
			s.returned == 0 && s.detached == s.moved
	}
}

// explored is what was found.
type explored struct {
	*model
	states []state
	from   []int32 // by which state each was reached first
	steps  int
	bad    string // what is wrong, and how it comes about
	trace  []string
	last   int32 // state of trace
}

// explore goes through all states, the nearest first.
func (m *model) explore() *explored {
	e := &explored{model: m}
	seen := make(map[state]int32)
	add := func(s *state, from int32) int32 {
		i, found := seen[*s]
		if !found {
			i = int32(len(e.states))
			seen[*s] = i
			e.states = append(e.states, *s)
			e.from = append(e.from, from)
		}
		return i
	}
	first := m.start()
	add(&first, -1)
	var edges [][2]int32 // of the steps that must happen
	x := &steps{model: m}
	for i := int32(0); int(i) < len(e.states); i++ {
		if bad := m.broken(&e.states[i]); bad != "" {
			return e.found(bad, i)
		}
		s := e.states[i]
		for _, step := range x.next(&s) {
			e.steps++
			if j := add(&step.to, i); step.must {
				edges = append(edges, [2]int32{j, i})
			}
		}
	}
	// Backwards from where all is well.
	slices.SortFunc(edges, func(a, b [2]int32) int { return int(a[0] - b[0]) })
	begin := make([]int32, len(e.states)+1)
	for _, edge := range edges {
		begin[edge[0]+1]++
	}
	for i := range e.states {
		begin[i+1] += begin[i]
	}
	well := make([]bool, len(e.states))
	var todo []int32
	for i := range e.states {
		if m.settled(&e.states[i]) {
			well[i] = true
			todo = append(todo, int32(i))
		}
	}
	for len(todo) > 0 {
		j := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, edge := range edges[begin[j]:begin[j+1]] {
			if i := edge[1]; !well[i] {
				well[i] = true
				todo = append(todo, i)
			}
		}
	}
	if i := slices.Index(well, false); i >= 0 {
		return e.found("from here all is never well", int32(i))
	}
	return e
}

// found notes how a bad state is reached.
func (e *explored) found(bad string, i int32) *explored {
	e.bad, e.last = bad, i
	x := &steps{model: e.model}
	for ; e.from[i] >= 0; i = e.from[i] {
		for _, step := range x.next(&e.states[e.from[i]]) {
			if step.to == e.states[i] {
				e.trace = append(e.trace, step.who+": "+step.what)
				break
			}
		}
	}
	slices.Reverse(e.trace)
	return e
}

var thorough = flag.Bool("thorough", false, "go through the large models of the lead too")

// models are small enough to be gone through, and together have everything in them.
var models = []struct {
	name string
	model
	large bool // half a million states and more
}{
	{"another goroutine", model{calls: 1, takeovers: 1, holds: 1, watch: true, sleeps: true}, false},
	{"not watched", model{calls: 2, takeovers: 2, holds: 1}, false},
	{"not watched, three calls", model{calls: 3, takeovers: 2}, false},
	{"two takeovers", model{calls: 2, takeovers: 2, watch: true}, false},
	{"the watchdog sleeps", model{calls: 2, takeovers: 1, watch: true, sleeps: true}, false},
	{"two takeovers, another goroutine", model{calls: 2, takeovers: 2, holds: 1, watch: true}, true},
	{"three calls", model{calls: 3, takeovers: 2, watch: true}, true},
}

// Whatever the order of their steps, the goroutines of a loop keep the rules.
func TestLeadModel(t *testing.T) {
	t.Parallel()
	for _, m := range models {
		t.Run(m.name, func(t *testing.T) {
			if m.large && !*thorough {
				t.Skip("use -thorough")
			}
			e := m.explore()
			t.Logf("%d states, %d steps", len(e.states), e.steps)
			if e.bad != "" {
				t.Errorf("%s:\n\t%s\n%+v", e.bad, strings.Join(e.trace, "\n\t"), e.states[e.last])
			}
		})
	}
}

// Each mistake is found: the rules and the models are not too weak for it.
func TestLeadModelFindsMistakes(t *testing.T) {
	t.Parallel()
	for _, mistake := range mistakes {
		t.Run(string(mistake), func(t *testing.T) {
			for _, m := range models {
				if m.large {
					continue
				}
				m.mistake = mistake
				if e := m.explore(); e.bad != "" {
					t.Logf("%s: %s, %d states\n\t%s", m.name, e.bad, len(e.states), strings.Join(e.trace, "\n\t"))
					return
				}
			}
			t.Error("not found")
		})
	}
}
