package consumers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
)

// What an echo server does not echo.
const (
	askPing  = "please ping"  // it pings, and says "ponged" when the pong has come
	askClose = "please close" // it closes with farewell
)

const farewell = 4001

var dialer = gorilla.Dialer{}

// vanished is reported for a client that left without a close frame.
const vanished = -1

// library is the server side of a WebSocket library.
type library struct {
	name string
	echo func(ended chan<- int) http.Handler // sends the close code of each connection
}

var libraries = []library{{"gorilla", gorillaEcho}, {"coder", coderEcho}, {"wsock", wsockEcho}}

func gorillaEcho(ended chan<- int) http.Handler {
	upgrader := gorilla.Upgrader{
		HandshakeTimeout:  patience,
		EnableCompression: true,
		Subprotocols:      []string{"echo"},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return // it has answered
		}
		defer c.Close()
		c.SetReadDeadline(time.Now().Add(2 * patience))
		c.SetPongHandler(func(string) error { return c.WriteMessage(gorilla.TextMessage, []byte("ponged")) })
		ended <- gorillaLoop(c)
	})
}

func gorillaLoop(c *gorilla.Conn) int {
	for {
		kind, p, err := c.ReadMessage()
		if closed := (*gorilla.CloseError)(nil); errors.As(err, &closed) && closed.Code != gorilla.CloseAbnormalClosure {
			return closed.Code
		}
		if err != nil {
			return vanished
		}
		deadline := time.Now().Add(patience)
		switch string(p) {
		case askPing:
			err = c.WriteControl(gorilla.PingMessage, []byte("server"), deadline)
		case askClose:
			err = c.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(farewell, "bye"), deadline)
		default:
			err = c.WriteMessage(kind, p)
		}
		if err != nil {
			return vanished
		}
	}
}

func coderEcho(ended chan<- int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := coder.Accept(w, r, &coder.AcceptOptions{
			CompressionMode: coder.CompressionContextTakeover,
			Subprotocols:    []string{"echo"},
		})
		if err != nil {
			return // it has answered
		}
		defer c.CloseNow()
		c.SetReadLimit(4 << 20)
		ctx, cancel := context.WithTimeout(r.Context(), 2*patience)
		defer cancel()
		ended <- coderLoop(ctx, c)
	})
}

func coderLoop(ctx context.Context, c *coder.Conn) int {
	for {
		kind, p, err := c.Read(ctx)
		if err != nil {
			return int(coder.CloseStatus(err))
		}
		switch string(p) {
		case askPing:
			go func() { // the pong comes while this loop reads
				if c.Ping(ctx) == nil {
					c.Write(ctx, coder.MessageText, []byte("ponged"))
				}
			}()
		case askClose:
			if c.Close(farewell, "bye") != nil {
				return vanished
			}
			return farewell
		default:
			if c.Write(ctx, kind, p) != nil {
				return vanished
			}
		}
	}
}

// eachEcho runs a test against the echo server of each library on each server.
func eachEcho(t *testing.T, test func(t *testing.T, url string, ended <-chan int)) {
	eachServer(t, func(t *testing.T, s server) {
		for _, l := range libraries {
			t.Run(l.name, func(t *testing.T) {
				ended := make(chan int, 256)
				test(t, s.serve(t, l.echo(ended)).ws, ended)
			})
		}
	})
}

// dial opens a WebSocket with gorilla's client.
func dial(t testing.TB, d gorilla.Dialer, url string) *gorilla.Conn {
	t.Helper()
	d.HandshakeTimeout = patience
	c, resp, err := d.Dial(url, nil)
	if err != nil {
		status := "no answer"
		if resp != nil {
			status = resp.Status
		}
		t.Fatalf("dial: %v (%s)", err, status)
	}
	t.Cleanup(func() { c.Close() })
	if err := errors.Join(c.SetReadDeadline(time.Now().Add(patience)), c.SetWriteDeadline(time.Now().Add(patience))); err != nil {
		t.Fatal(err)
	}
	return c
}

