package ringkit

import (
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/wsock"
)

// A peer that never reads, with every policy, and one that sends without end to a
// channel that is paused: memory stays within the limits, and others are served.
func TestChannelBounds(t *testing.T) {
	if testing.Short() || check.Enabled {
		t.Skip("fills the buffers of many sockets; checks take memory")
	}
	const high, most = 256 << 10, 24 << 20
	eachKind(t, func(t *testing.T, e engine) {
		for _, policy := range []Overflow{OverflowError, OverflowDropOldest, OverflowClose} {
			d := newLogbook()
			opened := make(chan *Channel, 1)
			o := &ChannelOptions{HighWater: high, Overflow: policy}
			s := serve(t, e, &Server{Handler: channelsWith(o, func() Events {
				return d.events(Events{Open: func(ch *Channel) { opened <- ch }})
			})})
			for _, kind := range handlerKinds {
				p := s.webSocket(kind, false)
				ch := <-opened
				d.expect(t, "open")
				before, queued := residentOf(t), 0
				var err error
				for range 100_000 {
					if err = ch.Send(Text(pattern(1000))); err != nil {
						break
					}
					queued = max(queued, ch.Queued())
				}
				if grown := residentOf(t) - before; queued > 2*high || grown > most {
					t.Errorf("policy %d: %d bytes queued of %d, the process has grown by %d", policy, queued, high, grown)
				}
				if want := []error{ErrChannelFull, nil, nil, ErrChannelClosed}[policy]; err != want {
					t.Errorf("policy %d: %v, want %v", policy, err, want)
				}
				if a := s.dial().get("/ok"); a.status != 200 {
					t.Errorf("%+v", a)
				}
				switch policy {
				case OverflowError:
					go io.Copy(io.Discard, p.r)
					d.expect(t, "drained")
					ch.Abort()
				case OverflowDropOldest:
					for ch.Send(Text("the last")) != nil {
					}
					for {
						if ev := p.next(); string(ev.Data) == "the last" {
							break
						}
					}
					ch.Abort()
				case OverflowClose:
					d.expect(t, `close 1008 "too slow" clean=false remote=false err=`+errOverflow.Error())
				}
				for policy != OverflowClose {
					if got := expect(t, "Close", d.lines); strings.HasPrefix(got, "close 1006 ") {
						break
					} else if got != "drained" {
						t.Errorf("%q", got)
					}
				}
				p.Close()
			}
			s.Close()
		}
	})
}

func TestChannelPausedBounds(t *testing.T) {
	if testing.Short() || check.Enabled {
		t.Skip("fills the buffers of many sockets; checks take memory")
	}
	const most = 16 << 20
	eachEngine(t, func(t *testing.T, e engine) {
		opened, heard := make(chan *Channel, 1), make(chan int, 1<<16)
		s := serve(t, e, &Server{Handler: channelsWith(&ChannelOptions{}, func() Events {
			return Events{
				Open:    func(ch *Channel) { opened <- ch },
				Message: func(_ *Channel, m wsock.Message) { heard <- len(m.Data) },
			}
		})})
		p := s.webSocket("/native", false)
		ch := <-opened
		ch.Pause()
		before, frame := residentOf(t), frameOf(wsock.Binary, string(noise(30_000)))
		sent := 0
		for p.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); sent < 2000; sent++ {
			if _, err := io.WriteString(p, frame); err != nil {
				break
			}
		}
		if grown := residentOf(t) - before; sent == 2000 || grown > most {
			t.Errorf("%d messages taken, the process has grown by %d", sent, grown)
		}
		if a := s.dial().get("/ok"); a.status != 200 {
			t.Errorf("%+v", a)
		}
		ch.Resume()
		for range sent {
			if n := expect(t, "a message", heard); n != 30_000 {
				t.Fatalf("a message of %d", n)
			}
		}
	})
}

// 1000 idle channels of each kind hold no goroutine.
func TestChannelsHoldNoGoroutine(t *testing.T) {
	if testing.Short() {
		t.Skip("makes many connections")
	}
	eachKind(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: channelsWith(&ChannelOptions{}, func() Events {
			return Events{Open: func(ch *Channel) { ch.Send(Text("hi")) }, Message: echo}
		})})
		s.dial().get("/ok")
		before := runtime.NumGoroutine()
		for i := range 1000 {
			if i%2 == 0 {
				s.webSocket(handlerKinds[i%len(handlerKinds)], false).expectMessage(Text("hi"))
				continue
			}
			p := s.dial()
			p.send(ask("GET", handlerKinds[i%len(handlerKinds)]))
			if _, err := p.r.Peek(1); err != nil {
				t.Fatal(err)
			}
		}
		if !eventually(func() bool { return runtime.NumGoroutine() <= before }) {
			t.Errorf("%d goroutines for 1000 channels", runtime.NumGoroutine()-before)
		}
	})
}
