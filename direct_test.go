package ringkit

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/ring"
	"github.com/ringkit/ringkit/internal/ringtest"
	"github.com/ringkit/ringkit/uring"
	"github.com/ringkit/ringkit/wsock"
)

// direct is the engine whose connections have no descriptors. The test is skipped where
// there is none.
func direct(t *testing.T) engine {
	t.Helper()
	e := *engineNamed("uring with direct descriptors")
	r, err := e.newRing()
	if errors.Is(err, uring.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.Close(0)
	return e
}

// tableOf makes rings with a table of n files.
func tableOf(n int) func() (conn.Ring, error) {
	return func() (conn.Ring, error) {
		r, err := uring.New(uring.Config{})
		if err != nil {
			return nil, err
		}
		return r, r.OpenFiles(n)
	}
}

// expectDirect waits until so many connections of a server have no descriptor.
func (s *site) expectDirect(want int) {
	s.Helper()
	if !eventually(func() bool { return s.Stats().Direct == want }) {
		s.Fatalf("%d connections have no descriptor, want %d", s.Stats().Direct, want)
	}
}

// outside is a client whose connections are not descriptors of the process either: they are
// in the tables of rings of its own.
type outside struct {
	t     *testing.T
	rings []*uring.Ring
	each  int // slots of a ring
	conns int
	out   []byte // mapped: a request
}

func newOutside(t *testing.T, rings, each int) *outside {
	t.Helper()
	ringtest.OnThread(t)
	o := &outside{t: t, each: each, out: ringtest.Mem(t, len(smallRequest))}
	copy(o.out, smallRequest)
	for range rings {
		r, err := uring.New(uring.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(time.Second) })
		if err := r.OpenFiles(each); err != nil {
			t.Fatal(err)
		}
		o.rings = append(o.rings, r)
	}
	return o
}

// dial makes a connection.
func (o *outside) dial(to unix.Sockaddr) {
	o.t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		o.t.Fatalf("after %d connections: %v", o.conns, err)
	}
	if err := unix.Connect(fd, to); err != nil {
		o.t.Fatalf("after %d connections: %v", o.conns, err)
	}
	r := o.rings[o.conns/o.each]
	r.Register(fd, uint32(o.conns%o.each))
	if err := r.Enter(0); err != nil {
		o.t.Fatal(err)
	}
	o.conns++
}

// ask sends a request on each connection and waits for all answers.
func (o *outside) ask() {
	o.t.Helper()
	for i := range o.conns {
		r, slot := o.rings[i/o.each], uint32(i%o.each)
		r.Send(ringtest.Token(ring.OpSend, slot), ring.Direct(slot), o.out)
		r.Recv(ringtest.Token(ring.OpRecv, slot), ring.Direct(slot))
	}
	answered := 0
	for end := time.Now().Add(patience); answered < o.conns; {
		if time.Now().After(end) {
			o.t.Fatalf("%d of %d connections were answered", answered, o.conns)
		}
		for _, r := range o.rings {
			if err := r.Enter(10 * time.Millisecond); err != nil {
				o.t.Fatal(err)
			}
			for c := (ring.Completion{}); r.Next(&c); {
				switch {
				case c.Res <= 0 && c.Res != -int32(syscall.ENOBUFS):
					o.t.Fatalf("%v: %s", c.Token, ringtest.ResultName(c.Res))
				case c.HasBuffer():
					if !strings.HasPrefix(string(c.Buf), "HTTP/1.1 200 ") {
						o.t.Fatalf("answered with %q", c.Buf)
					}
					r.Release(c.BufID)
					answered++
				}
				if c.Token.Op() == ring.OpRecv && !c.More() {
					r.Recv(c.Token, ring.Direct(c.Token.Slot()))
				}
			}
		}
	}
}

