package ringkit

import (
	"net/http"
	"sync"
	"testing"

	"github.com/ringkit/ringkit/wsock"
)

var bothTakeOver = wsock.CompressionOptions{ServerTakeover: true, ClientTakeover: true}

// takeover opens a WebSocket whose client offers to take both contexts over, and says
// whether that was agreed on.
func (s *site) takeover(path string, offer wsock.CompressionOptions) (p *wsPeer, agreed bool) {
	s.Helper()
	p, a := s.upgrade(path, "Sec-WebSocket-Extensions: "+offer.Offer())
	c, err := offer.Check(valuesOf(a.get("Sec-WebSocket-Extensions")))
	if err != nil || !c.Enabled || c.ServerNoTakeover != c.ClientNoTakeover {
		s.Fatalf("%+v, %+v, %v", a, c, err)
	}
	p.conf.Client = true
	p.dec.Init(&p.conf, c)
	p.enc.Init(true, c)
	return p, !c.ServerNoTakeover
}

// expectContexts waits until as much is set aside for contexts.
func (s *site) expectContexts(bytes int64, refused uint64) {
	s.Helper()
	var stats Stats
	if !eventually(func() bool { stats = s.Stats(); return stats.Contexts == bytes && stats.ContextsRefused == refused }) {
		s.Fatalf("contexts of %d bytes, %d refused; want %d and %d", stats.Contexts, stats.ContextsRefused, bytes, refused)
	}
}

// Contexts are taken over as long as the budget lasts. Then WebSockets work without, until
// others are closed, however they are.
func TestContextBudget(t *testing.T) {
	const each = 2 * 32 << 10
	eachEngine(t, func(t *testing.T, e engine) {
		o := &ChannelOptions{Compression: bothTakeOver, Overflow: OverflowWait}
		events := func() Events {
			return Events{Message: func(ch *Channel, m wsock.Message) {
				if string(m.Data) == "abort" {
					ch.Abort()
				}
				ch.Send(m)
			}}
		}
		s := serve(t, e, &Server{Handler: channelsWith(o, events), MaxContextBytes: 2*each + 1000})
		refused := uint64(0)
		for i, kind := range handlerKinds {
			var peers []*wsPeer
			for j, want := range []bool{true, true, false, false} {
				p, agreed := s.takeover(kind, bothTakeOver)
				if agreed != want {
					t.Errorf("%s, %d: takeover %v", kind, j, agreed)
				}
				for range 3 {
					p.say(Text(pattern(2000)))
					p.expectMessage(Text(pattern(2000)))
				}
				peers = append(peers, p)
			}
			refused += 2
			s.expectContexts(2*each, refused)
			switch i {
			case 0:
				peers[0].send(string(wsock.AppendClose(nil, wsock.CloseNormal, "", testMask)))
			case 1:
				peers[0].Close()
			default:
				peers[0].say(Text("abort"))
			}
			s.expectContexts(each, refused)
			p, agreed := s.takeover(kind, bothTakeOver)
			if !agreed {
				t.Errorf("%s: no takeover in the place of another", kind)
			}
			for _, p := range append(peers, p) {
				p.Close()
			}
			s.expectContexts(0, refused)
		}
	})
}

// A smaller window counts for less; and who wants no limit has none.
func TestContextBudgetWindows(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		small := wsock.CompressionOptions{ServerTakeover: true, ClientTakeover: true, ServerBits: 9, ClientBits: 9}
		o := &ChannelOptions{Compression: bothTakeOver}
		s := serve(t, e, &Server{Handler: channelsWith(o, func() Events { return Events{} }), MaxContextBytes: -1})
		s.takeover("/native", small)
		s.takeover("/std", wsock.CompressionOptions{ServerTakeover: true, ClientTakeover: true, ServerBits: 10})
		s.expectContexts(512+512+1<<10+32<<10, 0)
	})
}

// A handshake that leads to nothing takes nothing.
func TestContextBudgetOfNoChannel(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		o := &ChannelOptions{Compression: bothTakeOver}
		errs := make(chan error, 1)
		s := serve(t, e, &Server{Handler: channels(func(w http.ResponseWriter, r *http.Request, x *Exchange) (ch *Channel, err error) {
			for range 2 {
				if x != nil {
					ch, err = o.OpenExchange(x, Events{})
				} else {
					ch, err = o.Open(w, r, Events{})
				}
			}
			errs <- err
			return ch, err
		})})
		for _, kind := range handlerKinds {
			p, _ := s.takeover(kind, bothTakeOver)
			if err := expect(t, "the second channel", errs); err != http.ErrHijacked {
				t.Errorf("%s: %v", kind, err)
			}
			s.expectContexts(2*32<<10, 0)
			p.Close()
			s.expectContexts(0, 0)
		}
	})
}

// Windows are given back also when somebody is just sending, and the channel is kept.
func TestContextsOfSenders(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		o := &ChannelOptions{Compression: bothTakeOver, Overflow: OverflowWait}
		opened := make(chan *Channel, 1)
		s := serve(t, e, &Server{Handler: channelsWith(o, func() Events {
			return Events{Open: func(ch *Channel) { opened <- ch }}
		})})
		m := Text(pattern(40_000))
		var kept []*Channel
		for range 10 {
			p, _ := s.takeover("/native", bothTakeOver)
			ch := expect(t, "the channel", opened)
			kept = append(kept, ch)
			var senders sync.WaitGroup
			for range 3 {
				senders.Go(func() {
					for ch.Send(m) == nil {
					}
				})
			}
			p.expectMessage(m)
			p.Close()
			senders.Wait()
		}
		s.expectContexts(0, 0)
		for _, ch := range kept {
			if err := ch.Send(m); err != ErrChannelClosed {
				t.Errorf("a channel that is over takes a message: %v", err)
			}
		}
	})
}
