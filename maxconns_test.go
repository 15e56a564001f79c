package ringkit

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Clients beyond MaxConns wait, and are served when there is room.
func TestMaxConns(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		const most, all = 3, 12
		path := filepath.Join(t.TempDir(), "socket")
		s := listens(t, e, &Server{Addr: "unix:" + path, Loops: 2, MaxConns: most, Handler: HandlerFunc(helloNative)})
		served := make(chan error, 2)
		for i := range 2 {
			go func() { served <- s.Serve(listenTCP(t)) }()
			s.listening(2 + i)
		}
		answered := make(chan *peer, all)
		for i := range all {
			addr := s.Addrs()[i%3]
			p := connectPeer(t, addr.Network(), addr.String(), 0)
			p.send(smallRequest)
			go func() {
				if a, err := readAnswer(p.r, "GET"); err != nil || a.status != 200 {
					t.Errorf("answer %+v, %v", a, err)
				}
				answered <- p
			}()
		}
		for open := all; open > 0; open-- {
			// The oldest that was answered makes room for one that waits.
			p := expect(t, "an answer", answered)
			if n := s.conns(); n > most {
				t.Errorf("%d connections, want at most %d", n, most)
			}
			if open == all {
				if !eventually(func() bool { return s.conns() == most }) {
					t.Errorf("%d connections, want %d", s.conns(), most)
				}
			}
			p.Close()
		}
		if !eventually(func() bool { return s.conns() == 0 }) {
			t.Errorf("%d connections are left", s.conns())
		}
		connectPeer(t, "unix", path, 0).get("/")
		s.ends(drain)
	})
}

// The number of open connections never exceeds the limit, however they come and go.
func TestMaxConnsInAStorm(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		e.notSecure(t, "its clients speak without TLS")
		for _, most := range []int{1, 5} {
			var open, worst atomic.Int64
			s := serve(t, e, &Server{Loops: 3, MaxConns: most, Handler: askers(), ConnState: func(_ net.Conn, state http.ConnState) {
				switch state {
				case http.StateNew:
					if n := open.Add(1); n > worst.Load() {
						worst.Store(n)
					}
				case http.StateClosed:
					open.Add(-1)
				}
			}})
			var storm sync.WaitGroup
			for i := range 16 {
				storm.Go(func() {
					for j := range 20 {
						c, err := net.DialTimeout("tcp", s.addr, patience)
						if err != nil {
							t.Error(err)
							return
						}
						c.SetDeadline(time.Now().Add(patience))
						if (i+j)%5 == 0 { // goes before it is served, perhaps
							c.(*net.TCPConn).SetLinger(0)
							c.Close()
							continue
						}
						io.WriteString(c, "GET /fast HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
						if b, err := io.ReadAll(c); err != nil || len(b) < 12 || string(b[9:12]) != "200" {
							t.Errorf("answer %q, %v", short(string(b)), err)
						}
						c.Close()
					}
				})
			}
			within(t, "the storm", storm.Wait)
			if n := worst.Load(); n > int64(most) {
				t.Errorf("%d connections at a time, want at most %d", n, most)
			}
			if !eventually(func() bool { return s.conns() == 0 }) {
				t.Errorf("%d connections are left", s.conns())
			}
			s.dial().get("/fast")
		}
	})
}

// Who waits for room does not keep a server from stopping.
func TestStopWithClientsThatWait(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		for _, how := range []func(*Server) error{drain, (*Server).Close} {
			srv := &Server{newRing: e.newRing, Loops: 2, MaxConns: 1, Handler: HandlerFunc(helloNative)}
			l := listenTCP(t)
			var peers []*peer
			for range 5 {
				peers = append(peers, connectPeer(t, "tcp", l.Addr().String(), 0))
			}
			s := &site{TB: t, Server: srv, network: "tcp", addr: l.Addr().String(), served: make(chan error, 1)}
			go func() { s.served <- srv.Serve(l) }()
			peers[0].get("/")
			s.ends(how)
			for _, p := range peers[1:] {
				if b, err := p.r.ReadByte(); err == nil {
					t.Errorf("got %q", b)
				}
			}
		}
	})
}

// A hijacked connection makes room.
func TestMaxConnsAndHijack(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{MaxConns: 1, Handler: std(func(w http.ResponseWriter, r *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { c.Close() })
			io.WriteString(c, "mine")
		})})
		for range 3 {
			p := s.dial()
			p.send(smallRequest)
			p.expectData("mine")
		}
	})
}

