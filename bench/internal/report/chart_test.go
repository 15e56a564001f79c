package report

import (
	"math"
	"testing"

	"github.com/ringkit/ringkit/bench/internal/subject"
)

func TestLinearTicks(t *testing.T) {
	for _, high := range []float64{0.37, 1, 9.9, 10, 47, 101_000, 0} {
		end, ticks := linearTicks(high, 6)
		if end < high || end > 2*max(high, 1) || len(ticks) < 2 || len(ticks) > 8 || ticks[0].at != 0 || ticks[len(ticks)-1].at != end {
			t.Errorf("%g: to %g with %v", high, end, ticks)
		}
	}
}

func TestLogTicks(t *testing.T) {
	for _, test := range [][2]float64{{0.03, 40}, {350, 22_000}, {1, 1}, {7, 9}, {0.001, 1e6}, {math.Inf(1), math.Inf(-1)}} {
		from, to, ticks := logTicks(test[0], test[1])
		if !math.IsInf(test[0], 0) && (from > test[0] || to < test[1]) || from >= to || len(ticks) < 2 || len(ticks) > 14 {
			t.Errorf("%v: from %g to %g with %v", test, from, to, ticks)
		}
		for i := range ticks[1:] {
			if ticks[i].at >= ticks[i+1].at {
				t.Errorf("%v: %v", test, ticks)
			}
		}
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.05: "0.05", 2.5: "2.5", 64: "64", 5000: "5000", 20_000: "20 k", 125_000: "125 k", 2e6: "2 M"} {
		if got := short(v); got != want {
			t.Errorf("%g: %s, want %s", v, got, want)
		}
	}
}

func TestAxis(t *testing.T) {
	a := axis{1, 100, 0, 200, true}
	if a.at(1) != 0 || math.Abs(a.at(10)-100) > 1e-9 || a.at(100) != 200 {
		t.Errorf("%g, %g, %g", a.at(1), a.at(10), a.at(100))
	}
	if one := (axis{5, 5, 0, 10, false}); one.at(5) != 5 {
		t.Errorf("one value: %g", one.at(5))
	}
}

// Whoever is in one plot with others can be told from them, also without colours.
func TestStylesDiffer(t *testing.T) {
	for _, names := range [][]string{subject.Default(), subject.Bodies(), subject.Mixed(), subject.Files(), subject.Secure(), subject.Idle(), subject.Sockets(), subject.Clients(), subject.SocketClients()} {
		seen := make(map[style]string)
		marks := make(map[[2]string]string)
		for _, name := range names {
			look, ok := styles[name]
			if !ok {
				t.Errorf("%s has no style", name)
			}
			if other, ok := seen[look]; ok {
				t.Errorf("%s and %s look alike", name, other)
			}
			seen[look] = name
			if look.color == "own" || look.color == "own2" {
				if kind, _, _ := subject.About(name); kind != subject.Own {
					t.Errorf("%s looks like this project", name)
				}
			}
			shape := [2]string{look.dash, look.mark}
			if other, ok := marks[shape]; ok && styles[other].color == look.color {
				t.Errorf("%s and %s have the same line", name, other)
			}
			marks[shape] = name
		}
	}
}
