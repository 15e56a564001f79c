package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/wsock"
)

// A server that does not read: what each policy does when the queue is full.
func TestWebSocketOverflow(t *testing.T) {
	const high = 256 << 10
	big := binaryOf(make([]byte, 64<<10))
	onEngines(t, func(t *testing.T, tr *Transport) {
		read, messages := make(chan bool), make(chan string, 10)
		srv := wsServer(t, false, nil, func(p *wsPeer) {
			p.Conn.(*net.TCPConn).SetReadBuffer(16 << 10)
			<-read
			for {
				switch ev := p.next(); ev.Op {
				case 0:
					return
				case wsock.Close:
					p.close(ev.Code, "")
					return
				default:
					if ev.Op == wsock.Text {
						messages <- string(ev.Data)
					}
				}
			}
		})
		defer close(read)
		for _, policy := range []Overflow{OverflowError, OverflowWait, OverflowDropOldest, OverflowClose} {
			told := newLogbook()
			o := &WebSocketOptions{Client: &Client{Transport: tr}, NoCompression: true, HighWater: high, LowWater: high / 2, Overflow: policy}
			ws := dial(t, o, wsURL(srv), told.events())
			told.expect(t, "open")
			ctx, cancel := context.WithCancel(context.Background())
			var err error
			for i := 0; i < 1000 && err == nil; i++ {
				if policy != OverflowWait {
					err = ws.Send(big)
				} else {
					time.AfterFunc(tick, cancel) // some time has it wait
					err = ws.SendContext(ctx, big)
				}
				if q := ws.Queued(); q > 2*high {
					t.Fatalf("policy %d: %d bytes are queued", policy, q)
				}
			}
			cancel()
			switch policy {
			case OverflowError:
				if err != ErrWebSocketFull {
					t.Errorf("%v", err)
				}
			case OverflowWait:
				if err != context.Canceled {
					t.Errorf("%v", err)
				}
			case OverflowDropOldest:
				if err != nil {
					t.Errorf("%v", err)
				}
				ws.Send(textOf("the last"))
			case OverflowClose:
				if err != ErrWebSocketClosed {
					t.Errorf("%v", err)
				}
				told.expect(t, `close 1008 "too slow": `+errOverflow.Error())
				continue
			}
			read <- true
			told.expect(t, "drained")
			if policy == OverflowDropOldest {
				for got := <-messages; got != "the last"; got = <-messages {
				}
			} else if err := ws.Send(textOf("room again")); err != nil {
				t.Error(err)
			}
			ws.Close()
			got := told.next(t)
			for got == "drained" { // it may have been full several times
				got = told.next(t)
			}
			if got != `close 1000 "" clean` {
				t.Errorf("policy %d: told %q", policy, got)
			}
		}
	})
}

// While a callback runs, or the WebSocket is paused, the server cannot send much; others on
// the loop go on.
func TestWebSocketBackPressure(t *testing.T) {
	if testing.Short() {
		t.Skip("waits until buffers are full")
	}
	onEngines(t, func(t *testing.T, tr *Transport) {
		sent := make(chan int, 2)
		const piece, pieces = 32 << 10, 1000
		flood := wsServer(t, false, nil, func(p *wsPeer) {
			frame := wsock.AppendMessage(nil, binaryOf(make([]byte, piece)), wsock.Mask{})
			p.next()
			for i := range pieces {
				p.SetWriteDeadline(time.Now().Add(2 * tick))
				if n, err := p.Write(frame); err != nil {
					sent <- i
					p.SetWriteDeadline(time.Time{})
					p.Write(frame[n:])
					for range pieces - 1 - i {
						p.Write(frame)
					}
					p.close(1000, "")
					p.next()
					return
				}
			}
			sent <- pieces
		})
		other := wsServer(t, false, nil, (*wsPeer).echo)
		o := &WebSocketOptions{Client: &Client{Transport: tr}}
		back := make(chan bool, 1)
		echo := dial(t, o, wsURL(other), Events{Message: func(*WebSocket, wsock.Message) { back <- true }})

		goOn, n := make(chan bool), 0
		slow := dial(t, o, wsURL(flood), Events{Message: func(_ *WebSocket, m wsock.Message) {
			if n += len(m.Data); n == len(m.Data) {
				<-goOn
			}
		}})
		paused := dial(t, o, wsURL(flood), Events{})
		paused.Pause()
		slow.Send(textOf("go"))
		paused.Send(textOf("go"))
		for range 2 {
			if got := <-sent; got > pieces/2 {
				t.Errorf("%d of %d messages could be sent", got, pieces)
			}
		}
		echo.Send(textOf("hi"))
		select {
		case <-back:
		case <-time.After(patience):
			t.Fatal("one that is blocked blocks another")
		}
		goOn <- true
		paused.Resume()
		if why := waitDone(t, slow); !why.Clean || n != piece*pieces {
			t.Errorf("%+v, %d bytes of %d", why, n, piece*pieces)
		}
		if why := waitDone(t, paused); !why.Clean {
			t.Errorf("%+v", why)
		}
	})
}

