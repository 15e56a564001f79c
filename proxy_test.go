package ringkit

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// proxyV2 makes a PROXY header of version 2 of TCP over IPv4, or LOCAL without
// addresses.
func proxyV2(source, destination string) string {
	b := []byte("\r\n\r\n\x00\r\nQUIT\n")
	if source == "" {
		return string(append(b, 0x20, 0, 0, 0))
	}
	src, dst := netip.MustParseAddrPort(source), netip.MustParseAddrPort(destination)
	b = append(b, 0x21, 0x11, 0, 12)
	b = append(append(b, src.Addr().AsSlice()...), dst.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, src.Port())
	return string(binary.BigEndian.AppendUint16(b, dst.Port()))
}

const (
	proxyV1      = "PROXY TCP4 203.0.113.7 198.51.100.1 4321 80\r\n"
	proxyUnknown = "PROXY UNKNOWN\r\n"
)

// addressHandler answers with what a request knows of its addresses.
var addressHandler = HandlerFunc(func(x *Exchange) {
	switch x.Path() {
	case "/native":
		x.WriteString(x.RemoteAddr())
	default:
		x.Delegate(std(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s to %v", r.RemoteAddr, r.Context().Value(http.LocalAddrContextKey))
		}))
	}
})

// pieces cuts what a client sends.
var pieces = map[string]func(string) []string{
	"at once":         func(s string) []string { return []string{s} },
	"byte by byte":    func(s string) []string { return strings.Split(s, "") },
	"two and the end": func(s string) []string { return []string{s[:len(s)-2], s[len(s)-2:]} },
}

// Everybody sees the address that the proxy told.
func TestProxyProtocol(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		for _, mode := range []ProxyProtocol{ProxyOptional, ProxyRequired} {
			for _, m := range []Mode{Auto, Goroutine} {
				var mu sync.Mutex
				var states []string
				s := serve(t, e, &Server{
					Loops: 2, Mode: m, ProxyProtocol: mode, Handler: addressHandler,
					ConnContext: func(ctx context.Context, c net.Conn) context.Context {
						mu.Lock()
						defer mu.Unlock()
						states = append(states, fmt.Sprintf("context %v to %v", c.RemoteAddr(), c.LocalAddr()))
						return ctx
					},
					ConnState: func(c net.Conn, state http.ConnState) {
						mu.Lock()
						defer mu.Unlock()
						states = append(states, fmt.Sprintf("%v %v to %v", state, c.RemoteAddr(), c.LocalAddr()))
					},
				})
				for name, cut := range pieces {
					for _, c := range []struct{ header, remote, local string }{
						{proxyV1, "203.0.113.7:4321", "198.51.100.1:80"},
						{"PROXY TCP6 2001:db8::7 2001:db8::1 4321 80\r\n", "[2001:db8::7]:4321", "[2001:db8::1]:80"},
						{proxyV2("203.0.113.8:1", "198.51.100.1:443"), "203.0.113.8:1", "198.51.100.1:443"},
						{proxyUnknown, "", ""},
						{proxyV2("", ""), "", ""},
					} {
						mu.Lock()
						states = nil
						mu.Unlock()
						p := s.dial()
						if c.remote == "" {
							c.remote, c.local = p.LocalAddr().String(), p.RemoteAddr().String()
						}
						p.send(cut(c.header + ask("GET", "/native"))...)
						p.expectAnswer(200, c.remote)
						p.send(ask("GET", "/standard") + ask("GET", "/native"))
						p.expectAnswer(200, c.remote+" to "+c.local)
						p.expectAnswer(200, c.remote)
						p.Close()
						want := fmt.Sprintf("new %[1]s|context %[1]s|active %[1]s|idle %[1]s|active %[1]s|idle %[1]s|active %[1]s|idle %[1]s|closed %[1]s", c.remote+" to "+c.local)
						got := ""
						if !eventually(func() bool {
							mu.Lock()
							defer mu.Unlock()
							got = strings.Join(states, "|")
							return got == want
						}) {
							t.Errorf("%q, %s: the hooks saw\n%s\nwant\n%s", c.header, name, got, want)
						}
					}
				}
				if n := s.Stats().BadProxy; n != 0 {
					t.Errorf("%d bad headers", n)
				}
			}
		}
	})
}

