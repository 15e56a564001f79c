package clients

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/lxzan/gws"

	ringkit "github.com/ringkit/ringkit/client"
	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/wsock"

	"github.com/ringkit/ringkit/bench/internal/ws"
)

// Names of the clients that send messages on WebSockets, one at a time on each, and wait
// for them to come back. None offers compression.
const (
	Dial    = "dial"    // client.Dial: a function is called on the event loop
	Gorilla = "gorilla" // github.com/gorilla/websocket on goroutines
	Coder   = "coder"   // github.com/coder/websocket on goroutines
	GWS     = "gws"     // github.com/lxzan/gws: a function is called on the goroutine of the connection
)

var socketNames = []string{Dial, Gorilla, Coder, GWS}

// HasSockets reports whether a client is one of them.
func HasSockets(name string) bool { return slices.Contains(socketNames, name) }

// socket opens a WebSocket. keep does what that of a Client does, and close ends it.
type socket func(ctx context.Context, url string, payload []byte) (keep func(p *phase), close func(), err error)

// dialTime is what opening one may take.
const dialTime = 10 * time.Second

// newSockets opens as many WebSockets as c has messages in flight.
func newSockets(c Config, open socket, end func()) (Client, error) {
	var keeps []func(*phase)
	var closes []func()
	client := Client{close: func() {
		for _, end := range closes {
			end()
		}
		end()
	}}
	url, payload := fmt.Sprintf("ws://127.0.0.1:%d%s", c.Port, c.Path), ws.Payload(c.Size)
	for i := range c.InFlight {
		ctx, cancel := context.WithTimeout(context.Background(), dialTime)
		keep, end, err := open(ctx, url, payload)
		cancel()
		if err != nil {
			client.close()
			return Client{}, fmt.Errorf("WebSocket %d: %w", i+1, err)
		}
		keeps, closes = append(keeps, keep), append(closes, end)
	}
	next := 0
	client.keep = func(p *phase) { // as often in a phase as there are WebSockets
		keeps[next%len(keeps)](p)
		next++
	}
	return client, nil
}

// verifyMessage checks what has come back.
func verifyMessage(text bool, got, want []byte) error {
	if !text || string(got) != string(want) {
		return fmt.Errorf("text %v, message %.100q", text, got)
	}
	return nil
}

// echo is a WebSocket whose client calls a function for each message.
type echo struct {
	payload []byte
	send    func() error
	p       atomic.Pointer[phase] // nil while nothing is to come back
}

func (e *echo) keep(p *phase) {
	e.p.Store(p)
	if err := e.send(); err != nil {
		e.failed(err)
	}
}

// message sends the next one.
func (e *echo) message(text bool, data []byte) {
	p := e.p.Load()
	if p == nil {
		return
	}
	if err := verifyMessage(text, data, e.payload); err != nil {
		e.failed(err)
		return
	}
	if !p.count(nil) {
		if e.p.CompareAndSwap(p, nil) {
			p.kept.Done()
		}
		return
	}
	if err := e.send(); err != nil {
		e.failed(err)
	}
}

func (e *echo) failed(err error) {
	if p := e.p.Swap(nil); p != nil {
		p.count(err)
		p.kept.Done()
	}
}

// dialRingkit opens WebSockets of this project.
func dialRingkit(engine conn.Engine) (open socket, end func()) {
	t := &ringkit.Transport{Engine: engine}
	o := &ringkit.WebSocketOptions{Client: &ringkit.Client{Transport: t}, NoCompression: true}
	return func(ctx context.Context, url string, payload []byte) (func(*phase), func(), error) {
		e := &echo{payload: payload}
		s, err := o.Dial(ctx, url, ringkit.Events{
			Message: func(_ *ringkit.WebSocket, m wsock.Message) { e.message(m.Kind == wsock.Text, m.Data) },
			Close: func(_ *ringkit.WebSocket, why wsock.CloseInfo) {
				e.failed(fmt.Errorf("closed with %d, %q: %w", why.Code, why.Reason, cmp.Or(why.Err, io.EOF)))
			},
		})
		if err != nil {
			return nil, nil, err
		}
		e.send = func() error { return s.Send(wsock.Message{Kind: wsock.Text, Data: payload}) }
		return e.keep, s.Abort, nil
	}, func() { t.Close() }
}

func dialGorilla(ctx context.Context, url string, payload []byte) (func(*phase), func(), error) {
	c, _, err := gorilla.DefaultDialer.DialContext(ctx, url, nil)
	if err != nil {
		return nil, nil, err
	}
	keep := blocking(func() func() error {
		return func() error {
			if err := c.WriteMessage(gorilla.TextMessage, payload); err != nil {
				return err
			}
			kind, data, err := c.ReadMessage()
			if err != nil {
				return err
			}
			return verifyMessage(kind == gorilla.TextMessage, data, payload)
		}
	})
	return keep, func() { c.Close() }, nil
}

func dialCoder(ctx context.Context, url string, payload []byte) (func(*phase), func(), error) {
	c, _, err := coder.Dial(ctx, url, nil)
	if err != nil {
		return nil, nil, err
	}
	keep := blocking(func() func() error {
		ctx := context.Background()
		return func() error {
			if err := c.Write(ctx, coder.MessageText, payload); err != nil {
				return err
			}
			kind, data, err := c.Read(ctx)
			if err != nil {
				return err
			}
			return verifyMessage(kind == coder.MessageText, data, payload)
		}
	})
	return keep, func() { c.CloseNow() }, nil
}

// gwsEvents passes on what gws tells.
type gwsEvents struct {
	gws.BuiltinEventHandler
	e *echo
}

func (g gwsEvents) OnMessage(_ *gws.Conn, m *gws.Message) {
	g.e.message(m.Opcode == gws.OpcodeText, m.Bytes())
	m.Close()
}

func (g gwsEvents) OnClose(_ *gws.Conn, err error) {
	if err == nil {
		err = io.EOF
	}
	g.e.failed(err)
}

func dialGWS(ctx context.Context, url string, payload []byte) (func(*phase), func(), error) {
	e := &echo{payload: payload}
	deadline, _ := ctx.Deadline()
	c, _, err := gws.NewClient(gwsEvents{e: e}, &gws.ClientOption{Addr: url, HandshakeTimeout: time.Until(deadline)})
	if err != nil {
		return nil, nil, err
	}
	e.send = func() error { return c.WriteMessage(gws.OpcodeText, payload) }
	go c.ReadLoop()
	return e.keep, func() { c.NetConn().Close() }, nil
}
