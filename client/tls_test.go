package client

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// insecure is what somebody opts in to.
var insecure = &tls.Config{InsecureSkipVerify: true}

func isUnverified(err error) bool {
	var e *tls.CertificateVerificationError
	return errors.As(err, &e)
}

// getWith is get with a tls.Config for the request.
func getWith(tr *Transport, cfg *tls.Config, url string) (*http.Response, error) {
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := tr.RoundTrip(req.WithContext(WithTLSConfig(req.Context(), cfg)))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp, err
}

// speaks runs play for each connection of a TLS server.
func speaks(t *testing.T, cfg *tls.Config, play func(c *tls.Conn, r *bufio.Reader)) (url string) {
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	if cfg == nil {
		cfg = &tls.Config{}
	}
	cfg.Certificates = srv.TLS.Certificates
	s := scripted(t, func(s *scene) {
		c := tls.Server(s.Conn, cfg)
		if c.Handshake() == nil {
			play(c, bufio.NewReader(c))
		}
	})
	return "https" + strings.TrimPrefix(s.url, "http")
}

// A server is verified unless somebody has opted out, and then for their requests only:
// no connection is shared.
func TestVerification(t *testing.T) {
	_, named := origin(t, "https", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.TLS.ServerName) }))
	onEngines(t, func(t *testing.T, tr *Transport) {
		expectNoLeaks(t, tr)
		tr.DialContext = dialHere
		trusts := trust()
		for range 2 {
			if _, _, err := get(tr, "GET", named); !isUnverified(err) {
				t.Fatalf("verified by default: %v", err)
			}
			if _, err := getWith(tr, insecure, named); err != nil {
				t.Fatal(err)
			}
			resp, err := getWith(tr, trusts, named)
			if err != nil || len(resp.TLS.VerifiedChains) == 0 {
				t.Fatalf("%v, %v", resp, err)
			}
			if _, err := getWith(tr, trusts, strings.Replace(named, "example.com", "elsewhere.test", 1)); !isUnverified(err) {
				t.Fatalf("another name: %v", err)
			}
			expectQuiet(t, tr)
		}
		expectConns(t, tr, 2)
	})
	t.Run("of the transport", func(t *testing.T) {
		onEngines(t, func(t *testing.T, tr *Transport) {
			tr.DialContext, tr.TLSClientConfig = dialHere, insecure
			if _, _, err := get(tr, "GET", named); err != nil {
				t.Error(err)
			}
			if _, err := getWith(tr, &tls.Config{}, named); !isUnverified(err) {
				t.Errorf("with a tls.Config of its own: %v", err)
			}
		})
	})
}

// The server is told its name, without the dot of the root, or the one that is set; an
// address is no name (RFC 6066, section 3).
func TestServerName(t *testing.T) {
	_, named := origin(t, "https", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.TLS.ServerName) }))
	onEngines(t, func(t *testing.T, tr *Transport) {
		for _, test := range []struct{ host, set, want string }{
			{"example.com", "", "example.com"},
			{"EXAMPLE.com", "", "example.com"},
			{"example.com.", "", "example.com"},
			{"elsewhere.test", "example.com", "example.com"},
			{"127.0.0.1", "", ""},
		} {
			tr := &Transport{Engine: tr.Engine, DialContext: dialHere, TLSClientConfig: trust()}
			tr.TLSClientConfig.ServerName = test.set
			_, body, err := get(tr, "GET", strings.Replace(named, "example.com", test.host, 1))
			if body != test.want || err != nil {
				t.Errorf("%+v: %q, %v", test, body, err)
			}
			tr.Close()
		}
	})
}

