package main

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/ringkit/ringkit/client"
	"github.com/ringkit/ringkit/wsock"
)

// stream is one connection on which only the server sends. It is over when the server has
// ended it, which is an error, or ctx has; opened is called once it is open.
type stream func(ctx context.Context, opened func()) error

// count counts what the server sends by itself. A stream that ends is opened again.
func (g *generator) count(ctx context.Context) error {
	one := g.events
	if g.sockets() {
		one = g.messages
	}
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel() // before that
	opened := make(chan error, g.connections)
	for range g.connections {
		all.Go(func() { g.keep(ctx, one, opened) })
	}
	if err := anyOf(ctx, opened, g.connections); err != nil {
		return err
	}
	if err := g.ready(g.options); err != nil {
		return err
	}
	stop := g.counts.show(g.stderr)
	g.begin(g.duration)
	wait(ctx, g.duration)
	r := g.counts.result(g.options, min(time.Since(g.start), g.duration), 0)
	stop()
	return g.report(g.options, r)
}

// keep keeps a stream until ctx ends. What becomes of it at first it tells opened.
func (g *generator) keep(ctx context.Context, one stream, opened chan<- error) {
	var once sync.Once
	tell := func(err error) { once.Do(func() { opened <- err }) }
	for {
		err := one(ctx, func() { tell(nil) })
		if ctx.Err() != nil {
			tell(ctx.Err())
			return
		}
		tell(err)
		g.counts.add(outcome{err: err}, 0)
		wait(ctx, backOff)
	}
}

var errStreamEnded = errors.New("the server has ended the stream")

// events is a stream of server-sent events.
func (g *generator) events(ctx context.Context, opened func()) error {
	return g.subscribe(ctx, opened, func(data string) { g.counts.came(time.Now(), data) })
}

// subscribe has each event of a stream told to came.
func (g *generator) subscribe(ctx context.Context, opened func(), came func(data string)) error {
	req, err := g.request()
	if err != nil {
		return err
	}
	if req.GetBody != nil {
		req.Body, _ = req.GetBody()
	}
	resp, err := g.client.Do(req.WithContext(ctx))
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusOK {
		opened()
	}
	for ev, err := range client.ReadEvents(resp) {
		if err != nil {
			return err
		}
		came(ev.Data)
	}
	return errStreamEnded
}

// messages are those of a WebSocket.
func (g *generator) messages(ctx context.Context, opened func()) error {
	ws, err := g.dialer.dial(ctx, client.Events{Message: func(_ *client.WebSocket, m wsock.Message) {
		g.counts.came(time.Now(), string(m.Data))
	}})
	if err != nil {
		return err
	}
	opened()
	select {
	case <-ws.Done():
		return closeError(ws.CloseInfo())
	case <-ctx.Done():
		ws.Abort()
		return context.Cause(ctx)
	}
}

// stamp returns the time that an event begins with: a Unix time in digits, of which
// there are 13 for milliseconds, 16 for microseconds, 19 for nanoseconds.
func stamp(data string) (t time.Time, ok bool) {
	n := 0
	for n < len(data) && '0' <= data[n] && data[n] <= '9' {
		n++
	}
	unit := time.Nanosecond
	switch n {
	case 13:
		unit = time.Millisecond
	case 16:
		unit = time.Microsecond
	case 19:
	default:
		return t, false
	}
	value, err := strconv.ParseInt(data[:n], 10, 64)
	if err != nil || value > math.MaxInt64/int64(unit) {
		return t, false
	}
	return time.Unix(0, value*int64(unit)), true
}
