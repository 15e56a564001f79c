package main

import (
	"time"

	"github.com/ringkit/ringkit/bench/internal/subject"
)

// job is a scenario with what it is measured with.
type job struct {
	scenario
	subjects []subject.Subject
	measure  func(s subject.Subject) (sample, error)

	took time.Duration // its last round, 0 before the first
}

// plan says how much is measured. Rounds go over all scenarios: whenever the time is over,
// or somebody has had enough, each has had its share.
type plan struct {
	budget   time.Duration // 0 for as long as it takes
	rounds   int           // at most
	exact    bool          // so many rounds, not as many as fit
	duration time.Duration // of one measurement
	idle     time.Duration // that one of memory takes
}

// limits bound what is chosen where flags do not say it.
type limits struct {
	aim, rounds       int // to be reached, and at most
	shortest, longest time.Duration
}

var (
	wholeLimits = limits{aim: 5, rounds: 7, shortest: 400 * time.Millisecond, longest: 5 * time.Second}
	quickLimits = limits{aim: 2, rounds: 2, shortest: 300 * time.Millisecond, longest: time.Second}
)

// newPlan chooses what the options leave open: durations so long that the rounds aimed at
// fit into the time that is left of the budget, and as many rounds as fit.
func newPlan(o options, jobs []*job, left, idle time.Duration) plan {
	l := wholeLimits
	if o.quick {
		l = quickLimits
	}
	p := plan{budget: left, rounds: o.rounds, exact: o.rounds > 0, duration: o.duration, idle: idle}
	if !p.exact {
		p.rounds = l.rounds
	}
	if p.exact {
		p.budget = 0 // but for the duration
	}
	if p.duration > 0 {
		return p
	}
	aim := l.aim
	if p.exact {
		aim = p.rounds
	}
	const step = 100 * time.Millisecond
	for p.duration = l.longest; p.duration > l.shortest; p.duration -= step {
		if p.estimate(jobs, aim) <= left {
			break
		}
	}
	return p
}

// estimate returns how long so many rounds take.
func (p plan) estimate(jobs []*job, rounds int) (all time.Duration) {
	for _, j := range jobs {
		for round := 1; round <= rounds; round++ {
			if p.takes(j, round) {
				all += p.cost(j)
			}
		}
	}
	return all
}

// takes reports whether a scenario is measured in a round, if there is time. Memory hardly
// differs from one round to the next and takes long: one round is enough, if nobody says
// otherwise.
func (p plan) takes(j *job, round int) bool { return p.exact || round == 1 || !j.isIdle() }

// cost returns how long a round of a scenario takes: as long as the one before or, before
// the first, what is to be expected.
func (p plan) cost(j *job) time.Duration {
	if j.took > 0 {
		return j.took
	}
	return time.Duration(len(j.subjects)) * p.one(j.scenario)
}

// one returns how long a measurement of a subject should take.
func (p plan) one(sc scenario) time.Duration {
	const start = 250 * time.Millisecond // and stop
	d := sc.stretch(p.duration)
	switch {
	case sc.isIdle():
		return start + p.idle
	case sc.mixed():
		return start + warmUp(p.duration) + p.duration + d
	}
	return start + warmUp(d) + d + time.Duration(sc.connections(64))*100*time.Microsecond
}

// next reports whether a round of a scenario is to be measured when so much of the time has
// passed. The first round is, whatever it takes: a scenario without figures helps nobody.
func (p plan) next(j *job, round int, passed time.Duration) bool {
	return p.takes(j, round) && (round == 1 || p.budget == 0 || passed+p.cost(j) <= p.budget)
}

// left returns how long the rest takes when so much time has passed and the scenarios from
// the given one on are yet to be measured in a round.
func (p plan) left(jobs []*job, round, from int, passed time.Duration) time.Duration {
	end := passed
	for ; round <= p.rounds; round, from = round+1, 0 {
		for _, j := range jobs[from:] {
			if p.next(j, round, end) {
				end += p.cost(j)
			}
		}
	}
	return end - passed
}