// Callbacks come one at a time and in order, however long one takes, and whatever it does.
func TestWebSocketCallbacks(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		srv := wsServer(t, false, nil, (*wsPeer).echo)
		o := &WebSocketOptions{Client: &Client{Transport: tr}, Overflow: OverflowWait}
		var running sync.Mutex
		told, n := make(chan string, 10), 0
		ws := dial(t, o, wsURL(srv), Events{
			Open: func(ws *WebSocket) {
				running.Lock()
				defer running.Unlock()
				ws.SetValue("mine")
				time.Sleep(5 * time.Millisecond)
			},
			Message: func(ws *WebSocket, m wsock.Message) {
				if !running.TryLock() {
					t.Error("two callbacks at a time")
				}
				defer running.Unlock()
				if got := string(m.Data); got != fmt.Sprint(n) {
					t.Errorf("message %q, want %d", got, n)
				}
				if n++; n%20 == 0 {
					time.Sleep(3 * time.Millisecond) // the lead is lost
				}
				if n == 200 {
					told <- fmt.Sprint(ws.Value())
					runtime.Goexit()
				}
				ws.SendContext(context.Background(), textOf(fmt.Sprint(n)))
			},
			Close: func(_ *WebSocket, why wsock.CloseInfo) {
				if !running.TryLock() {
					t.Error("Close while a callback runs")
				}
				told <- tell1(why)
			},
		})
		ws.Send(textOf("0"))
		for _, want := range []string{"mine", `1011 "": ` + errCallback.Error()} {
			select {
			case got := <-told:
				if got != want {
					t.Errorf("%q, want %q", got, want)
				}
			case <-time.After(patience):
				t.Fatalf("no %q", want)
			}
		}
	})
}

// A callback may wait for what its own WebSocket, or another of the loop, does.
func TestWebSocketDialsInCallback(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		srv := wsServer(t, false, nil, (*wsPeer).echo)
		o := &WebSocketOptions{Client: &Client{Transport: tr}}
		inner := newLogbook()
		ws := dial(t, o, wsURL(srv), Events{Message: func(ws *WebSocket, m wsock.Message) {
			other, err := o.Dial(context.Background(), wsURL(srv), inner.events())
			if err != nil {
				t.Error(err)
				return
			}
			other.Send(textOf("from inside"))
			ws.Close()
		}})
		ws.Send(textOf("go"))
		inner.expect(t, "open", `text "from inside" 11`)
		if why := waitDone(t, ws); !why.Clean {
			t.Errorf("%+v", why)
		}
	})
}

// A message that grows too much is not inflated; others are, whatever their length.
func TestWebSocketInflation(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		srv := wsServer(t, false, &wsock.CompressionOptions{}, func(p *wsPeer) {
			p.send(textOf(strings.Repeat("bomb", 200_000)))
			p.send(textOf(strings.Repeat("bomb", 300_000)))
			io.Copy(io.Discard, p.Conn)
		})
		told := newLogbook()
		dial(t, &WebSocketOptions{Client: &Client{Transport: tr}, MaxMessageBytes: 1 << 20}, wsURL(srv), told.events())
		told.expect(t, "open", fmt.Sprintf("text %.40q 800000", strings.Repeat("bomb", 10)), `close 1009 "" remote: wsock: message too big`)
	})
}

// Nothing is left of WebSockets that ended in all ways, nor of their transport.
func TestWebSocketLeaks(t *testing.T) {
	onEngines(t, func(t *testing.T, unused *Transport) {
		tr := &Transport{Engine: unused.Engine, Loops: 1}
		expectNoLeaks(t, tr)
		srv := wsServer(t, false, nil, (*wsPeer).echo)
		o := &WebSocketOptions{Client: &Client{Transport: tr}}
		for i := range 30 {
			told := newLogbook()
			ws, err := o.Dial(context.Background(), wsURL(srv), told.events())
			if err != nil {
				t.Fatal(err)
			}
			ws.Send(textOf("hi"))
			told.expect(t, "open", `text "hi" 2`)
			switch i % 3 {
			case 0:
				ws.Close()
				told.expect(t, `close 1000 "" clean`)
			case 1:
				ws.Abort()
				told.expect(t, `close 1006 "": `+ErrWebSocketClosed.Error())
			}
		}
		if !eventually(func() bool { return tr.Stats().Conns == 10 }) {
			t.Errorf("%+v", tr.Stats())
		}
	})
}

// brittleRing fails when it is told to.
type brittleRing struct {
	conn.Ring
	broken *atomic.Bool
}

func (r brittleRing) Enter(timeout time.Duration) error {
	if r.broken.Load() {
		return errBrittle
	}
	return r.Ring.Enter(timeout)
}

var errBrittle = errors.New("the ring is broken")

// A WebSocket whose loop fails is told its end all the same, and who dials learns why.
func TestWebSocketLoopFails(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		srv, told := wsServer(t, false, nil, (*wsPeer).echo), newLogbook()
		var broken atomic.Bool
		engine := tr.Engine
		tr.hooks.newRing = func() (conn.Ring, error) {
			r, _, err := conn.KernelEngines.Open(engine)
			return brittleRing{r, &broken}, err
		}
		o := &WebSocketOptions{Client: &Client{Transport: tr}}
		ws := dial(t, o, wsURL(srv), told.events())
		ws.SendText("hi")
		told.expect(t, "open", `text "hi" 2`)
		broken.Store(true)
		ws.SendText("and")
		told.expect(t, `close 1006 "" remote: event loop: `+errBrittle.Error())
		if err := ws.SendText("late"); err != ErrWebSocketClosed {
			t.Errorf("%v", err)
		}
		ws.Abort()
		if _, err := o.Dial(context.Background(), wsURL(srv), Events{}); !errors.Is(err, ErrLoopEnded) && !errors.Is(err, errBrittle) {
			t.Errorf("%v", err)
		}
	})
}