func say(t testing.TB, c *gorilla.Conn, kind int, p string) {
	t.Helper()
	if err := c.WriteMessage(kind, []byte(p)); err != nil {
		t.Fatal(err)
	}
}

func hear(t testing.TB, c *gorilla.Conn, kind int, want string) {
	t.Helper()
	k, p, err := c.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	if k != kind || string(p) != want {
		t.Fatalf("message of kind %d with %d bytes %.100q; want %d with %d bytes %.100q", k, len(p), p, kind, len(want), want)
	}
}

func TestWebSocketMessages(t *testing.T) {
	eachEcho(t, func(t *testing.T, url string, _ <-chan int) {
		c := dial(t, gorilla.Dialer{Subprotocols: []string{"other", "echo"}}, url)
		if c.Subprotocol() != "echo" {
			t.Errorf("subprotocol %q", c.Subprotocol())
		}
		for _, kind := range []int{gorilla.TextMessage, gorilla.BinaryMessage} {
			for _, n := range []int{0, 1, 125, 126, 4096, 65535, 65536, 1 << 20} { // sizes around the forms of a length
				p := pattern(n)
				say(t, c, kind, p)
				hear(t, c, kind, p)
			}
		}
	})
}

func TestWebSocketFragments(t *testing.T) {
	eachEcho(t, func(t *testing.T, url string, _ <-chan int) {
		c := dial(t, gorilla.Dialer{WriteBufferSize: 512}, url) // each buffer is a fragment
		ponged := 0
		c.SetPongHandler(func(string) error { ponged++; return nil })
		for _, n := range []int{2000, 100_000} {
			p := pattern(n)
			w, err := c.NextWriter(gorilla.TextMessage)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(w, p[:n/2])
			// Control frames may be sent between fragments (RFC 6455, section 5.4).
			if err := c.WriteControl(gorilla.PingMessage, nil, time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			io.WriteString(w, p[n/2:])
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			hear(t, c, gorilla.TextMessage, p)
		}
		if ponged != 2 {
			t.Errorf("%d pongs for 2 pings", ponged)
		}
	})
}

// Messages that follow each other without waiting arrive in one piece, or many.
func TestWebSocketBurst(t *testing.T) {
	eachEcho(t, func(t *testing.T, url string, _ <-chan int) {
		c := dial(t, dialer, url)
		const n = 500
		sent := make(chan error, 1)
		go func() {
			for i := range n {
				if err := c.WriteMessage(gorilla.TextMessage, fmt.Appendf(nil, "message %d", i)); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		for i := range n {
			hear(t, c, gorilla.TextMessage, fmt.Sprintf("message %d", i))
		}
		if err := receive(t, sent); err != nil {
			t.Error(err)
		}
	})
}

func TestWebSocketPing(t *testing.T) {
	eachEcho(t, func(t *testing.T, url string, _ <-chan int) {
		c := dial(t, dialer, url)
		pongs := make(chan string, 1)
		c.SetPongHandler(func(data string) error { pongs <- data; return nil })
		if err := c.WriteControl(gorilla.PingMessage, []byte("client"), time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		say(t, c, gorilla.TextMessage, "after the ping")
		hear(t, c, gorilla.TextMessage, "after the ping")
		if data := receive(t, pongs); data != "client" {
			t.Errorf("pong with %q", data)
		}
		say(t, c, gorilla.TextMessage, askPing)
		hear(t, c, gorilla.TextMessage, "ponged")
	})
}

func TestWebSocketCloseCodes(t *testing.T) {
	eachEcho(t, func(t *testing.T, url string, ended <-chan int) {
		for _, code := range []int{1000, 1001, 1011, 3000, 4999} {
			c := dial(t, dialer, url)
			say(t, c, gorilla.TextMessage, "hello")
			hear(t, c, gorilla.TextMessage, "hello")
			if err := c.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(code, "enough"), time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			wantClose(t, c, code)
			if got := receive(t, ended); got != code {
				t.Errorf("the server saw close code %d; want %d", got, code)
			}
		}
	})
}

// wantClose reads a close frame and the end of the connection.
func wantClose(t testing.TB, c *gorilla.Conn, code int) {
	t.Helper()
	_, _, err := c.ReadMessage()
	if !gorilla.IsCloseError(err, code) {
		t.Errorf("%v; want close code %d", err, code)
	}
	if n, err := c.NetConn().Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("%d bytes and %v behind the close frame; want the end of the connection", n, err)
	}
}

func TestWebSocketServerCloses(t *testing.T) {
	eachEcho(t, func(t *testing.T, url string, ended <-chan int) {
		c := dial(t, dialer, url)
		say(t, c, gorilla.TextMessage, askClose)
		wantClose(t, c, farewell)
		if got := receive(t, ended); got != farewell {
			t.Errorf("the server saw close code %d", got)
		}
	})
}

// traffic counts what has gone over connections.
type traffic struct{ read, written atomic.Int64 }

func (tr *traffic) dial(network, addr string) (net.Conn, error) {
	c, err := net.DialTimeout(network, addr, patience)
	return countedConn{c, tr}, err
}

type countedConn struct {
	net.Conn
	*traffic
}

func (c countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

func (c countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

func TestWebSocketCompression(t *testing.T) {
	eachEcho(t, func(t *testing.T, url string, _ <-chan int) {
		var tr traffic
		c := dial(t, gorilla.Dialer{EnableCompression: true, NetDial: tr.dial}, url)
		for _, n := range []int{10, 2000, 1 << 20} {
			p := strings.Repeat("ring", n/4)
			say(t, c, gorilla.TextMessage, p)
			hear(t, c, gorilla.TextMessage, p)
		}
		if n := tr.read.Load(); n > 100<<10 {
			t.Errorf("%d bytes were received: not compressed", n)
		}
	})
}

func TestWebSocketManyClients(t *testing.T) {
	eachEcho(t, func(t *testing.T, url string, ended <-chan int) {
		const clients, messages = 60, 10
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() {
				if err := converse(url, i, messages); err != nil {
					t.Errorf("client %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
		for range clients {
			if code := receive(t, ended); code != 1000 {
				t.Errorf("the server saw close code %d", code)
			}
		}
	})
}

func converse(url string, client, messages int) error {
	c, _, err := (&gorilla.Dialer{HandshakeTimeout: patience}).Dial(url, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(patience))
	for i := range messages {
		p := []byte(fmt.Sprintf("%d/%d ", client, i) + pattern(client*i*10))
		if err := c.WriteMessage(gorilla.BinaryMessage, p); err != nil {
			return err
		}
		_, q, err := c.ReadMessage()
		if err != nil {
			return err
		}
		if !bytes.Equal(p, q) {
			return fmt.Errorf("message %d: %.40q; want %.40q", i, q, p)
		}
	}
	return c.WriteMessage(gorilla.CloseMessage, gorilla.FormatCloseMessage(1000, ""))
}

func TestWebSocketClientVanishes(t *testing.T) {
	ways := []struct {
		name  string
		leave func(*net.TCPConn)
	}{
		{"end", func(c *net.TCPConn) { c.Close() }},
		{"reset", func(c *net.TCPConn) { c.SetLinger(0); c.Close() }},
		{"in a frame", func(c *net.TCPConn) { c.Write([]byte{0x81, 0x85, 1, 2}); c.Close() }},
		{"half-closed in a frame", func(c *net.TCPConn) { c.Write([]byte{0x81, 0x85, 1, 2}); c.CloseWrite() }},
	}
	eachEcho(t, func(t *testing.T, url string, ended <-chan int) {
		for _, way := range ways {
			c := dial(t, dialer, url)
			say(t, c, gorilla.TextMessage, "hello")
			hear(t, c, gorilla.TextMessage, "hello")
			way.leave(c.NetConn().(*net.TCPConn))
			if code := receive(t, ended); code != vanished {
				t.Errorf("%s: the server saw close code %d", way.name, code)
			}
		}
	})
}

// A client that reads nothing must stop the server's writing, not fill its memory,
// and gets everything when it reads.
func TestWebSocketSlowReader(t *testing.T) {
	const n, size = 32, 1 << 20
	eachServer(t, func(t *testing.T, s server) {
		written := make(chan int, n)
		srv := s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := (&gorilla.Upgrader{}).Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer c.Close()
			c.SetWriteDeadline(time.Now().Add(patience))
			p := []byte(pattern(size))
			for i := range n {
				if c.WriteMessage(gorilla.BinaryMessage, p) != nil {
					return
				}
				written <- i
			}
		}))
		c := dial(t, dialer, srv.ws)
		receive(t, written)
		time.Sleep(100 * time.Millisecond)
		if len(written) == n-1 {
			t.Errorf("%d MiB were written and nobody read", n*size>>20)
		}
		want := pattern(size)
		for range n {
			hear(t, c, gorilla.BinaryMessage, want)
		}
	})
}

// coder's client has context takeover, gorilla's has not.
func TestWebSocketCoderClient(t *testing.T) {
	eachEcho(t, func(t *testing.T, url string, ended <-chan int) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		c, _, err := coder.Dial(ctx, url, &coder.DialOptions{CompressionMode: coder.CompressionContextTakeover})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		c.SetReadLimit(4 << 20)
		for _, n := range []int{0, 1, 100, 1000, 1000, 1 << 20} {
			p := pattern(n)
			if err := c.Write(ctx, coder.MessageText, []byte(p)); err != nil {
				t.Fatal(err)
			}
			kind, q, err := c.Read(ctx)
			if err != nil || kind != coder.MessageText || string(q) != p {
				t.Fatalf("%d bytes, %v; want %d", len(q), err, n)
			}
		}
		if err := c.Close(coder.StatusNormalClosure, "done"); err != nil {
			t.Error(err)
		}
		if code := receive(t, ended); code != 1000 {
			t.Errorf("the server saw close code %d", code)
		}
	})
}

// A refused handshake is an ordinary answer, and the connection goes on.
func TestWebSocketRefused(t *testing.T) {
	good := []string{"Connection", "Upgrade", "Upgrade", "websocket",
		"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
	requests := []struct {
		name   string
		fields []string
		status map[string]int // by library
	}{
		{"no upgrade", nil, map[string]int{"gorilla": 400, "coder": 426, "wsock": 426}},
		{"another origin", append([]string{"Origin", "http://elsewhere.test"}, good...), map[string]int{"gorilla": 403, "coder": 403, "wsock": 403}},
		{"old version", append(append([]string(nil), good...), "Sec-WebSocket-Version", "8"), map[string]int{"gorilla": 400, "coder": 400, "wsock": 426}},
	}
	eachServer(t, func(t *testing.T, s server) {
		for _, l := range libraries {
			t.Run(l.name, func(t *testing.T) {
				url := s.serve(t, l.echo(make(chan int, 1))).url
				c := newClient(t)
				for _, r := range requests {
					if a := c.get(url, r.fields...); a.StatusCode != r.status[l.name] {
						t.Errorf("%s: %s %q", r.name, a.Status, a.body)
					} else if a.StatusCode == http.StatusUpgradeRequired { // RFC 9110, sections 15.5.22 and 7.8
						a.wantField(t, "Upgrade", "websocket")
						a.wantField(t, "Connection", "Upgrade")
					}
				}
			})
		}
	})
}

const handshake = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// What the client sends together with its handshake must not be lost. gorilla
// refuses it.
func TestWebSocketEarlyMessage(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		ended := make(chan int, 1)
		c := dialTCP(t, s.serve(t, coderEcho(ended)).addr)
		// Masked with zeros, "hello" is readable.
		if _, err := io.WriteString(c, handshake+"\x81\x85\x00\x00\x00\x00hello"); err != nil {
			t.Fatal(err)
		}
		br := bufio.NewReader(c)
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
			t.Fatalf("%s %v", resp.Status, resp.Header)
		}
		frame := make([]byte, 7)
		if _, err := io.ReadFull(br, frame); err != nil || string(frame) != "\x81\x05hello" {
			t.Fatalf("%q, %v", frame, err)
		}
		c.Close()
		receive(t, ended)
	})
}
