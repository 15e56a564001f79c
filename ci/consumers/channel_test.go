package consumers

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringkit/ringkit"
	"github.com/ringkit/ringkit/wsock"
)

// ringkit's own WebSockets, with clients of other people: those of libraries here, those
// of other languages in channel_scripts_test.go.

// channelOptions are what a client can choose by path. At "/default" it is OpenChannel
// itself.
func channelOptions() map[string]*ringkit.ChannelOptions {
	return map[string]*ringkit.ChannelOptions{
		"/takeover": {
			Overflow:    ringkit.OverflowWait,
			Protocols:   []string{"chat.v1", "chat.v2"},
			Compression: wsock.CompressionOptions{ServerTakeover: true, ClientTakeover: true},
		},
		"/plain":  {Overflow: ringkit.OverflowWait, NoCompression: true},
		"/small":  {MaxMessageBytes: 10_000},
		"/pinged": {PingInterval: 50 * time.Millisecond, PongWait: 2 * time.Second},
	}
}

// channelSite is a server of channels that echo.
type channelSite struct {
	*running
	opened atomic.Int32
	ended  chan ending
}

// ending is how a channel has ended, on which path.
type ending struct {
	target string // with the query
	why    wsock.CloseInfo
}

func (s *channelSite) events(target string) ringkit.Events {
	return ringkit.Events{
		Open: func(*ringkit.Channel) { s.opened.Add(1) },
		Message: func(ch *ringkit.Channel, m wsock.Message) {
			if string(m.Data) == askClose {
				ch.CloseWith(farewell, "bye")
				return
			}
			ch.Send(m)
		},
		Close: func(_ *ringkit.Channel, why wsock.CloseInfo) { s.ended <- ending{target, why} },
	}
}

func (s *channelSite) standard() http.Handler {
	options := channelOptions()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o := options[r.URL.Path]; o != nil {
			o.Open(w, r, s.events(r.RequestURI))
			return
		}
		ringkit.OpenChannel(w, r, s.events(r.RequestURI))
	})
}

func (s *channelSite) native() http.Handler {
	options := channelOptions()
	return ringkit.HandlerFunc(func(x *ringkit.Exchange) {
		target := strings.Clone(x.Path() + "?" + x.RawQuery())
		if o := options[x.Path()]; o != nil {
			o.OpenExchange(x, s.events(target))
			return
		}
		x.OpenChannel(s.events(target))
	})
}

// eachChannels runs a test with channels of either kind of handler, on each engine.
func eachChannels(t *testing.T, test func(*testing.T, *channelSite)) {
	onServers(t, servers[1:], func(t *testing.T, s server) { // net/http has none
		for _, kind := range []string{"http.Handler", "Exchange"} {
			t.Run(kind, func(t *testing.T) {
				site := &channelSite{ended: make(chan ending, 1000)}
				h := site.standard()
				if kind == "Exchange" {
					h = site.native()
				}
				site.running = s.serve(t, h)
				test(t, site)
			})
		}
	})
}

// expectEnding checks how the next channel to end did so.
func (s *channelSite) expectEnding(t *testing.T, what string, want wsock.CloseInfo) {
	t.Helper()
	got := receive(t, s.ended).why
	if got.Code != want.Code || got.Clean != want.Clean || got.Remote != want.Remote || want.Remote && want.Clean && got.Reason != want.Reason {
		t.Errorf("%s: the server saw %+v; want %+v", what, got, want)
	}
	if got.Clean != (got.Err == nil) {
		t.Errorf("%s: the server saw %+v", what, got)
	}
}

// channelClient is a library's client.
type channelClient struct {
	name             string
	offers, takeover bool // compression, with contexts taken over
	dial             func(t *testing.T, tr *traffic, url string, protocols ...string) clientEnd
}

// clientEnd is a WebSocket that a library's client has opened.
type clientEnd interface {
	protocol() string
	send(kind wsock.Opcode, pieces ...string) error // each a fragment
	next() (kind wsock.Opcode, data string, err error)
	closed(err error) (code int, reason string) // what err says, 0 if it is no Close
	ping(text string) error                     // and sends a text, with which and a Pong it is over
	close(code int, reason string) error
	leave() // when the Close has been read
}

