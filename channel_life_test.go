package ringkit

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/wsock"
)

// frameOf is a frame of a client.
func frameOf(op wsock.Opcode, data string) string {
	return string(wsock.AppendMessage(nil, wsock.Message{Kind: op, Data: []byte(data)}, testMask))
}

// What the peer sent before its Close, or before it went wrong, is told and answered
// first, however it arrived.
func TestWebSocketLastWord(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		for _, c := range []struct {
			name, last string
			code       wsock.CloseCode
			info       string
		}{
			{"Close", string(wsock.AppendClose(nil, 4001, "enough", testMask)), 4001, `close 4001 "enough" clean=true remote=true err=<nil>`},
			{"Close without a code", string(wsock.AppendClose(nil, wsock.CloseNoStatus, "", testMask)), wsock.CloseNoStatus, `close 1005 "" clean=true remote=true err=<nil>`},
			{"a frame with reserved bits", "\xf1\x80\x00\x00\x00\x00", wsock.CloseProtocolError, `close 1002 "" clean=false remote=true err=wsock:`},
			{"text that is not UTF-8", frameOf(wsock.Text, "\xff"), wsock.CloseInvalidPayload, `close 1007 "" clean=false remote=true err=wsock:`},
		} {
			for _, kind := range handlerKinds {
				d := newLogbook()
				s := serve(t, e, &Server{Handler: channelsWith(&ChannelOptions{}, func() Events { return d.events(Events{Message: echo}) })})
				p := s.webSocket(kind, false)
				var in string
				for i := range 90 {
					in += frameOf(wsock.Text, fmt.Sprint(i))
				}
				p.send(in + c.last + frameOf(wsock.Text, "behind it"))
				for i := range 90 {
					p.expectMessage(Text(fmt.Sprint(i)))
				}
				p.expectClose(c.code)
				p.expectEnd()
				d.expect(t, "open")
				for i := range 90 {
					d.expect(t, fmt.Sprint("text ", i))
				}
				if got := expect(t, "Close", d.lines); !strings.HasPrefix(got, c.info) {
					t.Errorf("%s: %s, want %s", c.name, got, c.info)
				}
				s.Close()
			}
		}
	})
}

// An upgrade whose client ends its side at once, with and without callbacks.
func TestWebSocketEndsAtOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		d := newLogbook()
		all := d.events(Events{})
		for _, events := range []Events{all, {Close: all.Close}} {
			s := serve(t, e, &Server{Handler: channelsWith(&ChannelOptions{}, func() Events { return events })})
			p := s.dial()
			p.send(ask("GET", "/native", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: "+wsKey))
			p.halfClose()
			if a := p.answer("GET"); a.status != 101 {
				t.Errorf("%+v", a)
			}
			p.expectEnd()
			if events.Open != nil {
				d.expect(t, "open")
			}
			d.expect(t, `close 1006 "" clean=false remote=true err=EOF`)
			s.Close()
		}
	})
}

// failures are ways for user code not to return.
var failures = []struct {
	name string
	fail func()
}{
	{"panic", func() { panic("deliberate") }},
	{"Goexit", runtime.Goexit},
}

