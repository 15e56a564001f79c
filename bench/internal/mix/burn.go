package mix

import (
	"sync"
	"sync/atomic"
	"time"
)

// trials is how often the speed of the processor is measured. The fastest counts:
// what disturbs a trial only makes it slower.
const trials = 20

// trialRounds take a fraction of a millisecond.
const trialRounds = 200_000

// burnRounds is how many rounds take BurnTime here. It is work that is fixed, not
// time: requests that take turns on one processor must not pass their time while
// others compute.
var burnRounds = sync.OnceValue(func() int {
	best := time.Duration(1 << 62)
	for range trials {
		start := time.Now()
		burn(trialRounds)
		best = min(best, time.Since(start))
	}
	return roundsFor(BurnTime, best)
})

// Calibrate measures how much work the computing route is. A server calls it at its
// start, so that no request pays for it.
func Calibrate() { burnRounds() }

func roundsFor(d, trial time.Duration) int {
	return int(float64(trialRounds) * float64(d) / float64(max(trial, 1)))
}

// burnt keeps what was computed: nobody may leave out work whose result is used.
var burnt atomic.Uint64

// burn computes, without a system call or a call into the runtime.
func burn(rounds int) {
	x := uint64(88172645463325252)
	for range rounds {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	burnt.Store(x)
}
