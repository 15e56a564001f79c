package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/wsock"
)

// Answers that are no WebSocket, or not the one that was asked for.
func TestDialRefused(t *testing.T) {
	const good = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n"
	o := func(c *Client, compressed bool) *WebSocketOptions {
		return &WebSocketOptions{Client: c, Protocols: []string{"one"}, NoCompression: !compressed}
	}
	for _, c := range []struct {
		name, answer string
		compressed   bool
		reason       string
		body         string
	}{
		{"403", "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nsour", false, "the server does not switch protocols", "sour"},
		{"long 200", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000), false, "the server does not switch protocols", strings.Repeat("x", refusalBytes)},
		{"redirect", "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", false, "the server does not switch protocols", ""},
		{"accept", strings.Replace(good, "ACCEPT", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 1) + "\r\n", false, "Sec-WebSocket-Accept does not fit the key", ""},
		{"no accept", "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", false, "Sec-WebSocket-Accept does not fit the key", ""},
		{"upgrade", strings.Replace(good, "websocket", "h2c", 1) + "\r\n", false, "the server does not switch to WebSocket", ""},
		{"connection", strings.Replace(good, "Connection: Upgrade", "Connection: close", 1) + "\r\n", false, "the server does not switch to WebSocket", ""},
		{"subprotocol", good + "Sec-WebSocket-Protocol: two\r\n\r\n", false, "the server has chosen a subprotocol that was not offered", ""},
		{"extension", good + "Sec-WebSocket-Extensions: x-mux\r\n\r\n", true, "the server has chosen an extension that was not offered", ""},
		{"compression", good + "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n", false, "the server has chosen an extension that was not offered", ""},
		{"parameters", good + "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=20\r\n\r\n", true, "the server's parameters of permessage-deflate do not fit the offer", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, tr *Transport) {
				srv := scripted(t, func(s *scene) {
					req, err := http.ReadRequest(s.r)
					if err != nil {
						return
					}
					accept := string(wsock.AppendAccept(nil, req.Header.Get("Sec-WebSocket-Key")))
					s.say(strings.Replace(c.answer, "ACCEPT", accept, 1))
					io.Copy(io.Discard, s.r)
				})
				told := newLogbook()
				_, err := o(&Client{Transport: tr}, c.compressed).Dial(context.Background(), srv.url, told.events())
				var e *Error
				var he *HandshakeError
				var we *wsock.HandshakeError
				if !errors.As(err, &e) || !errors.As(err, &he) || !errors.As(err, &we) || we.Reason != c.reason {
					t.Fatalf("%v", err)
				}
				if e.URL != srv.url || !strings.Contains(c.answer, " "+he.Response.Status+"\r\n") {
					t.Errorf("%+v, %+v", e, he.Response)
				}
				if b, _ := io.ReadAll(he.Response.Body); string(b) != c.body {
					t.Errorf("a body of %d bytes, %.50q", len(b), b)
				}
				if len(told) > 0 {
					t.Errorf("told %q", <-told)
				}
				if !eventually(func() bool {
					tr.CloseIdleConnections() // that of a 403 is used again
					return tr.Stats().Conns == 0
				}) {
					t.Errorf("%+v", tr.Stats())
				}
			})
		})
	}
}

// What cannot be asked for fails before anything is sent.
func TestDialInvalid(t *testing.T) {
	tr := &Transport{}
	defer tr.Close()
	c := &Client{Transport: tr}
	for _, d := range []struct {
		url  string
		o    *WebSocketOptions
		want string
	}{
		{"ftp://127.0.0.1/", &WebSocketOptions{}, `nor ws or wss: "ftp"`},
		{"ws://127.0.0.1/#part", &WebSocketOptions{}, "no fragment"},
		{"ws://", &WebSocketOptions{}, "no host"},
		{"ws://%zz/", &WebSocketOptions{}, "invalid URL escape"},
		{"ws://127.0.0.1/", &WebSocketOptions{Protocols: []string{"a b"}}, `"a b" is no token`},
		{"ws://127.0.0.1/", &WebSocketOptions{Protocols: []string{"a", "b", "a"}}, `"a" is offered twice`},
		{"ws://127.0.0.1/", &WebSocketOptions{Header: http.Header{"sec-websocket-key": {"x"}}}, "cannot be set"},
		{"ws://127.0.0.1/", &WebSocketOptions{Header: http.Header{"X": {"a\r\nb"}}}, "the field"},
	} {
		d.o.Client = c
		_, err := d.o.Dial(context.Background(), d.url, Events{})
		if e := new(Error); !errors.As(err, &e) || !strings.Contains(err.Error(), d.want) {
			t.Errorf("%s: %v", d.url, err)
		}
	}
	if n := tr.Stats().Dials; n != 0 {
		t.Errorf("%d connections", n)
	}
}