// Callbacks and handlers that do not return end their channel and nothing else; Open and
// Close are called all the same, once.
func TestChannelFailures(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		for _, f := range failures {
			for _, where := range []string{"handler", "Open", "Message", "Close"} {
				for _, kind := range handlerKinds {
					d := newLogbook()
					at := func(place string) {
						if place == where {
							f.fail()
						}
					}
					events := d.events(Events{Open: func(*Channel) { at("Open") }, Message: func(*Channel, wsock.Message) { at("Message") }})
					last := events.Close
					events.Close = func(ch *Channel, why wsock.CloseInfo) { last(ch, why); at("Close") }
					s := serve(t, e, &Server{Handler: channels(func(w http.ResponseWriter, r *http.Request, x *Exchange) (*Channel, error) {
						open(w, r, x, events)
						at("handler")
						return nil, nil
					})})
					p := s.webSocket(kind, false)
					d.expect(t, "open")
					code := wsock.CloseCode(wsock.CloseInternalError)
					switch where {
					case "Message":
						p.send(frameOf(wsock.Text, "a") + frameOf(wsock.Text, "b"))
						d.expect(t, "text a")
					case "Close":
						p.send(string(wsock.AppendClose(nil, 4000, "", testMask)))
						code = 4000
					}
					p.expectClose(code)
					p.expectEnd()
					if got := expect(t, "Close", d.lines); !strings.HasPrefix(got, fmt.Sprintf("close %d", code)) {
						t.Errorf("%s in %s: %s", f.name, where, got)
					}
					if !eventually(func() bool { return s.Stats().Panics == 1 }) {
						t.Errorf("%s in %s: %d panics", f.name, where, s.Stats().Panics)
					}
					if a := s.dial().get("/ok"); a.status != 200 {
						t.Errorf("%+v", a)
					}
					if len(d.lines) > 0 {
						t.Errorf("%s in %s: then %s", f.name, where, <-d.lines)
					}
					s.Close()
				}
			}
		}
	})
}

// open opens a channel with either kind of handler.
func open(w http.ResponseWriter, r *http.Request, x *Exchange, events Events) (*Channel, error) {
	if x != nil {
		return x.OpenChannel(events)
	}
	return OpenChannel(w, r, events)
}

// An answer whose channel fails does not look complete: it is a 500, or cut short.
func TestChannelFailuresOfAnswers(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		for _, f := range failures {
			for _, begun := range []bool{false, true} {
				for _, proto := range []string{"HTTP/1.1", "HTTP/1.0"} {
					d := newLogbook()
					s := serve(t, e, &Server{Handler: channelsWith(&ChannelOptions{}, func() Events {
						return d.events(Events{Open: func(ch *Channel) {
							if begun {
								ch.Send(Text("some"))
							}
							f.fail()
						}})
					})})
					p := s.dial()
					p.send("GET /native " + proto + "\r\nHost: test\r\n\r\n")
					a, err := readAnswer(p.r, "GET")
					switch {
					case !begun && (err != nil || a.status != 500 || !strings.HasPrefix(a.body, "500 ")):
						t.Errorf("%s at the beginning: %+v, %v", f.name, a, err)
					case begun && err == nil:
						t.Errorf("%s in the middle: %+v looks complete", f.name, a)
					}
					d.expect(t, "open", `close 1011 "" clean=false remote=false err=`+errCallback.Error())
					s.Close()
				}
			}
		}
	})
}

// stages are where user code of a channel can be when its connection goes.
var stages = []string{"handler", "Open", "Message", "Drained"}

// Whatever runs when a connection goes, or the server: Open comes first, Close last.
func TestChannelLost(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		for _, how := range []string{"reset", "Server.Close", "Abort"} {
			for _, stage := range stages {
				for _, kind := range handlerKinds {
					t.Run(how+" in "+stage+kind, func(t *testing.T) { loseChannel(t, e, how, stage, kind) })
				}
			}
		}
	})
}

