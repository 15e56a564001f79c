package ringkit

import (
	"fmt"
	"testing"

	"github.com/ringkit/ringkit/wsock"
)

// What ends a WebSocket comes in one piece with messages: they are told and answered
// before it counts.
func TestWebSocketMessagesBeforeTheEnd(t *testing.T) {
	ends := []struct {
		name, frame string
		code        wsock.CloseCode
		told        string
	}{
		{"Close", string(wsock.AppendClose(nil, 4000, "bye", testMask)), 4000, `close 4000 "bye" clean=true remote=true err=<nil>`},
		{"reserved opcode", "\x83\x80\x01\x02\x03\x04", 1002, `close 1002 "" clean=false remote=true err=wsock: reserved opcode`},
		{"bad UTF-8", "\x81\x81\x01\x02\x03\x04\xfe", 1007, `close 1007 "" clean=false remote=true err=wsock: text is no UTF-8`},
	}
	eachEngine(t, func(t *testing.T, e engine) {
		for _, mode := range []Mode{Auto, Goroutine} {
			d := newLogbook()
			s := serve(t, e, &Server{Mode: mode, Handler: channelsWith(&ChannelOptions{}, func() Events { return d.events(Events{Message: echo}) })})
			for _, end := range ends {
				t.Run(fmt.Sprintf("%v, %s", mode, end.name), func(t *testing.T) {
					p := s.in(t).webSocket("/native", false)
					var all []byte
					for i := range 3 {
						all = p.enc.AppendMessage(all, Text(fmt.Sprint(i)), nil, testMask)
					}
					p.send(string(all) + end.frame + "not a frame")
					d.expect(t, "open")
					for i := range 3 {
						p.expectMessage(Text(fmt.Sprint(i)))
						d.expect(t, fmt.Sprintf("text %d", i))
					}
					p.expectClose(end.code)
					p.expectEnd()
					d.expect(t, end.told)
				})
			}
		}
	})
}

// The connection is lost while messages are told that a Close came behind: how it was
// closed is known all the same, but not answered.
func TestWebSocketLostBehindItsClose(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		d := newLogbook()
		told := make(chan *Channel, 1)
		s := serve(t, e, &Server{Handler: channelsWith(&ChannelOptions{}, func() Events {
			return d.events(Events{Message: func(ch *Channel, _ wsock.Message) {
				told <- ch
				<-ch.Done()
			}})
		})})
		p := s.webSocket("/native", false)
		p.send(string(p.enc.AppendMessage(nil, Text("hi"), nil, testMask)) + string(wsock.AppendClose(nil, 4000, "bye", testMask)))
		expect(t, "the message", told)
		p.reset()
		d.expect(t, "open", "text hi", `close 4000 "bye" clean=false remote=true err=connection reset by peer`)
	})
}

// What was accepted before the peer's Close came is sent before the answer to it.
func TestWebSocketCloseBehindABacklog(t *testing.T) {
	const piece, pieces = 64 << 10, 100
	m := Text(pattern(piece))
	opts := &ChannelOptions{HighWater: 2 * piece * pieces}
	eachEngine(t, func(t *testing.T, e engine) {
		d := newLogbook()
		sent := make(chan *Channel, 1)
		s := serve(t, e, &Server{Mode: Goroutine, Handler: channelsWith(opts, func() Events {
			return d.events(Events{Open: func(ch *Channel) {
				for range pieces {
					ch.Send(m)
				}
				sent <- ch
			}})
		})})
		p := s.webSocket("/native", false)
		ch := expect(t, "the channel", sent)
		p.send(string(wsock.AppendClose(nil, 4000, "bye", testMask)))
		if !eventually(func() bool { return ch.Send(Text("")) == ErrChannelClosed }) {
			t.Fatal("the Close is not seen")
		}
		for range pieces {
			p.expectMessage(m)
		}
		ev := p.next()
		for ev.Op == wsock.Text && len(ev.Data) == 0 {
			ev = p.next() // was sent before the Close was seen
		}
		if ev.Op != wsock.Close || ev.Code != 4000 {
			t.Fatalf("got %v %d %q", ev.Op, ev.Code, short(string(ev.Data)))
		}
		p.expectEnd()
		d.expect(t, "open", `close 4000 "bye" clean=true remote=true err=<nil>`)
	})
}
