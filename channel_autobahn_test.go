package ringkit

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ringkit/ringkit/internal/autobahn"
	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/wsock"
)

// The cases of the Autobahn test suite against an echo server, in one piece and in many.
func TestChannelAutobahn(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: channelsWith(&ChannelOptions{Overflow: OverflowWait}, func() Events { return Events{Message: echo} })})
		for i, c := range autobahn.Cases() {
			t.Run(c.ID, func(t *testing.T) {
				p := s.webSocket(handlerKinds[i%len(handlerKinds)], false)
				p.TB, p.peer.TB = t, t
				if i%2 == 0 || len(c.Input) > 2000 {
					p.sendAside(c.Input)
				} else {
					p.sendAsideInPieces(c.Input, 1+i%7)
				}
				var got, pongs []string
				for len(got)+len(pongs) < len(c.Answers) {
					ev := p.next()
					switch {
					case ev.Op == wsock.Close:
						got = append(got, fmt.Sprintf("close %d %q", ev.Code, ev.Data))
					case ev.Op == wsock.Pong:
						pongs = append(pongs, fmt.Sprintf("pong %q", ev.Data))
					default:
						got = append(got, fmt.Sprintf("%v %q", ev.Op, ev.Data))
					}
				}
				// A Ping may be answered before a message that came first.
				var want, wantPongs []string
				for _, a := range c.Answers {
					if strings.HasPrefix(a, "pong ") {
						wantPongs = append(wantPongs, a)
					} else {
						want = append(want, a)
					}
				}
				if !autobahn.Fit(got, want) || !autobahn.Fit(pongs, wantPongs) {
					t.Errorf("%.200q and %.200q, want %.200q", got, pongs, c.Answers)
				}
				if strings.HasPrefix(c.Answers[len(c.Answers)-1], "close ") {
					p.expectEnd()
				}
				p.Close()
			})
		}
		if a := s.dial().get("/ok"); a.status != 200 {
			t.Errorf("%+v", a)
		}
	})
}

// sendAsideInPieces is sendAside with a system call for every n bytes.
func (p *wsPeer) sendAsideInPieces(s string, n int) {
	go func() {
		for len(s) > 0 {
			k := min(n, len(s))
			if _, err := p.Write([]byte(s[:k])); err != nil {
				return
			}
			s = s[k:]
		}
	}()
}

// Categories 12 and 13: compressed messages of all sizes with each offer, with contexts
// taken over and not.
func TestChannelAutobahnCompression(t *testing.T) {
	sizes := []int{16, 64, 600, 1024, 4096, 40_000, 131_072}
	if testing.Short() || check.Enabled {
		sizes = []int{16, 600, 40_000}
	}
	eachEngine(t, func(t *testing.T, e engine) {
		for _, takeover := range []bool{false, true} {
			options := wsock.CompressionOptions{ServerTakeover: takeover, ClientTakeover: takeover}
			o := &ChannelOptions{Overflow: OverflowWait, Compression: options}
			s := serve(t, e, &Server{Handler: channelsWith(o, func() Events { return Events{Message: echo} })})
			for i, client := range []wsock.CompressionOptions{
				{}, {ServerTakeover: true}, {ClientTakeover: true}, {ServerTakeover: true, ClientTakeover: true},
				{ServerBits: 9, ClientBits: 9, ServerTakeover: true, ClientTakeover: true},
			} {
				p, a := s.upgrade(handlerKinds[i%len(handlerKinds)], "Sec-WebSocket-Extensions: "+client.Offer())
				agreed, err := client.Check(valuesOf(a.get("Sec-WebSocket-Extensions")))
				if err != nil || !agreed.Enabled || !agreed.ServerNoTakeover && !takeover {
					t.Fatalf("%+v: %+v, %v", client, agreed, err)
				}
				p.conf.Client = true
				p.dec.Init(&p.conf, agreed)
				p.enc.Init(true, agreed)
				p.z.Threshold = 1
				for _, n := range sizes {
					for j := range 3 {
						m := Text(pattern(n))
						if j == 2 {
							m = Binary(noise(n))
						}
						p.sendAside(string(p.enc.AppendMessage(nil, m, &p.z, testMask)))
						p.expectMessage(m)
					}
				}
				p.Close()
			}
			s.Close()
		}
	})
}

// noise returns bytes that cannot be compressed.
func noise(n int) []byte {
	b, x := make([]byte, n), uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 32)
	}
	return b
}
