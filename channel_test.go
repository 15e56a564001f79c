package ringkit

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ringkit/ringkit/wsock"
)

// wsPeer is a client that speaks WebSocket as it is told to.
type wsPeer struct {
	*peer
	dec  wsock.Decoder
	conf wsock.Config
	enc  wsock.Encoder
	in   []byte
	z    wsock.Deflater
}

const wsKey = "dGhlIHNhbXBsZSBub25jZQ=="

// upgrade asks for a WebSocket, with more fields if they are given.
func (s *site) upgrade(path string, fields ...string) (*wsPeer, *answer) {
	s.Helper()
	p := s.dial()
	p.send(ask("GET", path, append([]string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + wsKey}, fields...)...))
	a := p.answer("GET")
	return &wsPeer{peer: p}, a
}

// webSocket opens a WebSocket, compressed if that is wanted.
func (s *site) webSocket(path string, compressed bool) *wsPeer {
	s.Helper()
	var options wsock.CompressionOptions
	var fields []string
	if compressed {
		fields = []string{"Sec-WebSocket-Extensions: " + options.Offer()}
	}
	p, a := s.upgrade(path, fields...)
	if a.status != 101 || a.get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		s.Fatalf("handshake: %+v", a)
	}
	agreed, err := options.Check(valuesOf(a.get("Sec-WebSocket-Extensions")))
	if err != nil || agreed.Enabled != compressed {
		s.Fatalf("compression: %+v, %v", agreed, err)
	}
	p.conf.Client = true
	p.dec.Init(&p.conf, agreed)
	p.enc.Init(true, agreed)
	return p
}

func valuesOf(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

var testMask = wsock.Masked([4]byte{1, 2, 3, 4})

func (p *wsPeer) say(m wsock.Message) {
	p.Helper()
	p.send(string(p.enc.AppendMessage(nil, m, &p.z, testMask)))
}

// next reads the next event; its data stays.
func (p *wsPeer) next() wsock.Event {
	p.Helper()
	for {
		ev, n, err := p.dec.Next(p.in)
		p.in = p.in[n:]
		if err != nil {
			p.Fatalf("the server's frames: %v", err)
		}
		if ev.Op != 0 {
			ev.Data = append([]byte(nil), ev.Data...)
			return ev
		}
		buf := make([]byte, 64<<10)
		k, err := p.r.Read(buf)
		if k == 0 {
			p.Fatalf("reading frames: %v", err)
		}
		p.in = buf[:k]
	}
}

func (p *wsPeer) expectMessage(want wsock.Message) {
	p.Helper()
	ev := p.next()
	if ev.Op != want.Kind || string(ev.Data) != string(want.Data) {
		p.Fatalf("got %v %q, want %v %q", ev.Op, short(string(ev.Data)), want.Kind, short(string(want.Data)))
	}
}

// expectClose reads a Close and what follows it: the end.
func (p *wsPeer) expectClose(code wsock.CloseCode) wsock.Event {
	p.Helper()
	ev := p.next()
	if ev.Op != wsock.Close || ev.Code != code {
		p.Fatalf("got %v %d %q, want a Close with %d", ev.Op, ev.Code, short(string(ev.Data)), code)
	}
	return ev
}

// logbook notes what the callbacks of a channel are told.
type logbook struct{ lines chan string }

func newLogbook() logbook { return logbook{make(chan string, 100)} }

func (d logbook) events(more Events) Events {
	return Events{
		Open: func(ch *Channel) {
			d.lines <- "open"
			if more.Open != nil {
				more.Open(ch)
			}
		},
		Message: func(ch *Channel, m wsock.Message) {
			d.lines <- fmt.Sprintf("%v %s", m.Kind, m.Data)
			if more.Message != nil {
				more.Message(ch, m)
			}
		},
		Drained: func(ch *Channel) { d.lines <- "drained" },
		Close: func(ch *Channel, why wsock.CloseInfo) {
			d.lines <- fmt.Sprintf("close %d %q clean=%v remote=%v err=%v", why.Code, why.Reason, why.Clean, why.Remote, why.Err)
		},
	}
}

func (d logbook) expect(t testing.TB, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := expect(t, w, d.lines); got != w {
			t.Fatalf("callback %q, want %q", got, w)
		}
	}
}

// channels serves what opens a channel with either kind of handler.
func channels(open func(w http.ResponseWriter, r *http.Request, x *Exchange) (*Channel, error)) HandlerFunc {
	mux := http.NewServeMux()
	mux.HandleFunc("/std", func(w http.ResponseWriter, r *http.Request) { open(w, r, nil) })
	mux.Handle("/mounted", HandlerFunc(func(x *Exchange) { open(nil, nil, x) }))
	mux.HandleFunc("/ok", ok)
	return func(x *Exchange) {
		if x.Path() != "/native" {
			x.Delegate(mux)
			return
		}
		open(nil, nil, x)
	}
}

