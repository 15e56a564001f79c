package ringkit

import (
	"bytes"
	"crypto/elliptic"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What client and server agree on in a handshake.

// eachSecure runs a test on the engines that speak TLS.
func eachSecure(t *testing.T, test func(*testing.T, engine)) {
	onEngines(t, []engine{
		*engineNamed("uring over TLS"), *engineNamed("epoll over TLS"),
		*engineNamed("uring over kernel TLS"), *engineNamed("epoll over kernel TLS"),
	}, test)
}

// speak makes a TLS connection with the client's configuration.
func (s *site) speak(cfg *tls.Config) (*peer, error) {
	s.Helper()
	c, err := net.DialTimeout("tcp", s.addr, patience)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	if cfg.RootCAs == nil {
		cfg.RootCAs = testIdentity().pool
	}
	if cfg.ServerName == "" {
		cfg.ServerName = "example.com"
	}
	tc := tls.Client(c, cfg)
	if err := tc.Handshake(); err != nil {
		return nil, err
	}
	return newPeer(s.TB, tc), nil
}

// spoken is speak where it has to work.
func (s *site) spoken(cfg *tls.Config) *peer {
	s.Helper()
	p, err := s.speak(cfg)
	if err != nil {
		s.Fatal(err)
	}
	return p
}

func (p *peer) state() tls.ConnectionState { return p.Conn.(*tls.Conn).ConnectionState() }

// tellTLS answers with what the server has agreed on.
func tellTLS(w http.ResponseWriter, r *http.Request) {
	s := r.TLS
	client := "nobody"
	if len(s.PeerCertificates) > 0 {
		client = s.PeerCertificates[0].Subject.CommonName
	}
	fmt.Fprintf(w, "%s %q for %q, %s, resumed %v", tls.VersionName(s.Version), s.NegotiatedProtocol, s.ServerName, client, s.DidResume)
}

func TestSecureClientCertificate(t *testing.T) {
	client, stranger := newIdentity("client", elliptic.P256()), newIdentity("stranger", elliptic.P256())
	eachSecure(t, func(t *testing.T, e engine) {
		for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			cfg := serverConfig()
			cfg.ClientAuth, cfg.ClientCAs, cfg.MaxVersion = tls.RequireAndVerifyClientCert, client.pool, v
			s := serve(t, e, &Server{Handler: http.HandlerFunc(tellTLS), TLSConfig: cfg})
			p := s.spoken(&tls.Config{Certificates: []tls.Certificate{client.cert}})
			want := fmt.Sprintf(`%s "" for "example.com", client, resumed false`, tls.VersionName(v))
			if a := p.get("/"); a.body != want {
				t.Errorf("%q, want %q", a.body, want)
			}
			for _, certs := range [][]tls.Certificate{nil, {stranger.cert}} {
				p, err := s.speak(&tls.Config{Certificates: certs})
				if err == nil { // in TLS 1.3 the client is told after its side of the handshake
					_, err = p.Read(make([]byte, 1))
				}
				if err == nil || !strings.Contains(err.Error(), "remote error") {
					t.Errorf("%s with %d certificates: %v", tls.VersionName(v), len(certs), err)
				}
			}
			if !eventually(func() bool { return s.Stats().HandshakesFailed == 2 }) {
				t.Errorf("%d handshakes failed, want 2", s.Stats().HandshakesFailed)
			}
		}
	})
}

func TestSecureResumption(t *testing.T) {
	eachSecure(t, func(t *testing.T, e engine) {
		for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			cfg := serverConfig()
			cfg.MaxVersion = v
			s := serve(t, e, &Server{Handler: http.HandlerFunc(tellTLS), TLSConfig: cfg})
			cache := tls.NewLRUClientSessionCache(1)
			for i := range 3 {
				p := s.spoken(&tls.Config{ClientSessionCache: cache})
				want := fmt.Sprintf(`%s "" for "example.com", nobody, resumed %v`, tls.VersionName(v), i > 0)
				if a := p.get("/"); a.body != want || p.state().DidResume != (i > 0) {
					t.Errorf("%q, want %q", a.body, want)
				}
				p.Close()
			}
			// A loop that does not get to run in time is told of as it was before.
			var n Stats
			if !eventually(func() bool {
				n = s.Stats()
				return n.Handshakes == 3 && n.Resumed == 2 && n.HandshakesFailed == 0
			}) {
				t.Errorf("%d handshakes, %d resumed, %d failed", n.Handshakes, n.Resumed, n.HandshakesFailed)
			}
		}
	})
}

// The certificate is the one for the name that the client asks for.
func TestSecureServerName(t *testing.T) {
	one, two, three := newIdentity("one.test", elliptic.P256()), newIdentity("two.test", elliptic.P256()), newIdentity("three.test", elliptic.P384())
	eachSecure(t, func(t *testing.T, e engine) {
		cfg := &tls.Config{
			Certificates: []tls.Certificate{one.cert, two.cert},
			GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
				switch h.ServerName {
				case "three.test":
					return &three.cert, nil
				case "none.test":
					return nil, errors.New("no such host")
				}
				return nil, nil
			},
		}
		s := serve(t, e, &Server{Handler: http.HandlerFunc(tellTLS), TLSConfig: cfg})
		for name, id := range map[string]identity{"one.test": one, "two.test": two, "three.test": three} {
			p := s.spoken(&tls.Config{ServerName: name, RootCAs: id.pool})
			if a := p.get("/"); !strings.Contains(a.body, fmt.Sprintf("%q", name)) {
				t.Errorf("%s: %q", name, a.body)
			}
		}
		if _, err := s.speak(&tls.Config{ServerName: "none.test"}); err == nil {
			t.Error("a certificate for a host that there is not")
		}
	})
}