// A server holds more connections than the process may have descriptors, spread over its
// loops, and answers on all of them. When they end, so does what was theirs.
func TestDirectBeyondTheLimit(t *testing.T) {
	direct(t)
	if !ringtest.InChild(t) {
		return
	}
	const limit, loops, conns = 200, 4, 700
	ringtest.LimitDescriptors(t, limit)
	s := serve(t, engine{}, &Server{Loops: loops, Handler: HandlerFunc(helloNative), DirectDescriptors: true, Engine: IOUring})
	s.listening(1)
	client := newOutside(t, loops, limit)
	to := &unix.SockaddrInet4{Port: s.Addrs()[0].(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}
	for client.conns < conns {
		if client.dial(to); client.conns%50 == 0 {
			s.expectDirect(client.conns)
		}
	}
	client.ask()
	stats := s.Stats()
	if stats.Conns != conns || stats.Direct != conns || stats.FilesFull != 0 || stats.AcceptWaits != 0 {
		t.Errorf("%d connections, %d of them without a descriptor; %d found no place, accepting waited %d times",
			stats.Conns, stats.Direct, stats.FilesFull, stats.AcceptWaits)
	}
	for i, l := range stats.Loops {
		if l.Direct < conns/loops-1 || l.Direct > conns/loops+1 {
			t.Errorf("loop %d has %d of %d", i, l.Direct, conns)
		}
	}
	for _, r := range client.rings {
		r.Close(time.Second)
	}
	s.expectDirect(0)
	s.dial().get("/")
}

// A connection for which the table has no place keeps its descriptor, and the place of one
// that has ended is used again.
func TestDirectTableIsFull(t *testing.T) {
	direct(t)
	expectNoLeaks(t)
	s := serve(t, engine{newRing: tableOf(3)}, &Server{Loops: 1, Handler: HandlerFunc(helloNative)})
	for round := range 3 {
		var peers []*peer
		for range 5 {
			p := s.dial()
			p.get("/")
			peers = append(peers, p)
		}
		s.expectDirect(3)
		if full := s.Stats().FilesFull; full != uint64(2*(round+1)) {
			t.Errorf("%d connections found no place, want %d", full, 2*(round+1))
		}
		for _, p := range peers {
			p.get("/")
			p.Close()
		}
		s.expectDirect(0)
		if !eventually(func() bool { return s.conns() == 0 }) {
			t.Fatal("connections are left")
		}
	}
}

// Hijack without a descriptor left is an error, behind which the handler can answer. With
// one it works, and the place in the table is free.
func TestDirectHijack(t *testing.T) {
	e := direct(t)
	if !ringtest.InChild(t) {
		return
	}
	ringtest.LimitDescriptors(t, 200)
	s := serve(t, e, &Server{Loops: 1, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			if !errors.Is(err, syscall.EMFILE) || !errors.Is(err, conn.ErrNoDescriptor) {
				t.Errorf("Hijack: %v, want EMFILE and ErrNoDescriptor", err)
			}
			http.Error(w, "no descriptor", http.StatusServiceUnavailable)
			return
		}
		defer c.Close()
		line, err := buf.ReadString('\n')
		if err != nil {
			t.Errorf("what came behind the request: %v", err)
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n"+line)
	})})
	p := s.dial()
	s.expectDirect(1)
	fillers := ringtest.UseAllDescriptors(t)
	if a := p.get("/"); a.status != http.StatusServiceUnavailable {
		t.Errorf("answered with %d %q without descriptors", a.status, a.body)
	}
	s.expectDirect(1)
	for _, fd := range fillers {
		syscall.Close(fd)
	}
	p.send(smallRequest, "hello\n")
	got, err := io.ReadAll(p)
	if want := "HTTP/1.1 101 Switching Protocols\r\n\r\nhello\n"; string(got) != want || err != nil {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	s.expectDirect(0)
}

// A file is sent through a descriptor that is there for as long as that takes; without one
// left it is copied.
func TestDirectFile(t *testing.T) {
	e := direct(t)
	if !ringtest.InChild(t) {
		return
	}
	ringtest.LimitDescriptors(t, 200)
	content := strings.Repeat("0123456789abcdef", 64<<10)
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := serve(t, e, &Server{Loops: 1, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, name, time.Time{}, io.NewSectionReader(f, 0, int64(len(content))))
	})})
	files := serve(t, e, &Server{Loops: 1, Handler: http.FileServer(http.Dir(filepath.Dir(name)))})
	full := serve(t, engine{newRing: tableOf(1)}, &Server{Loops: 1, Handler: files.Handler})
	full.dial().get("/file")
	for _, site := range []*site{s, files, full} {
		p := site.dial()
		for range 3 {
			if a := p.get("/file"); a.status != 200 || a.body != content {
				t.Fatalf("%d, %d bytes", a.status, len(a.body))
			}
			site.expectDirect(1)
		}
	}
	if n := full.Stats().FilesFull; n != 1 {
		t.Errorf("%d connections found no place, want 1", n)
	}
	p := s.dial()
	s.expectDirect(2)
	fillers := ringtest.UseAllDescriptors(t)
	if a := p.get("/file"); a.status != 200 || a.body != content {
		t.Errorf("without descriptors: %d, %d bytes", a.status, len(a.body))
	}
	for _, fd := range fillers {
		syscall.Close(fd)
	}
}

