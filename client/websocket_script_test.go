package client

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/wsock"
)

// wsPeer is the server's end of a WebSocket, for plays of a script.
type wsPeer struct {
	net.Conn
	r      *bufio.Reader
	req    *http.Request
	conf   wsock.Config
	dec    wsock.Decoder
	enc    wsock.Encoder
	z      wsock.Deflater
	agreed wsock.Compression
	in     []byte // not decoded yet
}

// wsServer runs play for each WebSocket that is opened, on a server with or without TLS.
// The first of the offered subprotocols is chosen.
func wsServer(t *testing.T, secure bool, options *wsock.CompressionOptions, play func(p *wsPeer)) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		p := &wsPeer{Conn: c, r: rw.Reader, req: r}
		c.SetDeadline(time.Now().Add(2 * patience))
		protocol, _, _ := strings.Cut(r.Header.Get("Sec-WebSocket-Protocol"), ",")
		extensions := ""
		if options != nil {
			p.agreed, extensions, _ = options.Accept(r.Header["Sec-Websocket-Extensions"])
		}
		p.dec.Init(&p.conf, p.agreed)
		p.enc.Init(false, p.agreed)
		head := wsock.AppendResponse(nil, r.Header.Get("Sec-WebSocket-Key"), protocol, extensions)
		p.say(string(head) + "\r\n")
		play(p)
	}))
	srv.Config.ErrorLog = quiet
	if secure {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return srv
}

func wsURL(srv *httptest.Server) string { return "ws" + strings.TrimPrefix(srv.URL, "http") }

func (p *wsPeer) say(s string) { io.WriteString(p.Conn, s) }

func (p *wsPeer) send(m wsock.Message) { p.Write(p.enc.AppendMessage(nil, m, &p.z, wsock.Mask{})) }

// frame sends one frame.
func (p *wsPeer) frame(h wsock.Header, payload string) {
	p.Write(wsock.AppendFrame(nil, h, []byte(payload)))
}

func (p *wsPeer) close(code wsock.CloseCode, reason string) {
	p.Write(wsock.AppendClose(nil, code, reason, wsock.Mask{}))
}

// next returns what the client sends next, the zero Event at the end.
func (p *wsPeer) next() wsock.Event {
	for {
		for len(p.in) > 0 {
			ev, n, err := p.dec.Next(p.in)
			p.in = p.in[n:]
			if err != nil {
				panic(fmt.Sprintf("the client sent what it must not: %v", err))
			}
			if ev.Op != 0 {
				return ev
			}
		}
		buf := make([]byte, 64<<10)
		n, err := p.r.Read(buf)
		if p.in = buf[:n]; n == 0 && err != nil {
			return wsock.Event{}
		}
	}
}

// closed returns the code of the Close that comes next, and 0 if there is none.
func (p *wsPeer) closed() wsock.CloseCode {
	for {
		switch ev := p.next(); ev.Op {
		case wsock.Close:
			return ev.Code
		case 0:
			return 0
		}
	}
}

// echo answers everything until the client closes.
func (p *wsPeer) echo() {
	for {
		switch ev := p.next(); ev.Op {
		case wsock.Text, wsock.Binary:
			p.send(ev.Message())
		case wsock.Ping:
			p.Write(wsock.AppendPong(nil, ev.Data, wsock.Mask{}))
		case wsock.Close:
			p.close(ev.Code, "")
			return
		case 0:
			return
		}
	}
}

func textOf(s string) wsock.Message   { return wsock.Message{Kind: wsock.Text, Data: []byte(s)} }
func binaryOf(b []byte) wsock.Message { return wsock.Message{Kind: wsock.Binary, Data: b} }

// logbook notes what the events of a WebSocket tell.
type logbook chan string

func newLogbook() logbook { return make(logbook, 4096) }

func (l logbook) events() Events {
	return Events{
		Open: func(ws *WebSocket) { l <- "open" },
		Message: func(ws *WebSocket, m wsock.Message) {
			l <- fmt.Sprintf("%v %.40q %d", m.Kind, m.Data, len(m.Data))
		},
		Drained: func(ws *WebSocket) { l <- "drained" },
		Close:   func(ws *WebSocket, why wsock.CloseInfo) { l <- "close " + tell1(why) },
	}
}

func tell1(why wsock.CloseInfo) string {
	s := fmt.Sprintf("%d %q", why.Code, why.Reason)
	if why.Clean {
		s += " clean"
	}
	if why.Remote {
		s += " remote"
	}
	if why.Err != nil {
		s += ": " + why.Err.Error()
	}
	return s
}

func (l logbook) next(t testing.TB) string {
	t.Helper()
	select {
	case s := <-l:
		return s
	case <-time.After(patience):
		t.Fatal("nothing more was told")
		return ""
	}
}

func (l logbook) expect(t testing.TB, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := l.next(t); got != w {
			t.Fatalf("told %q, want %q", got, w)
		}
	}
}
