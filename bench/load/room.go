package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringkit/ringkit/client"
	"github.com/ringkit/ringkit/wsock"
)

// room is what all WebSockets are in: the server greets each with a message when it is, and
// sends to all what the first one sends. The next follows when all have it.
type room struct {
	g       *generator
	message wsock.Message
	first   sync.Once
	sender  *client.WebSocket // who has entered first
	base    time.Time
	sent    atomic.Int64 // the last message, since base
	missing atomic.Int64 // who has not got it
	rests   chan error   // told when nothing more is sent
}

// broadcast measures a room.
func (g *generator) broadcast(ctx context.Context) error {
	r := &room{g: g, message: g.message(), base: time.Now(), rests: make(chan error, 1)}
	if err := r.open(ctx); err != nil {
		return err
	}
	if g.warmUp > 0 {
		if err := r.send(ctx, g.warmUp).err(); err != nil {
			return fmt.Errorf("warming up: %w", err)
		}
	}
	if err := g.ready(g.options); err != nil {
		return err
	}
	stop := g.counts.show(g.stderr)
	result := r.send(ctx, g.duration)
	stop()
	return g.report(g.options, result)
}

// open has all WebSockets enter.
func (r *room) open(ctx context.Context) error {
	in := make(chan error, 2*r.g.connections)
	var dials sync.WaitGroup
	for range r.g.connections {
		dials.Go(func() {
			m := &member{room: r, in: in}
			if _, err := r.g.dialer.dial(ctx, client.Events{Message: m.came, Close: m.closed}); err != nil {
				in <- err
			}
		})
	}
	defer dials.Wait()
	timer := time.NewTimer(r.g.timeout)
	defer timer.Stop()
	for range r.g.connections {
		select {
		case err := <-in:
			if err != nil {
				return err
			}
			timer.Reset(r.g.timeout)
		case <-timer.C:
			return errNoGreeting
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

var errNoGreeting = errors.New("the server does not greet who enters the room")

// send has messages sent for d, and waits until all have them.
func (r *room) send(ctx context.Context, d time.Duration) *result {
	g := r.g
	g.begin(d)
	r.next()
	timer := time.NewTimer(d + g.timeout)
	defer timer.Stop()
	select {
	case err := <-r.rests:
		if err != nil {
			g.counts.add(outcome{err: err}, 0)
		}
	case <-timer.C:
	case <-ctx.Done():
	}
	return g.counts.result(g.options, min(time.Since(g.start), d), g.counts.waiting.Load())
}

// next sends the next message, unless it is time to end.
func (r *room) next() {
	g := r.g
	if time.Since(g.start) > g.length {
		r.rests <- nil
		return
	}
	all := int64(g.connections)
	g.counts.waiting.Add(all)
	r.missing.Store(all)
	r.sent.Store(int64(time.Since(r.base)))
	if err := r.sender.Send(r.message); err != nil {
		r.rests <- err
	}
}

// member is one WebSocket in the room.
type member struct {
	room    *room
	in      chan<- error // told when it is
	greeted bool
}

func (m *member) came(ws *client.WebSocket, got wsock.Message) {
	r := m.room
	if !m.greeted {
		m.greeted = true
		r.first.Do(func() { r.sender = ws })
		m.in <- nil
		return
	}
	o := outcome{sent: r.base.Add(time.Duration(r.sent.Load())), ended: time.Now(), bytes: int64(len(got.Data))}
	if got.Kind != r.message.Kind || !bytes.Equal(got.Data, r.message.Data) {
		o.err = errOther
	}
	r.g.counts.add(o, o.ended.Sub(o.sent))
	r.g.counts.waiting.Add(-1)
	if r.missing.Add(-1) == 0 {
		r.next()
	}
}

func (m *member) closed(_ *client.WebSocket, why wsock.CloseInfo) {
	err := closeError(why)
	if !m.greeted {
		m.in <- err
		return
	}
	m.room.g.counts.add(outcome{err: err}, 0)
}
