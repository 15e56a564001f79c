package ringkit

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Handshakes that do not come to their end, or come to it in another way.

// clientHello returns the first record that a client sends.
func clientHello(t testing.TB, cfg *tls.Config) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		defer theirs.Close()
		tls.Client(theirs, cfg).Handshake()
	}()
	hello := make([]byte, 16<<10)
	n, err := ours.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	return hello[:n]
}

// raw makes a connection without TLS to a server that expects it.
func (s *site) raw() *peer {
	s.Helper()
	return connectPeer(s.TB, "tcp", s.addr, 0)
}

// says waits for a line of the log that has all the words.
func (s *site) says(words ...string) {
	s.Helper()
	if !eventually(func() bool {
		for line := range strings.Lines(s.log.String()) {
			if lacks(line, words) == nil {
				return true
			}
		}
		return false
	}) {
		s.Errorf("the log says\n%s\nwant %q", s.log.String(), words)
	}
}

// What is no TLS is answered where it can be, and logged with where it came from.
func TestSecureNoTLS(t *testing.T) {
	eachSecure(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: HandlerFunc(helloNative)})
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE", "PATCH"} {
			p := s.raw()
			p.send(method + " / HTTP/1.1\r\nHost: test\r\n\r\n" + strings.Repeat("x", 1000))
			a := p.answer("GET")
			if a.status != 400 || !strings.Contains(a.body, "https") {
				t.Errorf("%s: %d %q", method, a.status, a.body)
			}
			p.expectEnd()
			s.says("TLS handshake error from "+p.LocalAddr().String(), "HTTP request")
			p.Close()
		}
		for _, garbage := range []string{"\x16\x03\x01\x00\x04xxxx", "\x16\x09\x01\x00\x04xxxx", "SSH-2.0-\r\n", "\x80\x2e\x01\x00\x02", "\x15\x03\x01\x00\x02\x02\x28", strings.Repeat("\xff", 100_000)} {
			p := s.raw()
			p.sendAside(garbage)
			if _, err := io.Copy(io.Discard, p); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Errorf("after %q: %v", short(garbage), err)
			}
			s.says("TLS handshake error from " + p.LocalAddr().String())
		}
		if n := s.Stats().HandshakesFailed; n != 13 {
			t.Errorf("%d handshakes failed, want 13", n)
		}
	})
}

// However a handshake is split, and whatever the client sends behind it in the same
// piece, it works.
func TestSecureSplit(t *testing.T) {
	eachSecure(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: http.HandlerFunc(tellTLS)})
		for _, split := range []int{1, 7, 1000, 1 << 20} {
			for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				c := &splitter{Conn: s.raw().Conn, most: split}
				p := newPeer(t, tls.Client(c, &tls.Config{RootCAs: testIdentity().pool, ServerName: "example.com", MaxVersion: v}))
				c.hold = split > 1000 // what the client sends in the end of the handshake goes with its request
				p.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
				c.release()
				if a := p.answer("GET"); !strings.HasPrefix(a.body, tls.VersionName(v)) {
					t.Errorf("%q", a.body)
				}
				p.Close()
			}
		}
	})
}

// splitter writes in pieces, and holds back what follows the first two writes.
type splitter struct {
	net.Conn
	most   int
	hold   bool
	writes int
	held   []byte
}

func (s *splitter) Write(p []byte) (int, error) {
	if s.writes++; s.hold && s.writes > 1 {
		s.held = append(s.held, p...)
		return len(p), nil
	}
	for rest := p; len(rest) > 0; {
		n, err := s.Conn.Write(rest[:min(len(rest), s.most)])
		if err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

// Read releases what is held when the handshake of TLS 1.2 has to have an answer.
func (s *splitter) Read(p []byte) (int, error) {
	s.release()
	return s.Conn.Read(p)
}

func (s *splitter) release() {
	s.Conn.Write(s.held)
	s.held = nil
}

// A handshake has as long as a head. Before a whole record has arrived it has no
// goroutine.
func TestSecureSlow(t *testing.T) {
	hello := clientHello(t, &tls.Config{ServerName: "example.com"})
	eachSecure(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: HandlerFunc(helloNative), ReadHeaderTimeout: 2 * tick})
		begun := time.Now()
		silent, half, whole := s.raw(), s.raw(), s.raw()
		half.send(string(hello[:len(hello)-1]))
		whole.send(string(hello))
		for _, p := range []*peer{silent, half, whole} {
			io.Copy(io.Discard, p)
			if took := time.Since(begun); took < tick || took > patience/2 {
				t.Errorf("ended after %v, want %v", took, 2*tick)
			}
		}
		s.says("TLS handshake error from "+half.LocalAddr().String(), "timeout")
		s.says("TLS handshake error from "+whole.LocalAddr().String(), "timeout")
		if n := s.Stats().HandshakesFailed; n != 2 {
			t.Errorf("%d handshakes failed, want 2", n)
		}
	})
}