// A header that may be there need not be.
func TestProxyOptional(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{ProxyProtocol: ProxyOptional, Handler: addressHandler})
		for _, method := range []string{"GET", "P", "PROXY1", "PROPFIND", "PRO"} {
			for _, cut := range pieces {
				p := s.dial()
				p.send(cut(ask(method, "/native"))...)
				p.expectAnswer(200, p.LocalAddr().String())
			}
		}
		p := s.dial()
		p.send("\r", "\n", ask("GET", "/native"))
		p.expectAnswer(200, p.LocalAddr().String())
		p = s.dial()
		p.send("nonsense\r\n")
		if a := p.answer("GET"); a.status != 400 {
			t.Errorf("nonsense: %d", a.status)
		}
	})
}

// A header means nothing from those who are not trusted.
func TestProxyUntrusted(t *testing.T) {
	others := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	eachKind(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{ProxyProtocol: ProxyOptional, ProxyTrusted: others, Handler: addressHandler})
		p := s.dial()
		p.send(ask("GET", "/native"))
		p.expectAnswer(200, p.LocalAddr().String())
		for _, header := range []string{proxyV1, proxyV2("203.0.113.8:1", "198.51.100.1:443")} {
			p = s.dial()
			p.send(header + ask("GET", "/native"))
			if a := p.answer("GET"); a.status != 400 {
				t.Errorf("%q: answered with %d %q", header, a.status, a.body)
			}
		}

		for _, trusted := range [][]netip.Prefix{others, {}} {
			s = serve(t, e, &Server{ProxyProtocol: ProxyRequired, ProxyTrusted: trusted, Handler: addressHandler})
			for i := range 3 {
				p = s.dial()
				io.WriteString(p, proxyV1+ask("GET", "/native"))
				if got := p.rest(); got != "" {
					t.Errorf("answered with %q", got)
				}
				s.bad(i+1, "127.0.0.1:", "ProxyTrusted")
			}
			if n := strings.Count(s.log.String(), "ProxyTrusted"); n > 2 {
				t.Errorf("said %d times within a second", n)
			}
		}

		s = serve(t, e, &Server{ProxyProtocol: ProxyRequired, ProxyTrusted: append(others, netip.MustParsePrefix("127.0.0.0/8")), Handler: addressHandler})
		p = s.dial()
		p.send(proxyV1 + ask("GET", "/native"))
		p.expectAnswer(200, "203.0.113.7:4321")
	})
}

// bad waits until the server has counted n bad headers, and looks for what it said.
func (s *site) bad(n int, words ...string) {
	s.Helper()
	if !eventually(func() bool { return s.Stats().BadProxy == uint64(n) }) {
		s.Errorf("%d bad headers, want %d", s.Stats().BadProxy, n)
	}
	if missing := lacks(s.log.String(), words); missing != nil {
		s.Errorf("the log lacks %q:\n%s", missing, s.log.String())
	}
}

// Peers of a unix socket are trusted: its mode says who they are.
func TestProxyUnix(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		path := filepath.Join(t.TempDir(), "socket")
		s := listens(t, e, &Server{Addr: "unix:" + path, ProxyProtocol: ProxyRequired, ProxyTrusted: []netip.Prefix{}, Handler: addressHandler})
		p := connectPeer(t, "unix", path, 0)
		p.send(proxyV1 + ask("GET", "/native"))
		p.expectAnswer(200, "203.0.113.7:4321")
		unixes := func(source, destination string) string {
			pad := func(s string) string { return s + strings.Repeat("\x00", 108-len(s)) }
			return "\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\xd8" + pad(source) + pad(destination)
		}
		for source, want := range map[string]string{"/run/client": "/run/client", "": "@", "\x00name": "@name"} {
			p = connectPeer(t, "unix", path, 0)
			p.send(unixes(source, "/run/server") + ask("GET", "/native") + ask("GET", "/"))
			p.expectAnswer(200, want)
			p.expectAnswer(200, want+" to /run/server")
		}
		p = connectPeer(t, "unix", path, 0)
		p.send(proxyUnknown + ask("GET", "/native"))
		p.expectAnswer(200, "@")
		s.ends(drain)
	})
}

// Without a valid header a connection ends, with a line in the log, whatever comes.
func TestProxyBadHeader(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		for _, c := range []struct{ name, in, say string }{
			{"no header", ask("GET", "/native"), "does not begin with a header"},
			{"garbage", "\x00\xff\xfe garbage", "does not begin with a header"},
			{"a bad line", "PROXY TCP4 1.2.3.4\r\n", "malformed"},
			{"an endless line", "PROXY TCP4 " + strings.Repeat("1", 1000), "too long"},
			{"an endless header", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff" + strings.Repeat("x", 5000), "too long"},
		} {
			for _, cut := range pieces {
				s := serve(t, e, &Server{ProxyProtocol: ProxyRequired, Loops: 1, Handler: addressHandler})
				p := s.dial()
				for _, piece := range cut(c.in) {
					if _, err := io.WriteString(p, piece); err != nil {
						break // it has heard enough
					}
				}
				if got := p.rest(); got != "" {
					t.Errorf("%s: answered with %q", c.name, got)
				}
				s.bad(1, "ringkit: connection from 127.0.0.1:", c.say)
			}
		}
	})
}

