package ringkit

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringkit/ringkit/wsock"
)

// Callbacks that block take all places of MaxConcurrent, and the queue for them is full.
// Each channel still has one callback at a time, whoever does not block is served, and
// every channel gets all its messages and its Close.
func TestChannelsSaturate(t *testing.T) {
	const most, clients, messages = 4, 24, 5
	eachKind(t, func(t *testing.T, e engine) {
		for _, mode := range []Mode{Auto, Goroutine} {
			for _, learned := range []bool{false, true} {
				goOn := make(chan struct{})
				var once sync.Once
				release := func() { once.Do(func() { close(goOn) }) }
				defer release() // before the server is closed, also when the test fails
				var running, atMost atomic.Int32
				entered := make(chan bool, 2*clients*messages)
				closed := make(chan wsock.CloseInfo, 2*clients)
				s := serve(t, e, &Server{Loops: 1, Mode: mode, MaxConcurrent: most, MaxQueued: 2, Handler: channelsWith(&ChannelOptions{}, func() Events {
					return Events{
						Message: func(ch *Channel, m wsock.Message) {
							if n := running.Add(1); n > atMost.Load() {
								atMost.Store(n)
							}
							defer running.Add(-1)
							if m.Kind == wsock.Binary { // what blocks
								entered <- true
								<-goOn
							}
							ch.Send(m)
						},
						Close: func(_ *Channel, why wsock.CloseInfo) { closed <- why },
					}
				})})
				if learned {
					for range 3 { // so that they go to goroutines from the beginning
						for _, w := range loopsOf(s) {
							w.srv.predict.blocked(routeOfChannel("/native"), time.Now())
						}
					}
				}
				var blocked []*wsPeer
				for range clients {
					blocked = append(blocked, s.webSocket("/native", false))
				}
				for _, p := range blocked {
					for i := range messages {
						p.say(Binary(fmt.Append(nil, i)))
					}
				}
				for range most {
					expect(t, "callbacks to block", entered)
				}
				if mode == Auto {
					other := s.webSocket("/mounted", false) // of another route
					other.say(Text("hello"))
					other.expectMessage(Text("hello"))
					other.send(string(wsock.AppendClose(nil, 1000, "", testMask)))
					other.expectClose(1000)
					if why := expect(t, "Close of another", closed); !why.Clean {
						t.Errorf("%+v", why)
					}
				}
				gone := blocked[:clients/3] // before it is their turn, or in the middle of it
				for _, p := range gone {
					p.reset()
				}
				release()
				for _, p := range blocked[len(gone):] {
					for i := range messages {
						p.expectMessage(Binary(fmt.Append(nil, i)))
					}
					p.send(string(wsock.AppendClose(nil, 1000, "", testMask)))
					p.expectClose(1000)
				}
				clean := 0
				for range clients {
					if why := expect(t, "Close", closed); why.Clean {
						clean++
					}
				}
				if clean != clients-len(gone) {
					t.Errorf("%v: %d of %d channels were closed in order", mode, clean, clients-len(gone))
				}
				if !eventually(func() bool { r, q, _, _ := s.pool.counts(); return r == 0 && q == 0 }) {
					r, q, _, _ := s.pool.counts()
					t.Errorf("%v: %d run and %d wait in the end", mode, r, q)
				}
				if n := atMost.Load(); mode == Goroutine && n > most {
					t.Errorf("%d callbacks ran at a time, want %d at most", n, most)
				}
				s.Close()
				if len(closed) > 0 {
					t.Errorf("%v: Close was called again: %+v", mode, <-closed)
				}
			}
		}
	})
}
