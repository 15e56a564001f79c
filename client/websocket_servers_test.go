package client_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringkit/ringkit"
	"github.com/ringkit/ringkit/client"
	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/wsock"
)

// ownServer serves h with this project's server, and returns its address.
func ownServer(t *testing.T, e conn.Engine, h http.Handler) (srv *ringkit.Server, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv = &ringkit.Server{Engine: e, Handler: h}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	for end := time.Now().Add(20 * time.Second); len(srv.EventLoops()) == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	return srv, l.Addr().String()
}

// WebSockets with both sides ours, on every pair of engines and also on the loops of the
// server itself: many at a time, with each kind of compression, to the end of the server.
func TestOwnWebSockets(t *testing.T) {
	both := wsock.CompressionOptions{ServerTakeover: true, ClientTakeover: true}
	onEngines(t, func(t *testing.T, server conn.Engine) {
		channels := &ringkit.ChannelOptions{Compression: both, Overflow: ringkit.OverflowWait, Protocols: []string{"echo"}}
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			channels.Open(w, r, ringkit.Events{Message: func(ch *ringkit.Channel, m wsock.Message) { ch.Send(m) }})
		})
		for _, own := range []bool{false, true} {
			onEngines(t, func(t *testing.T, e conn.Engine) {
				srv, addr := ownServer(t, server, h)
				c, _ := newClient(t, e)
				if own {
					tr := &client.Transport{EventLoops: srv.EventLoops()}
					t.Cleanup(func() { tr.Close() })
					c.Transport = tr
				}
				var ended sync.WaitGroup
				for i := range 16 {
					echoed := make(chan string, 1)
					o := &client.WebSocketOptions{Client: c, Overflow: client.OverflowWait, NoCompression: i%3 == 0, Protocols: []string{"none", "echo"}}
					if i%3 == 1 {
						o.Compression = both
					}
					ended.Add(1)
					ws, err := o.Dial(context.Background(), "ws://"+addr, client.Events{
						Message: func(_ *client.WebSocket, m wsock.Message) { echoed <- string(m.Data) },
						Close: func(_ *client.WebSocket, why wsock.CloseInfo) {
							defer ended.Done()
							if i%2 == 0 && (why.Code != 1000 || !why.Clean) || i%2 == 1 && (why.Code != 1001 || !why.Clean) {
								t.Errorf("%d: %+v", i, why)
							}
						},
					})
					if err != nil {
						t.Fatal(err)
					}
					if ws.Protocol() != "echo" {
						t.Errorf("%q", ws.Protocol())
					}
					for _, n := range []int{0, 10, 1000, 100_000, 1 << 20} {
						s := strings.Repeat("0123456789", n/10)
						if err := ws.SendText(s); err != nil {
							t.Error(err)
						}
						if got := <-echoed; got != s {
							t.Errorf("%d bytes came back of %d", len(got), len(s))
						}
					}
					if i%2 == 0 {
						ws.Close()
					}
				}
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				defer cancel()
				if err := srv.Shutdown(ctx); err != nil { // it closes the others
					t.Error(err)
				}
				ended.Wait()
			})
		}
	})
}

// Streams of events with both sides ours.
func TestOwnEvents(t *testing.T) {
	onEngines(t, func(t *testing.T, server conn.Engine) {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			first := 0
			fmt.Sscan(r.Header.Get("Last-Event-ID"), &first)
			if first >= 30 {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			for i := first + 1; i <= first+10; i++ {
				e := ringkit.ServerEvent{ID: fmt.Sprint(i), Data: fmt.Sprintf("event\n%d", i), Retry: time.Millisecond}
				w.Write(e.Append(nil))
				w.(http.Flusher).Flush()
			}
		})
		_, addr := ownServer(t, server, h)
		onEngines(t, func(t *testing.T, e conn.Engine) {
			c, _ := newClient(t, e)
			req, _ := http.NewRequest("GET", "http://"+addr, nil)
			n := 0
			for ev, err := range c.Subscribe(req) {
				if n++; err != nil || ev.ID != fmt.Sprint(n) || ev.Data != fmt.Sprintf("event\n%d", n) {
					t.Fatalf("%+v, %v", ev, err)
				}
			}
			if n != 30 {
				t.Errorf("%d events", n)
			}
		})
	})
}

// A server that is shut down closes the WebSockets of clients on its loops.
func TestShutdownClosesWebSockets(t *testing.T) {
	onEngines(t, func(t *testing.T, e conn.Engine) {
		echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ringkit.OpenChannel(w, r, ringkit.Events{Message: func(ch *ringkit.Channel, m wsock.Message) { ch.Send(m) }})
		})
		_, addr := ownServer(t, e, echo)
		srv, _ := ownServer(t, e, echo)
		tr := &client.Transport{EventLoops: srv.EventLoops()}
		t.Cleanup(func() { tr.Close() })
		ws, err := (&client.Client{Transport: tr}).Dial(context.Background(), "ws://"+addr, client.Events{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		<-ws.Done()
		if why := ws.CloseInfo(); why.Code != wsock.CloseGoingAway || !why.Clean || why.Remote {
			t.Errorf("%+v", why)
		}
	})
}