// A header that does not come, or not to its end, is waited for as long as a head.
func TestProxySlowHeader(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		for _, mode := range []ProxyProtocol{ProxyOptional, ProxyRequired} {
			s := serve(t, e, &Server{ProxyProtocol: mode, ReadHeaderTimeout: tick, Loops: 1, Handler: addressHandler})
			start := time.Now()
			p := s.dial()
			if got := p.rest(); got != "" || time.Since(start) < tick {
				t.Errorf("silence: ended with %q after %v", got, time.Since(start))
			}
			s.bad(0)
			for i, header := range []string{proxyV1, proxyV2("203.0.113.8:1", "198.51.100.1:443")} {
				start := time.Now()
				p := s.dial()
				p.send(header[:1])
				ended := make(chan string, 1)
				go func() { ended <- p.rest() }()
				trickle := time.NewTicker(tick / 8)
				n := 1
			wait:
				for {
					select {
					case got := <-ended:
						if took := time.Since(start); got != "" || took < tick || took > tick+patience/2 {
							t.Errorf("ended with %q after %v", got, took)
						}
						break wait
					case <-trickle.C:
						if n++; n < len(header) {
							io.WriteString(p, header[n-1:n]) // what it sends does not help it
						}
					}
				}
				trickle.Stop()
				s.bad(i+1, "did not arrive in time")
			}
		}
	})
}

// A client that is gone, in the middle of its header or before it.
func TestProxyCutShort(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{ProxyProtocol: ProxyRequired, Handler: addressHandler})
		p := s.dial()
		p.halfClose()
		p.expectEnd()
		p = s.dial()
		p.reset()
		p = s.dial()
		p.send(proxyV1)
		p.halfClose()
		p.expectEnd()
		if !eventually(func() bool { return s.conns() == 0 }) {
			t.Errorf("%d connections are left", s.conns())
		}
		s.bad(0)
		p = s.dial()
		p.send(proxyV1[:20])
		p.halfClose()
		if got := p.rest(); got != "" {
			t.Errorf("answered with %q", got)
		}
		s.bad(1, "in the middle of the header")
	})
}

// Who has not sent a whole header has not asked for anything: it does not keep the
// server from stopping.
func TestShutdownInAProxyHeader(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		for _, how := range []func(*Server) error{drain, (*Server).Close} {
			s := serve(t, e, &Server{ProxyProtocol: ProxyRequired, Loops: 2, ReadHeaderTimeout: time.Hour, MaxConnsPerIP: 10, Handler: addressHandler})
			var peers []*peer
			for _, n := range []int{0, 5, len(proxyV1) - 1, len(proxyV1)} {
				p := s.dial()
				p.send(proxyV1[:n])
				peers = append(peers, p)
			}
			if !eventually(func() bool { return s.conns() == len(peers) }) {
				t.Fatalf("%d connections", s.conns())
			}
			start := time.Now()
			within(t, "the end", func() {
				if err := how(s.Server); err != nil {
					t.Error(err)
				}
			})
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			for _, p := range peers {
				if got := p.rest(); got != "" {
					t.Errorf("answered with %q", got)
				}
			}
		}
	})
}

// The header comes in front of a TLS handshake, in pieces or in one with it.
func TestProxyInFrontOfTLS(t *testing.T) {
	eachSecure(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{ProxyProtocol: ProxyRequired, MaxConnsPerIP: 1, Handler: addressHandler})
		for _, cut := range pieces {
			raw := connectPeer(t, "tcp", s.addr, 0)
			raw.send(cut(proxyV1)...)
			p := &peer{t, secured(t, raw.Conn), nil}
			p.r = bufio.NewReader(p.Conn)
			p.send(ask("GET", "/native"))
			p.expectAnswer(200, "203.0.113.7:4321")

			crowd := connectPeer(t, "tcp", s.addr, 0)
			crowd.send(proxyV1)
			if got, _ := io.ReadAll(crowd.r); len(got) != 0 {
				t.Errorf("beyond the limit, over TLS: %q", got)
			}
			p.Close()
			if !eventually(func() bool { return s.conns() == 0 }) {
				t.Errorf("%d connections are left", s.conns())
			}
		}
	})
}
