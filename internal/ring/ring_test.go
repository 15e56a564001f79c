package ring

import (
	"math/rand/v2"
	"testing"
)

func TestToken(t *testing.T) {
	check := func(op Op, gen, slot uint32) {
		t.Helper()
		tok := MakeToken(op, gen, slot)
		if tok.Op() != op || tok.Generation() != gen || tok.Slot() != slot {
			t.Errorf("MakeToken(%d, %d, %d) gives back %d, %d, %d", op, gen, slot, tok.Op(), tok.Generation(), tok.Slot())
		}
	}
	for _, op := range []Op{0, 1, OpWake, 255} {
		for _, gen := range []uint32{0, 1, MaxGeneration} {
			for _, slot := range []uint32{0, 1, 1 << 31, 1<<32 - 1} {
				check(op, gen, slot)
			}
		}
	}
	for range 1000 {
		check(Op(rand.Uint32()), rand.Uint32()&MaxGeneration, rand.Uint32())
	}
}

// A generation that has run over does not reach into the operation.
func TestGenerationRunsAround(t *testing.T) {
	if got, want := MakeToken(OpSend, MaxGeneration+1, 5), MakeToken(OpSend, 0, 5); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// The zero token, the user_data of a request nobody waits for, is no operation.
func TestZeroToken(t *testing.T) {
	if MakeToken(OpNone, 0, 0) != 0 || Token(0).Op() != OpNone {
		t.Error("the zero token is an operation")
	}
}

func TestNames(t *testing.T) {
	for op := range numOps {
		if op.String() == "" {
			t.Errorf("operation %d has no name", op)
		}
	}
	if got := MakeToken(OpRecv, 3, 17).String(); got != "recv/17.3" {
		t.Errorf("%q", got)
	}
	if got := Op(200).String(); got != "op(200)" {
		t.Errorf("%q", got)
	}
}

func TestFlags(t *testing.T) {
	for flags := range uint8(4) {
		c := Completion{Flags: flags}
		if c.More() != (flags&More != 0) || c.HasBuffer() != (flags&HasBuffer != 0) {
			t.Errorf("flags %d: more %v, buffer %v", flags, c.More(), c.HasBuffer())
		}
	}
}