// GetConfigForClient decides for each client. One that is written for net/http offers
// h2, which is not offered here.
func TestSecureConfigForClient(t *testing.T) {
	special := serverConfig()
	special.NextProtos, special.MaxVersion = []string{"h2", "http/1.1"}, tls.VersionTLS12
	eachSecure(t, func(t *testing.T, e engine) {
		cfg := serverConfig()
		addresses := make(chan string, 3)
		cfg.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			addresses <- h.Conn.RemoteAddr().String()
			switch h.ServerName {
			case "special.test":
				return special, nil
			case "bad.test":
				return nil, errors.New("go away")
			}
			return nil, nil
		}
		s := serve(t, e, &Server{Handler: http.HandlerFunc(tellTLS), TLSConfig: cfg})
		protos := []string{"h2", "http/1.1"}
		for _, c := range []struct{ name, want string }{
			{"special.test", `TLS 1.2 "http/1.1" for "special.test", nobody, resumed false`},
			{"special.test", `TLS 1.2 "http/1.1" for "special.test", nobody, resumed false`},
			{"example.com", `TLS 1.3 "http/1.1" for "example.com", nobody, resumed false`},
		} {
			p := s.spoken(&tls.Config{ServerName: c.name, NextProtos: protos, InsecureSkipVerify: true})
			if a := p.get("/"); a.body != c.want {
				t.Errorf("%q, want %q", a.body, c.want)
			}
			if got := <-addresses; got != p.LocalAddr().String() {
				t.Errorf("GetConfigForClient is told %s, want %s", got, p.LocalAddr())
			}
		}
		if _, err := s.speak(&tls.Config{ServerName: "bad.test"}); err == nil {
			t.Error("a client that was turned away is served")
		}
	})
}

// The protocols that a client offers: of those of a server without h2.
func TestSecureALPN(t *testing.T) {
	eachSecure(t, func(t *testing.T, e engine) {
		cfg := serverConfig()
		cfg.NextProtos = []string{"h2", "http/1.1"} // as programs have it that come from net/http
		s := serve(t, e, &Server{Handler: http.HandlerFunc(tellTLS), TLSConfig: cfg})
		for want, offers := range map[string][]string{
			"":         nil,
			"http/1.1": {"h2", "http/1.1"},
			"http/1.0": {"http/1.0"},
		} {
			p := s.spoken(&tls.Config{NextProtos: offers})
			if a := p.get("/"); p.state().NegotiatedProtocol != want || !strings.Contains(a.body, fmt.Sprintf(" %q ", want)) {
				t.Errorf("of %q: %q, and the server says %q", offers, p.state().NegotiatedProtocol, a.body)
			}
		}
		if _, err := s.speak(&tls.Config{NextProtos: []string{"h2"}}); err == nil || !strings.Contains(err.Error(), "no application protocol") {
			t.Errorf("a client of h2 only: %v", err)
		}
	})
}

// One cipher suite of each kind that TLS 1.2 has, and those of TLS 1.3 as they come.
func TestSecureCiphers(t *testing.T) {
	suites := []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
	}
	body := pattern(100_000)
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	eachSecure(t, func(t *testing.T, e engine) {
		cfg := serverConfig()
		cfg.CipherSuites = suites
		s := serve(t, e, &Server{Handler: echo, TLSConfig: cfg})
		for _, suite := range append(suites, 0) {
			client := &tls.Config{CipherSuites: []uint16{suite}, MaxVersion: tls.VersionTLS12}
			if suite == 0 {
				client = &tls.Config{}
			}
			p := s.spoken(client)
			if got := p.state().CipherSuite; suite != 0 && got != suite {
				t.Errorf("agreed on %s, want %s", tls.CipherSuiteName(got), tls.CipherSuiteName(suite))
			}
			for range 2 {
				p.sendAside(fmt.Sprintf("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
				if a := p.answer("POST"); a.body != body {
					t.Errorf("%s: %d bytes came back, or others", tls.CipherSuiteName(suite), len(a.body))
				}
			}
		}
	})
}

// The secrets that a key log gets are those of the client.
func TestSecureKeyLog(t *testing.T) {
	eachSecure(t, func(t *testing.T, e engine) {
		var ours, theirs logBook
		cfg := serverConfig()
		cfg.KeyLogWriter = &ours
		s := serve(t, e, &Server{Handler: HandlerFunc(helloNative), TLSConfig: cfg})
		s.spoken(&tls.Config{KeyLogWriter: &theirs}).get("/")
		for line := range strings.Lines(theirs.String()) {
			if !strings.Contains(ours.String(), line) {
				t.Errorf("the server has not logged %q", line)
			}
		}
		if !bytes.Contains([]byte(ours.String()), []byte("SERVER_TRAFFIC_SECRET_0")) {
			t.Errorf("logged: %q", ours.String())
		}
	})
}
