package wsock

import (
	"math/rand/v2"
	"testing"
	"unicode/utf8"
)

// Whatever the state machine accepts is what unicode/utf8 calls valid, and it stops
// at the first byte behind which nothing can be valid any more.
func TestUTF8AgainstStandardLibrary(t *testing.T) {
	interesting := []byte{0, 'a', 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf,
		0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff}
	var try func(p []byte)
	try = func(p []byte) {
		s := utf8Start
		for _, c := range p {
			s = s.step(c)
		}
		if valid := s == utf8Start; valid != utf8.Valid(p) {
			t.Fatalf("%x: valid %t", p, valid)
		}
		if got := utf8Start.check(p); got != s {
			t.Fatalf("%x: check returns %d, step %d", p, got, s)
		}
		if possible := s != utf8Bad; possible != completes(p, 3) {
			t.Fatalf("%x: state %d", p, s)
		}
		if len(p) == 4 || s == utf8Bad {
			return
		}
		for _, c := range interesting {
			try(append(p, c))
		}
	}
	try(make([]byte, 0, 8))
}

// completes reports whether up to n further bytes make p valid.
func completes(p []byte, n int) bool {
	if utf8.Valid(p) {
		return true
	}
	if n == 0 {
		return false
	}
	for _, c := range []byte{0x80, 0x90, 0xa0, 0xbf} {
		if completes(append(p, c), n-1) {
			return true
		}
	}
	return false
}

func TestUTF8Pieces(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var p []byte
		for range rng.IntN(40) {
			p = utf8.AppendRune(p, rng.Int32N(1<<(7*(1+rng.Int32N(3))))%(utf8.MaxRune+1))
		}
		if len(p) > 0 && rng.IntN(2) == 0 {
			p[rng.IntN(len(p))] ^= 1 << rng.IntN(8)
		}
		want := utf8Start.check(p)
		i, j := rng.IntN(len(p)+1), rng.IntN(len(p)+1)
		i, j = min(i, j), max(i, j)
		if got := utf8Start.check(p[:i]).check(p[i:j]).check(p[j:]); got != want {
			t.Fatalf("%x in three at %d and %d: %d, whole %d", p, i, j, got, want)
		}
		if (want == utf8Start) != utf8.Valid(p) {
			t.Fatalf("%x: %d", p, want)
		}
	}
}