func echoed(t *testing.T, c clientEnd, kind wsock.Opcode, pieces ...string) {
	t.Helper()
	sent := make(chan error, 1)
	go func() { sent <- c.send(kind, pieces...) }()
	k, p, err := c.next()
	if want := strings.Join(pieces, ""); err != nil || k != kind || p != want {
		t.Fatalf("%v with %d bytes, %v; want %v with %d", k, len(p), err, kind, len(want))
	}
	if err := receive(t, sent); err != nil {
		t.Fatal(err)
	}
}

// expectClosed reads a Close.
func expectClosed(t *testing.T, c clientEnd, code int, reason string) {
	t.Helper()
	_, p, err := c.next()
	if got, text := c.closed(err); got != code || reason != "" && text != reason {
		t.Errorf("%.60q and %v; want a Close with %d %q", p, err, code, reason)
	}
}

func eachChannelClient(t *testing.T, test func(*testing.T, *channelSite, channelClient)) {
	eachChannels(t, func(t *testing.T, s *channelSite) {
		for _, client := range channelClients {
			t.Run(client.name, func(t *testing.T) { test(t, s, client) })
		}
	})
}

func TestChannelMessages(t *testing.T) {
	eachChannelClient(t, func(t *testing.T, s *channelSite, client channelClient) {
		for _, path := range []string{"/default", "/takeover", "/plain"} {
			c := client.dial(t, new(traffic), s.ws+path, "other", "chat.v2", "chat.v1")
			if want := map[string]string{"/takeover": "chat.v2"}[path]; c.protocol() != want {
				t.Errorf("%s: subprotocol %q; want %q", path, c.protocol(), want)
			}
			for _, kind := range []wsock.Opcode{wsock.Text, wsock.Binary} {
				for _, n := range []int{0, 1, 125, 126, 600, 65535, 65536} { // sizes around the forms of a length
					echoed(t, c, kind, pattern(n))
				}
				echoed(t, c, kind, "in", "", " pieces", pattern(2000), pattern(10_000))
			}
			echoed(t, c, wsock.Text, pattern(1<<20))
			if err := c.ping("behind a Ping"); err != nil {
				t.Errorf("%s: Ping: %v", path, err)
			}
			if err := c.close(1000, "done"); err != nil {
				t.Error(err)
			}
			s.expectEnding(t, path, wsock.CloseInfo{Code: 1000, Reason: "done", Clean: true, Remote: true})
		}
	})
}

// noise is text of n bytes that can be compressed a little by itself, as most is, and
// nearly to nothing where it is known already.
func noise(n int) string {
	var s strings.Builder
	b := make([]byte, 20)
	for s.Len() < n {
		rand.Read(b)
		fmt.Fprintf(&s, "{\"key\": \"%x\"}\n", b)
	}
	return s.String()[:n]
}

// Compression is used both ways where both sides want it, and messages before where both
// sides take their contexts over.
func TestChannelCompression(t *testing.T) {
	eachChannelClient(t, func(t *testing.T, s *channelSite, client channelClient) {
		for _, path := range []string{"/default", "/takeover", "/plain"} {
			var tr traffic
			c := client.dial(t, &tr, s.ws+path)
			over := func(kind wsock.Opcode, p string, times int) (read, written int64) {
				read, written = tr.read.Load(), tr.written.Load()
				for range times {
					echoed(t, c, kind, p)
				}
				return tr.read.Load() - read, tr.written.Load() - written
			}
			compressed, related := client.offers && path != "/plain", client.takeover && path == "/takeover"
			const n = 100_000
			if r, w := over(wsock.Text, strings.Repeat("ring", n/4), 1); r < n/10 != compressed || w < n/10 != compressed {
				t.Errorf("%s: %d bytes took %d there and %d back", path, n, w, r)
			}
			if r, w := over(wsock.Binary, noise(n/25), 25); r < n/4 != related || w < n/4 != related {
				t.Errorf("%s: %d bytes, of which 24 in 25 were known, took %d there and %d back", path, n, w, r)
			}
			if err := c.close(1000, ""); err != nil {
				t.Error(err)
			}
			s.expectEnding(t, path, wsock.CloseInfo{Code: 1000, Clean: true, Remote: true})
		}
	})
}

