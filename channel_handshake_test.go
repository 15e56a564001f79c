package ringkit

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"

	"github.com/ringkit/ringkit/wsock"
)

// What a handshake is answered with, by each kind of handler; the connection goes on
// behind a refusal.
func TestWebSocketHandshakes(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		o := &ChannelOptions{Protocols: []string{"b", "a"}}
		errs := make(chan error, 1)
		s := serve(t, e, &Server{Handler: channels(func(w http.ResponseWriter, r *http.Request, x *Exchange) (ch *Channel, err error) {
			if x != nil {
				ch, err = o.OpenExchange(x, Events{})
			} else {
				ch, err = o.Open(w, r, Events{})
			}
			errs <- err
			return ch, err
		})})
		const upgrade, version, key = "Connection: keep-alive, Upgrade\nUpgrade: WebSocket\n", "Sec-WebSocket-Version: 13\n", "Sec-WebSocket-Key: " + wsKey + "\n"
		for _, c := range []struct {
			name, method, fields string
			status               int
			want                 string // field: value
		}{
			{"all right", "GET", upgrade + version + key, 101, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
			{"a subprotocol of several", "GET", upgrade + version + key + "Sec-WebSocket-Protocol: x, a, b\n", 101, "Sec-WebSocket-Protocol: a"},
			{"no subprotocol in common", "GET", upgrade + version + key + "Sec-WebSocket-Protocol: x\n", 101, "Sec-WebSocket-Protocol: "},
			{"compression", "GET", upgrade + version + key + "Sec-WebSocket-Extensions: permessage-deflate\n", 101,
				"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
			{"an unknown extension", "GET", upgrade + version + key + "Sec-WebSocket-Extensions: bzip\n", 101, "Sec-WebSocket-Extensions: "},
			{"the same origin", "GET", upgrade + version + key + "Origin: http://test\n", 101, "Upgrade: websocket"},
			{"another origin", "GET", upgrade + version + key + "Origin: http://other\n", 403, ""},
			{"two origins", "GET", upgrade + version + key + "Origin: http://test\nOrigin: http://test\n", 403, ""},
			{"POST", "POST", upgrade + version + key + "Content-Length: 0\n", 405, "Allow: GET"},
			{"no key", "GET", upgrade + version, 400, ""},
			{"a bad key", "GET", upgrade + version + "Sec-WebSocket-Key: short\n", 400, ""},
			{"two keys", "GET", upgrade + version + key + key, 400, ""},
			{"no Connection", "GET", "Upgrade: websocket\n" + version + key, 400, ""},
			{"an old version", "GET", upgrade + "Sec-WebSocket-Version: 8\n" + key, 426, "Sec-WebSocket-Version: 13"},
			{"no version", "GET", upgrade + key, 426, "Sec-WebSocket-Version: 13"},
			{"bad subprotocols", "GET", upgrade + version + key + "Sec-WebSocket-Protocol: a b\n", 400, ""},
			{"bad extensions", "GET", upgrade + version + key + "Sec-WebSocket-Extensions: ;\n", 400, ""},
		} {
			for _, kind := range handlerKinds {
				p := s.dial()
				p.send(ask(c.method, kind, strings.Split(strings.TrimSuffix(c.fields, "\n"), "\n")...))
				a := p.answer(c.method)
				name, value, _ := strings.Cut(c.want, ": ")
				if a.status != c.status || name != "" && a.get(name) != value {
					t.Errorf("%s, %s: %+v, want %d with %q", c.name, kind, a, c.status, c.want)
				}
				err := expect(t, "OpenChannel", errs)
				if c.status == 101 {
					if err != nil {
						t.Errorf("%s: %v", c.name, err)
					}
				} else if refusal := (*wsock.HandshakeError)(nil); !errors.As(err, &refusal) || refusal.Status != c.status || a.body != refusal.Reason+"\n" {
					t.Errorf("%s: %v, %q", c.name, err, a.body)
				} else {
					p.send(ask("GET", "/ok"))
					p.expectAnswer(200, "ok")
				}
				p.Close()
			}
		}
	})
}

// Messages that are too long, before or after inflation, and what cannot be inflated, end
// their connection with the right code, and no other.
func TestWebSocketBombs(t *testing.T) {
	const limit = 100_000
	bomb := func(n int) string {
		var b strings.Builder
		w, _ := flate.NewWriter(&b, flate.BestCompression)
		zeros := make([]byte, 1<<20)
		for ; n > 0; n -= len(zeros) {
			w.Write(zeros[:min(n, len(zeros))])
		}
		w.Flush()
		s := strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
		h := wsock.Header{Op: wsock.Binary, Fin: true, Compressed: true, Mask: testMask}
		return string(wsock.AppendFrame(nil, h, []byte(s)))
	}
	garbage := wsock.AppendFrame(nil, wsock.Header{Op: wsock.Binary, Fin: true, Compressed: true, Mask: testMask}, []byte("\xff\xff\xff\xff\xff"))
	long := wsock.AppendFrame(nil, wsock.Header{Op: wsock.Binary, Fin: true, Compressed: true, Mask: testMask}, []byte(strings.Repeat("\xff", 10_000)))
	eachEngine(t, func(t *testing.T, e engine) {
		d := newLogbook()
		s := serve(t, e, &Server{MaxMessageBytes: limit, Handler: channelsWith(&ChannelOptions{}, func() Events { return d.events(Events{Message: echo}) })})
		other := s.webSocket("/native", true)
		d.expect(t, "open")
		for _, c := range []struct {
			name, in string
			code     wsock.CloseCode
		}{
			{"announced", string((&wsock.Header{Op: wsock.Binary, Fin: true, Mask: testMask, Length: limit + 1}).Append(nil)), wsock.CloseMessageTooBig},
			{"in fragments", string(wsock.AppendFrame(nil, wsock.Header{Op: wsock.Binary, Mask: testMask}, make([]byte, limit))) +
				string(wsock.AppendFrame(nil, wsock.Header{Op: wsock.Continuation, Mask: testMask}, []byte("x"))), wsock.CloseMessageTooBig},
			{"a bomb for the loop", bomb(1 << 20), wsock.CloseMessageTooBig},
			{"a bomb for a goroutine", bomb(20 << 20), wsock.CloseMessageTooBig},
			{"what nobody compressed", string(garbage), wsock.CloseInvalidPayload},
			{"much of it", string(long), wsock.CloseInvalidPayload},
		} {
			p := s.webSocket("/std", true)
			d.expect(t, "open")
			p.sendAside(c.in)
			ev := p.next()
			if ev.Op != wsock.Close || ev.Code != c.code {
				t.Errorf("%s: %v %d %q, want %d", c.name, ev.Op, ev.Code, ev.Data, c.code)
			}
			p.expectEnd()
			if got := expect(t, "Close", d.lines); !strings.HasPrefix(got, "close "+string(rune('0'+c.code/1000))) || !strings.Contains(got, "remote=true") {
				t.Errorf("%s: %s", c.name, got)
			}
			other.say(Text("still here"))
			other.expectMessage(Text("still here"))
			d.expect(t, "text still here")
		}
	})
}