func TestSecureHalfOpen(t *testing.T) {
	hello := clientHello(t, &tls.Config{ServerName: "example.com"})
	eachSecure(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: HandlerFunc(helloNative)})
		s.dial().get("/")
		goroutines := runtime.NumGoroutine()
		for i := range 500 {
			s.raw().send(string(hello[:i%len(hello)]))
		}
		if !eventually(func() bool { return s.conns() == 501 }) {
			t.Fatalf("%d connections", s.conns())
		}
		if n := runtime.NumGoroutine() - goroutines; n > 0 {
			t.Errorf("%d goroutines for 500 half-open handshakes", n)
		}
		s.dial().get("/")
		if n := runtime.NumGoroutine() - goroutines; n > 0 && !eventually(func() bool { return runtime.NumGoroutine() <= goroutines }) {
			t.Errorf("%d goroutines for an idle connection", n)
		}
	})
}

// A client whose certificates are more than waits for a handshake is heard to the end.
func TestSecureLongMessage(t *testing.T) {
	client := clientHello(t, &tls.Config{ServerName: "example.com", MaxVersion: tls.VersionTLS12})
	der := testIdentity().cert.Certificate[0]
	der = append(binary.BigEndian.AppendUint32(nil, uint32(len(der)))[1:], der...)
	list := bytes.Repeat(der, 150<<10/len(der))
	message := append([]byte{11}, binary.BigEndian.AppendUint32(nil, uint32(len(list)+3))[1:]...)
	message = append(message, binary.BigEndian.AppendUint32(nil, uint32(len(list)))[1:]...)
	for message = append(message, list...); len(message) > 0; {
		n := min(len(message), 16<<10)
		client = append(client, 22, 3, 3, byte(n>>8), byte(n))
		client = append(client, message[:n]...)
		message = message[n:]
	}
	client = append(client, 22, 3, 3, 0, 4, 99, 0, 0, 0) // which nobody knows

	eachSecure(t, func(t *testing.T, e engine) {
		goOn := make(chan bool)
		cfg := serverConfig()
		cfg.ClientAuth = tls.RequireAnyClientCert
		cfg.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { <-goOn; return nil, nil }
		s := serve(t, e, &Server{Handler: HandlerFunc(helloNative), TLSConfig: cfg, ReadHeaderTimeout: -1})
		p := s.raw()
		p.sendAside(string(client))
		if !eventually(func() bool { return s.Stats().BytesIn > 70<<10 }) {
			t.Fatalf("%d bytes were received", s.Stats().BytesIn)
		}
		close(goOn)
		io.Copy(io.Discard, p)
		s.says(p.LocalAddr().String(), "unexpected")
	})
}

// The functions of a configuration may fail in any way.
func TestSecureHooksThatDoNotReturn(t *testing.T) {
	eachSecure(t, func(t *testing.T, e engine) {
		cfg := serverConfig()
		cfg.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			switch h.ServerName {
			case "panic.test":
				panic("no such host")
			case "exit.test":
				runtime.Goexit()
			}
			return nil, nil
		}
		s := serve(t, e, &Server{Handler: HandlerFunc(helloNative), TLSConfig: cfg})
		for name, words := range map[string]string{"panic.test": "no such host", "exit.test": "ended its goroutine"} {
			if _, err := s.speak(&tls.Config{ServerName: name}); err == nil {
				t.Errorf("%s is served", name)
			}
			s.says("TLS handshake error from 127.0.0.1", words)
		}
		s.dial().get("/")
		if n := s.handshakes.Load(); n != 0 {
			t.Errorf("%d handshakes are running", n)
		}
		if n := s.Stats(); n.HandshakesFailed != 2 || n.Handshakes != 1 {
			t.Errorf("%d handshakes failed, %d did not", n.HandshakesFailed, n.Handshakes)
		}
	})
}

// A server ends whatever handshakes are doing, which end, too.
func TestSecureStop(t *testing.T) {
	hello := clientHello(t, &tls.Config{ServerName: "example.com"})
	for name, stop := range map[string]func(*Server) error{
		"Shutdown": func(s *Server) error { return s.Shutdown(context.Background()) },
		"Close":    (*Server).Close,
	} {
		t.Run(name, func(t *testing.T) {
			eachSecure(t, func(t *testing.T, e engine) {
				blocked, goOn := make(chan bool, 10), make(chan bool)
				cfg := serverConfig()
				cfg.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
					if h.ServerName == "" {
						blocked <- true
						<-goOn
					}
					return nil, nil
				}
				s := serve(t, e, &Server{Handler: HandlerFunc(helloNative), TLSConfig: cfg})
				idle := s.dial()
				idle.get("/")
				s.raw().send(string(hello[:100]))
				s.raw().send(string(hello)) // waits for the client
				inHook := s.raw()
				inHook.send(string(clientHello(t, &tls.Config{InsecureSkipVerify: true})))
				expect(t, "the hook", blocked)
				if !eventually(func() bool { return s.conns() == 4 }) {
					t.Fatalf("%d connections", s.conns())
				}
				within(t, name, func() { stop(s.Server) })
				if name == "Shutdown" {
					idle.expectEnd()
				}
				close(goOn)
				if !eventually(func() bool { return s.handshakes.Load() == 0 }) {
					t.Errorf("%d handshakes are running", s.handshakes.Load())
				}
			})
		})
	}
}

