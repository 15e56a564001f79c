package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ringkit/ringkit/bench/internal/hold"
	"github.com/ringkit/ringkit/bench/internal/inside"
	"github.com/ringkit/ringkit/bench/internal/procfs"
)

// watch measures what the server does when nothing is asked of it, in percent of a processor.
func (t *trial) watch(ctx context.Context) (*idleUse, error) {
	start := time.Now()
	before, err := procfs.ReadCPU(t.server.PID)
	if err != nil {
		return nil, err
	}
	if err := wait(ctx, t.idle); err != nil {
		return nil, err
	}
	after, err := procfs.ReadCPU(t.server.PID)
	if err != nil {
		return nil, err
	}
	used, _ := after.Sub(before).Used()
	return &idleUse{time.Since(start).Seconds(), 100 * used.Seconds() / time.Since(start).Seconds()}, nil
}

// request sends requests, and measures what they take.
func (t *trial) request(ctx context.Context) error {
	t.say("%.0f requests per second for %v, each on a connection chosen at random", t.rate, t.duration)
	first, err := inside.Ask(t.server.Port)
	if err != nil {
		return err
	}
	before, err := procfs.ReadCPU(t.server.PID)
	if err != nil {
		return err
	}
	theirs, err := t.crew.cpu()
	if err != nil {
		return err
	}
	last := t.crew.answered()
	stop := every(sayEvery, func() {
		now := t.crew.answered()
		t.say("%d requests/s, %d failures", now-last, t.crew.failed())
		last = now
	})
	start := time.Now()
	latency, err := t.crew.load(t.rate, t.duration)
	elapsed := time.Since(start)
	stop()
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	after, err := procfs.ReadCPU(t.server.PID)
	if err != nil {
		return err
	}
	used, ended := after.Sub(before).Used()
	theirsAfter, err := t.crew.cpu()
	if err != nil {
		return err
	}
	second, err := inside.Ask(t.server.Port)
	if err != nil {
		return err
	}
	l := &loaded{
		Seconds: t.duration.Seconds(), Answered: t.crew.answered(), Latency: summarize(latency),
		CPUMicros: float64(used.Nanoseconds()) / 1e3 / float64(max(1, t.crew.answered())),
		Busy:      100 * used.Seconds() / elapsed.Seconds(), ThreadsEnded: ended,
		ClientMicros: float64((theirsAfter - theirs).Nanoseconds()) / 1e3 / float64(max(1, t.crew.answered())),
		Starved:      second.Starved - first.Starved, Takeovers: second.Takeovers - first.Takeovers,
	}
	inTime := t.crew.sum(func(m *member) int64 { return m.Last.InTime })
	l.Rate = float64(inTime) / t.duration.Seconds()
	t.result.Load = l
	return nil
}

// closeTime is how long the server may go on without noticing that another client is gone.
const closeTime = time.Minute

// finish counts what went wrong, closes all connections and waits until the server has, too.
func (t *trial) finish(ctx context.Context) error {
	if err := t.crew.each(func(_ int, m *member) error {
		_, err := m.do(hold.Order{}) // for its counts
		return err
	}); err != nil {
		return err
	}
	t.result.count(t.crew)
	start := time.Now()
	if err := t.crew.close(); err != nil {
		return err
	}
	for last, since := 0, start; ; {
		f, err := inside.Ask(t.server.Port)
		if err != nil {
			return err
		}
		if t.result.Left = f.Conns - 1; t.result.Left <= 0 {
			break
		}
		if t.result.Left != last {
			last, since = t.result.Left, time.Now()
		}
		if time.Since(since) > closeTime {
			return fmt.Errorf("the server still has %d connections %v after they were reset", t.result.Left, time.Since(start).Round(time.Second))
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	t.result.Valid = t.result.wrong() == nil
	t.result.CloseSeconds = time.Since(start).Seconds()
	t.say("closed all in %.1f s", t.result.CloseSeconds)
	return nil
}

// wait waits for d, or the end of ctx.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
