// Package stats summarises the rounds of a measurement.
package stats

import "slices"

// Number is what can be summarised, time.Duration included.
type Number interface{ ~int64 | ~float64 }

// Median returns the middle of values, the mean of the two middle ones if their
// number is even, and 0 of none.
func Median[T Number](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return sorted[n/2]
	default:
		low, high := sorted[n/2-1], sorted[n/2]
		return low + (high-low)/2
	}
}

// Spread returns the least and the greatest of values, and zeros of none.
func Spread[T Number](values []T) (least, greatest T) {
	if len(values) == 0 {
		return 0, 0
	}
	return slices.Min(values), slices.Max(values)
}
