package uring

import (
	"testing"
	"time"
)

// A turn with nothing to submit, nothing to wait for and nothing pending in the
// kernel is no system call.
func TestIdleEnterIsNoSystemCall(t *testing.T) {
	need(t, CoopTaskrun)
	r := open(t, Config{})
	r.Turn(0)
	calls := intercept(r)
	for range 10 {
		r.Turn(0)
	}
	if *calls != 0 {
		t.Errorf("%d system calls, want none", *calls)
	}
}

// A wait of more than a second has two parts for the kernel.
func TestEnterTimesOutAfterSeconds(t *testing.T) {
	r := open(t, Config{})
	r.Turn(0)
	const timeout = 1010 * time.Millisecond
	start := time.Now()
	r.Turn(timeout)
	if took := time.Since(start); took < timeout || took > timeout+patience {
		t.Errorf("Enter(%v) took %v", timeout, took)
	}
}

// The Enter after a wake-up waits again, in one system call.
func TestWaitIsOneSystemCall(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		r.Turn(0)
		r.Wake()
		r.Turn(-1)
		r.Reap()
		calls := intercept(r)
		start := time.Now()
		r.Turn(50 * time.Millisecond)
		if took := time.Since(start); took < 50*time.Millisecond || *calls != 1 {
			t.Errorf("the next Enter took %v and %d system calls, want it to wait", took, *calls)
		}
	})
}

// The poll behind Wake ends when the completion queue overflows; it is armed
// again and nothing is lost.
func TestWakeSurvivesOverflow(t *testing.T) {
	eachTier(t, Config{Entries: 8, CQEntries: 16}, func(t *testing.T, r *testRing) {
		for range 5 {
			r.Wake()
			for i := range 200 {
				nop(r, uint32(i))
				r.Wake()
			}
			r.order(200)
			r.Reap()
			r.Wake()
			r.Turn(-1)
		}
	})
}