// TLS and WebSockets need no descriptors, what the kernel seals does.
func TestDirectOverTLS(t *testing.T) {
	e := direct(t)
	e.secure = true
	for _, kernel := range []bool{false, true} {
		t.Run(fmt.Sprintf("kernel %v", kernel), func(t *testing.T) {
			if err := KernelTLS(); kernel && err != nil {
				t.Skip(err)
			}
			expectNoLeaks(t)
			e.kernel = kernel
			s := serve(t, e, &Server{Loops: 1, Handler: HandlerFunc(func(x *Exchange) {
				if x.Path() == "/ws" {
					x.OpenChannel(Events{Message: func(ch *Channel, m wsock.Message) { ch.Send(m) }})
					return
				}
				helloNative(x)
			})})
			want := 2
			if kernel {
				want = 0
			}
			p, ws := s.dial(), s.dial()
			if a := p.get("/"); a.body != "Hello, World!" {
				t.Errorf("answered with %q", a.body)
			}
			ws.send("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
			line, err := ws.r.ReadString('\n')
			if !strings.Contains(line, "101") {
				t.Fatalf("%q, %v", line, err)
			}
			for line != "\r\n" && err == nil {
				line, err = ws.r.ReadString('\n')
			}
			ws.send("\x81\x82\x00\x00\x00\x00hi") // masked with zeros
			got := make([]byte, 4)
			if _, err := io.ReadFull(ws.r, got); err != nil || string(got) != "\x81\x02hi" {
				t.Errorf("%q, %v", got, err)
			}
			s.expectDirect(want)
			p.Close()
			ws.Close()
			s.expectDirect(0)
			if n := s.Stats().KernelTLS; (n == 2) != kernel {
				t.Errorf("%d connections are sealed by the kernel", n)
			}
		})
	}
}

// An engine without tables says so, once, and serves all the same.
func TestDirectWithoutTables(t *testing.T) {
	expectNoLeaks(t)
	s := serving(t, &Server{Engine: Epoll, DirectDescriptors: true})
	checkAnswers(t, s)
	const said = "no direct descriptors on event loop 1: engine epoll has no table of files"
	if n := strings.Count(s.log.String(), "no direct descriptors"); n != 1 || !strings.Contains(s.log.String(), said) {
		t.Errorf("the log says %q, want %q once", s.log.String(), said)
	}
	if n := s.Stats().Direct; n != 0 {
		t.Errorf("%d connections without descriptors", n)
	}
}

// What the server says about its connections needs no descriptors.
func TestDirectAddresses(t *testing.T) {
	e := direct(t)
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			expectNoLeaks(t)
			type told struct {
				remote, local string
				cred          bool
			}
			got := make(chan told, 1)
			addr := "127.0.0.1:0"
			if network == "unix" {
				addr = "unix:" + filepath.Join(t.TempDir(), "socket")
			}
			s := listens(t, e, &Server{Loops: 1, Addr: addr, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				local := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
				_, cred := PeerCredentials(r.Context())
				got <- told{r.RemoteAddr, local.String(), cred}
			})})
			addr = s.Addrs()[0].String()
			p := connectPeer(t, network, addr, 0)
			s.expectDirect(1)
			p.get("/")
			want := told{p.Conn.LocalAddr().String(), addr, false}
			if network == "unix" {
				want.remote, want.cred = "@", true
			}
			if have := <-got; have != want {
				t.Errorf("%+v, want %+v", have, want)
			}
			p.Close()
			s.ends(drain)
		})
	}
}
