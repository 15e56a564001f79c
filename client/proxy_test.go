package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/ringkit/ringkit/http1"
)

var proxySchemes = []string{"http", "https", "socks5", "socks5h"}

// Through each kind of proxy to each kind of server: the proxy gets to know what it has
// to, and the server nothing of the proxy.
func TestProxies(t *testing.T) {
	for _, by := range proxySchemes {
		for _, to := range []string{"http", "https"} {
			t.Run(by+" to "+to, func(t *testing.T) {
				p := proxyFor(t, by)
				_, server := origin(t, to, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					n, _ := io.Copy(io.Discard, r.Body)
					fmt.Fprintf(w, "%s %s%s %v %v %d\n", r.Method, r.Host, r.RequestURI, r.Header["Authorization"], r.Header["Proxy-Authorization"], n)
					w.Write(make([]byte, n))
				}))
				onEngines(t, func(t *testing.T, tr *Transport) {
					expectNoLeaks(t, tr)
					tr.Proxy = http.ProxyURL(p.url)
					tr.TLSClientConfig = trust()
					tr.ProxyConnectHeader = http.Header{"X-Connect": {"a", "b"}}
					host := strings.TrimPrefix(server, to+"://")
					for i, size := range []int{0, 10, 3_000_000} {
						req, _ := http.NewRequest("POST", server+"/path", bytes.NewReader(make([]byte, size)))
						req.Header.Set("Authorization", "for the server")
						if to == "https" {
							req.Header.Set("Proxy-Authorization", "misplaced")
						}
						resp, err := tr.RoundTrip(req)
						if err != nil {
							t.Fatal(err)
						}
						body, err := io.ReadAll(resp.Body)
						line, rest, _ := strings.Cut(string(body), "\n")
						want := fmt.Sprintf("POST %s/path [for the server] [] %d", host, size)
						if line != want || len(rest) != size || err != nil {
							t.Fatalf("%q and %d bytes, %v; want %q", line, len(rest), err, want)
						}
						expectAsked(t, p, by, to, host, i == 0)
						expectQuiet(t, tr)
					}
					expectConns(t, tr, 1)
					tr.Close()
					p.hangUp()
				})
			})
		}
	}
}

// expectAsked checks what the proxy was asked for one request.
func expectAsked(t *testing.T, p *proxied, by, to, host string, first bool) {
	t.Helper()
	all := p.asked()
	switch plain := strings.HasPrefix(by, "http") && to == "http"; {
	case !plain && !first:
		if len(all) != 0 {
			t.Errorf("on a connection that was there the proxy is asked %q", all)
		}
		return
	case len(all) != 1:
		t.Fatalf("the proxy was asked %q", all)
	case plain:
		if all[0].what != "POST http://"+host+"/path" || all[0].header.Get("Authorization") != "for the server" || all[0].header["X-Connect"] != nil {
			t.Errorf("%q", all)
		}
	case strings.HasPrefix(by, "socks"):
		if all[0].what != "name "+host {
			t.Errorf("%q", all)
		}
	default:
		if all[0].what != "CONNECT "+host || all[0].header["Authorization"] != nil || len(all[0].header["X-Connect"]) != 2 || all[0].header.Get("User-Agent") == "" {
			t.Errorf("%q", all)
		}
	}
}

