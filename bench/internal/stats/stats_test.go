package stats

import (
	"slices"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{9, 1}, 5},
		{[]float64{5, 1, 100}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		before := slices.Clone(test.values)
		if got := Median(test.values); got != test.want {
			t.Errorf("%v: got %v, want %v", test.values, got, test.want)
		}
		if !slices.Equal(test.values, before) {
			t.Errorf("%v was reordered to %v", before, test.values)
		}
	}
	if got := Median([]time.Duration{time.Hour, time.Second, time.Minute}); got != time.Minute {
		t.Errorf("durations: got %v", got)
	}
}

func TestSpread(t *testing.T) {
	if least, greatest := Spread([]float64{2, 3, 1}); least != 1 || greatest != 3 {
		t.Errorf("got %v, %v", least, greatest)
	}
	if least, greatest := Spread[float64](nil); least != 0 || greatest != 0 {
		t.Errorf("of none: got %v, %v", least, greatest)
	}
}