// clientCertificate makes a certificate for a name.
func clientCertificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A client shows the certificate of its tls.Config, also where a session could be resumed
// that was agreed on with another one.
func TestClientCertificates(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if certs := r.TLS.PeerCertificates; len(certs) > 0 {
			w.Header().Set("Name", certs[0].DNSNames[0])
		}
	}))
	srv.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	srv.StartTLS()
	defer srv.Close()
	onEngines(t, func(t *testing.T, tr *Transport) {
		one, two, none := trust(), trust(), trust()
		one.Certificates = []tls.Certificate{clientCertificate(t, "one")}
		two.Certificates = []tls.Certificate{clientCertificate(t, "two")}
		for range 3 {
			for want, cfg := range map[string]*tls.Config{"one": one, "two": two, "": none} {
				resp, err := getWith(tr, cfg, srv.URL)
				if err != nil {
					t.Fatal(err)
				}
				if got := resp.Header.Get("Name"); got != want {
					t.Errorf("the certificate of %q, want %q", got, want)
				}
			}
			tr.CloseIdleConnections()
		}
	})
}

// Sessions are resumed, in both versions.
func TestResumption(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			_, named := origin(t, "https", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
			onEngines(t, func(t *testing.T, tr *Transport) {
				tr.DialContext, tr.TLSClientConfig = dialHere, trust()
				tr.TLSClientConfig.MaxVersion = version
				for i := range 3 {
					resp, _, err := get(tr, "GET", named)
					if err != nil || resp.TLS.Version != version || resp.TLS.DidResume != (i > 0) {
						t.Fatalf("connection %d: %+v, %v", i, resp.TLS, err)
					}
					expectQuiet(t, tr)
					tr.CloseIdleConnections()
					expectConns(t, tr, 0)
				}
				resp, err := getWith(tr, trust(), named)
				if err != nil || resp.TLS.DidResume {
					t.Errorf("with another tls.Config: %+v, %v", resp, err)
				}
			})
		})
	}
}

// The sessions used last are kept.
func TestSessions(t *testing.T) {
	var all sessions
	a, b := sessionsOf{&all, key{addr: "a"}}, sessionsOf{&all, key{addr: "b"}}
	state := new(tls.ClientSessionState)
	a.Put("first", state)
	for i := range 2 * maxSessions {
		b.Put(fmt.Sprint(i), state)
		if got, ok := a.Get("first"); got != state || !ok {
			t.Fatalf("lost after %d others", i+1)
		}
	}
	if len(all.all) != maxSessions || all.lru.Len() != maxSessions {
		t.Errorf("%d and %d sessions, want %d", len(all.all), all.lru.Len(), maxSessions)
	}
	if _, ok := b.Get("0"); ok {
		t.Error("one is kept that was not used")
	}
	if _, ok := b.Get("first"); ok {
		t.Error("one of another key")
	}
	if got, ok := b.Get(fmt.Sprint(2*maxSessions - 1)); got != state || !ok {
		t.Error("the last one is lost")
	}
	other := new(tls.ClientSessionState)
	a.Put("first", other)
	if got, _ := a.Get("first"); got != other {
		t.Error("not replaced")
	}
	a.Put("first", nil)
	a.Put("unknown", nil)
	if _, ok := a.Get("first"); ok || len(all.all) != maxSessions-1 || all.lru.Len() != maxSessions-1 {
		t.Error("not removed")
	}
}

