package ringkit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringkit/ringkit/wsock"
)

// hookSite is a server of channels whose hooks are listened to.
type hookSite struct {
	*site
	states diary
	why    chan error // of the hook Closed
	opened chan *Channel
}

// endsOfChannels are ways for the connection of a channel to end, and what the hook Closed
// is told of each.
var endsOfChannels = []struct {
	name   string
	end    func(h *hookSite, p *wsPeer, ch *Channel)
	wanted func(error) bool
}{
	{"the client closes", func(h *hookSite, p *wsPeer, ch *Channel) {
		p.send(string(wsock.AppendClose(nil, 1000, "", testMask)))
		p.expectClose(1000)
		p.expectEnd()
		p.Close()
	}, func(err error) bool { return err == nil }},
	{"the server closes", func(h *hookSite, p *wsPeer, ch *Channel) {
		ch.Close()
		p.expectClose(1000)
		p.send(string(wsock.AppendClose(nil, 1000, "", testMask)))
		p.expectEnd()
		p.Close()
	}, func(err error) bool { return err == nil }},
	{"the client is gone", func(h *hookSite, p *wsPeer, ch *Channel) { p.reset() },
		func(err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
	{"the client breaks the rules", func(h *hookSite, p *wsPeer, ch *Channel) {
		p.send(frameOf(wsock.Text, "\xff"))
		p.expectClose(1007)
		p.Close()
	}, func(err error) bool {
		violation := new(wsock.Error)
		return errors.As(err, &violation) && violation.Code == wsock.CloseInvalidPayload
	}},
	{"the client does not answer Pings", func(h *hookSite, p *wsPeer, ch *Channel) {},
		func(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }},
	{"the client does not answer the Close", func(h *hookSite, p *wsPeer, ch *Channel) { ch.Close() },
		func(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }},
	{"Abort", func(h *hookSite, p *wsPeer, ch *Channel) { ch.Abort() },
		func(err error) bool { return errors.Is(err, ErrChannelClosed) }},
	{"Server.Close", func(h *hookSite, p *wsPeer, ch *Channel) { h.Close() },
		func(err error) bool { return errors.Is(err, http.ErrServerClosed) }},
	{"Shutdown", func(h *hookSite, p *wsPeer, ch *Channel) {
		down := make(chan error, 1)
		go func() { down <- h.Shutdown(context.Background()) }()
		p.expectClose(1001)
		p.send(string(wsock.AppendClose(nil, 1001, "", testMask)))
		p.expectEnd()
		p.Close()
		if err := expect(h.TB, "Shutdown", down); err != nil {
			h.TB.Error(err)
		}
	}, func(err error) bool { return err == nil }},
}

// ConnState and the hooks hear of a connection that becomes a WebSocket what they hear of
// any other: it is active until it is closed, for the reason that is given, once.
func TestChannelHooks(t *testing.T) {
	eachTransport(t, func(t *testing.T, e engine) {
		for _, end := range endsOfChannels {
			kinds := handlerKinds
			if strings.Contains(end.name, "does not answer") {
				kinds = kinds[:1] // it takes its time
			}
			for _, kind := range kinds {
				h := &hookSite{why: make(chan error, 10), opened: make(chan *Channel, 10)}
				o := &ChannelOptions{CloseWait: tick}
				if strings.Contains(end.name, "Ping") {
					o.PingInterval, o.PongWait = tick, tick
				}
				accepted := make(chan string, 10)
				h.site = serve(t, e, &Server{
					ConnState: h.states.note(t),
					Handler: channelsWith(o, func() Events {
						return Events{Open: func(ch *Channel) { h.opened <- ch }}
					}),
					Hooks: Hooks{
						Accepted: func(remote net.Addr) { accepted <- remote.String() },
						Closed:   func(_ net.Addr, why error) { h.why <- why },
					},
				})
				p := h.webSocket(kind, false)
				ch := expect(t, "the channel", h.opened)
				h.states.expect(p.peer, end.name, "new active")
				if got := expect(t, "Accepted", accepted); got != p.LocalAddr().String() {
					t.Errorf("accepted %s, from %s", got, p.LocalAddr())
				}
				end.end(h, p, ch)
				if why := expect(t, "Closed", h.why); !end.wanted(why) {
					t.Errorf("%s, %s: closed with %v", end.name, kind, why)
				}
				h.states.expect(p.peer, end.name, "new active closed")
				p.Close()
				h.Close()
				h.states.expect(p.peer, end.name+", in the end", "new active closed")
				if len(h.why)+len(accepted) > 0 {
					t.Errorf("%s, %s: the hooks are called again", end.name, kind)
				}
			}
		}
	})
}

// An answer over HTTP is active until it is complete, and its connection goes on.
func TestChannelHooksOfAnswers(t *testing.T) {
	eachTransport(t, func(t *testing.T, e engine) {
		var d diary
		why := make(chan error, 10)
		opened := make(chan *Channel, 10)
		s := serve(t, e, &Server{
			ConnState: d.note(t),
			Handler:   channelsWith(&ChannelOptions{}, func() Events { return Events{Open: func(ch *Channel) { opened <- ch }} }),
			Hooks:     Hooks{Closed: func(_ net.Addr, err error) { why <- err }},
		})
		for _, kind := range handlerKinds {
			p := s.dial()
			states := "new"
			for range 2 {
				p.send(ask("GET", kind))
				ch := expect(t, "the channel", opened)
				ch.Send(Text("some"))
				states += " active"
				d.expect(p, "open", states)
				ch.Close()
				p.expectAnswer(200, "some")
				states += " idle"
				d.expect(p, "complete", states)
			}
			p.send(ask("GET", kind, "Upgrade: websocket", "Connection: Upgrade")) // is refused
			if a := p.answer("GET"); a.status < 400 {
				t.Errorf("%+v", a)
			}
			states += " active idle"
			d.expect(p, "refused", states)
			p.Close()
			d.expect(p, "closed", states+" closed")
			if err := expect(t, "Closed", why); err != nil && !e.secure { // TLS says goodbye to who is gone
				t.Errorf("%s: closed with %v", kind, err)
			}

			p = s.dial()
			p.send(ask("GET", kind))
			ch := expect(t, "the channel", opened)
			p.reset()
			d.expect(p, "gone", "new active closed")
			if err := expect(t, "Closed", why); !errors.Is(err, syscall.ECONNRESET) && !e.secure {
				t.Errorf("%s: gone with %v", kind, err)
			}
			expect(t, "Done", ch.Done())
		}
	})
}

// A callback that blocks is told of like a handler, with the peer instead of a route.
func TestChannelHookTakeover(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		heard := make(chan string, 100)
		s := serve(t, e, &Server{
			Handler: channelsWith(&ChannelOptions{}, func() Events {
				return Events{Message: func(ch *Channel, m wsock.Message) {
					time.Sleep(tick)
					ch.Send(m)
				}}
			}),
			Hooks: Hooks{Takeover: func(route string, blocked time.Duration) {
				if blocked > tick/2 && blocked < patience {
					heard <- route
				}
			}},
		})
		p := s.webSocket("/native", false)
		p.say(Text("hello"))
		p.expectMessage(Text("hello"))
		want := fmt.Sprintf("GET channel %s", p.LocalAddr())
		if got := expect(t, want, heard); got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	})
}