func loseChannel(t *testing.T, e engine, how, stage, kind string) {
	d := newLogbook()
	there, goOn := make(chan *Channel, 1), make(chan struct{})
	at := func(ch *Channel, place string) {
		if place == stage {
			there <- ch
			<-goOn
		}
	}
	events := d.events(Events{
		Open:    func(ch *Channel) { at(ch, "Open") },
		Message: func(ch *Channel, _ wsock.Message) { at(ch, "Message") },
	})
	drained := events.Drained
	events.Drained = func(ch *Channel) { drained(ch); at(ch, "Drained") }
	o := &ChannelOptions{HighWater: 10, LowWater: 5}
	s := serve(t, e, &Server{Handler: channels(func(w http.ResponseWriter, r *http.Request, x *Exchange) (ch *Channel, err error) {
		if x != nil {
			ch, err = o.OpenExchange(x, events)
		} else {
			ch, err = o.Open(w, r, events)
		}
		at(ch, "handler")
		return ch, err
	})})
	p := s.webSocket0(kind, stage == "handler")
	var want []string
	if stage != "handler" {
		want = append(want, "open")
	}
	switch stage {
	case "Message":
		p.send(frameOf(wsock.Text, "a"))
		want = append(want, "text a")
	case "Drained":
		d.expect(t, "open")
		want[0] = "drained"
		s.each(func(ch *Channel) { ch.Send(Text("more than HighWater")) })
	}
	ch := expect(t, "being there", there)
	d.expect(t, want...)
	switch how {
	case "reset":
		p.reset()
	case "Server.Close":
		within(t, "Close", func() { s.Close() })
	case "Abort":
		ch.Abort()
	}
	expect(t, "Done", ch.Done())
	if err := ch.Send(Text("late")); err != ErrChannelClosed {
		t.Errorf("Send: %v", err)
	}
	if len(d.lines) > 0 {
		t.Errorf("%s, while something else runs", <-d.lines)
	}
	close(goOn)
	if stage == "handler" {
		d.expect(t, "open")
	}
	got := expect(t, "Close", d.lines)
	if !strings.HasPrefix(got, "close 1006 ") || strings.Contains(got, "remote=true") != (how == "reset") {
		t.Errorf("%q", got)
	}
	if err := ch.CloseInfo().Err; err == nil || how == "Server.Close" && !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("the cause: %v", err)
	}
	s.Close()
	if len(d.lines) > 0 {
		t.Errorf("then %s", <-d.lines)
	}
}

// webSocket0 is webSocket; the answer may not be there yet.
func (s *site) webSocket0(path string, early bool) *wsPeer {
	s.Helper()
	if !early {
		return s.webSocket(path, false)
	}
	p := s.dial()
	p.send(ask("GET", path, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: "+wsKey))
	return &wsPeer{peer: p}
}

// each calls f for every channel, on a goroutine of its own.
func (s *site) each(f func(*Channel)) {
	for _, w := range loopsOf(s) {
		found := make(chan []*Channel)
		w.loop.Do(func(l *conn.Loop) {
			var all []*Channel
			l.Each(func(c *conn.Conn) {
				if ch, ok := c.State.(*Channel); ok {
					all = append(all, ch)
				}
			})
			found <- all
		})
		for _, ch := range <-found {
			f(ch)
		}
	}
}

// Close, and the end of the server, from within each callback.
func TestChannelEndsItself(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		for _, stage := range []string{"handler", "Open", "Message"} {
			for _, webSocket := range []bool{false, true} {
				if stage == "Message" && !webSocket {
					continue
				}
				d := newLogbook()
				end := func(ch *Channel, place string) {
					if place == stage {
						ch.Send(Text("before"))
						ch.CloseWith(4002, "over")
						ch.Close()
						if err := ch.Send(Text("behind")); err != ErrChannelClosed {
							t.Errorf("Send: %v", err)
						}
					}
				}
				events := d.events(Events{
					Open:    func(ch *Channel) { end(ch, "Open") },
					Message: func(ch *Channel, _ wsock.Message) { end(ch, "Message") },
				})
				s := serve(t, e, &Server{Handler: channels(func(w http.ResponseWriter, r *http.Request, x *Exchange) (*Channel, error) {
					ch, err := open(w, r, x, events)
					end(ch, "handler")
					return ch, err
				})})
				for _, kind := range handlerKinds {
					if !webSocket {
						p := s.dial()
						p.send(ask("GET", kind) + ask("GET", "/ok"))
						p.expectAnswer(200, "before")
						d.expect(t, "open", `close 4002 "over" clean=true remote=false err=<nil>`)
						p.expectAnswer(200, "ok")
						continue
					}
					p := s.webSocket(kind, false)
					d.expect(t, "open")
					if stage == "Message" {
						p.say(Text("go"))
						d.expect(t, "text go")
					}
					p.expectMessage(Text("before"))
					p.expectClose(4002)
					p.send(string(wsock.AppendClose(nil, 4002, "", testMask)))
					p.expectEnd()
					d.expect(t, `close 4002 "" clean=true remote=false err=<nil>`)
				}
				s.Close()
			}
		}
	})
}

