package ringkit

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringkit/ringkit/internal/simring"
	"github.com/ringkit/ringkit/wsock"
)

// simPeer is a client of a WebSocket on a simulated network.
type simPeer struct {
	peer *simring.Peer
	in   []byte // received and not decoded
	head bool   // the handshake has been read
	dec  wsock.Decoder
	conf wsock.Config
	got  []wsock.Event
}

func (s *simulation) webSocket(path string) *simPeer {
	p := &simPeer{peer: s.sim.Dial(s.fd)}
	p.conf.Client = true
	p.dec.Init(&p.conf, wsock.Compression{})
	p.peer.WriteString(ask("GET", path, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: "+wsKey))
	return p
}

// read decodes what has been received.
func (p *simPeer) read(t testing.TB) {
	p.in = append(p.in, p.peer.Take()...)
	if !p.head {
		i := bytes.Index(p.in, []byte("\r\n\r\n"))
		if i < 0 {
			return
		}
		if !bytes.HasPrefix(p.in, []byte("HTTP/1.1 101 ")) {
			t.Fatalf("answer %.100q", p.in)
		}
		p.in, p.head = p.in[i+4:], true
	}
	for {
		ev, n, err := p.dec.Next(p.in)
		p.in = p.in[n:]
		if err != nil {
			t.Fatalf("the server's frames: %v", err)
		}
		if ev.Op == 0 {
			return
		}
		ev.Data = bytes.Clone(ev.Data)
		p.got = append(p.got, ev)
	}
}

// Whatever the kernel and the network do, every message is echoed in order, and every
// channel has its Open first and its Close last, once.
func TestSeedsChannels(t *testing.T) {
	seeds(t, 400, func(t *testing.T, seed uint64) {
		type life struct{ opened, closed, messages int }
		lives := map[*Channel]*life{}
		var bad []string
		events := func() Events {
			return Events{
				Open: func(ch *Channel) { lives[ch] = &life{opened: 1} },
				Message: func(ch *Channel, m wsock.Message) {
					l := lives[ch]
					if l == nil || l.closed > 0 {
						bad = append(bad, "a message before Open or behind Close")
						return
					}
					l.messages++
					ch.Send(m)
				},
				Close: func(ch *Channel, why wsock.CloseInfo) {
					l := lives[ch]
					if l == nil || l.closed > 0 {
						bad = append(bad, "Close before Open, or twice")
						return
					}
					l.closed++
					if why.Clean != (why.Err == nil) {
						bad = append(bad, fmt.Sprintf("%+v", why))
					}
				},
			}
		}
		srv := &Server{Mode: Inline, Handler: channelsWith(&ChannelOptions{HighWater: 8 << 20}, events), parking: time.Duration(seed%4) * 5 * time.Millisecond}
		s := simulate(t, seed, srv)
		faults := s.sim.Faults()
		faults.Exhaust = 0 // its back-off is conn's to test
		s.sim.SetFaults(faults)
		peers := make([]*simPeer, 1+s.rng.IntN(5))
		wants := make([][]string, len(peers))
		for i := range peers {
			p := s.webSocket(handlerKinds[s.rng.IntN(len(handlerKinds))])
			peers[i] = p
			if s.rng.IntN(3) == 0 {
				p.peer.ReadSlowly(500+s.rng.IntN(50_000), time.Duration(s.rng.IntN(int(20*time.Millisecond))))
			}
			var data []byte
			for j := range s.rng.IntN(100) {
				m := fmt.Sprint(i, "-", j, strings.Repeat(".", []int{0, 1, 200, 5000}[s.rng.IntN(4)]))
				wants[i] = append(wants[i], m)
				k := s.rng.IntN(len(m))
				data = wsock.AppendFrame(data, wsock.Header{Op: wsock.Text, Mask: testMask}, []byte(m[:k]))
				if s.rng.IntN(4) == 0 {
					data = wsock.AppendPing(data, []byte("?"), testMask)
				}
				data = wsock.AppendFrame(data, wsock.Header{Op: wsock.Continuation, Fin: true, Mask: testMask}, []byte(m[k:]))
			}
			data = wsock.AppendClose(data, 4000, "", testMask)
			at := time.Duration(0)
			for len(data) > 0 {
				n := 1 + s.rng.IntN(len(data))
				piece := data[:n]
				s.sim.After(at, func() { p.peer.Write(piece) })
				data = data[n:]
				at += time.Duration(s.rng.IntN(int(20 * time.Millisecond)))
			}
		}
		s.sim.Until(s.w.loop.Turn, func() bool {
			for _, p := range peers {
				if !p.peer.Over() {
					return false
				}
			}
			return true
		})
		mayBreak := faults.Reset > 0 || faults.AbortAccept > 0
		for i, p := range peers {
			p.read(t)
			var got []string
			var last wsock.Event
			for _, ev := range p.got {
				if last = ev; ev.Op == wsock.Text {
					got = append(got, string(ev.Data))
				}
			}
			whole := last.Op == wsock.Close && last.Code == 4000 && len(got) == len(wants[i])
			if !whole && !mayBreak || len(got) > len(wants[i]) {
				t.Errorf("peer %d: %d messages of %d, then %+v", i, len(got), len(wants[i]), last)
			}
			for j := range min(len(got), len(wants[i])) {
				if got[j] != wants[i][j] {
					t.Errorf("peer %d, message %d: %.60q, want %.60q", i, j, got[j], wants[i][j])
				}
			}
			p.peer.Close()
		}
		s.finish()
		for _, l := range lives {
			if l.closed != 1 {
				t.Errorf("Close was called %d times", l.closed)
			}
		}
		for _, what := range bad {
			t.Error(what)
		}
	})
}

// Virtual time: Pings, their deadline and that of the closing handshake to the tick; what
// a peer says counts, whatever it is.
func TestChannelTimes(t *testing.T) {
	const slack = 50 * time.Millisecond
	var closed atomic.Pointer[wsock.CloseInfo]
	var opened atomic.Pointer[Channel]
	events := Events{
		Open:  func(ch *Channel) { opened.Store(ch) },
		Close: func(_ *Channel, why wsock.CloseInfo) { closed.Store(&why) },
	}
	run := func(name string, o *ChannelOptions, test func(t *testing.T, s *simulation, p *simPeer)) {
		t.Run(name, func(t *testing.T) {
			s := simulate(t, 1, &Server{Mode: Inline, Handler: channelsWith(o, func() Events { return events })}, simring.WithFaults(simring.Faults{}))
			closed.Store(nil)
			p := s.webSocket("/native")
			s.sim.Settle(s.w.loop.Turn)
			test(t, s, p)
			p.peer.Close()
			s.sim.Settle(s.w.loop.Turn)
			s.finish()
		})
	}
	sleep := func(s *simulation, d time.Duration) { s.sim.Sleep(d, s.w.loop.Turn) }
	pings := func(p *simPeer) (n int) {
		p.read(t)
		for _, ev := range p.got {
			if ev.Op == wsock.Ping {
				n++
			}
		}
		return n
	}
	run("a peer that says nothing", &ChannelOptions{}, func(t *testing.T, s *simulation, p *simPeer) {
		sleep(s, DefaultPingInterval-slack)
		if pings(p) != 0 {
			t.Error("a Ping too early")
		}
		sleep(s, 2*slack)
		if pings(p) != 1 {
			t.Error("no Ping")
		}
		sleep(s, DefaultPongWait-3*slack)
		if closed.Load() != nil {
			t.Error("given up too early")
		}
		sleep(s, 4*slack)
		if why := closed.Load(); why == nil || why.Code != wsock.CloseAbnormal || why.Err != errPongTimeout || why.Remote {
			t.Errorf("%+v", why)
		}
	})
	run("a peer that answers", &ChannelOptions{}, func(t *testing.T, s *simulation, p *simPeer) {
		for range 5 {
			before := pings(p)
			for range 40 {
				sleep(s, time.Second)
				if pings(p) > before {
					break
				}
			}
			if pings(p) != before+1 {
				t.Fatalf("%d Pings, want %d", pings(p), before+1)
			}
			sleep(s, DefaultPongWait-2*time.Second)
			p.peer.Write(wsock.AppendPong(nil, nil, testMask))
			sleep(s, slack)
			if closed.Load() != nil {
				t.Fatalf("%+v", closed.Load())
			}
		}
	})
	run("a peer that talks instead of answering, then is silent", &ChannelOptions{}, func(t *testing.T, s *simulation, p *simPeer) {
		sleep(s, DefaultPingInterval+slack)
		p.peer.WriteString(frameOf(wsock.Text, "I am here"))
		sleep(s, DefaultPingInterval-2*slack)
		if closed.Load() != nil || pings(p) != 1 {
			t.Errorf("%d Pings, %+v", pings(p), closed.Load())
		}
		sleep(s, DefaultPongWait+slack)
		if closed.Load() != nil || pings(p) != 2 {
			t.Errorf("%d Pings, %+v", pings(p), closed.Load())
		}
		sleep(s, DefaultPongWait+slack)
		if closed.Load() == nil {
			t.Error("not given up")
		}
	})
	run("no Pings wanted", &ChannelOptions{PingInterval: -1}, func(t *testing.T, s *simulation, p *simPeer) {
		sleep(s, time.Hour)
		if closed.Load() != nil || pings(p) != 0 {
			t.Errorf("%d Pings, %+v", pings(p), closed.Load())
		}
	})
	run("a peer that does not answer the Close", &ChannelOptions{}, func(t *testing.T, s *simulation, p *simPeer) {
		opened.Load().CloseWith(4003, "over")
		sleep(s, DefaultCloseWait-slack)
		if closed.Load() != nil {
			t.Error("given up too early")
		}
		sleep(s, 2*slack)
		if why := closed.Load(); why == nil || why.Code != wsock.CloseAbnormal || !errors.Is(why.Err, errCloseTimeout) {
			t.Errorf("%+v", why)
		}
	})
	run("a peer that reads slowly what comes before the Close", &ChannelOptions{}, func(t *testing.T, s *simulation, p *simPeer) {
		p.peer.ReadSlowly(1000, 100*time.Millisecond)
		opened.Load().Send(Text(pattern(200_000))) // takes 20 s
		opened.Load().Close()
		for range 100 {
			sleep(s, time.Second)
			if p.read(t); len(p.got) == 2 {
				break
			}
		}
		if len(p.got) != 2 || p.got[1].Op != wsock.Close || closed.Load() != nil {
			t.Fatalf("%d events, %+v", len(p.got), closed.Load())
		}
		p.peer.Write(wsock.AppendClose(nil, 1000, "", testMask))
		sleep(s, slack)
		if why := closed.Load(); why == nil || !why.Clean {
			t.Errorf("%+v", why)
		}
	})
	run("paused, and closed", &ChannelOptions{}, func(t *testing.T, s *simulation, p *simPeer) {
		opened.Load().Pause()
		sleep(s, time.Hour)
		opened.Load().Close()
		sleep(s, slack)
		p.peer.Write(wsock.AppendClose(nil, 1000, "", testMask))
		sleep(s, slack)
		if why := closed.Load(); why == nil || !why.Clean {
			t.Errorf("%+v", why)
		}
	})
}

// Long polls and events are on time, whatever the other timer of the same channel does.
func TestStreamTimes(t *testing.T) {
	const slack = 50 * time.Millisecond
	o := &ChannelOptions{PollTimeout: 20 * time.Second}
	var opened *Channel
	s := simulate(t, 1, &Server{Mode: Inline, Handler: channelsWith(o, func() Events {
		return Events{Open: func(ch *Channel) { opened = ch }}
	})}, simring.WithFaults(simring.Faults{}))
	p := s.sim.Dial(s.fd)
	p.WriteString(ask("GET", "/native"))
	s.sim.Sleep(20*time.Second-slack, s.w.loop.Turn)
	if len(p.Received()) > 0 {
		t.Errorf("too early: %q", p.Received())
	}
	s.sim.Sleep(2*slack, s.w.loop.Turn)
	if got := string(p.Take()); !strings.HasPrefix(got, fmt.Sprint("HTTP/1.1 ", http.StatusNoContent)) {
		t.Errorf("%q", got)
	}
	if why := opened.CloseInfo(); why.Err != ErrPollTimeout || why.Code != wsock.CloseNormal {
		t.Errorf("%+v", why)
	}

	p.WriteString(ask("GET", "/native"))
	s.sim.Settle(s.w.loop.Turn)
	opened.StartEvents()
	s.sim.Settle(s.w.loop.Turn)
	p.Take()
	s.sim.Sleep(10*time.Second, s.w.loop.Turn)
	opened.SendEvent(ServerEvent{Data: "x"})
	s.sim.Sleep(DefaultHeartbeat-slack, s.w.loop.Turn)
	if got := string(p.Take()); got != "9\r\ndata: x\n\n\r\n" {
		t.Errorf("%q", got)
	}
	s.sim.Sleep(2*slack, s.w.loop.Turn)
	if got := string(p.Take()); got != "3\r\n:\n\n\r\n" {
		t.Errorf("no heartbeat %v after the last event: %q", DefaultHeartbeat, got)
	}
	opened.Close()
	s.sim.Settle(s.w.loop.Turn)
	p.Close()
	s.sim.Settle(s.w.loop.Turn)
	s.finish()
}