// Clients that go away at any time in a handshake.
func TestSecureChurn(t *testing.T) {
	hello := clientHello(t, &tls.Config{ServerName: "example.com"})
	eachSecure(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: HandlerFunc(helloNative)})
		for i := range 200 {
			p := s.raw()
			n := min(len(hello), i*20)
			p.send(string(hello[:n]))
			switch i % 4 {
			case 0:
				p.reset()
			case 1:
				p.halfClose()
			case 2:
				p.Close()
			case 3:
				if n == len(hello) {
					io.ReadFull(p, make([]byte, i))
				}
				p.Conn.(*net.TCPConn).SetLinger(0)
				p.Close()
			}
		}
		s.dial().get("/")
		if !eventually(func() bool { return s.conns() <= 1 && s.handshakes.Load() == 0 }) {
			t.Errorf("%d connections, %d handshakes", s.conns(), s.handshakes.Load())
		}
	})
}

// ListenAndServeTLS says what is wrong with its files.
func TestSecureFiles(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeIdentity(t, testIdentity(), cert, key)
	none := filepath.Join(dir, "none.pem")
	for _, files := range [][2]string{{none, key}, {cert, none}, {"", ""}, {cert, cert}} {
		srv := &Server{Addr: "127.0.0.1:0"}
		err := srv.ListenAndServeTLS(files[0], files[1])
		if err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%q: %v", files, err)
		}
		for _, f := range files {
			if f == none && (err == nil || !strings.Contains(err.Error(), none) || !os.IsNotExist(unwrapAll(err))) {
				t.Errorf("%q: %v does not name the file", files, err)
			}
		}
	}
	expectNoLeaks(t)
	srv := &Server{Addr: "127.0.0.1:0", Handler: HandlerFunc(helloNative)}
	served := make(chan error, 1)
	go func() { served <- srv.ListenAndServeTLS(cert, key) }()
	if !eventually(func() bool { return len(srv.Addrs()) == 1 }) {
		t.Fatal("it does not listen")
	}
	connectPeer(t, "tls", srv.Addrs()[0].String(), 0).get("/")
	srv.Close()
	if err := expect(t, "the end", served); err != http.ErrServerClosed {
		t.Errorf("%v", err)
	}
	if err := srv.ListenAndServeTLS(cert, key); err != http.ErrServerClosed {
		t.Errorf("after Close: %v", err)
	}
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		if _, ok := err.(*os.PathError); ok {
			return err
		}
		err = u.Unwrap()
	}
}

// A bad record ends a connection that was agreed on; the client is told so, and what it
// sends behind does not destroy that.
func TestSecureBadRecord(t *testing.T) {
	eachSecure(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: HandlerFunc(helloNative)})
		for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, bad := range []string{"\x17\x03\x03\x00\x20" + strings.Repeat("x", 32), "\x17\x03\x03\xff\xff", "\x17\x02\x03\x00\x01x"} {
				p := s.spoken(&tls.Config{MaxVersion: v})
				p.get("/")
				wire := p.Conn.(*tls.Conn).NetConn()
				io.WriteString(wire, bad+strings.Repeat("y", 50_000))
				if _, err := p.r.ReadByte(); err == nil || !strings.Contains(err.Error(), "remote error") {
					t.Errorf("%s, after %q: %v", tls.VersionName(v), short(bad), err)
				}
				p.Close()
			}
		}
		if !eventually(func() bool { return s.conns() == 0 }) {
			t.Errorf("%d connections are left", s.conns())
		}
	})
}

// The end of TLS is announced, and a client's announcement is the end of its requests,
// as is an end without one.
func TestSecureEnd(t *testing.T) {
	eachSecure(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: HandlerFunc(helloNative)})
		for name, end := range map[string]func(*peer){
			"close_notify": (*peer).halfClose,
			"FIN":          func(p *peer) { p.Conn.(*tls.Conn).NetConn().(*net.TCPConn).CloseWrite() },
			"half a record": func(p *peer) {
				c := p.Conn.(*tls.Conn).NetConn().(*net.TCPConn)
				c.Write([]byte("\x17\x03\x03\x00\x20xx"))
				c.CloseWrite()
			},
			"Connection: close": func(p *peer) {},
		} {
			p := s.dial()
			if name == "Connection: close" {
				p.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
			} else {
				p.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
			}
			end(p)
			p.expectAnswer(200, "Hello, World!")
			if b, err := p.r.ReadByte(); err != io.EOF { // without an alert it is ErrUnexpectedEOF
				t.Errorf("%s: %q, %v at the end", name, b, err)
			}
		}
	})
}
