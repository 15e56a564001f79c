package ringkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
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
)

// listens starts a server with ListenAndServe, which ends with the test.
func listens(t testing.TB, e engine, srv *Server) *site {
	t.Helper()
	s := &site{TB: t, Server: srv, network: "tcp", served: make(chan error, 1)}
	srv.newRing = e.newRing
	srv.ErrorLog = log.New(&s.log, "", 0)
	go func() { s.served <- srv.ListenAndServe() }()
	select {
	case <-srv.Ready():
	case err := <-s.served:
		t.Fatalf("ListenAndServe(%q) = %v", srv.Addr, err)
	case <-time.After(patience):
		t.Fatal("it is not ready")
	}
	s.addr = srv.Addrs()[0].String()
	t.Cleanup(func() { s.ends((*Server).Close) })
	return s
}

// ends stops a server, once.
func (s *site) ends(how func(*Server) error) {
	s.Helper()
	if s.served == nil {
		return
	}
	within(s.TB, "the end of the server", func() {
		if err := how(s.Server); err != nil {
			s.Errorf("stopped with %v", err)
		}
	})
	if err := expect(s.TB, "Serve returning", s.served); err != http.ErrServerClosed {
		s.Errorf("Serve = %v, want %v", err, http.ErrServerClosed)
	}
	s.served = nil
}

func drain(srv *Server) error { return srv.Shutdown(context.Background()) }

// A socket file has its mode, whatever the umask is, and goes with the server.
func TestListenUnix(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		for i, c := range []struct{ mode, want os.FileMode }{{0, 0o600}, {0o666, 0o666}, {0o660 | os.ModeDir, 0o660}} {
			path := filepath.Join(t.TempDir(), "socket")
			s := listens(t, e, &Server{Addr: "unix:" + path, UnixMode: c.mode, Handler: HandlerFunc(helloNative)})
			info, err := os.Stat(path)
			if err != nil || info.Mode() != c.want|os.ModeSocket {
				t.Errorf("mode %v: the file is %v, %v; want %v", c.mode, info.Mode(), err, c.want)
			}
			connectPeer(t, "unix", path, 0).get("/")
			s.ends([]func(*Server) error{(*Server).Close, drain}[i%2])
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the socket file is left: %v", err)
			}
		}
	})
}

func TestListenAbstract(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		name := fmt.Sprintf("@ringkit-test-%d-%d", os.Getpid(), time.Now().UnixNano())
		s := listens(t, e, &Server{Addr: "unix:" + name, Handler: HandlerFunc(helloNative)})
		if s.addr != name {
			t.Errorf("listens on %q, want %q", s.addr, name)
		}
		connectPeer(t, "unix", name, 0).get("/")
	})
}

// What a server left behind is replaced; what is anybody's is not.
func TestListenUnixReplaces(t *testing.T) {
	expectNoLeaks(t)
	path := filepath.Join(t.TempDir(), "socket")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if l, err := listenOn("unix:"+path, 0); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("on a socket that is in use: %v, %v", l, err)
	}
	dead.Close()
	l, err := listenOn("unix:"+path, 0)
	if err != nil {
		t.Fatalf("on a socket that was left behind: %v", err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	l.Close()

	for _, other := range []func() error{
		func() error { return os.WriteFile(path, []byte("precious"), 0o600) },
		func() error { return os.Mkdir(path, 0o700) },
		func() error { return os.Symlink("/nowhere", path) },
		func() error { return unix.Mkfifo(path, 0o600) },
	} {
		if err := other(); err != nil {
			t.Fatal(err)
		}
		before, _ := os.Lstat(path)
		if l, err := listenOn("unix:"+path, 0); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("on a file with mode %v: %v, %v", before.Mode(), l, err)
		}
		if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
			t.Errorf("the file with mode %v is gone", before.Mode())
		}
		os.Remove(path)
	}
}

func TestListenUnixErrors(t *testing.T) {
	expectNoLeaks(t)
	for addr, hint := range map[string]string{
		"unix:":                             "no path",
		"unix:@":                            "no path",
		"unix:/nowhere/socket":              "directory",
		"unix:/" + strings.Repeat("x", 107): "107 bytes",
	} {
		if l, err := listenOn(addr, 0); err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("%s: %v, %v; want a hint %q", addr, l, err, hint)
		}
	}
}

// Closing the listener ends its Serve, and nothing else.
func TestListenerClosedFromOutside(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Loops: 2, Handler: HandlerFunc(helloNative)})
		s.listening(1)
		path := filepath.Join(t.TempDir(), "socket")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range []net.Listener{listenTCP(t), l} {
			served := make(chan error, 1)
			go func() { served <- s.Serve(l) }()
			s.listening(2)
			addr := l.Addr()
			p := connectPeer(t, addr.Network(), addr.String(), 0)
			p.get("/")
			l.Close()
			if i == 0 { // is noticed with the next connection; a file is gone at once
				late, err := net.Dial(addr.Network(), addr.String())
				if err != nil {
					t.Fatal(err)
				}
				late.SetDeadline(time.Now().Add(patience))
				io.WriteString(late, smallRequest)
				if n, err := late.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("a connection behind the end was answered: %d, %v", n, err)
				}
				late.Close()
			}
			if err := expect(t, "Serve returning", served); !errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) {
				t.Errorf("Serve = %v, want %v", err, net.ErrClosed)
			}
			if c, err := net.Dial(addr.Network(), addr.String()); err == nil {
				c.Close()
				t.Errorf("somebody still listens on %v", addr)
			}
			s.listening(1)
			if state := s.State(); state != StateServing {
				t.Errorf("the server is %v", state)
			}
			p.get("/")
			s.dial().get("/")
		}
	})
}

