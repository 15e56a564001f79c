package fallback

import (
	"math/rand/v2"
	"testing"
)

func TestQueueKeepsOrder(t *testing.T) {
	var q queue[int]
	in, out := 0, 0
	for range 10_000 {
		if rand.IntN(2) == 0 {
			for range rand.IntN(20) {
				q.push(in)
				in++
			}
		}
		for range rand.IntN(20) {
			v := -1
			ok := q.pop(&v)
			if ok != (out < in) || ok && v != out {
				t.Fatalf("popped %d, %v, want %d of %d", v, ok, out, in)
			}
			if ok {
				out++
			}
		}
		if q.len() != in-out {
			t.Fatalf("length %d, want %d", q.len(), in-out)
		}
	}
}

// A queue that never becomes empty is as large as what is in it, not as what went
// through it.
func TestQueueDoesNotGrow(t *testing.T) {
	for _, inside := range []int{0, 1, 2, 3, 100} {
		var q queue[int]
		for i := range inside {
			q.push(i)
		}
		for i := range 100_000 {
			v := 0
			q.push(inside + i)
			if !q.pop(&v) || v != i {
				t.Fatalf("popped %d, want %d", v, i)
			}
		}
		if q.len() != inside || cap(q.items) > 4*inside+8 {
			t.Errorf("room for %d with %d inside", cap(q.items), q.len())
		}
	}
}

func TestQueueDoesNotAllocate(t *testing.T) {
	var q queue[int]
	work := func() {
		v := 0
		for i := range 50 {
			q.push(i)
		}
		for range 45 {
			q.pop(&v)
		}
		for range 5 {
			q.pop(&v)
		}
	}
	work()
	if n := testing.AllocsPerRun(100, work); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
