// Package bulk lends memory of the Go heap to what is long for a while: bodies, and input
// that waits. Without it each of them would grow from nothing, by copying, and leave all
// that to the garbage collector, which costs more than receiving it.
package bulk

import (
	"math/bits"
	"sync"

	"github.com/ringkit/ringkit/internal/check"
)

// Sizes of buffers, in bytes: powers of two. What is longer than the largest is left to the
// garbage collector.
const (
	Smallest = 128 << 10
	Largest  = 16 << 20
)

var pools [8]sync.Pool // by size, from Smallest on

// class returns which of the pools has buffers of n bytes, or of more.
func class(n int) int { return bits.Len(uint(max(n, Smallest)-1) / Smallest) }

// Get returns an empty buffer with room for at least n bytes. Any goroutine may call it.
func Get(n int) []byte {
	if n > Largest {
		return make([]byte, 0, n)
	}
	c := class(n)
	if b, ok := pools[c].Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 0, Smallest<<c)
}

// Put gives a buffer back, of which nothing is used any more. It takes any: one that has not
// the size of those lent is left to the garbage collector. Any goroutine may call it.
func Put(b []byte) {
	if n := cap(b); n >= Smallest && n <= Largest && n&(n-1) == 0 {
		check.Poison(b[:n])
		b = b[:0]
		pools[class(n)].Put(&b)
	}
}

// Append appends p to b as append does, with memory that is lent once that is long: then b
// must not be used again. What it returns is for Put.
func Append(b, p []byte) []byte {
	n := len(b) + len(p)
	if n <= cap(b) || n <= Smallest/2 {
		return append(b, p...)
	}
	var longer []byte
	if n <= Largest {
		longer = append(append(Get(n), b...), p...)
	} else {
		longer = append(b, p...) // which grows by more than it has to
	}
	Put(b)
	return longer
}
