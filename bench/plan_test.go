package main

import (
	"testing"
	"time"

	"github.com/ringkit/ringkit/bench/internal/subject"
)

// testJobs are jobs of scenarios with so many subjects each.
func testJobs(t *testing.T, subjects int, names ...string) (jobs []*job) {
	for _, name := range names {
		jobs = append(jobs, &job{scenario: findScenario(t, name), subjects: make([]subject.Subject, subjects)})
	}
	return jobs
}

// simulate goes through a plan as comparison.run does, on a clock of its own, and returns how
// often each scenario was measured and how long all took. Everything takes times as long as
// the plan expects.
func simulate(p plan, jobs []*job, times float64) (rounds map[string]int, took time.Duration) {
	rounds = make(map[string]int)
	for round := 1; round <= p.rounds; round++ {
		for _, j := range jobs {
			if !p.next(j, round, took) {
				continue
			}
			rounds[j.name]++
			if j.took == 0 {
				j.took = time.Duration(times * float64(p.cost(j)))
			}
			took += j.took
		}
	}
	return rounds, took
}

func everything() []string {
	var names []string
	for _, sc := range allScenarios(false) {
		names = append(names, sc.name)
	}
	return names
}

func TestPlanFillsTheBudget(t *testing.T) {
	for _, times := range []float64{0.5, 1, 1.5} {
		jobs := testJobs(t, 7, everything()...)
		p := newPlan(options{}, jobs, wholeBudget, 10*time.Second)
		rounds, took := simulate(p, jobs, times)
		if took > wholeBudget || took < wholeBudget/2 && rounds["plain"] < wholeLimits.rounds {
			t.Errorf("%g times as slow: %v, %v", times, took, rounds)
		}
		for _, j := range jobs {
			if n := rounds[j.name]; n < 1 || j.isIdle() && n != 1 || !j.isIdle() && n < rounds["plain"]-1 {
				t.Errorf("%g times as slow: %d rounds of %s, %d of plain", times, n, j.name, rounds["plain"])
			}
		}
	}
}

// However slow the machine is, each scenario is measured once.
func TestPlanMeasuresAllOnce(t *testing.T) {
	jobs := testJobs(t, 20, everything()...)
	p := newPlan(options{}, jobs, time.Second, 10*time.Second)
	if rounds, _ := simulate(p, jobs, 1); len(rounds) != len(jobs) || rounds["plain"] != 1 || p.duration != wholeLimits.shortest {
		t.Errorf("%v of %v", rounds, p.duration)
	}
}

func TestPlanUsesSpareTime(t *testing.T) {
	jobs := testJobs(t, 2, "plain")
	p := newPlan(options{}, jobs, wholeBudget, 0)
	if rounds, _ := simulate(p, jobs, 1); p.duration != wholeLimits.longest || rounds["plain"] != wholeLimits.rounds {
		t.Errorf("%v of %v", rounds, p.duration)
	}
	p = newPlan(options{quick: true}, jobs, quickBudget, 0)
	if p.duration != quickLimits.longest || p.rounds != quickLimits.rounds {
		t.Errorf("quick: %d of %v", p.rounds, p.duration)
	}
}

func TestPlanObeysFlags(t *testing.T) {
	jobs := testJobs(t, 3, "plain", "idle-http")
	p := newPlan(options{rounds: 9, duration: 2 * time.Second}, jobs, time.Second, time.Second)
	if rounds, _ := simulate(p, jobs, 1); rounds["plain"] != 9 || rounds["idle-http"] != 9 || p.duration != 2*time.Second {
		t.Errorf("rounds and duration: %v of %v", rounds, p.duration)
	}
	p = newPlan(options{rounds: 3}, jobs, time.Minute, time.Second)
	if rounds, took := simulate(p, jobs, 1); rounds["plain"] != 3 || took > time.Minute || p.duration <= wholeLimits.shortest {
		t.Errorf("rounds: %v of %v in %v", rounds, p.duration, took)
	}
	jobs = testJobs(t, 3, "plain", "idle-http")
	p = newPlan(options{duration: 2 * time.Second}, jobs, time.Minute, time.Second)
	if rounds, took := simulate(p, jobs, 1); rounds["plain"] < 3 || rounds["idle-http"] != 1 || took > time.Minute || p.duration != 2*time.Second {
		t.Errorf("duration: %v of %v in %v", rounds, p.duration, took)
	}
}

func TestPlanLeft(t *testing.T) {
	jobs := testJobs(t, 2, "plain", "json", "idle-http")
	p := newPlan(options{}, jobs, 5*time.Minute, 10*time.Second)
	_, took := simulate(p, jobs, 1)
	jobs = testJobs(t, 2, "plain", "json", "idle-http")
	if left := p.left(jobs, 1, 0, 0); left != took {
		t.Errorf("at the start %v, in the end %v", left, took)
	}
	if left := p.left(jobs, p.rounds, 1, 0); left != p.cost(jobs[1]) {
		t.Errorf("before the last: %v", left)
	}
}
