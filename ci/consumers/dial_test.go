package consumers

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	async "github.com/ringkit/ringkit/client"
	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/wsock"
)

// eachDial runs a test with ringkit's client, on each engine, against the echo server of
// each library on net/http.
func eachDial(t *testing.T, test func(t *testing.T, o *async.WebSocketOptions, url string, ended <-chan int)) {
	for _, e := range []conn.Engine{conn.IOUring, conn.Epoll} {
		for _, l := range libraries {
			t.Run(e.String()+"/"+l.name, func(t *testing.T) {
				if e == conn.IOUring {
					needIOUring(t)
				}
				expectNoLeaks(t)
				ended := make(chan int, 256)
				url := standard.serve(t, l.echo(ended)).ws
				tr := &async.Transport{Engine: e}
				t.Cleanup(func() { tr.Close() })
				o := &async.WebSocketOptions{Client: &async.Client{Transport: tr}, Overflow: async.OverflowWait}
				test(t, o, url, ended)
			})
		}
	}
}

// ears are what a WebSocket of ringkit's client hears.
type ears struct {
	*async.WebSocket
	heard chan wsock.Message
	over  chan wsock.CloseInfo
}

func dialOwn(t testing.TB, o *async.WebSocketOptions, url string) *ears {
	t.Helper()
	e := &ears{heard: make(chan wsock.Message, 1000), over: make(chan wsock.CloseInfo, 1)}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, err := o.Dial(ctx, url, async.Events{
		Message: func(_ *async.WebSocket, m wsock.Message) {
			m.Data = append([]byte(nil), m.Data...)
			e.heard <- m
		},
		Close: func(_ *async.WebSocket, why wsock.CloseInfo) { e.over <- why },
	})
	if err != nil {
		t.Fatal(err)
	}
	e.WebSocket = ws
	return e
}

func (e *ears) say(t testing.TB, kind wsock.Opcode, s string) {
	t.Helper()
	if err := e.Send(wsock.Message{Kind: kind, Data: []byte(s)}); err != nil {
		t.Fatal(err)
	}
}

func (e *ears) hear(t testing.TB, kind wsock.Opcode, want string) {
	t.Helper()
	m := receive(t, e.heard)
	if m.Kind != kind || string(m.Data) != want {
		t.Fatalf("%v with %d bytes %.100q; want %v with %d bytes %.100q", m.Kind, len(m.Data), m.Data, kind, len(want), want)
	}
}

func TestDialEcho(t *testing.T) {
	eachDial(t, func(t *testing.T, o *async.WebSocketOptions, url string, ended <-chan int) {
		for _, takeover := range []bool{false, true} {
			o := &async.WebSocketOptions{
				Client: o.Client, Overflow: o.Overflow, Protocols: []string{"other", "echo"},
				Compression: wsock.CompressionOptions{ClientTakeover: takeover, ServerTakeover: takeover},
			}
			c := dialOwn(t, o, url)
			if c.Protocol() != "echo" {
				t.Errorf("subprotocol %q", c.Protocol())
			}
			for _, kind := range []wsock.Opcode{wsock.Text, wsock.Binary} {
				for _, n := range []int{0, 1, 125, 126, 4096, 65535, 65536, 1 << 20} {
					for range 2 {
						c.say(t, kind, pattern(n))
						c.hear(t, kind, pattern(n))
					}
				}
			}
			for range 300 { // without waiting
				c.say(t, wsock.Text, "one of many")
			}
			for range 300 {
				c.hear(t, wsock.Text, "one of many")
			}
			c.say(t, wsock.Text, askPing)
			c.hear(t, wsock.Text, "ponged")
			c.CloseWith(4321, "enough")
			if why := receive(t, c.over); !why.Clean || why.Code != 4321 {
				t.Errorf("%+v", why)
			}
			if code := receive(t, ended); code != 4321 {
				t.Errorf("the server saw close code %d", code)
			}
		}
	})
}

func TestDialServerCloses(t *testing.T) {
	eachDial(t, func(t *testing.T, o *async.WebSocketOptions, url string, ended <-chan int) {
		c := dialOwn(t, o, url)
		c.say(t, wsock.Text, askClose)
		if why := receive(t, c.over); !why.Clean || !why.Remote || why.Code != farewell || why.Reason != "bye" {
			t.Errorf("%+v", why)
		}
		if code := receive(t, ended); code != farewell {
			t.Errorf("the server saw close code %d", code)
		}
	})
}

// A handshake that the library refuses, for the version or the origin.
func TestDialLibraryRefuses(t *testing.T) {
	eachDial(t, func(t *testing.T, o *async.WebSocketOptions, url string, _ <-chan int) {
		if strings.HasSuffix(t.Name(), "wsock") {
			t.Skip("it does not look at the origin")
		}
		foreign := &async.WebSocketOptions{Client: o.Client, Origin: "https://elsewhere.example"}
		_, err := foreign.Dial(context.Background(), url, async.Events{})
		var refused *async.HandshakeError
		if !errors.As(err, &refused) || refused.Response.StatusCode != http.StatusForbidden {
			t.Errorf("%v", err)
		}
	})
}
