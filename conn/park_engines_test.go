package conn_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/fallback"
	"github.com/ringkit/ringkit/internal/ringtest"
	"github.com/ringkit/ringkit/uring"
)

// park waits until n connections are parked.
func (e *engine) park(n int) {
	e.Helper()
	counts := make(chan int)
	e.settles("connections are to be parked, want 0 of them", 0, func() int {
		missing := n
		for _, l := range e.loops {
			l.Do(func(l *conn.Loop) { counts <- l.Parking() })
			missing -= <-counts
		}
		return missing
	})
}

// Connections that are parked between any two requests answer all of them, and notice
// how their peers end.
func TestEnginesParking(t *testing.T) {
	onEngines(t, conn.Config{ParkAfter: time.Millisecond}, func(e *engine) {
		addr, stop := e.listen(func() conn.Protocol { return lines{} })
		ended := make(chan error, 1)
		e.talkParked(e.pair(lines{}))
		e.talkParked(e.dial(addr))
		for _, end := range []struct {
			how  func(c *net.TCPConn)
			want error
		}{
			{func(c *net.TCPConn) { c.CloseWrite() }, nil},
			{func(c *net.TCPConn) { c.SetLinger(0); c.Close() }, syscall.ECONNRESET},
		} {
			c := e.tcp(&hooks{eof: (*conn.Conn).Close, closed: func(_ *conn.Conn, err error) { ended <- err }})
			defer c.Close()
			e.park(1)
			end.how(c)
			select {
			case err := <-ended:
				if !errors.Is(err, end.want) {
					e.Errorf("closed with %v, want %v", err, end.want)
				}
			case <-time.After(ringtest.Patience):
				e.Fatal("the end of a parked connection is not noticed")
			}
		}
		stop()
	})
}

func (e *engine) talkParked(c net.Conn) {
	e.Helper()
	defer c.Close()
	for n := range 5 {
		e.park(1)
		fmt.Fprintln(c, n+1)
		got := make([]byte, n+1)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != strings.Repeat(string(rune('b'+n)), n+1) {
			e.Fatalf("received %q, %v", got, err)
		}
	}
	e.park(1)
	c.(interface{ CloseWrite() error }).CloseWrite()
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		e.Errorf("%v behind the end of a parked connection", err)
	}
}

// tcp makes a connection over TCP: one end is a loop's, the other one is returned.
func (e *engine) tcp(h *hooks) *net.TCPConn {
	e.Helper()
	opened := make(chan struct{})
	h.open = func(*conn.Conn) { close(opened) }
	addr, stop := e.listen(func() conn.Protocol { return h })
	c := e.dial(addr).(*net.TCPConn)
	<-opened // what is not accepted by then is reset
	stop()
	return c
}

// Clients write and reset at once. Of a few of them a multishot receive (6.18) delivers
// the data and does not notice the reset; nothing else would tell of it here.
func TestEnginesLostReset(t *testing.T) {
	if testing.Short() {
		t.Skip("makes many connections")
	}
	const clients, each = 8, 1000
	for name, newRing := range map[string]func() (conn.Ring, error){
		"io_uring": uringWith(uring.Config{}),
		"epoll":    epollWith(fallback.Config{}),
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, 1, newRing, conn.Config{ParkAfter: 20 * time.Millisecond})
			var left atomic.Int64
			left.Store(clients * each)
			addr, stop := e.listen(func() conn.Protocol {
				return &hooks{closed: func(*conn.Conn, error) { left.Add(-1) }}
			})
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					for range each {
						c, err := net.Dial("tcp", addr)
						if err != nil {
							t.Error(err)
							return
						}
						c.Write([]byte("x"))
						c.(*net.TCPConn).SetLinger(0)
						c.Close()
					}
				})
			}
			wg.Wait()
			e.settles("connections that were reset are open", 0, func() int { return int(left.Load()) })
			stop()
		})
	}
}