// An answer that is over before the client has read it, with callbacks that would come
// later: nothing of it reaches the next request.
func TestChannelDoesNotOutliveItsAnswer(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		var drained atomic.Int32
		o := &ChannelOptions{HighWater: 10, LowWater: 5}
		s := serve(t, e, &Server{Handler: channelsWith(o, func() Events {
			return Events{
				Open: func(ch *Channel) {
					ch.Send(Text("longer than HighWater"))
					ch.Send(Text("refused"))
					ch.Close()
				},
				Drained: func(ch *Channel) { drained.Add(1) },
			}
		})})
		for _, kind := range handlerKinds {
			p := s.dial()
			p.send(ask("GET", kind) + ask("GET", "/ok") + ask("GET", "/ok"))
			p.expectAnswer(200, "longer than HighWater")
			p.expectAnswer(200, "ok")
			p.expectAnswer(200, "ok")
		}
		if n := drained.Load(); n > 0 {
			t.Errorf("Drained was called %d times behind the end", n)
		}
	})
}

// What a request can become, and what it cannot.
func TestOpenChannelMisuse(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		got := make(chan error, 4)
		mux := http.NewServeMux()
		mux.HandleFunc("/twice", func(w http.ResponseWriter, r *http.Request) {
			ch, _ := OpenChannel(w, r, Events{})
			_, err := OpenChannel(w, r, Events{})
			got <- err
			_, err = w.Write([]byte("late"))
			got <- err
			_, _, err = http.NewResponseController(w).Hijack()
			got <- err
			ch.SendLast(Text("first"))
		})
		mux.HandleFunc("/answered", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "answer")
			_, err := OpenChannel(w, r, Events{})
			got <- err
		})
		mux.HandleFunc("/body", func(w http.ResponseWriter, r *http.Request) {
			_, err := OpenChannel(w, r, Events{})
			got <- err
		})
		mux.HandleFunc("/read", func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			ch, err := OpenChannel(w, r, Events{})
			got <- err
			ch.SendLast(Text(fmt.Sprint(n)))
		})
		native := serve(t, e, &Server{Handler: HandlerFunc(func(x *Exchange) {
			ch, _ := x.OpenChannel(Events{})
			_, err := x.OpenChannel(Events{})
			got <- err
			x.WriteString("late")
			ch.SendLast(Text("first"))
		})})
		p := native.dial()
		p.send(ask("GET", "/twice"))
		p.expectAnswer(200, "first")
		if err := <-got; err != http.ErrHijacked {
			t.Errorf("OpenChannel twice: %v", err)
		}
		p = serve(t, e, &Server{Handler: mux}).dial()
		p.send(ask("GET", "/twice"))
		p.expectAnswer(200, "first")
		for range 3 {
			if err := <-got; err != http.ErrHijacked {
				t.Errorf("behind OpenChannel: %v", err)
			}
		}
		p.send(ask("GET", "/answered"))
		p.expectAnswer(200, "answer")
		if err := <-got; !errors.Is(err, ErrNoChannel) {
			t.Errorf("of an answer: %v", err)
		}
		p.send("POST /read HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n", "3\r\nabc\r\n", "0\r\n\r\n"+ask("GET", "/ok"))
		p.expectAnswer(200, "3")
		if err := <-got; err != nil {
			t.Errorf("behind a body: %v", err)
		}
		if a := p.answer("GET"); a.status != 404 {
			t.Errorf("%+v", a)
		}
		p.send("POST /body HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n", "3\r\nabc\r\n")
		if err := <-got; !errors.Is(err, ErrNoChannel) {
			t.Errorf("before a body: %v", err)
		}
		p.send("0\r\n\r\n")
		if a := p.answer("POST"); a.status != 500 {
			t.Errorf("%+v", a)
		}
	})
}
