package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// fan is what all streams of events are ribs of: a request has the server send an event to
// all of them. The next follows when it was answered and all have the event.
type fan struct {
	g       *generator
	base    time.Time
	sent    atomic.Int64  // when the last event was published, since base
	turn    atomic.Int64  // how many were published
	missing atomic.Int64  // who has not got the last one
	all     chan struct{} // told when nobody is
	failed  chan error    // told what has gone wrong with a stream, the first time
}

// What may be wrong with events that are published.
var (
	errOtherEvent = errors.New("an event has other data than -expect")
	errManyEvents = errors.New("the server sent more events than were published")
	errLateEvent  = errors.New("an event did not reach all in time")
)

// fanOut measures how the server sends events to all.
func (g *generator) fanOut(ctx context.Context) error {
	f := &fan{g: g, base: time.Now(), all: make(chan struct{}, 1), failed: make(chan error, 1)}
	ctx, cancel := context.WithCancel(ctx)
	var streams sync.WaitGroup
	defer streams.Wait()
	defer cancel() // before that
	if err := f.open(ctx, &streams); err != nil {
		return err
	}
	if g.warmUp > 0 {
		if err := f.send(ctx, g.warmUp).err(); err != nil {
			return fmt.Errorf("warming up: %w", err)
		}
	}
	if err := g.ready(g.options); err != nil {
		return err
	}
	stop := g.counts.show(g.stderr)
	result := f.send(ctx, g.duration)
	stop()
	return g.report(g.options, result)
}

// open opens all streams. They last until ctx ends.
func (f *fan) open(ctx context.Context, streams *sync.WaitGroup) error {
	opened := make(chan error, f.g.connections)
	for range f.g.connections {
		streams.Go(func() { f.follow(ctx, opened) })
	}
	for range f.g.connections {
		select {
		case err := <-opened:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// follow receives the events of one stream. What becomes of it at first it tells opened.
func (f *fan) follow(ctx context.Context, opened chan<- error) {
	isOpen, got := false, int64(0)
	err := f.g.subscribe(ctx, func() { isOpen = true; opened <- nil }, func(data string) {
		if got++; got > f.turn.Load() {
			f.fail(errManyEvents)
			return
		}
		f.came(data)
	})
	switch {
	case !isOpen:
		opened <- err
	case ctx.Err() == nil:
		f.fail(err)
	}
}

// fail notes what has gone wrong with a stream, and ends the load.
func (f *fan) fail(err error) {
	select {
	case f.failed <- err:
	default:
	}
}

// came counts an event.
func (f *fan) came(data string) {
	o := outcome{sent: f.base.Add(time.Duration(f.sent.Load())), ended: time.Now(), bytes: int64(len(data))}
	if expect := f.g.expect; expect != "" && data != expect {
		o.err = errOtherEvent
	}
	f.g.counts.add(o, o.ended.Sub(o.sent))
	f.g.counts.waiting.Add(-1)
	if f.missing.Add(-1) == 0 {
		f.all <- struct{}{}
	}
}

// send has events published for d, and waits until all have them.
func (f *fan) send(ctx context.Context, d time.Duration) *result {
	g := f.g
	g.begin(d)
	for time.Since(g.start) <= d && ctx.Err() == nil {
		if err := f.next(ctx); err != nil {
			if ctx.Err() == nil && !errors.Is(err, errLateEvent) { // what is late is counted as unanswered
				g.counts.add(outcome{err: err}, 0)
			}
			break
		}
	}
	// A stream may have failed when all had the last event.
	select {
	case err := <-f.failed:
		g.counts.add(outcome{err: err}, 0)
	default:
	}
	return g.counts.result(g.options, min(time.Since(g.start), d), g.counts.waiting.Load())
}

// next publishes an event, and returns when all have it.
func (f *fan) next(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, f.g.timeout, errLateEvent)
	defer cancel()
	n := int64(f.g.connections)
	f.g.counts.waiting.Add(n)
	f.missing.Store(n)
	f.sent.Store(int64(time.Since(f.base)))
	f.turn.Add(1)
	if err := f.publish(ctx); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	select {
	case <-f.all:
		return nil
	case err := <-f.failed:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// publish asks for an event to be sent.
func (f *fan) publish(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.g.publish, nil)
	if err != nil {
		return err
	}
	resp, err := f.g.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}