// Handshakes that lead to nothing: an error that says why, and no connection.
func TestHandshakeFails(t *testing.T) {
	plain, _ := origin(t, "http", http.NotFoundHandler())
	silent := scripted(t, func(s *scene) { io.Copy(io.Discard, s) })
	closing := scripted(t, func(s *scene) { s.r.ReadByte() })
	resetting := scripted(t, func(s *scene) { s.r.ReadByte(); s.reset() })
	nonsense := scripted(t, func(s *scene) { s.say("220 mail.test ESMTP\r\n"); io.Copy(io.Discard, s) })
	gone := func() { runtime.Goexit() }
	ok, _ := origin(t, "https", http.NotFoundHandler())
	for _, test := range []struct {
		name, addr string
		cfg        *tls.Config
		want       string
		is         func(error) bool
	}{
		{"plain HTTP", plain.Listener.Addr().String(), trust(), "plain HTTP", func(err error) bool { var e tls.RecordHeaderError; return errors.As(err, &e) }},
		{"mail", nonsense.l.Addr().String(), trust(), "does not look like a TLS handshake", func(error) bool { return true }},
		{"silence", silent.l.Addr().String(), trust(), "too long", func(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }},
		{"the end", closing.l.Addr().String(), trust(), "", func(err error) bool {
			return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "reset")
		}},
		{"a reset", resetting.l.Addr().String(), trust(), "reset", func(error) bool { return true }},
		{"another protocol", strings.TrimPrefix(speaks(t, &tls.Config{NextProtos: []string{"mqtt"}}, nil), "https://"), trust(), "no application protocol", func(error) bool { return true }},
		{"another version", ok.Listener.Addr().String(), &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS11}, "version", func(error) bool { return true }},
		{"a function that refuses", ok.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error { return io.ErrNoProgress }}, "", func(err error) bool { return errors.Is(err, io.ErrNoProgress) }},
		{"a function that does not return", ok.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error { gone(); return nil }}, "goroutine", func(error) bool { return true }},
	} {
		t.Run(test.name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, tr *Transport) {
				expectNoLeaks(t, tr)
				tr.TLSClientConfig = test.cfg
				if test.name == "silence" {
					tr.TLSHandshakeTimeout = tick
				}
				_, _, err := get(tr, "GET", "https://"+test.addr)
				var e *Error
				if !errors.As(err, &e) || e.Sent || !strings.Contains(err.Error(), test.want) || !test.is(err) {
					t.Errorf("%v", err)
				}
				if e != nil && e.Op != "TLS handshake" && test.want != "goroutine" {
					t.Errorf("in the step %q", e.Op)
				}
				expectConns(t, tr, 0)
			})
		})
	}
}

// A body that ends with its connection is whole only if TLS has said so (RFC 9112, section
// 9.8): anybody could have ended the connection. Others say themselves where they end.
func TestTruncation(t *testing.T) {
	for _, test := range []struct {
		answer string
		notify bool
		whole  bool
	}{
		{"HTTP/1.1 200 OK\r\n\r\nhello", true, true},
		{"HTTP/1.1 200 OK\r\n\r\nhello", false, false},
		{"HTTP/1.0 200 OK\r\n\r\nhello", false, false},
		{"HTTP/1.1 200 OK\r\n\r\n", false, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", false, true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", true, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", true, false},
	} {
		t.Run(fmt.Sprintf("%q %v", test.answer, test.notify), func(t *testing.T) {
			url := speaks(t, nil, func(c *tls.Conn, r *bufio.Reader) {
				if _, err := http.ReadRequest(r); err != nil {
					return
				}
				io.WriteString(c, test.answer)
				if test.notify {
					c.CloseWrite()
				}
			})
			onEngines(t, func(t *testing.T, tr *Transport) {
				tr.TLSClientConfig = insecure
				_, body, err := get(tr, "GET", url)
				if test.whole && (err != nil || body != "hello") || !test.whole && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%q, %v", body, err)
				}
				expectConns(t, tr, 0)
			})
		})
	}
}

// A server that ends an idle connection gets a close_notify in return, and so does one
// whose connection is not wanted any more.
func TestCloseNotify(t *testing.T) {
	for _, who := range []string{"server", "client"} {
		t.Run(who, func(t *testing.T) {
			ends := make(chan error, 1)
			url := speaks(t, nil, func(c *tls.Conn, r *bufio.Reader) {
				if _, err := http.ReadRequest(r); err != nil {
					return
				}
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				if who == "server" {
					c.CloseWrite()
				}
				_, err := r.ReadByte()
				ends <- err
			})
			onEngines(t, func(t *testing.T, tr *Transport) {
				tr.TLSClientConfig = insecure
				if _, _, err := get(tr, "GET", url); err != nil {
					t.Fatal(err)
				}
				if who == "client" {
					expectQuiet(t, tr)
					tr.CloseIdleConnections()
				}
				if err := <-ends; err != io.EOF {
					t.Errorf("the server saw %v, want a close_notify", err)
				}
				expectConns(t, tr, 0)
			})
		})
	}
}

