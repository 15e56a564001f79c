package consumers

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/wsock"
)

// wsockOptions lets both sides take their context over, if the other one wants to.
var wsockOptions = wsock.CompressionOptions{ServerTakeover: true, ClientTakeover: true}

// wsockEnd is one end of a connection, with the codec of ringkit's own WebSockets.
type wsockEnd struct {
	net.Conn
	conf    wsock.Config
	dec     wsock.Decoder
	enc     wsock.Encoder
	closing wsock.Closing
	deflate wsock.Deflater
	out     []byte
}

func newWsockEnd(c net.Conn, client bool, agreed wsock.Compression) *wsockEnd {
	e := &wsockEnd{Conn: c, conf: wsock.Config{Client: client}}
	e.dec.Init(&e.conf, agreed)
	e.enc.Init(client, agreed)
	return e
}

func (e *wsockEnd) mask() wsock.Mask {
	if !e.conf.Client {
		return wsock.Mask{}
	}
	n := rand.Uint32()
	return wsock.Masked([4]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
}

// run exchanges frames, beginning with the input in, until the connection ends.
func (e *wsockEnd) run(in []byte, message func(wsock.Message), pong func()) wsock.CloseInfo {
	buf := make([]byte, 3000) // frames are split
	for {
		e.take(in, message, pong)
		if len(e.out) > 0 {
			if _, err := e.Write(e.out); err != nil {
				e.closing.Lost(err)
			}
			e.out = e.out[:0]
		}
		if e.closing.Done() {
			e.dec.Release()
			return e.closing.Info()
		}
		n, err := e.Read(buf)
		if err != nil {
			e.closing.Lost(err)
		}
		in = buf[:n]
	}
}

func (e *wsockEnd) take(in []byte, message func(wsock.Message), pong func()) {
	for !e.closing.Done() {
		ev, n, err := e.dec.Next(in)
		in = in[n:]
		if err != nil {
			e.out = e.closing.Fail(e.out, err, e.mask())
			return
		}
		switch ev.Op {
		case 0:
			return
		case wsock.Text, wsock.Binary:
			message(ev.Message())
		case wsock.Ping:
			if e.closing.Open() {
				e.out = wsock.AppendPong(e.out, ev.Data, e.mask())
			}
		case wsock.Pong:
			pong()
		case wsock.Close:
			e.out = e.closing.Received(e.out, &ev, e.mask())
		}
	}
}

func (e *wsockEnd) send(m wsock.Message) {
	if e.closing.Open() {
		e.out = e.enc.AppendMessage(e.out, m, &e.deflate, e.mask())
	}
}

func wsockEcho(ended chan<- int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := r.Header
		request := wsock.Request{
			Method: r.Method, HTTP11: r.ProtoAtLeast(1, 1),
			Connection: h.Values("Connection"), Upgrade: h.Values("Upgrade"),
			Key: h.Values("Sec-WebSocket-Key"), Version: h.Values("Sec-WebSocket-Version"),
			Protocol: h.Values("Sec-WebSocket-Protocol"),
		}
		offered, err := request.Check()
		if err == nil && !wsock.SameOrigin(h.Get("Origin"), r.Host) {
			err = wsock.ErrOrigin
		}
		agreed, answer, extErr := wsockOptions.Accept(h.Values("Sec-WebSocket-Extensions"))
		if err = errors.Join(err, extErr); err != nil {
			refused, _ := errors.AsType[*wsock.HandshakeError](err)
			for _, f := range refused.Fields {
				w.Header().Set(f[0], f[1])
			}
			http.Error(w, refused.Reason, refused.Status)
			return
		}
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(2 * patience))
		e := newWsockEnd(c, false, agreed)
		protocol := wsock.ChooseProtocol(offered, []string{"echo"})
		e.out = append(wsock.AppendResponse(nil, h.Get("Sec-WebSocket-Key"), protocol, answer), "\r\n"...)
		early, _ := rw.Reader.Peek(rw.Reader.Buffered())
		info := e.run(early, func(m wsock.Message) {
			switch string(m.Data) {
			case askPing:
				e.out = wsock.AppendPing(e.out, []byte("server"), e.mask())
			case askClose:
				e.out = e.closing.Close(e.out, farewell, "bye", e.mask())
			default:
				e.send(m)
			}
		}, func() { e.send(wsock.Message{Kind: wsock.Text, Data: []byte("ponged")}) })
		if !info.Clean {
			ended <- vanished
			return
		}
		ended <- int(info.Code)
	})
}

// dialWsock opens a WebSocket to a server.
func dialWsock(t *testing.T, target string) (e *wsockEnd, rest *bufio.Reader) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.DialTimeout("tcp", u.Host, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	key := wsock.NewKey([16]byte{1, 2, 3})
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: other, echo\r\nSec-WebSocket-Extensions: %s\r\n\r\n",
		u.RequestURI(), u.Host, key, wsockOptions.Offer())
	rest = bufio.NewReader(c)
	resp, err := http.ReadResponse(rest, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := resp.Header
	response := wsock.Response{
		Status: resp.StatusCode, Connection: h.Values("Connection"), Upgrade: h.Values("Upgrade"),
		Accept: h.Values("Sec-WebSocket-Accept"), Protocol: h.Values("Sec-WebSocket-Protocol"),
	}
	protocol, err := response.Check(key, []string{"other", "echo"})
	agreed, extErr := wsockOptions.Check(h.Values("Sec-WebSocket-Extensions"))
	if err := errors.Join(err, extErr); err != nil || protocol != "echo" || !agreed.Enabled {
		t.Fatalf("%v, subprotocol %q, %+v", err, protocol, agreed)
	}
	return newWsockEnd(c, true, agreed), rest
}

// The codec as a client of every library's server.
func TestWebSocketCodecClient(t *testing.T) {
	eachEcho(t, func(t *testing.T, target string, ended <-chan int) {
		e, rest := dialWsock(t, target)
		sizes := []int{0, 1, 125, 126, 1000, 1000, 40000, 65536, 1 << 20}
		send := func(i int) {
			kind := []wsock.Opcode{wsock.Text, wsock.Binary}[i%2]
			e.send(wsock.Message{Kind: kind, Data: []byte(pattern(sizes[i]))})
		}
		send(0)
		i, ponged := 0, 0
		early, _ := rest.Peek(rest.Buffered())
		info := e.run(early, func(m wsock.Message) {
			if want := pattern(sizes[i]); string(m.Data) != want || m.Kind == wsock.Text != (i%2 == 0) {
				t.Errorf("message %d: %v, %d bytes", i, m.Kind, len(m.Data))
			}
			if i++; i < len(sizes) {
				e.out = wsock.AppendPing(e.out, []byte("client"), e.mask())
				send(i)
				return
			}
			e.out = e.closing.Close(e.out, 3000, "done", e.mask())
		}, func() { ponged++ })
		if want := (wsock.CloseInfo{Code: 3000, Reason: info.Reason, Clean: true}); info != want || !strings.HasPrefix("done", info.Reason) {
			t.Errorf("%+v", info)
		}
		if i != len(sizes) || ponged != len(sizes)-1 {
			t.Errorf("%d messages, %d pongs", i, ponged)
		}
		if code := receive(t, ended); code != 3000 {
			t.Errorf("the server saw close code %d", code)
		}
	})
}
