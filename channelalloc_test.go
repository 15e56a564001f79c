package ringkit

import (
	"net/netip"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/ringtest"
	"github.com/ringkit/ringkit/wsock"
)

// mallocs returns how many allocations the process has made while f ran.
func mallocs(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.Mallocs - before.Mallocs)
}

// A small message that is answered where it is told costs no allocation.
func TestEchoDoesNotAllocate(t *testing.T) {
	if check.Enabled {
		t.Skip("checks allocate")
	}
	eachKind(t, func(t *testing.T, e engine) {
		echo := Events{Message: func(ch *Channel, m wsock.Message) { ch.Send(m) }}
		s := serve(t, e, &Server{Handler: HandlerFunc(func(x *Exchange) { x.OpenChannel(echo) }), Loops: 1})
		fd := connectSockets(t, s.addr, 1)[0]
		const messages = 2000
		frame, buf := wsock.AppendMessage(nil, Text(string(pattern(64))), testMask), make([]byte, 100)
		n := mallocs(func() {
			for range messages {
				ringtest.Write(t, fd, frame)
				if n, err := unix.Read(fd, buf); n != 66 {
					t.Fatalf("%d bytes, %v", n, err)
				}
			}
		})
		t.Logf("%d allocations for %d messages", n, messages)
		if n > messages/10 { // a few by the runtime
			t.Errorf("%d allocations for %d messages", n, messages)
		}
	})
}

// Nor does one that comes compressed, and goes back so: what it takes is there for the next.
func TestCompressedEchoDoesNotAllocate(t *testing.T) {
	if check.Enabled {
		t.Skip("checks allocate")
	}
	eachKind(t, func(t *testing.T, e engine) {
		echo := Events{Message: func(ch *Channel, m wsock.Message) { ch.Send(m) }}
		s := serve(t, e, &Server{Handler: HandlerFunc(func(x *Exchange) { x.OpenChannel(echo) }), Loops: 1})
		fd := connectSockets(t, s.addr, 1, deflateOffer)[0]
		const messages = 2000
		frame, buf := deflatedFrame(pattern(1<<10)), make([]byte, 2<<10)
		n := mallocs(func() {
			for range messages {
				ringtest.Write(t, fd, frame)
				if n, err := unix.Read(fd, buf); n <= 0 || n > 1<<10 || buf[0] != frame[0] {
					t.Fatalf("%d bytes, %v", n, err)
				}
			}
		})
		t.Logf("%d allocations for %d messages", n, messages)
		if n > messages/10 {
			t.Errorf("%d allocations for %d messages", n, messages)
		}
	})
}

// A broadcast costs no allocation for each member that has nothing waiting.
func TestBroadcastDoesNotAllocateForMembers(t *testing.T) {
	if check.Enabled {
		t.Skip("checks allocate")
	}
	eachKind(t, func(t *testing.T, e engine) {
		var room Group
		events := Events{Open: func(ch *Channel) { room.Join(ch) }, Message: func(ch *Channel, m wsock.Message) { ch.Send(m) }}
		s := serve(t, e, &Server{Handler: HandlerFunc(func(x *Exchange) { x.OpenChannel(events) }), Loops: 1})
		const members, broadcasts = 300, 10
		fds, buf := connectSockets(t, s.addr, members), make([]byte, 100)
		m := Text(string(pattern(64)))
		n := mallocs(func() {
			for range broadcasts {
				room.Broadcast(m)
				for _, fd := range fds {
					if n, err := unix.Read(fd, buf); n != 66 {
						t.Fatalf("%d bytes, %v", n, err)
					}
				}
			}
		})
		t.Logf("%d allocations for %d broadcasts to %d members", n, broadcasts, members)
		if n > members*broadcasts/10 {
			t.Errorf("%d allocations for %d broadcasts to %d members", n, broadcasts, members)
		}
	})
}

// deflateOffer is what browsers say.
const deflateOffer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"

// deflatedFrame returns a message as a client sends it compressed.
func deflatedFrame(text string) []byte {
	var enc wsock.Encoder
	enc.Init(true, wsock.Compression{Enabled: true, ServerNoTakeover: true, ClientNoTakeover: true})
	return enc.AppendMessage(nil, Text(text), new(wsock.Deflater), testMask)
}

// connectSockets opens n WebSockets, bare descriptors, and has one message answered on each.
func connectSockets(t *testing.T, addr string, n int, more ...string) (fds []int) {
	t.Helper()
	return connectSocketsWith(t, addr, n, wsock.AppendMessage(nil, Text("hello"), testMask), more...)
}

// connectSocketsWith is connectSockets with the frame of that message, and more fields in the
// request.
func connectSocketsWith(t *testing.T, addr string, n int, frame []byte, more ...string) (fds []int) {
	t.Helper()
	port := netip.MustParseAddrPort(addr)
	fields := []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + wsKey}
	request := []byte(ask("GET", "/", append(fields, more...)...))
	buf := make([]byte, 8<<10)
	fds = make([]int, 0, n)
	t.Cleanup(func() {
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
		for _, out := range [][]byte{request, frame} {
			ringtest.Write(t, fd, out)
			if n, err := unix.Read(fd, buf); n <= 0 {
				t.Fatalf("no answer: %v", err)
			}
		}
	}
	return fds
}