// A proxy that refuses is an error that has its answer, and nothing was sent to anybody
// else.
func TestProxyRefuses(t *testing.T) {
	_, server := origin(t, "https", http.NotFoundHandler())
	for _, by := range []string{"http", "https"} {
		p := proxyFor(t, by)
		wrong := *p.url
		wrong.User = url.UserPassword("user", "guessed")
		onEngines(t, func(t *testing.T, tr *Transport) {
			expectNoLeaks(t, tr)
			tr.Proxy = http.ProxyURL(&wrong)
			tr.TLSClientConfig = trust()
			_, _, err := get(tr, "GET", server)
			var e *Error
			var refused *ProxyError
			if !errors.As(err, &e) || e.Op != "proxy" || e.Sent || !errors.As(err, &refused) {
				t.Fatalf("%v", err)
			}
			if refused.StatusCode != 407 || refused.Status != "407 Proxy Authentication Required" || refused.Header.Get("Proxy-Authenticate") != `Basic realm="test"` {
				t.Errorf("%+v", refused)
			}
			if strings.Contains(err.Error(), "guessed") || strings.Contains(refused.Proxy, "guessed") {
				t.Errorf("tells the password: %v", err)
			}
			expectConns(t, tr, 0)
		})
	}
	t.Run("socks5", func(t *testing.T) {
		p := proxyFor(t, "socks5")
		for _, user := range []*url.Userinfo{nil, url.UserPassword("user", "guessed"), url.User(strings.Repeat("x", 256))} {
			wrong := *p.url
			wrong.User = user
			onEngines(t, func(t *testing.T, tr *Transport) {
				expectNoLeaks(t, tr)
				tr.Proxy = http.ProxyURL(&wrong)
				_, _, err := get(tr, "GET", server)
				var e *Error
				if !errors.As(err, &e) || e.Op != "proxy" || strings.Contains(err.Error(), "guessed") {
					t.Errorf("%v", err)
				}
				expectConns(t, tr, 0)
			})
		}
	})
}

// What a proxy can answer to CONNECT.
func TestConnectAnswers(t *testing.T) {
	status := func(code int) func(error) bool {
		return func(err error) bool {
			var e *ProxyError
			return errors.As(err, &e) && e.StatusCode == code
		}
	}
	syntax := func(err error) bool { var e *http1.Error; return errors.As(err, &e) }
	incomplete := func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }
	other := func(err error) bool { return !syntax(err) && !incomplete(err) && !status(200)(err) }
	for _, test := range []struct {
		name, answer string
		is           func(error) bool
	}{
		{"nothing", "", incomplete},
		{"half a head", "HTTP/1.1 200 OK\r\nA: b\r\n", incomplete},
		{"not HTTP", "SSH-2.0-OpenSSH_9.2p1\r\n", syntax},
		{"bare LF", "HTTP/1.1 200 OK\n\n", syntax},
		{"endless head", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 70<<10), syntax},
		{"endless interim responses", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 100), syntax},
		{"bad gateway", "HTTP/1.0 502 Bad Gateway\r\nContent-Length: 5\r\n\r\nhello", status(502)},
		{"redirect", "HTTP/1.1 302 Found\r\nLocation: https://elsewhere.test/\r\n\r\n", status(302)},
		{"101", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", status(101)},
		{"after an interim response", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 403 Forbidden\r\n\r\n", status(403)},
		{"something behind", "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", other},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := scripted(t, func(s *scene) {
				if s.request() != nil {
					s.say(test.answer)
					s.Conn.(*net.TCPConn).CloseWrite()
					io.Copy(io.Discard, s)
				}
			})
			onEngines(t, func(t *testing.T, tr *Transport) {
				expectNoLeaks(t, tr)
				proxy, _ := url.Parse(s.url)
				tr.Proxy = http.ProxyURL(proxy)
				_, _, err := get(tr, "GET", "https://example.com/")
				var e *Error
				if !errors.As(err, &e) || e.Op != "proxy" || e.Sent || !test.is(err) {
					t.Errorf("%v", err)
				}
				expectConns(t, tr, 0)
			})
			if got := strings.ReplaceAll(s.requests(), ", ", ""); strings.ReplaceAll(got, "CONNECT example.com:443", "") != "" {
				t.Errorf("the proxy was asked %q", s.requests())
			}
		})
	}
}

// A 2xx with fields that would delimit a body makes a tunnel like any other (RFC 9110,
// section 9.3.6), also after an interim response and in pieces.
func TestConnectAnswerInPieces(t *testing.T) {
	srv, _ := origin(t, "https", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }))
	p := &proxied{open: make(map[net.Conn]bool)}
	const answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 299 Fine\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n"
	s := scripted(t, func(s *scene) {
		if s.request() == nil {
			return
		}
		for i := range len(answer) {
			s.say(answer[i : i+1])
		}
		to, err := dialHere(t.Context(), "tcp", srv.Listener.Addr().String())
		if err != nil {
			return
		}
		p.join(s.Conn, to, s.r)
	})
	onEngines(t, func(t *testing.T, tr *Transport) {
		proxy, _ := url.Parse(s.url)
		tr.Proxy, tr.TLSClientConfig = http.ProxyURL(proxy), trust()
		if _, body, err := get(tr, "GET", "https://example.com/"); body != "hello" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
	})
	p.hangUp()
}

