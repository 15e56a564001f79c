package bulk

import (
	"bytes"
	"testing"
)

func TestSizes(t *testing.T) {
	for _, test := range []struct{ n, want int }{
		{0, Smallest}, {1, Smallest}, {Smallest, Smallest}, {Smallest + 1, 2 * Smallest},
		{Largest - 1, Largest}, {Largest, Largest}, {Largest + 1, Largest + 1},
	} {
		b := Get(test.n)
		if len(b) != 0 || cap(b) != test.want {
			t.Errorf("Get(%d): %d of %d bytes, want none of %d", test.n, len(b), cap(b), test.want)
		}
		Put(b)
	}
	for _, n := range []int{0, 1, Smallest / 2, Smallest + 1, 2 * Largest} {
		Put(make([]byte, n)) // is not kept
	}
	if b := Get(Smallest); cap(b) != Smallest {
		t.Errorf("a buffer of %d bytes was kept", cap(b))
	}
}

// What is appended is there, however it is cut.
func TestAppend(t *testing.T) {
	want := make([]byte, 3*Largest/2)
	for i := range want {
		want[i] = byte(i * 7 >> 3)
	}
	for _, step := range []int{1 << 10, 20 << 10, 300 << 10, 5 << 20} {
		var b []byte
		for at := 0; at < len(want); at += step {
			b = Append(b, want[at:min(at+step, len(want))])
		}
		if !bytes.Equal(b, want) {
			t.Errorf("in steps of %d: %d bytes that are not those appended", step, len(b))
		}
		Put(b)
	}
}

// A body of a megabyte that comes in pieces takes no memory that has not been there.
func TestAppendAllocatesLittle(t *testing.T) {
	piece := make([]byte, 20<<10)
	small := make([]byte, 0, 64<<10)
	if n := testing.AllocsPerRun(100, func() {
		b := small
		for range 50 {
			b = Append(b, piece)
		}
		Put(b)
	}); n > 10 { // a word for each buffer that is given back
		t.Errorf("%v allocations", n)
	}
}
