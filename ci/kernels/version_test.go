package main

import "testing"

func TestCompareVersions(t *testing.T) {
	// Each is older than the next.
	ordered := []string{
		"5.10.262-1~bpo10+1", "5.10.262-1", "5.10.262-1+b1", "5.10.262-2", "5.10.262-10",
		"6.1.99-1", "6.1.192-1", "6.12~rc1-1", "6.12-1", "6.12.1-1", "6.12.1a-1", "6.12.1+deb13-1",
		"7.0.13-1~bpo13+1", "7.0.13-1", "1:0.1-1",
	}
	for i, a := range ordered {
		for j, b := range ordered {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := compareVersions(a, b); got != want {
				t.Errorf("%s, %s: %d, want %d", a, b, got, want)
			}
		}
	}
	for _, same := range [][2]string{{"1.01-1", "1.1-1"}, {"0:1-1", "1-1"}, {"1", "1-0"}} {
		if got := compareVersions(same[0], same[1]); got != 0 {
			t.Errorf("%v: %d, want 0", same, got)
		}
	}
}