// A proxy that says nothing, at each step, is given up when DialTimeout has passed.
func TestProxyTimeout(t *testing.T) {
	s := scripted(t, func(s *scene) { io.Copy(io.Discard, s) })
	for _, by := range proxySchemes {
		t.Run(by, func(t *testing.T) {
			onEngines(t, func(t *testing.T, tr *Transport) {
				expectNoLeaks(t, tr)
				tr.Proxy = http.ProxyURL(&url.URL{Scheme: by, Host: s.l.Addr().String(), User: url.User("u")})
				tr.DialTimeout = tick
				began := time.Now()
				_, _, err := get(tr, "GET", "https://example.com/")
				var e *Error
				if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &e) || !e.Timeout() || time.Since(began) < tick {
					t.Errorf("%v after %v", err, time.Since(began))
				}
				expectConns(t, tr, 0)
			})
		})
	}
}

// Connections are shared by requests with the same proxy and the same credentials only.
func TestProxyIsInTheKey(t *testing.T) {
	p := proxyFor(t, "http")
	_, server := origin(t, "https", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	direct := strings.Replace(server, "example.com", "127.0.0.1", 1)
	onEngines(t, func(t *testing.T, tr *Transport) {
		tr.TLSClientConfig = trust()
		tr.Proxy = func(r *http.Request) (*url.URL, error) {
			switch r.Header.Get("X-Proxy") {
			case "right":
				return p.url, nil
			case "wrong":
				return &url.URL{Scheme: "http", Host: p.url.Host, User: url.User("somebody else")}, nil
			}
			return nil, nil
		}
		ask := func(how string) error {
			req, _ := http.NewRequest("GET", direct, nil)
			req.Header.Set("X-Proxy", how)
			resp, err := tr.RoundTrip(req)
			if err == nil {
				resp.Body.Close()
				expectQuiet(t, tr)
			}
			return err
		}
		for range 2 {
			if err := ask("right"); err != nil {
				t.Fatal(err)
			}
			if err := ask(""); err != nil {
				t.Fatal(err)
			}
			var refused *ProxyError
			if err := ask("wrong"); !errors.As(err, &refused) {
				t.Fatal(err)
			}
		}
		expectConns(t, tr, 2)
	})
}

// Requests for several hosts share the connections to a proxy that is sent them.
func TestPlainProxyIsShared(t *testing.T) {
	p := proxyFor(t, "http")
	_, server := origin(t, "http", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) }))
	onEngines(t, func(t *testing.T, tr *Transport) {
		tr.Proxy = http.ProxyURL(p.url)
		for _, name := range []string{"one.test", "two.test"} {
			_, body, err := get(tr, "GET", strings.Replace(server, "example.com", name, 1))
			if err != nil || !strings.HasPrefix(body, name) {
				t.Errorf("%q, %v", body, err)
			}
			expectQuiet(t, tr)
		}
		expectConns(t, tr, 1)
	})
}

// Proxies that cannot be used are an error before anything is sent.
func TestBadProxies(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		failed := errors.New("no idea")
		for _, test := range []struct{ proxy, target, want string }{
			{"ftp://127.0.0.1:1", "https://example.com", `"ftp"`},
			{"//127.0.0.1:1", "https://example.com", `""`},
			{"http://", "https://example.com", "no host"},
			{"socks5://:1080", "https://example.com", "no host"},
			{"http://127.0.0.1:1", "https://[fe80::1%25lo]/", "zone"},
			{"http://127.0.0.1:1", "https://example.com", "refused"},
			{"socks5://127.0.0.1:1", "http://example.com", "refused"},
			{"", "http://example.com", "no idea"},
		} {
			tr := &Transport{Engine: tr.Engine, Proxy: func(*http.Request) (*url.URL, error) {
				if test.proxy == "" {
					return nil, failed
				}
				return url.Parse(test.proxy)
			}}
			_, _, err := get(tr, "GET", test.target)
			var e *Error
			if !errors.As(err, &e) || e.Op != "proxy" || e.Sent || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%+v: %v", test, err)
			}
			tr.Close()
		}
	})
}

