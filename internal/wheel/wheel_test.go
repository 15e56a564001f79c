package wheel

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func popAll(w *Wheel) (keys []uint32) {
	for t := w.Pop(); t != nil; t = w.Pop() {
		keys = append(keys, t.Key)
	}
	slices.Sort(keys)
	return keys
}

func TestFiresAtFirstTickNotBefore(t *testing.T) {
	for _, ticks := range []int64{1, 2, 63, 64, 65, 127, 4095, 4096, 4097, 1 << 18, 1<<24 + 12345} {
		for _, start := range []int64{0, 1, 63, 64, 100, 4095, 99999} {
			var w Wheel
			w.Advance(start * TickNanos)
			tm := Timer{Key: 7}
			at := (start + ticks) * TickNanos
			w.Schedule(&tm, at)
			w.Advance(at - 1)
			if got := w.Pop(); got != nil {
				t.Fatalf("start %d, in %d ticks: fired before its time", start, ticks)
			}
			w.Advance(at)
			if got := w.Pop(); got != &tm || tm.Scheduled() || w.Len() != 0 {
				t.Fatalf("start %d, in %d ticks: popped %v, scheduled %v, left %d", start, ticks, got, tm.Scheduled(), w.Len())
			}
		}
	}
}

func TestPastAndDistantTimes(t *testing.T) {
	var w Wheel
	w.Advance(1000 * TickNanos)
	past, distant := Timer{Key: 1}, Timer{Key: 2}
	w.Schedule(&past, 5)
	w.Schedule(&distant, 1<<62)
	w.Advance(1001 * TickNanos)
	if got := popAll(&w); !slices.Equal(got, []uint32{1}) {
		t.Fatalf("popped %v, want the past one", got)
	}
	w.Advance(lastTick * TickNanos)
	if got := popAll(&w); !slices.Equal(got, []uint32{2}) {
		t.Fatalf("popped %v, want the distant one", got)
	}
}

func TestCancelSaysWhetherItPrevented(t *testing.T) {
	var w Wheel
	var a, b Timer
	w.Schedule(&a, 10*TickNanos)
	w.Schedule(&b, 10*TickNanos)
	if !w.Cancel(&a) || w.Cancel(&a) {
		t.Error("cancel of a scheduled timer must succeed once")
	}
	w.Advance(10 * TickNanos)
	if !w.Cancel(&b) {
		t.Error("a timer that is due but not popped can still be cancelled")
	}
	if w.Pop() != nil || w.Len() != 0 {
		t.Error("a cancelled timer fired")
	}
}

// Next never lies in the future of a timer, and following it alone fires all.
func TestNextIsNeverLate(t *testing.T) {
	var w Wheel
	timers := make([]Timer, 500)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range timers {
		w.Schedule(&timers[i], rng.Int64N(1<<(10+i%30)))
	}
	turns := 0
	for w.Len() > 0 {
		at, ok := w.Next()
		if !ok {
			t.Fatal("timers left but no next time")
		}
		w.Advance(at)
		for tm := w.Pop(); tm != nil; tm = w.Pop() {
			if tm.When() != at {
				t.Fatalf("fired at %d, due at %d", at, tm.When())
			}
		}
		turns++
	}
	if most := len(timers) * levels; turns > most {
		t.Errorf("%d turns for %d timers, want at most %d", turns, len(timers), most)
	}
	if _, ok := w.Next(); ok {
		t.Error("an empty wheel has a next time")
	}
}

// The wheel against a map, with a fixed seed.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var w Wheel
		timers := make([]Timer, 40)
		model := map[uint32]int64{}
		now := int64(0)
		for step := range 400 {
			i := rng.IntN(len(timers))
			timers[i].Key = uint32(i)
			switch rng.IntN(4) {
			case 0, 1:
				at := now + rng.Int64N(1<<(20+rng.IntN(18)))
				w.Schedule(&timers[i], at)
				model[uint32(i)] = max((at+TickNanos-1)/TickNanos, now/TickNanos+1)
			case 2:
				_, in := model[uint32(i)]
				if w.Cancel(&timers[i]) != in {
					t.Fatalf("seed %d step %d: cancel disagrees", seed, step)
				}
				delete(model, uint32(i))
			case 3:
				now += rng.Int64N(1 << (20 + rng.IntN(18)))
				w.Advance(now)
				var want []uint32
				for k, tick := range model {
					if tick <= now/TickNanos {
						want = append(want, k)
						delete(model, k)
					}
				}
				slices.Sort(want)
				if got := popAll(&w); !slices.Equal(got, want) {
					t.Fatalf("seed %d step %d: fired %v, want %v", seed, step, got, want)
				}
			}
			if w.Len() != len(model) {
				t.Fatalf("seed %d step %d: %d timers, want %d", seed, step, w.Len(), len(model))
			}
		}
	}
}
