package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringkit/ringkit/wsock"
)

var quiet = log.New(io.Discard, "", 0)

// dial makes a WebSocket that is aborted at the end of the test.
func dial(t *testing.T, o *WebSocketOptions, url string, events Events) *WebSocket {
	t.Helper()
	ws, err := o.Dial(context.Background(), url, events)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ws.Abort)
	return ws
}

func waitDone(t *testing.T, ws *WebSocket) wsock.CloseInfo {
	t.Helper()
	select {
	case <-ws.Done():
	case <-time.After(patience):
		t.Fatal("the WebSocket does not end")
	}
	return ws.CloseInfo()
}

func TestWebSocketEcho(t *testing.T) {
	both := wsock.CompressionOptions{ServerTakeover: true, ClientTakeover: true}
	for _, kind := range []struct {
		name                  string
		secure, noCompression bool
		compression           wsock.CompressionOptions
	}{
		{name: "plain", noCompression: true},
		{name: "compressed"},
		{name: "takeover", compression: both},
		{name: "TLS", secure: true},
	} {
		t.Run(kind.name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, tr *Transport) {
				srv := wsServer(t, kind.secure, &both, (*wsPeer).echo)
				if kind.secure {
					tr.TLSClientConfig = &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
				}
				o := &WebSocketOptions{
					Client: &Client{Transport: tr}, Overflow: OverflowWait, Protocols: []string{"one", "two"},
					NoCompression: kind.noCompression, Compression: kind.compression,
				}
				echoes(t, o, wsURL(srv))
			})
		})
	}
}