// dialFrom connects to the server from another address of the loopback network.
func (s *site) dialFrom(host string) *peer {
	s.Helper()
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}}
	c, err := d.Dial("tcp", s.addr)
	if err != nil {
		s.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	s.Cleanup(func() { c.Close() })
	return &peer{s.TB, c, bufio.NewReader(c)}
}

// crowded checks that a connection is refused, and is told so when it asks.
func (p *peer) crowded(pieces ...string) {
	p.Helper()
	p.send(pieces...)
	if a := p.answer("GET"); a.status != 503 || a.get("Retry-After") == "" || a.get("Connection") != "close" {
		p.Errorf("beyond the limit: %d %q", a.status, a.fields)
	}
	p.expectEnd()
}

// An address has so many connections, and is told when it wants more.
func TestMaxConnsPerIP(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		const most = 3
		s := serve(t, e, &Server{Loops: 2, MaxConnsPerIP: most, Handler: HandlerFunc(helloNative)})
		for _, host := range []string{"127.0.0.1", "127.0.0.2"} {
			var peers []*peer
			for range most {
				p := s.dialFrom(host)
				p.get("/")
				peers = append(peers, p)
			}
			for range 2 {
				p := s.dialFrom(host)
				p.crowded(smallRequest)
				p.Close()
			}
			p := s.dialFrom(host)
			p.crowded("GET", " / HTTP/1.1\r\n") // whatever it says
			p.Close()
			p = s.dialFrom(host) // and when it says nothing
			p.expectEnd()
			p.Close()

			peers[0].get("/")
			peers[0].Close()
			free := func() bool {
				p := s.dialFrom(host)
				defer p.Close()
				p.send(smallRequest)
				return p.answer("GET").status == 200
			}
			if !eventually(free) {
				t.Error("a connection that was closed made no room")
			}
		}
		if n := s.Stats().Crowded; n < 8 {
			t.Errorf("%d were refused, want 8 and more", n)
		}
		if !eventually(func() bool { return s.conns() == 2*(most-1) }) {
			t.Errorf("%d connections", s.conns())
		}
	})
}

// Beyond twice as many nobody is told anything: being refused takes a socket, too.
func TestMaxConnsPerIPFlood(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		const most = 4
		s := serve(t, e, &Server{Loops: 2, MaxConnsPerIP: most, Handler: HandlerFunc(helloNative)})
		for range 50 {
			s.dial()
		}
		if !eventually(func() bool { return s.Stats().Crowded == 50-most }) {
			t.Errorf("%d were refused", s.Stats().Crowded)
		}
		if n := s.conns(); n > 2*most {
			t.Errorf("%d connections, want at most %d", n, 2*most)
		}
		if !eventually(func() bool { return s.conns() == most }) { // none but they may wait to ask
			t.Errorf("%d connections, want %d", s.conns(), most)
		}
		s.Close()
		if left := s.perAddress.conns; len(left) != 0 {
			t.Errorf("counted after the end: %v", left)
		}
	})
}

// Behind a proxy it is the client's address that counts; what a proxy does for
// itself does not, nor do unix sockets.
func TestMaxConnsPerIPBehindAProxy(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Loops: 2, MaxConnsPerIP: 1, ProxyProtocol: ProxyRequired, Handler: addressHandler})
		header := func(host string) string { return "PROXY TCP6 " + host + " ::1 1234 80\r\n" }
		for _, host := range []string{"2001:db8::1", "2001:db8:0:1::1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"} {
			p := s.dial()
			p.send(header(host) + ask("GET", "/native"))
			p.answer("GET")
		}
		served := s.conns()
		gone := func(p *peer) {
			p.Close()
			if !eventually(func() bool { return s.conns() == served }) {
				t.Fatalf("%d connections, want %d", s.conns(), served)
			}
		}
		for _, host := range []string{"2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1:ffff::", "::ffff:192.0.2.1"} {
			p := s.dial()
			p.crowded(header(host)+ask("GET", "/native"), ask("GET", "/native"))
			gone(p) // with two of them the next would not be told
			p = s.dial()
			p.send(header(host))
			p.crowded(ask("GET", "/native"))
			gone(p)
		}
		for range 3 {
			p := s.dial()
			p.send(proxyUnknown + ask("GET", "/native"))
			p.expectAnswer(200, p.LocalAddr().String())
		}

		path := filepath.Join(t.TempDir(), "socket")
		s = listens(t, e, &Server{Addr: "unix:" + path, MaxConnsPerIP: 1, Handler: HandlerFunc(helloNative)})
		for range 3 {
			connectPeer(t, "unix", path, 0).get("/")
		}
		s.ends(drain)
	})
}
