// Package mix is what a server does for the loads in which some requests take
// longer than others. All servers share it, so that they do the same.
package mix

import (
	"math/rand/v2"
	"time"

	"github.com/ringkit/ringkit/bench/internal/client"
)

// Paths of the routes. Any other path is answered at once.
const (
	Fast     = "/"
	Slow2    = "/slow2"    // sleeps ShortSleep
	Slow1000 = "/slow1000" // sleeps LongSleep
	Burn5    = "/burn5"    // computes for BurnTime
	Same2    = "/same2"    // sleeps ShortSleep in ShortShare of the requests
	Same1000 = "/same1000" // sleeps LongSleep in LongShare of the requests
	Stats    = "/stats"    // ringkit only: its counters as JSON
)

// How long the slow requests take, and which share of all they are.
const (
	ShortSleep = 2 * time.Millisecond
	ShortShare = 0.02
	LongSleep  = time.Second
	LongShare  = 0.001
	BurnTime   = 5 * time.Millisecond
	BurnShare  = 0.02
)

// Answer does what the route of path does and returns the body to answer with.
func Answer(path string) string {
	switch path {
	case Fast:
	case Slow2:
		return sleep(ShortSleep)
	case Slow1000:
		return sleep(LongSleep)
	case Burn5:
		burn(burnRounds())
		return client.SlowBody
	case Same2:
		if rand.Float64() < ShortShare {
			return sleep(ShortSleep)
		}
	case Same1000:
		if rand.Float64() < LongShare {
			return sleep(LongSleep)
		}
	}
	return client.Body
}

func sleep(d time.Duration) string {
	time.Sleep(d)
	return client.SlowBody
}

// Counters are those of ringkit's Server.Stats that the table shows.
type Counters struct {
	Takeovers uint64 `json:"takeovers"`
	Released  uint64 `json:"released"`
	Predicted uint64 `json:"predicted"`
	Spawned   uint64 `json:"spawned"`
}

// Sub returns what was counted between before and c.
func (c Counters) Sub(before Counters) Counters {
	return Counters{
		Takeovers: c.Takeovers - before.Takeovers,
		Released:  c.Released - before.Released,
		Predicted: c.Predicted - before.Predicted,
		Spawned:   c.Spawned - before.Spawned,
	}
}
