// Package check holds assertions that run in test builds only: with the race
// detector, or with the build tag ringkitcheck. The bugs they look for (a buffer
// used after it was given back, an operation on memory the garbage collector
// owns) show up far from their cause when they show up at all.
package check

import "fmt"

// PoisonByte fills memory that was given back. It is no byte of a valid
// HTTP token, of UTF-8 text or of an unmasked frame header.
const PoisonByte = 0xDB

// Poison overwrites b in test builds.
func Poison(b []byte) {
	if Enabled {
		b = b[:cap(b)]
		for i := range b {
			b[i] = PoisonByte
		}
	}
}

// That panics in test builds when ok is false.
func That(ok bool, format string, args ...any) {
	if Enabled && !ok {
		panic("ringkit: internal check failed: " + fmt.Sprintf(format, args...))
	}
}
