package load

import (
	"math/bits"
	"time"
)

// A histogram counts latencies in steps that grow with them: each power of two is
// divided into 32, so that a quantile is at most about 3 % too high.
const (
	stepBits = 5
	steps    = 1 << stepBits
)

type histogram struct {
	counts [(64 - stepBits) * steps]int64
	n      int64
	max    time.Duration
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.counts[step(d)]++
	h.n++
	h.max = max(h.max, d)
}

// step returns the index of the step that d falls into.
func step(d time.Duration) int {
	exponent := max(0, bits.Len64(uint64(d))-stepBits-1)
	return exponent*steps + int(d>>exponent)
}

// upper returns the greatest duration of a step.
func upper(step int) time.Duration {
	exponent := max(0, step/steps-1)
	return time.Duration(step-exponent*steps+1)<<exponent - 1
}

// quantile returns the latency that a share q of all do not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	rank := int64(q * float64(h.n))
	var below int64
	for i, count := range h.counts {
		below += count
		if count > 0 && below >= rank {
			return min(upper(i), h.max)
		}
	}
	return 0
}

func (h *histogram) latencies() Latencies {
	return Latencies{Requests: h.n, P50: h.quantile(0.5), P99: h.quantile(0.99), Max: h.max}
}
