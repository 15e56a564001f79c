package mix

import (
	"testing"
	"time"

	"github.com/ringkit/ringkit/bench/internal/client"
)

func TestAnswer(t *testing.T) {
	for path, want := range map[string]string{
		Fast:     client.Body,
		"/other": client.Body,
		Slow2:    client.SlowBody,
		Slow1000: client.SlowBody,
		Burn5:    client.SlowBody,
	} {
		if got := Answer(path); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func TestAnswerSometimesSlow(t *testing.T) {
	slow := 0
	const n = 2000
	for range n {
		if Answer(Same2) == client.SlowBody {
			slow++
		}
	}
	// 40 are expected; the chance of a miss is below one in a billion.
	if slow < 5 || slow > 100 {
		t.Errorf("%d of %d slow", slow, n)
	}
}

func TestAnswerDoesNotAllocate(t *testing.T) {
	path := []byte(Fast)
	if n := testing.AllocsPerRun(1000, func() { Answer(string(path)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRoundsFor(t *testing.T) {
	if got := roundsFor(5*time.Millisecond, time.Millisecond); got != 5*trialRounds {
		t.Errorf("got %d", got)
	}
	if got := roundsFor(time.Nanosecond, 0); got != trialRounds {
		t.Errorf("a clock that stands still: got %d", got)
	}
	before := burnt.Load()
	burn(1)
	if burnt.Load() == before {
		t.Error("burning does nothing")
	}
}

func TestCountersSub(t *testing.T) {
	got := Counters{9, 8, 7, 6}.Sub(Counters{1, 2, 3, 4})
	if want := (Counters{8, 6, 4, 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