// echoes sends messages of many lengths from several goroutines, and from the callback.
func echoes(t *testing.T, o *WebSocketOptions, url string) {
	lengths := []int{0, 1, 125, 126, 600, 5000, 65535, 65536, 1 << 20}
	told, again := make(chan string, 1), 0
	ws := dial(t, o, url, Events{Message: func(ws *WebSocket, m wsock.Message) {
		if s := string(m.Data); strings.HasPrefix(s, "again") {
			if again++; again < 100 {
				ws.Send(m)
				return
			}
		}
		told <- fmt.Sprint(m.Kind, " ", string(m.Data))
	}})
	if ws.Protocol() != "one" || ws.Response().StatusCode != 101 || ws.Response().Header.Get("Upgrade") != "websocket" {
		t.Errorf("%q, %+v", ws.Protocol(), ws.Response())
	}
	for _, n := range lengths {
		s := strings.Repeat("word ", n/5+1)[:n]
		for _, m := range []wsock.Message{textOf(s), binaryOf([]byte(s))} {
			if err := ws.Send(m); err != nil {
				t.Fatal(err)
			}
			if got := <-told; got != fmt.Sprint(m.Kind, " ", s) {
				t.Fatalf("%.100q came back of %d bytes", got, n)
			}
		}
	}
	again = 0
	ws.Send(textOf("again" + strings.Repeat("!", 1000)))
	if got := <-told; !strings.HasPrefix(got, "text again!") {
		t.Fatalf("%.100q", got)
	}
	var senders sync.WaitGroup
	for i := range 4 {
		senders.Go(func() {
			for j := range 50 {
				if err := ws.SendContext(context.Background(), textOf(fmt.Sprintf("%d.%d %s", i, j, strings.Repeat("x", j*30)))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var next [4]int
	for range 200 {
		var i, j int
		if got := <-told; true {
			fmt.Sscanf(got, "text %d.%d", &i, &j)
		}
		if next[i] != j {
			t.Fatalf("message %d of sender %d, want %d", j, i, next[i])
		}
		next[i]++
	}
	senders.Wait()
	ws.Close()
	if why := waitDone(t, ws); why.Code != wsock.CloseNormal || !why.Clean || why.Remote {
		t.Errorf("%+v", why)
	}
	if err := ws.Send(textOf("late")); err != ErrWebSocketClosed {
		t.Errorf("%v", err)
	}
}

// What comes after a valid handshake and is not, or ends the connection, and what the
// server and the events are told then.
func TestWebSocketEnds(t *testing.T) {
	whole := func(op wsock.Opcode) wsock.Header { return wsock.Header{Op: op, Fin: true} }
	masked := whole(wsock.Text)
	masked.Mask = wsock.Masked([4]byte{1, 2, 3, 4})
	for _, c := range []struct {
		name string
		play func(p *wsPeer)
		code wsock.CloseCode // that the server gets; 0 for no Close
		want string
	}{
		{"mask", func(p *wsPeer) { p.frame(masked, "hi") }, 1002, `close 1002 "" remote: wsock: frame of a server is masked`},
		{"UTF-8", func(p *wsPeer) { p.frame(whole(wsock.Text), "\xff") }, 1007, `close 1007 "" remote: wsock: text is no UTF-8`},
		{"too big", func(p *wsPeer) { p.frame(whole(wsock.Binary), strings.Repeat("x", 5001)) }, 1009, `close 1009 "" remote: wsock: message too big`},
		{"too big in parts", func(p *wsPeer) {
			p.frame(wsock.Header{Op: wsock.Binary}, strings.Repeat("x", 3000))
			p.frame(whole(wsock.Continuation), strings.Repeat("x", 3000))
		}, 1009, `close 1009 "" remote: wsock: message too big`},
		{"reserved opcode", func(p *wsPeer) { p.frame(whole(3), "") }, 1002, `close 1002 "" remote: wsock: reserved opcode`},
		{"compressed unasked", func(p *wsPeer) { p.frame(wsock.Header{Op: wsock.Text, Fin: true, Compressed: true}, "x") }, 1002, `close 1002 "" remote: wsock: reserved bit set`},
		{"close", func(p *wsPeer) { p.close(4000, "bye") }, 4000, `close 4000 "bye" clean remote`},
		{"close without code", func(p *wsPeer) { p.close(wsock.CloseNoStatus, "") }, 1005, `close 1005 "" clean remote`},
		{"close with bad code", func(p *wsPeer) { p.say("\x88\x02\x03\xed") }, 1002, `close 1002 "" remote: wsock: invalid close code`},
		{"end", func(p *wsPeer) { closeWrite(p) }, 0, `close 1006 "" remote: EOF`},
		{"end in a frame", func(p *wsPeer) { p.say("\x81\x05he"); closeWrite(p) }, 0, `close 1006 "" remote: EOF`},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, tr *Transport) {
				told, code := newLogbook(), make(chan wsock.CloseCode, 1)
				srv := wsServer(t, false, nil, func(p *wsPeer) {
					p.send(textOf("first"))
					c.play(p)
					code <- p.closed()
				})
				o := &WebSocketOptions{Client: &Client{Transport: tr}, MaxMessageBytes: 5000}
				ws := dial(t, o, wsURL(srv), told.events())
				told.expect(t, "open", `text "first" 5`)
				told.expect(t, c.want)
				if got := <-code; got != c.code {
					t.Errorf("the server was told %d, want %d", got, c.code)
				}
				if got := tell1(waitDone(t, ws)); "close "+got != c.want {
					t.Errorf("%q", got)
				}
				if !eventually(func() bool { return tr.Stats().Conns == 0 }) {
					t.Errorf("%+v", tr.Stats())
				}
			})
		})
	}
}

func closeWrite(p *wsPeer) { p.Conn.(interface{ CloseWrite() error }).CloseWrite() }

func TestWebSocketReset(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		told := newLogbook()
		srv := wsServer(t, false, nil, func(p *wsPeer) {
			p.next()
			(&scene{Conn: p.Conn}).reset()
		})
		ws := dial(t, &WebSocketOptions{Client: &Client{Transport: tr}}, wsURL(srv), told.events())
		ws.Send(textOf("go"))
		told.expect(t, "open", `close 1006 "" remote: connection reset by peer`)
	})
}