// Large bodies both ways, many at a time, also within the TLS of a proxy.
func TestBodiesOverTLS(t *testing.T) {
	const size, parallel = 600_000, 16
	for _, test := range []struct {
		name    string
		version uint16
		proxy   string
	}{
		{"TLS 1.2", tls.VersionTLS12, ""},
		{"TLS 1.3", tls.VersionTLS13, ""},
		{"nested", tls.VersionTLS13, "https"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var p *proxied
			if test.proxy != "" {
				p = proxyFor(t, test.proxy)
			}
			srv, _ := origin(t, "https", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.NewResponseController(w).EnableFullDuplex()
				io.Copy(w, r.Body)
			}))
			onEngines(t, func(t *testing.T, tr *Transport) {
				if tr.TLSClientConfig = trust(); p != nil {
					tr.Proxy = http.ProxyURL(p.url)
				}
				tr.TLSClientConfig.MaxVersion = test.version
				sent := make([]byte, size)
				rand.Read(sent)
				var wg sync.WaitGroup
				for i := range parallel {
					wg.Go(func() {
						part := sent[i*size/parallel/2:]
						var body io.Reader = bytes.NewReader(part)
						if i%2 == 0 {
							body = io.MultiReader(body) // of unknown length
						}
						req, _ := http.NewRequest("POST", srv.URL, body)
						resp, err := tr.RoundTrip(req)
						if err != nil {
							t.Error(err)
							return
						}
						defer resp.Body.Close()
						got := sha256.New()
						n, err := io.Copy(got, resp.Body)
						if want := sha256.Sum256(part); err != nil || !bytes.Equal(got.Sum(nil), want[:]) {
							t.Errorf("%d of %d bytes, or others; %v", n, len(part), err)
						}
					})
				}
				wg.Wait()
			})
		})
	}
}

// A protocol that is switched to goes on over TLS, also within that of a proxy.
func TestUpgradeOverTLS(t *testing.T) {
	_, named := origin(t, "https", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nc, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer nc.Close()
		io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nwelcome")
		io.Copy(nc, rw)
	}))
	for _, by := range append([]string{""}, proxySchemes...) {
		t.Run("proxy="+by, func(t *testing.T) {
			var p *proxied
			if by != "" {
				p = proxyFor(t, by)
			}
			onEngines(t, func(t *testing.T, tr *Transport) {
				expectNoLeaks(t, tr)
				if tr.DialContext, tr.TLSClientConfig = dialHere, trust(); p != nil {
					tr.Proxy = http.ProxyURL(p.url)
				}
				req, _ := http.NewRequest("GET", named, nil)
				req.Header = http.Header{"Connection": {"upgrade"}, "Upgrade": {"echo"}}
				resp, err := tr.RoundTrip(req)
				if err != nil || resp.StatusCode != 101 {
					t.Fatalf("%v, %v", resp, err)
				}
				rw := resp.Body.(io.ReadWriteCloser)
				defer rw.Close()
				rw.(net.Conn).SetDeadline(time.Now().Add(patience))
				sent := make([]byte, 300_000)
				rand.Read(sent)
				go rw.Write(sent)
				got := make([]byte, len("welcome")+len(sent))
				if _, err := io.ReadFull(rw, got); err != nil || string(got[:7]) != "welcome" || !bytes.Equal(got[7:], sent) {
					t.Errorf("other bytes, or fewer; %v", err)
				}
			})
		})
	}
}
