package client

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/wsock"
)

// A small message that is answered where it is told costs no allocation.
func TestWebSocketDoesNotAllocate(t *testing.T) {
	if check.Enabled {
		t.Skip("checks allocate")
	}
	onEngines(t, func(t *testing.T, tr *Transport) {
		const messages = 2000
		counted := make(chan uint64, 1)
		srv := wsServer(t, false, nil, func(p *wsPeer) {
			frame, buf := wsock.AppendMessage(nil, textOf("a message of some bytes"), wsock.Mask{}), make([]byte, 256)
			var before, after runtime.MemStats
			for i := range messages + 100 {
				if i == 100 { // by now all is there that is used again and again
					runtime.ReadMemStats(&before)
				}
				p.Write(frame)
				if n, err := p.r.Read(buf); n != len(frame)+4 || err != nil {
					t.Errorf("%d bytes, %v", n, err)
					break
				}
			}
			runtime.ReadMemStats(&after)
			counted <- after.Mallocs - before.Mallocs
		})
		dial(t, &WebSocketOptions{Client: &Client{Transport: tr}}, wsURL(srv), Events{
			Message: func(ws *WebSocket, m wsock.Message) { ws.Send(m) },
		})
		n := <-counted
		t.Logf("%d allocations for %d messages", n, messages)
		if n > messages/10 { // a few by the runtime
			t.Errorf("%d allocations for %d messages", n, messages)
		}
	})
}

// An idle WebSocket holds no goroutine, and little memory.
func TestWebSocketIdleCost(t *testing.T) {
	if testing.Short() || check.Enabled {
		t.Skip("makes many connections; checks take memory")
	}
	const first, many, most = 100, 1000, 1280
	onEngines(t, func(t *testing.T, tr *Transport) {
		url := bareServer(t, first+many)
		told := make(chan bool, many)
		o := &WebSocketOptions{Client: &Client{Transport: tr}}
		all := make([]*WebSocket, 0, first+many)
		open := func(n int) {
			for range n {
				ws, err := o.Dial(context.Background(), url, Events{Message: func(*WebSocket, wsock.Message) { told <- true }})
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, ws)
			}
			for range n {
				<-told
			}
		}
		open(first) // for what is made once
		goroutines, before := runtime.NumGoroutine(), heapOf()
		open(many)
		if !eventually(func() bool { return runtime.NumGoroutine() <= goroutines }) {
			t.Errorf("%d goroutines for %d connections", runtime.NumGoroutine()-goroutines, many)
		}
		per := (heapOf() - before) / many
		t.Logf("%d bytes for each", per)
		if per > most {
			t.Errorf("%d bytes for each idle WebSocket, want %d at most", per, most)
		}
		for _, ws := range all {
			ws.Abort()
		}
	})
}

func heapOf() int {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// bareServer opens n WebSockets, one after the other, of which it keeps nothing but the
// descriptors, and sends a message on each.
func bareServer(t *testing.T, n int) (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	var open []int
	go func() {
		defer close(done)
		for range n {
			c, err := l.Accept()
			if err != nil {
				return
			}
			req, err := http.ReadRequest(bufio.NewReader(c))
			if err != nil {
				return
			}
			c.Write(append(wsock.AppendResponse(nil, req.Header.Get("Sec-WebSocket-Key"), "", ""), "\r\n\x81\x02hi"...))
			fd, err := descriptor(c)
			if err != nil {
				return
			}
			c.Close()
			open = append(open, fd)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for _, fd := range open {
			unix.Close(fd)
		}
	})
	return "ws://" + l.Addr().String()
}