// This side closes: codes and reasons, and what the server does then.
func TestWebSocketClose(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		codes := make(chan string, 1)
		srv := wsServer(t, false, nil, func(p *wsPeer) {
			for {
				ev := p.next()
				if ev.Op == wsock.Close {
					p.send(textOf("on the way")) // is still told
					codes <- fmt.Sprintf("%d %s", ev.Code, ev.Data)
					p.close(ev.Code, "back")
					return
				} else if ev.Op == 0 {
					return
				}
			}
		})
		o := &WebSocketOptions{Client: &Client{Transport: tr}}
		for _, c := range []struct {
			code wsock.CloseCode
			sent string
		}{{1000, "1000 why"}, {1001, "1001 why"}, {4999, "4999 why"}, {1005, "1005 "}, {1006, "1011 why"}, {99, "1011 why"}} {
			told := newLogbook()
			ws := dial(t, o, wsURL(srv), told.events())
			ws.Send(textOf("before"))
			ws.CloseWith(c.code, "why")
			ws.CloseWith(4000, "again")
			if got := <-codes; got != c.sent {
				t.Errorf("%q, want %q", got, c.sent)
			}
			told.expect(t, "open", `text "on the way" 10`)
			if got := told.next(t); !strings.HasPrefix(got, "close "+c.sent[:4]) || !strings.HasSuffix(got, " clean") {
				t.Errorf("%q", got)
			}
		}
	})
}

// A server that answers no Close, and one that answers no Ping.
func TestWebSocketTimeouts(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		silent := wsServer(t, false, nil, func(p *wsPeer) { io.Copy(io.Discard, p.Conn) })
		told := newLogbook()
		c := &Client{Transport: tr}
		ws := dial(t, &WebSocketOptions{Client: c, CloseWait: tick}, wsURL(silent), told.events())
		start := time.Now()
		ws.Close()
		told.expect(t, "open", `close 1006 "": `+errCloseTimeout.Error())
		if took := time.Since(start); took < tick-20*time.Millisecond || !errors.Is(ws.CloseInfo().Err, os.ErrDeadlineExceeded) {
			t.Errorf("after %v: %v", took, ws.CloseInfo().Err)
		}

		start = time.Now()
		dial(t, &WebSocketOptions{Client: c, PingInterval: tick, PongWait: tick}, wsURL(silent), told.events())
		told.expect(t, "open", `close 1006 "": `+errPongTimeout.Error())
		if took := time.Since(start); took < 2*tick-20*time.Millisecond {
			t.Errorf("after %v", took)
		}

		// One that does answer is kept, and pinged once and again.
		pings := make(chan bool, 100)
		alive := wsServer(t, false, nil, func(p *wsPeer) {
			for {
				switch ev := p.next(); ev.Op {
				case wsock.Ping:
					p.Write(wsock.AppendPong(nil, ev.Data, wsock.Mask{}))
					pings <- true
				case wsock.Close:
					p.close(ev.Code, "")
					return
				case 0:
					return
				}
			}
		})
		ws = dial(t, &WebSocketOptions{Client: c, PingInterval: tick / 3}, wsURL(alive), told.events())
		for range 5 {
			select {
			case <-pings:
			case <-time.After(patience):
				t.Fatal("no Ping")
			}
		}
		ws.Close()
		told.expect(t, "open", `close 1000 "" clean`)
	})
}

// Pings of the server are answered, also between the parts of a message.
func TestWebSocketFragments(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		told, pong := newLogbook(), make(chan string, 1)
		srv := wsServer(t, false, nil, func(p *wsPeer) {
			p.frame(wsock.Header{Op: wsock.Text}, "in p")
			p.frame(wsock.Header{Op: wsock.Ping, Fin: true}, "there?")
			ev := p.next()
			pong <- fmt.Sprint(ev.Op, " ", string(ev.Data))
			p.frame(wsock.Header{Op: wsock.Continuation}, "ar")
			p.frame(wsock.Header{Op: wsock.Continuation, Fin: true}, "ts")
			p.echo()
		})
		dial(t, &WebSocketOptions{Client: &Client{Transport: tr}}, wsURL(srv), told.events())
		told.expect(t, "open")
		if got := <-pong; got != "pong there?" {
			t.Errorf("%q", got)
		}
		told.expect(t, `text "in parts" 8`)
	})
}
