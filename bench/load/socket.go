package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ringkit/ringkit/client"
	"github.com/ringkit/ringkit/wsock"
)

// Errors of messages.
var (
	errOther   = errors.New("another message came back than was sent")
	errUnasked = errors.New("a message came that nothing was waiting for")
	errTooLate = errors.New("a message did not come back in time")
	errEnded   = errors.New("the WebSocket ended at once")
)

// socket is a WebSocket on which messages are sent that the server sends back, in their
// order. One that has ended is opened again by the next message.
type socket struct {
	g       *generator
	message wsock.Message
	opening sync.Mutex // held by who opens it

	mu      sync.Mutex
	ws      *client.WebSocket // nil while there is none
	late    bool              // it is ended because of that
	waiting []*slot           // a ring, for their messages to come back
	first   int
	n       int
}

// socketSlots returns the slots; end ends the look-out for messages that are late.
func (g *generator) socketSlots() (slots []*slot, end func()) {
	sockets := make([]*socket, g.connections)
	for i := range sockets {
		sockets[i] = &socket{g: g, message: g.message(), waiting: make([]*slot, g.pipeline)}
	}
	slots = make([]*slot, g.inFlight())
	for i := range slots {
		slots[i] = &slot{g: g, put: sockets[i%g.connections].put}
	}
	over := make(chan struct{})
	go g.watch(sockets, over)
	return slots, func() { close(over) }
}

// message returns what the options say is sent.
func (o *options) message() wsock.Message {
	kind := wsock.Text
	if o.binary {
		kind = wsock.Binary
	}
	return wsock.Message{Kind: kind, Data: o.body}
}

// put sends a message, on a new WebSocket if there is none.
func (k *socket) put(s *slot) {
	if sent, err := k.send(s); err != nil {
		s.finish(outcome{err: err})
	} else if !sent {
		go k.putNew(s)
	}
}

func (k *socket) putNew(s *slot) {
	k.opening.Lock()
	defer k.opening.Unlock()
	sent, err := k.send(s)
	if !sent && err == nil {
		if err = k.open(); err == nil {
			sent, err = k.send(s)
		}
	}
	if !sent {
		s.finish(outcome{err: cmp.Or(err, errEnded)})
	}
}

func (k *socket) open() error {
	ws, err := k.g.dialer.dial(context.Background(), client.Events{Message: k.came, Close: k.closed})
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-ws.Done(): // Close may have been called before
	default:
		k.ws, k.late = ws, false
	}
	return nil
}

// send sends a message, unless there is no WebSocket.
func (k *socket) send(s *slot) (sent bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ws == nil {
		return false, nil
	}
	if err := k.ws.Send(k.message); err != nil {
		return false, err
	}
	k.waiting[(k.first+k.n)%len(k.waiting)] = s
	k.n++
	return true, nil
}

// came takes a message from the server.
func (k *socket) came(_ *client.WebSocket, m wsock.Message) {
	s := k.take()
	switch {
	case s == nil:
		k.g.counts.add(outcome{err: errUnasked}, 0)
	case m.Kind != k.message.Kind || !bytes.Equal(m.Data, k.message.Data):
		s.finish(outcome{err: errOther})
	default:
		s.finish(outcome{bytes: int64(len(m.Data))})
	}
}

// take returns the slot that has waited longest, or nil.
func (k *socket) take() *slot {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.n == 0 {
		return nil
	}
	s := k.waiting[k.first]
	k.first, k.n = (k.first+1)%len(k.waiting), k.n-1
	return s
}

func (k *socket) closed(_ *client.WebSocket, why wsock.CloseInfo) {
	err := closeError(why)
	k.mu.Lock()
	k.ws = nil
	if k.late {
		err = errTooLate
	}
	k.mu.Unlock()
	for s := k.take(); s != nil; s = k.take() {
		s.finish(outcome{err: err})
	}
}

// watch ends WebSockets whose messages do not come back in time.
func (g *generator) watch(sockets []*socket, over <-chan struct{}) {
	tick := time.NewTicker(max(time.Millisecond, min(g.timeout/8, time.Second)))
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			for _, k := range sockets {
				k.expire(now)
			}
		case <-over:
			return
		}
	}
}

func (k *socket) expire(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ws != nil && k.n > 0 && now.Sub(k.waiting[k.first].sent) > k.g.timeout {
		k.late = true
		k.ws.Abort()
	}
}