// channelsWith is channels with options and callbacks.
func channelsWith(o *ChannelOptions, events func() Events) HandlerFunc {
	return channels(func(w http.ResponseWriter, r *http.Request, x *Exchange) (*Channel, error) {
		if x != nil {
			return o.OpenExchange(x, events())
		}
		return o.Open(w, r, events())
	})
}

var handlerKinds = []string{"/native", "/std", "/mounted"}

func echo(ch *Channel, m wsock.Message) { ch.Send(m) }

func TestWebSocketEcho(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		d := newLogbook()
		s := serve(t, e, &Server{Handler: channelsWith(&ChannelOptions{}, func() Events { return d.events(Events{Message: echo}) })})
		for _, kind := range handlerKinds {
			for _, compressed := range []bool{false, true} {
				p := s.webSocket(kind, compressed)
				d.expect(t, "open")
				for _, m := range []wsock.Message{Text("hi"), Binary([]byte{1, 2}), Text("")} {
					p.say(m)
					p.expectMessage(m)
					d.expect(t, fmt.Sprintf("%v %s", m.Kind, m.Data))
				}
				p.send(string(wsock.AppendPing(nil, []byte("?"), testMask)))
				if ev := p.next(); ev.Op != wsock.Pong || string(ev.Data) != "?" {
					t.Fatalf("answer to Ping: %+v", ev)
				}
				p.send(string(wsock.AppendClose(nil, 4000, "bye", testMask)))
				p.expectClose(4000)
				p.expectEnd()
				d.expect(t, `close 4000 "bye" clean=true remote=true err=<nil>`)
			}
		}
	})
}

// Messages of all sizes, many in one piece, and each split in two.
func TestWebSocketMessages(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: channelsWith(&ChannelOptions{Overflow: OverflowWait}, func() Events { return Events{Message: echo} })})
		for _, compressed := range []bool{false, true} {
			p := s.webSocket("/native", compressed)
			for _, n := range []int{0, 1, 125, 126, 4096, 65535, 65536, 300_000, 1 << 20} {
				m := Text(pattern(n))
				p.sendAside(string(p.enc.AppendMessage(nil, m, &p.z, testMask)))
				p.expectMessage(m)
			}
			var all []byte
			for i := range 1000 {
				all = p.enc.AppendMessage(all, Text(fmt.Sprint(i, strings.Repeat("x", i))), &p.z, testMask)
			}
			p.sendAside(string(all))
			for i := range 1000 {
				p.expectMessage(Text(fmt.Sprint(i, strings.Repeat("x", i))))
			}
			frame := string(p.enc.AppendMessage(nil, Text("split anywhere"), &p.z, testMask))
			for i := 1; i < len(frame); i++ {
				p.send(frame[:i], frame[i:])
				p.expectMessage(Text("split anywhere"))
			}
		}
	})
}

// An answer over HTTP bit by bit, then the connection goes on.
func TestChannelStream(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		d := newLogbook()
		opened := make(chan *Channel, 1)
		s := serve(t, e, &Server{Handler: channelsWith(&ChannelOptions{}, func() Events {
			return d.events(Events{Open: func(ch *Channel) { opened <- ch }})
		})})
		for _, kind := range handlerKinds {
			p := s.dial()
			p.send(ask("GET", kind))
			d.expect(t, "open")
			ch := expect(t, "the channel", opened)
			p.expectSilence(0)
			for _, piece := range []string{"one ", "two ", "three"} {
				if err := ch.Send(Text(piece)); err != nil {
					t.Fatal(err)
				}
			}
			ch.Close()
			if a := p.expectAnswer(200, "one two three"); a.get("Content-Type") != "text/plain; charset=utf-8" || a.get("Transfer-Encoding") != "chunked" {
				t.Errorf("%+v", a)
			}
			d.expect(t, `close 1000 "" clean=true remote=false err=<nil>`)
			if err := ch.Send(Text("late")); err != ErrChannelClosed {
				t.Errorf("Send after Close: %v", err)
			}
			p.send(ask("GET", kind) + ask("GET", "/ok"))
			d.expect(t, "open")
			ch = expect(t, "the channel", opened)
			if err := ch.SendLast(Text("whole")); err != nil {
				t.Fatal(err)
			}
			if a := p.expectAnswer(200, "whole"); a.get("Content-Length") != "5" {
				t.Errorf("%+v", a)
			}
			d.expect(t, `close 1000 "" clean=true remote=false err=<nil>`)
			p.expectAnswer(200, "ok")

			p.send(ask("GET", kind))
			d.expect(t, "open")
			<-opened
			p.Close()
			if got := expect(t, "Close", d.lines); !strings.HasPrefix(got, "close 1006 ") {
				t.Errorf("%q", got)
			}
		}
	})
}