func TestChannelCloseCodes(t *testing.T) {
	eachChannelClient(t, func(t *testing.T, s *channelSite, client channelClient) {
		for _, code := range []int{1000, 1001, 1011, 3000, 4999} {
			c := client.dial(t, new(traffic), s.ws+"/default")
			echoed(t, c, wsock.Text, "hello")
			if err := c.close(code, "enough"); err != nil {
				t.Errorf("%d: %v", code, err)
			}
			s.expectEnding(t, fmt.Sprint(code), wsock.CloseInfo{Code: wsock.CloseCode(code), Reason: "enough", Clean: true, Remote: true})
		}
		c := client.dial(t, new(traffic), s.ws+"/default")
		echoed(t, c, wsock.Text, "hello")
		if err := c.send(wsock.Text, askClose); err != nil {
			t.Fatal(err)
		}
		expectClosed(t, c, farewell, "bye")
		s.expectEnding(t, "the server closes", wsock.CloseInfo{Code: farewell, Clean: true})
	})
}

// What ends a channel is said with the right code.
func TestChannelRefusesMessages(t *testing.T) {
	eachChannelClient(t, func(t *testing.T, s *channelSite, client channelClient) {
		for _, c := range []struct {
			what, message string
			code          int
		}{
			{"too long", noise(10_001), 1009},
			{"too long when it is inflated", strings.Repeat("x", 100_000), 1009},
			{"not UTF-8", "caf\xe9", 1007},
			{"not UTF-8, and compressed", strings.Repeat("caf\xe9", 1000), 1007},
		} {
			end := client.dial(t, new(traffic), s.ws+"/small")
			if err := end.send(wsock.Text, c.message); err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
			expectClosed(t, end, c.code, "")
			s.expectEnding(t, c.what, wsock.CloseInfo{Code: wsock.CloseCode(c.code), Remote: true})
		}
	})
}

// A server that is shut down tells its clients, and waits for their answers.
func TestChannelGoingAway(t *testing.T) {
	for _, client := range channelClients {
		t.Run(client.name, func(t *testing.T) {
			eachChannels(t, func(t *testing.T, s *channelSite) {
				var ends []clientEnd
				for range 5 {
					c := client.dial(t, new(traffic), s.ws+"/default")
					echoed(t, c, wsock.Text, "hello")
					ends = append(ends, c)
				}
				s.goAway(t, func() {
					for _, c := range ends {
						expectClosed(t, c, 1001, "the server is stopping")
						c.leave()
					}
				})
				for range ends {
					s.expectEnding(t, "Shutdown", wsock.CloseInfo{Code: 1001, Clean: true})
				}
			})
		})
	}
}

// goAway shuts the server down; meanwhile told looks at what its clients are told.
func (s *channelSite) goAway(t *testing.T, told func()) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(ctx) }()
	told()
	if err := receive(t, down); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestChannelManyClients(t *testing.T) {
	const clients = 100
	eachChannelClient(t, func(t *testing.T, s *channelSite, client channelClient) {
		ends := make([]clientEnd, clients)
		var wg sync.WaitGroup
		for i := range ends {
			ends[i] = client.dial(t, new(traffic), s.ws+"/default")
			wg.Go(func() {
				for j := range 5 {
					p := fmt.Sprint(i, "/", j, " ", pattern(i*j*10))
					if err := ends[i].send(wsock.Text, p); err != nil {
						t.Errorf("client %d: %v", i, err)
						return
					}
					if _, q, err := ends[i].next(); err != nil || p != q {
						t.Errorf("client %d: %.40q, %v; want %.40q", i, q, err, p)
						return
					}
				}
				if err := ends[i].close(1000, "done"); err != nil {
					t.Errorf("client %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		for range ends {
			s.expectEnding(t, "one of many", wsock.CloseInfo{Code: 1000, Reason: "done", Clean: true, Remote: true})
		}
	})
}
