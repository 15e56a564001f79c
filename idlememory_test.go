package ringkit

import (
	"net/netip"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/ringtest"
	"github.com/ringkit/ringkit/wsock"
)

// What an idle keep-alive connection may cost in resident memory of the process, beside
// no goroutine.
const idleBytes = 512

// The clients are bare descriptors in the process of the server, which is one of its own,
// so that what grows is the server's.
func TestIdleMemory(t *testing.T) {
	if testing.Short() || check.Enabled {
		t.Skip("makes many connections; checks take memory")
	}
	const first, conns = 200, 8000
	eachKind(t, func(t *testing.T, e engine) {
		for _, parking := range []time.Duration{-1, time.Millisecond} {
			name := "not parked"
			if parking > 0 {
				name = "parked"
			}
			t.Run(name, func(t *testing.T) {
				if !ringtest.InChild(t) {
					return
				}
				s := serve(t, e, &Server{Handler: HandlerFunc(helloNative), Loops: 2, parking: parking})
				connectIdle(t, s.addr, first)
				before, goroutines := residentOf(t), runtime.NumGoroutine()
				connectIdle(t, s.addr, conns)
				if parking > 0 && !eventually(func() bool { return s.parked() == first+conns }) {
					t.Errorf("%d of %d connections are parked", s.parked(), first+conns)
				}
				each := (residentOf(t) - before) / conns
				t.Logf("%d bytes per idle connection", each)
				if n := runtime.NumGoroutine() - goroutines; each > idleBytes || n > 0 || s.conns() != first+conns {
					t.Errorf("%d connections: %d bytes each, want at most %d; %d goroutines", s.conns(), each, idleBytes, n)
				}
			})
		}
	})
}

// What an idle WebSocket may cost, whatever it has agreed on but takeover.
const idleSocketBytes = 1 << 10

func TestIdleWebSocketMemory(t *testing.T) {
	if testing.Short() || check.Enabled {
		t.Skip("makes many connections; checks take memory")
	}
	const first, conns = 200, 8000
	events := Events{Message: func(ch *Channel, m wsock.Message) { ch.Send(m) }}
	eachKind(t, func(t *testing.T, e engine) {
		for _, deflate := range []bool{false, true} {
			name, frame, offer := "plain", wsock.AppendMessage(nil, Text(pattern(64)), testMask), []string(nil)
			if deflate {
				name, frame, offer = "deflate", deflatedFrame(pattern(1<<10)), []string{deflateOffer}
			}
			t.Run(name, func(t *testing.T) {
				if !ringtest.InChild(t) {
					return
				}
				s := serve(t, e, &Server{Handler: HandlerFunc(func(x *Exchange) { x.OpenChannel(events) }), Loops: 2})
				connectSocketsWith(t, s.addr, first, frame, offer...)
				before, goroutines := residentOf(t), runtime.NumGoroutine()
				connectSocketsWith(t, s.addr, conns, frame, offer...)
				garbage := memoryOf(t)
				after := residentOf(t)
				each, garbage := (after-before)/conns, (garbage-after)/conns
				t.Logf("%d bytes per idle WebSocket, and %d of garbage", each, garbage)
				if n := runtime.NumGoroutine() - goroutines; each > idleSocketBytes || n > 0 || s.conns() != first+conns {
					t.Errorf("%d WebSockets: %d bytes each, want at most %d; %d goroutines", s.conns(), each, idleSocketBytes, n)
				}
			})
		}
	})
}

// A WebSocket is one object beside its connection and its address, and fills the place that
// Go's allocator has for it.
func TestSizeOfWebSocket(t *testing.T) {
	if n := unsafe.Sizeof(socketChannel{}); n > 320 {
		t.Errorf("a WebSocket is %d bytes, want at most 320", n)
	}
}

// connectIdle makes n connections and has one request answered on each.
func connectIdle(t *testing.T, addr string, n int) {
	t.Helper()
	port := netip.MustParseAddrPort(addr)
	buf, fds := make([]byte, 1024), make([]int, 0, n)
	t.Cleanup(func() { // one for all: a cleanup takes more memory than a connection
		for _, fd := range fds {
			unix.Close(fd)
		}
	})
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(port.Port()), Addr: port.Addr().As4()}); err != nil {
			t.Fatal(err)
		}
		ringtest.Write(t, fd, []byte(smallRequest))
		if n, err := unix.Read(fd, buf); n <= 0 {
			t.Fatalf("no answer: %v", err)
		}
	}
}

// residentOf returns the resident memory of the process without garbage.
func residentOf(t *testing.T) int {
	debug.FreeOSMemory()
	return memoryOf(t)
}

// parked returns how many connections are parked.
func (s *site) parked() (n int) {
	for _, w := range loopsOf(s) {
		count := make(chan int)
		w.loop.Do(func(l *conn.Loop) {
			n := 0
			l.Each(func(c *conn.Conn) {
				if c.Parked() {
					n++
				}
			})
			count <- n
		})
		n += <-count
	}
	return n
}
