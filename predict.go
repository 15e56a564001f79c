package ringkit

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/ringkit/ringkit/http1"
)

// predictor remembers which routes block, as a processor remembers which branches
// are taken: a table of saturating counters that is found by a hash of method and
// route. Routes that share a counter are predicted alike, which costs speed, not
// correctness.
//
// A route that blocked on the loop is run on goroutines until a number of calls in
// a row have been fast. That number doubles whenever the route blocks on the loop
// again, so that a route that blocks rarely does not do so on the loop for long.
type predictor struct {
	blocking atomic.Int32 // counters above zero
	counters [predictorSize]counter
}

type counter struct {
	left    atomic.Int32 // calls to be fast before the next runs on the loop
	strikes atomic.Int32 // how often it has blocked there
	last    atomic.Int64 // when, in seconds
}

const (
	predictorSize = 1024

	// slowCall is how long a call on a goroutine may take to count as fast.
	slowCall = time.Millisecond

	firstSentence = 32      // fast calls after the first strike
	longest       = 1 << 16 // and at most
	forgiven      = 30      // seconds after which half of the strikes are forgotten
)

// route is a place in the table.
type route uint16

const noRoute route = predictorSize

// blocks predicts whether a call of the route blocks.
func (p *predictor) blocks(r route) bool { return p.counters[r].left.Load() > 0 }

// none reports whether nothing is predicted to block, so that there is no need to
// find out the route.
func (p *predictor) none() bool { return p.blocking.Load() == 0 }

// blocked notes that a call blocked on the loop.
func (p *predictor) blocked(r route, now time.Time) {
	if r == noRoute {
		return
	}
	c := &p.counters[r]
	strikes := c.strikes.Load()
	if now.Unix()-c.last.Swap(now.Unix()) > forgiven {
		strikes /= 2
	}
	c.strikes.Store(min(strikes+1, 31))
	p.sentence(c)
}

// sentence sets a counter to its whole length.
func (p *predictor) sentence(c *counter) {
	n := int32(longest)
	if s := c.strikes.Load(); s > 0 && s <= 11 {
		n = firstSentence << (s - 1)
	}
	if c.left.Swap(n) <= 0 {
		p.blocking.Add(1)
	}
}

// took notes how long a call took that ran on a goroutine because of the
// prediction.
func (p *predictor) took(r route, d time.Duration) {
	if r == noRoute {
		return
	}
	c := &p.counters[r]
	if d >= slowCall {
		if c.left.Load() > 0 {
			p.sentence(c)
		}
		return
	}
	for {
		left := c.left.Load()
		if left <= 0 {
			return
		}
		if c.left.CompareAndSwap(left, left-1) {
			if left == 1 {
				p.blocking.Add(-1)
			}
			return
		}
	}
}

// Hash parameters of FNV-1a.
const (
	hashSeed  = 14695981039346656037
	hashPrime = 1099511628211
)

// routeOfPath takes the beginning of a path for the route. A segment with a digit
// is taken for an identifier: all such are alike.
func routeOfPath[T []byte | string](method http1.Method, path T) route {
	return fold(hashPath(uint64(hashSeed)^uint64(method)*hashPrime, path))
}

// routeOfNative is routeOfPath for a native handler. One that only delegates is not
// slow because what it delegates to is: that has a route of its own.
func routeOfNative(method http1.Method, path []byte) route {
	return fold(hashPath((uint64(hashSeed)^uint64(method)*hashPrime^'n')*hashPrime, path))
}

func hashPath[T []byte | string](h uint64, path T) uint64 {
	const most = 5 // segments
	segments := 0
	for i := 0; i < len(path) && segments < most; {
		end, digits := i+1, false
		for end < len(path) && path[end] != '/' {
			digits = digits || '0' <= path[end] && path[end] <= '9'
			end++
		}
		if digits {
			h = (h ^ '*') * hashPrime
		} else {
			for _, c := range []byte(path[i:min(end, i+32)]) {
				h = (h ^ uint64(c)) * hashPrime
			}
		}
		h = (h ^ '/') * hashPrime
		i = end
		segments++
	}
	return h
}

func routeOfPattern(method http1.Method, pattern string) route {
	h := (uint64(hashSeed) ^ uint64(method)*hashPrime ^ 'p') * hashPrime
	for i := range len(pattern) {
		h = (h ^ uint64(pattern[i])) * hashPrime
	}
	return fold(h)
}

func fold(h uint64) route { return route((h ^ h>>32 ^ h>>16) % predictorSize) }

// patternOf returns the pattern of a mux that a request will match, "" if it is
// no mux or there is none.
func patternOf(h http.Handler, r *http.Request) string {
	if mux, ok := h.(*http.ServeMux); ok {
		_, pattern := mux.Handler(r)
		return pattern
	}
	return ""
}
