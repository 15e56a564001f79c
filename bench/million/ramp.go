package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/ringkit/ringkit/bench/internal/procfs"
)

// sayEvery is how often it is said how it goes.
const sayEvery = time.Second

// ramp opens all connections, or as many as memory allows.
func (t *trial) ramp(ctx context.Context) error {
	start := time.Now()
	var full atomic.Bool
	more := func() bool {
		return !full.Load() && ctx.Err() == nil && t.crew.failed() <= int64(100+t.plan.n/1000)
	}
	stop := every(sayEvery, func() {
		s, err := t.sample(start)
		if err != nil {
			return // the server has ended, which shows elsewhere
		}
		t.result.Ramp = append(t.result.Ramp, s)
		t.say("%s", s)
		if s.Available < t.reserve<<20 && full.CompareAndSwap(false, true) {
			t.say("stopping here: %d MiB are left, and -reserve is %d", s.Available>>20, t.reserve)
			t.result.Limits = append(t.result.Limits, limit{"memory", int(s.Connections), "when so many were held, less than -reserve was left", "give it more, or lower -reserve"})
		}
	})
	err := t.crew.open(more)
	stop()
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	t.result.Held, t.result.RampSeconds = t.crew.held(), time.Since(start).Seconds()
	s, err := t.sample(start)
	if err == nil {
		t.result.Ramp = append(t.result.Ramp, s)
		t.say("%s", s)
	}
	return err
}

func (t *trial) sample(start time.Time) (s sample, err error) {
	s.Connections, s.Failed, s.Seconds = t.crew.held(), t.crew.failed(), time.Since(start).Seconds()
	last := sample{}
	if k := len(t.result.Ramp); k > 0 {
		last = t.result.Ramp[k-1]
	}
	if d := s.Seconds - last.Seconds; d > 0 {
		s.Rate = float64(s.Connections-last.Connections) / d
	}
	if s.RSS, err = procfs.ReadRSS(t.server.PID); err != nil {
		return s, err
	}
	k, err := procfs.ReadKernel()
	s.Slab, s.Available = k.Slab, k.Available
	return s, err
}

// every calls f again and again, until the function that it returns is called.
func every(d time.Duration, f func()) (stop func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(d)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				f()
			case <-over:
				return
			}
		}
	}()
	return func() {
		close(over)
		<-ended
	}
}
