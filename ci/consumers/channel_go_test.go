package consumers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"

	"github.com/ringkit/ringkit/wsock"
)

var channelClients = []channelClient{
	{"gorilla", false, false, gorillaDial(false)},
	{"gorilla with compression", true, false, gorillaDial(true)},
	{"coder", false, false, coderDial(coder.CompressionDisabled)},
	{"coder with compression", true, false, coderDial(coder.CompressionNoContextTakeover)},
	{"coder with takeover", true, true, coderDial(coder.CompressionContextTakeover)},
}

type gorillaEnd struct{ *gorilla.Conn }

func gorillaDial(compress bool) func(*testing.T, *traffic, string, ...string) clientEnd {
	return func(t *testing.T, tr *traffic, url string, protocols ...string) clientEnd {
		t.Helper()
		return gorillaEnd{dial(t, gorilla.Dialer{
			NetDial: tr.dial, EnableCompression: compress, Subprotocols: protocols,
			WriteBufferSize: 128 << 10, // a message below that is one fragment
		}, url)}
	}
}

func (e gorillaEnd) protocol() string { return e.Subprotocol() }

func (e gorillaEnd) send(kind wsock.Opcode, pieces ...string) error {
	if len(pieces) == 1 {
		return e.WriteMessage(int(kind), []byte(pieces[0]))
	}
	w, err := e.NextWriter(int(kind))
	if err != nil {
		return err
	}
	for _, p := range pieces {
		if _, err := io.WriteString(w, p); err != nil {
			return err
		}
	}
	return w.Close()
}

func (e gorillaEnd) next() (wsock.Opcode, string, error) {
	kind, p, err := e.ReadMessage()
	return wsock.Opcode(kind), string(p), err
}

func (e gorillaEnd) closed(err error) (int, string) {
	if c, ok := errors.AsType[*gorilla.CloseError](err); ok {
		return c.Code, c.Text
	}
	return 0, ""
}

func (e gorillaEnd) ping(text string) error {
	var pongs []string
	e.SetPongHandler(func(data string) error { pongs = append(pongs, data); return nil })
	if err := e.WriteControl(gorilla.PingMessage, []byte("?"), time.Now().Add(patience)); err != nil {
		return err
	}
	if err := e.send(wsock.Text, text); err != nil {
		return err
	}
	if _, p, err := e.next(); err != nil || p != text || len(pongs) != 1 || pongs[0] != "?" {
		return fmt.Errorf("%q, %v behind pongs %q", p, err, pongs)
	}
	return nil
}

func (e gorillaEnd) close(code int, reason string) error {
	p := gorilla.FormatCloseMessage(code, reason)
	if err := e.WriteControl(gorilla.CloseMessage, p, time.Now().Add(patience)); err != nil {
		return err
	}
	_, _, err := e.next()
	if got, _ := e.closed(err); got != code {
		return fmt.Errorf("%w; want a Close with %d", err, code)
	}
	if n, err := e.NetConn().Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return fmt.Errorf("%d bytes and %w behind the Close", n, err)
	}
	return nil
}

func (e gorillaEnd) leave() { e.Conn.Close() }

type coderEnd struct {
	*coder.Conn
	ctx context.Context
}

func coderDial(mode coder.CompressionMode) func(*testing.T, *traffic, string, ...string) clientEnd {
	return func(t *testing.T, tr *traffic, url string, protocols ...string) clientEnd {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		t.Cleanup(cancel)
		transport := &http.Transport{DialContext: func(_ context.Context, network, addr string) (net.Conn, error) {
			return tr.dial(network, addr)
		}}
		c, _, err := coder.Dial(ctx, url, &coder.DialOptions{
			HTTPClient: &http.Client{Transport: transport}, CompressionMode: mode, Subprotocols: protocols,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.CloseNow() })
		c.SetReadLimit(4 << 20)
		return coderEnd{c, ctx}
	}
}

func (e coderEnd) protocol() string { return e.Subprotocol() }

func (e coderEnd) send(kind wsock.Opcode, pieces ...string) error {
	if len(pieces) == 1 {
		return e.Write(e.ctx, coder.MessageType(kind), []byte(pieces[0]))
	}
	w, err := e.Writer(e.ctx, coder.MessageType(kind))
	if err != nil {
		return err
	}
	for _, p := range pieces {
		if _, err := io.WriteString(w, p); err != nil { // a fragment
			return err
		}
	}
	return w.Close()
}

func (e coderEnd) next() (wsock.Opcode, string, error) {
	kind, p, err := e.Read(e.ctx)
	return wsock.Opcode(kind), string(p), err
}

func (e coderEnd) closed(err error) (int, string) {
	if c, ok := errors.AsType[coder.CloseError](err); ok {
		return int(c.Code), c.Reason
	}
	return 0, ""
}

func (e coderEnd) ping(text string) error {
	read := make(chan error, 1)
	go func() { // the Pong comes while somebody reads
		_, p, err := e.next()
		if err == nil && p != text {
			err = fmt.Errorf("got %q", p)
		}
		read <- err
	}()
	if err := e.Ping(e.ctx); err != nil {
		return err
	}
	return errors.Join(e.send(wsock.Text, text), <-read)
}

func (e coderEnd) close(code int, reason string) error {
	return e.Close(coder.StatusCode(code), reason)
}

func (e coderEnd) leave() {} // it has by itself