// What is sent with the handshake, with cookies both ways.
func TestDialHeader(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		asked := make(chan *http.Request, 1)
		srv := wsServer(t, false, nil, func(p *wsPeer) { asked <- p.req; p.echo() })
		jar, _ := cookiejar.New(nil)
		u, _ := url.Parse(srv.URL)
		jar.SetCookies(u, []*http.Cookie{{Name: "who", Value: "me"}})
		o := &WebSocketOptions{
			Client: &Client{Transport: tr, Jar: jar}, Origin: "https://example.com", Protocols: []string{"b", "a"},
			Header: http.Header{"Host": {"other.test"}, "Authorization": {"Bearer t"}},
		}
		tr.DisableKeepAlives = true // which means nothing here
		ws := dial(t, o, wsURL(srv)+"/chat?x=1", Events{})
		r := <-asked
		h := r.Header
		for name, want := range map[string]string{
			"Cookie": "who=me", "Origin": "https://example.com", "Authorization": "Bearer t", "Connection": "Upgrade",
			"Sec-Websocket-Protocol": "b, a", "Sec-Websocket-Version": "13", "Accept-Encoding": "",
			"Sec-Websocket-Extensions": "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
		} {
			if got := strings.Join(h[name], "|"); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if r.Host != "other.test" || r.RequestURI != "/chat?x=1" || !wsock.ValidKey(h.Get("Sec-WebSocket-Key")) || ws.Protocol() != "b" {
			t.Errorf("%+v", r)
		}
	})
}

// ctx bounds the handshake, and nothing behind it.
func TestDialContext(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		mute := scripted(t, func(s *scene) { io.Copy(io.Discard, s.r) })
		o := &WebSocketOptions{Client: &Client{Transport: tr}}
		ctx, cancel := context.WithTimeout(context.Background(), tick)
		_, err := o.Dial(ctx, mute.url, Events{})
		if cancel(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		hurried := &WebSocketOptions{Client: &Client{Transport: tr, Timeout: tick}}
		if _, err := hurried.Dial(context.Background(), mute.url, Events{}); err == nil || !err.(*Error).Timeout() {
			t.Errorf("%v", err)
		}

		srv, told := wsServer(t, false, nil, (*wsPeer).echo), newLogbook()
		ctx, cancel = context.WithCancel(context.Background())
		ws, err := o.Dial(ctx, wsURL(srv), told.events())
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		time.Sleep(tick / 10) // for what should not happen
		ws.Send(textOf("still here"))
		told.expect(t, "open", `text "still here" 10`)
		if s := tr.Stats(); s.Conns != 1 || s.Idle != 0 {
			t.Errorf("%+v", s)
		}
		tr.Close()
		told.expect(t, `close 1006 "": `+ErrClosed.Error())
		if _, err := o.Dial(context.Background(), wsURL(srv), Events{}); !errors.Is(err, ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}

// A connection that was used for requests becomes a WebSocket, and one whose upgrade was
// refused is used again. With MaxConnsPerHost, WebSockets count.
func TestDialPool(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		tr.MaxConnsPerHost = 1
		c := &Client{Transport: tr}
		s := scripted(t, func(s *scene) {
			for {
				req, err := http.ReadRequest(s.r)
				if err != nil {
					return
				}
				if req.URL.Path == "/ws" {
					s.say(string(wsock.AppendResponse(nil, req.Header.Get("Sec-WebSocket-Key"), "", "")) + "\r\n\x81\x02hi")
					io.Copy(io.Discard, s.r)
					return
				}
				s.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		})
		resp, err := c.Get(context.Background(), s.url)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if _, err := c.Dial(context.Background(), s.url, Events{}); err == nil {
			t.Error("a 200 has become a WebSocket")
		}
		told := newLogbook()
		ws, err := c.Dial(context.Background(), s.url+"/ws", told.events())
		if err != nil {
			t.Fatal(err)
		}
		told.expect(t, "open", `text "hi" 2`)
		if n := tr.Stats().Dials; n != 1 {
			t.Errorf("%d connections", n)
		}
		asks := make(chan error, 1)
		go func() { resp, err := c.Get(context.Background(), s.url); _ = resp; asks <- err }()
		if !eventually(func() bool { return tr.Stats().Queued == 1 }) {
			t.Errorf("%+v", tr.Stats())
		}
		ws.Abort()
		if err := <-asks; err != nil {
			t.Error(err)
		}
		told.expect(t, `close 1006 "": `+ErrWebSocketClosed.Error())
	})
}