func TestState(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		began, goOn := make(chan bool, 1), make(chan bool)
		srv := &Server{newRing: e.newRing, Handler: std(func(w http.ResponseWriter, r *http.Request) {
			began <- true
			<-goOn
		})}
		is := func(want State) {
			t.Helper()
			if got := srv.State(); got != want {
				t.Errorf("the server is %v, want %v", got, want)
			}
		}
		is(StateNew)
		select {
		case <-srv.Ready():
			t.Error("ready before the start")
		default:
		}
		s := serve(t, e, srv)
		expect(t, "it being ready", s.Ready())
		is(StateServing)
		if len(s.Addrs()) != 1 {
			t.Errorf("ready without an address: %v", s.Addrs())
		}
		p := s.dial()
		p.send(smallRequest)
		expect(t, "the handler", began)
		stopped := make(chan error, 1)
		go func() { stopped <- srv.Shutdown(context.Background()) }()
		if !eventually(func() bool { return srv.State() != StateServing }) {
			t.Error("it does not stop")
		}
		is(StateDraining)
		goOn <- true
		p.expectAnswer(200, "")
		p.Close()
		if err := expect(t, "Shutdown", stopped); err != nil {
			t.Error(err)
		}
		is(StateClosed)

		never := &Server{}
		never.Close()
		srv = never
		is(StateClosed)
	})
	for s, name := range map[State]string{StateNew: "new", StateClosed: "closed", 9: "State(9)"} {
		if s.String() != name {
			t.Errorf("%q, want %q", s.String(), name)
		}
	}
}

// TCP connections do not delay small answers, and notice dead peers: also those
// that were there before the server.
func TestSocketOptions(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		check := func(s *site) {
			t.Helper()
			for _, w := range loopsOf(s) {
				checked := make(chan int, 1)
				w.loop.Do(func(l *conn.Loop) {
					n := 0
					l.Each(func(c *conn.Conn) {
						n++
						delay, err := unix.GetsockoptInt(c.FD(), unix.IPPROTO_TCP, unix.TCP_NODELAY)
						alive, err2 := unix.GetsockoptInt(c.FD(), unix.SOL_SOCKET, unix.SO_KEEPALIVE)
						if delay == 0 || alive == 0 || err != nil || err2 != nil {
							t.Errorf("TCP_NODELAY %d, SO_KEEPALIVE %d, %v, %v", delay, alive, err, err2)
						}
					})
					checked <- n
				})
				if n := expect(t, "the loop", checked); n == 0 {
					t.Error("a loop has no connections")
				}
			}
		}
		s := listens(t, e, &Server{Addr: "127.0.0.1:0", Loops: 2, Handler: HandlerFunc(helloNative)})
		for range 4 {
			s.dial().get("/")
		}
		check(s)

		l := listenTCP(t)
		const before = 5
		var peers []*peer
		for range before {
			peers = append(peers, connectPeer(t, "tcp", l.Addr().String(), 0))
		}
		srv := &Server{newRing: e.newRing, Loops: 2, Handler: HandlerFunc(helloNative)}
		s = &site{TB: t, Server: srv, network: "tcp", addr: l.Addr().String(), served: make(chan error, 1)}
		go func() { s.served <- srv.Serve(l) }()
		for range before {
			peers = append(peers, s.dial())
		}
		for _, p := range peers {
			p.get("/")
		}
		check(s)
		s.ends((*Server).Close)
	})
}

// One server on several listeners, of both families.
func TestMixedListeners(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		path := filepath.Join(t.TempDir(), "socket")
		s := listens(t, e, &Server{Addr: "unix:" + path, Loops: 2, Handler: HandlerFunc(helloNative)})
		served := make(chan error, 2)
		for i := range 2 {
			go func() { served <- s.Serve(listenTCP(t)) }()
			s.listening(2 + i)
		}
		for _, addr := range s.Addrs() {
			if tcp, ok := addr.(*net.TCPAddr); ok && tcp.Port == 0 {
				t.Errorf("listens on %v", addr)
			}
			connectPeer(t, addr.Network(), addr.String(), 0).get("/")
		}
		s.ends(drain)
		for range 2 {
			if err := expect(t, "Serve returning", served); err != http.ErrServerClosed {
				t.Errorf("Serve = %v", err)
			}
		}
		if addrs := s.Addrs(); len(addrs) != 0 {
			t.Errorf("listens on %v after the end", addrs)
		}
	})
}

// The address of a server that was killed is free a moment later.
func TestListenAfterAnother(t *testing.T) {
	before := listenTCP(t)
	time.AfterFunc(leftBehind/10, func() { before.Close() })
	l, err := listenOn(before.Addr().String(), 0)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