func TestProxyAddress(t *testing.T) {
	for _, test := range []struct{ url, want string }{
		{"http://proxy.test", "proxy.test:80"},
		{"https://proxy.test", "proxy.test:443"},
		{"socks5://proxy.test", "proxy.test:1080"},
		{"socks5h://[::1]", "[::1]:1080"},
		{"socks5h://[::1]:", "[::1]:1080"},
		{"http://PROXY.test:3128/", "proxy.test:3128"},
		{"http://bücher.test", "xn--bcher-kva.test:80"},
	} {
		u, err := url.Parse(test.url)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := proxyAddress(u); got != test.want || err != nil {
			t.Errorf("%s: %q, %v", test.url, got, err)
		}
	}
}

// An https proxy is verified, whatever a request says about its server.
func TestProxyIsVerified(t *testing.T) {
	p := proxyFor(t, "https")
	_, server := origin(t, "https", http.NotFoundHandler())
	onEngines(t, func(t *testing.T, tr *Transport) {
		tr.Proxy = http.ProxyURL(p.url)
		req, _ := http.NewRequestWithContext(WithTLSConfig(t.Context(), insecure), "GET", server, nil)
		_, err := tr.RoundTrip(req)
		var e *Error
		if !errors.As(err, &e) || e.Op != "TLS handshake" || !isUnverified(err) || !strings.Contains(err.Error(), p.url.Host) {
			t.Errorf("%v", err)
		}
		if asked := p.asked(); len(asked) > 0 {
			t.Errorf("the proxy was asked %q", asked)
		}
	})
}

// HTTP_PROXY, HTTPS_PROXY and NO_PROXY, as operators set them, and as settings.
func TestProxySettings(t *testing.T) {
	if child := os.Getenv("RINGKIT_TEST_PROXIED"); child != "" {
		// The environment is read once in a process.
		tr := &Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: trust(), DialContext: dialHere}
		checkProxied(t, tr, strings.Split(child, " "))
		tr.Close()
		return
	}
	p := proxyFor(t, "http")
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	_, plain := origin(t, "http", h)
	_, secure := origin(t, "https", h)
	targets := []string{plain, secure, strings.Replace(plain, "example.com", "direct.example.com", 1)}
	check := func(t *testing.T) {
		t.Helper()
		all := p.asked()
		if len(all) != 2 || all[0].what != "GET "+plain+"/" || all[1].what != "CONNECT "+strings.TrimPrefix(secure, "https://") {
			t.Errorf("the proxy was asked %q", all)
		}
	}
	t.Run("settings", func(t *testing.T) {
		onEngines(t, func(t *testing.T, tr *Transport) {
			of := (&httpproxy.Config{HTTPProxy: p.url.String(), HTTPSProxy: p.url.String(), NoProxy: "direct.example.com"}).ProxyFunc()
			tr.Proxy = func(r *http.Request) (*url.URL, error) { return of(r.URL) }
			tr.TLSClientConfig, tr.DialContext = trust(), dialHere
			checkProxied(t, tr, targets)
			check(t)
		})
	})
	t.Run("environment", func(t *testing.T) {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(self, "-test.run=^TestProxySettings$")
		cmd.Env = append(os.Environ(), "RINGKIT_TEST_PROXIED="+strings.Join(targets, " "), "HTTP_PROXY="+p.url.String(), "http_proxy=",
			"HTTPS_PROXY="+p.url.String(), "https_proxy=", "NO_PROXY=direct.example.com", "no_proxy=", "REQUEST_METHOD=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		check(t)
	})
}

func checkProxied(t *testing.T, tr *Transport, targets []string) {
	t.Helper()
	for _, target := range targets {
		if _, body, err := get(tr, "GET", target+"/"); body != "hello" || err != nil {
			t.Errorf("%s: %q, %v", target, body, err)
		}
	}
}
