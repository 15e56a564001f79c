package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestAddress(t *testing.T) {
	for _, test := range []struct{ url, want string }{
		{"http://example.com", "example.com:80"},
		{"https://example.com/", "example.com:443"},
		{"http://example.com:", "example.com:80"},
		{"https://example.com:80", "example.com:80"},
		{"http://EXAMPLE.com:8080", "example.com:8080"},
		{"http://127.0.0.1:80", "127.0.0.1:80"},
		{"http://[::1]", "[::1]:80"},
		{"http://[2001:DB8::1]:8080", "[2001:db8::1]:8080"},
		{"http://[FE80::1%25Eth0]:8080", "[fe80::1%Eth0]:8080"},
		{"https://[fe80::1%25Eth0]", "[fe80::1%Eth0]:443"},
		{"http://Bücher.test", "xn--bcher-kva.test:80"},
		{"https://例え。テスト", "xn--r8jz45g.xn--zckzah:443"},
		{"http://a b.test", ""},
		{"http://ü\u200d.test", ""},
	} {
		u, err := url.Parse(test.url)
		if err != nil {
			if test.want != "" {
				t.Error(err)
			}
			continue
		}
		if got, err := address(u); got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s: %q, %v; want %q", test.url, got, err, test.want)
		}
	}
}

// tellHost answers with the Host of the request.
var tellHost = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) })

// Where a URL leads to, and what the server is told of it.
func TestHosts(t *testing.T) {
	srv, _ := origin(t, "http", tellHost)
	for _, test := range []struct{ url, addr, host string }{
		{"http://bücher.test/", "xn--bcher-kva.test:80", "xn--bcher-kva.test"},
		{"http://bücher.test:8080/", "xn--bcher-kva.test:8080", "xn--bcher-kva.test:8080"},
		{"http://[fe80::1%25Lo]:8080/", "[fe80::1%Lo]:8080", "[fe80::1]:8080"},
		{"http://[::1]/", "[::1]:80", "[::1]"},
		{"http://example.com:80/", "example.com:80", "example.com:80"},
	} {
		onEngines(t, func(t *testing.T, tr *Transport) {
			var asked []string
			tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				asked = append(asked, network+" "+addr)
				return new(net.Dialer).DialContext(ctx, network, srv.Listener.Addr().String())
			}
			_, body, err := get(tr, "GET", test.url)
			if want := "tcp " + test.addr; body != test.host || err != nil || len(asked) != 1 || asked[0] != want {
				t.Errorf("%s: connected to %q, Host %q, %v; want %q and %q", test.url, asked, body, err, want, test.host)
			}
		})
	}
}

// listenAt starts a server at an address.
func listenAt(t *testing.T, network, addr string, h http.Handler) net.Listener {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Skip(err)
	}
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	srv.Start()
	t.Cleanup(srv.Close)
	return l
}

func TestIPv6(t *testing.T) {
	l := listenAt(t, "tcp6", "[::1]:0", tellHost)
	onEngines(t, func(t *testing.T, tr *Transport) {
		if _, body, err := get(tr, "GET", "http://"+l.Addr().String()); body != l.Addr().String() || err != nil {
			t.Errorf("%q, %v", body, err)
		}
	})
}

// Names are looked up by the resolver; where one of its addresses leads nowhere, another
// is tried while that is waited for (RFC 8305).
func TestResolver(t *testing.T) {
	l := listenAt(t, "tcp4", "127.0.0.1:0", tellHost)
	port := l.Addr().(*net.TCPAddr).Port
	blackhole(t, "::1", port)
	resolver := nameserver(t, map[string][]string{"both.test.": {"::1", "127.0.0.1"}, "one.test.": {"127.0.0.1"}})
	onEngines(t, func(t *testing.T, tr *Transport) {
		expectNoLeaks(t, tr)
		tr.Resolver = resolver
		for _, name := range []string{"one.test", "both.test"} {
			name = fmt.Sprint(name, ":", port)
			if _, body, err := get(tr, "GET", "http://"+name); body != name || err != nil {
				t.Errorf("%q, %v", body, err)
			}
		}
		_, _, err := get(tr, "GET", "http://none.test")
		var unknown *net.DNSError
		var e *Error
		if !errors.As(err, &unknown) || !unknown.IsNotFound || !errors.As(err, &e) || e.Op != "dial" || e.Timeout() {
			t.Errorf("%v", err)
		}
	})
}

// A host that does not answer is given up when DialTimeout has passed.
func TestDialTimeout(t *testing.T) {
	port := blackhole(t, "127.0.0.1", 0)
	onEngines(t, func(t *testing.T, tr *Transport) {
		expectNoLeaks(t, tr)
		tr.DialTimeout = tick
		began := time.Now()
		_, _, err := get(tr, "GET", fmt.Sprint("http://127.0.0.1:", port))
		var e *Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &e) || e.Op != "dial" || !e.Timeout() || time.Since(began) < tick {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		expectConns(t, tr, 0)
	})
}

func TestLocalAddr(t *testing.T) {
	srv, _ := origin(t, "http", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) }))
	onEngines(t, func(t *testing.T, tr *Transport) {
		tr.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}
		if _, body, err := get(tr, "GET", srv.URL); !strings.HasPrefix(body, "127.0.0.2:") || err != nil {
			t.Errorf("from %q, %v", body, err)
		}
	})
	onEngines(t, func(t *testing.T, tr *Transport) {
		tr.LocalAddr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)} // of RFC 5737, nobody's
		if _, _, err := get(tr, "GET", srv.URL); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("%v", err)
		}
	})
}

func TestUnixSocket(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "socket"), fmt.Sprintf("@ringkit-client-%d", os.Getpid())} {
		t.Run(name[:1], func(t *testing.T) {
			listenAt(t, "unix", name, tellHost)
			onEngines(t, func(t *testing.T, tr *Transport) {
				expectNoLeaks(t, tr)
				tr.UnixSocket = name
				for _, host := range []string{"one.test", "two.test:8080"} {
					if _, body, err := get(tr, "GET", "http://"+host); body != host || err != nil {
						t.Errorf("%q, %v", body, err)
					}
				}
				other := &Transport{Engine: tr.Engine, UnixSocket: name + "-not"}
				defer other.Close()
				if _, _, err := get(other, "GET", "http://one.test"); !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("nobody listens: %v", err)
				}
			})
		})
	}
}

// foreign is a connection without a descriptor.
type foreign struct {
	net.Conn
	closed *bool
}

func (f foreign) Close() error { *f.closed = true; return f.Conn.Close() }

// What a DialContext can do wrong.
func TestBadDialContext(t *testing.T) {
	failed := errors.New("no way")
	for _, test := range []struct {
		name string
		dial func() (net.Conn, error)
		want string
	}{
		{"error", func() (net.Conn, error) { return nil, failed }, "no way"},
		{"nothing", func() (net.Conn, error) { return nil, nil }, "no connection"},
		{"goexit", func() (net.Conn, error) { runtime.Goexit(); return nil, nil }, "ended its goroutine"},
	} {
		onEngines(t, func(t *testing.T, tr *Transport) {
			expectNoLeaks(t, tr)
			tr.DialContext = func(context.Context, string, string) (net.Conn, error) { return test.dial() }
			_, _, err := get(tr, "GET", "http://example.com")
			var e *Error
			if !errors.As(err, &e) || e.Op != "dial" || !strings.Contains(err.Error(), test.want) || (test.want == "no way") != errors.Is(err, failed) {
				t.Errorf("%s: %v", test.name, err)
			}
			expectConns(t, tr, 0)
		})
	}
	srv, _ := origin(t, "https", tellHost)
	for _, url := range []string{srv.URL, "http" + strings.TrimPrefix(srv.URL, "https")} {
		onEngines(t, func(t *testing.T, tr *Transport) {
			expectNoLeaks(t, tr)
			closed := false
			tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := new(net.Dialer).DialContext(ctx, network, addr)
				return foreign{nc, &closed}, err
			}
			tr.TLSClientConfig = trust()
			_, _, err := get(tr, "GET", url)
			var e *Error
			if !errors.As(err, &e) || e.Op != "dial" || !strings.Contains(err.Error(), "client.foreign") || !closed {
				t.Errorf("%v, closed %v", err, closed)
			}
			expectConns(t, tr, 0)
		})
	}
}

// Where no connection can be made each of those that wait for one is told so, also where
// they wait for the same.
func TestDialsFail(t *testing.T) {
	for _, most := range []int{0, 1, 3} {
		onEngines(t, func(t *testing.T, tr *Transport) {
			expectNoLeaks(t, tr)
			const n = 20
			all := make(chan bool)
			tr.MaxConnsPerHost = most
			failed := errors.New("no way")
			tr.DialContext = func(context.Context, string, string) (net.Conn, error) { <-all; return nil, failed }
			var waiting []*Future
			for range n {
				req, _ := http.NewRequest("GET", "http://example.com", nil)
				waiting = append(waiting, (&Client{Transport: tr}).Go(req))
			}
			close(all)
			for i, f := range waiting {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				if _, err := f.Wait(ctx); !errors.Is(err, failed) {
					t.Errorf("request %d: %v", i, err)
				}
				cancel()
			}
			if s := tr.Stats(); s.Conns != 0 || s.Queued != 0 || s.Hosts != 0 || s.DialsFailed != n {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A connection for which a request does not wait any more is there for the next one.
func TestDialOutlivesItsRequest(t *testing.T) {
	srv, _ := origin(t, "http", tellHost)
	onEngines(t, func(t *testing.T, tr *Transport) {
		expectNoLeaks(t, tr)
		began, goOn := make(chan bool), make(chan bool)
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			began <- true
			<-goOn
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
		ctx, cancel := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
		f := (&Client{Transport: tr}).Go(req)
		<-began
		cancel()
		if _, err := f.Wait(t.Context()); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		close(goOn)
		if !eventually(func() bool { return tr.Stats().Idle == 1 }) {
			t.Fatalf("%+v", tr.Stats())
		}
		if _, _, err := get(tr, "GET", srv.URL); err != nil {
			t.Error(err)
		}
		if s := tr.Stats(); s.Dials != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// Closed while connections are being made, a transport leaves none behind, and does not
// wait for those that get nowhere.
func TestCloseWhileDialing(t *testing.T) {
	srv, _ := origin(t, "https", tellHost)
	port := blackhole(t, "127.0.0.1", 0)
	silent := scripted(t, func(s *scene) { io.Copy(io.Discard, s) })
	for name, test := range map[string]struct{ url, proxy string }{
		"connecting":      {url: fmt.Sprint("http://127.0.0.1:", port)},
		"handshake":       {url: "https" + strings.TrimPrefix(silent.url, "http")},
		"tunnel":          {url: srv.URL, proxy: silent.url},
		"socks":           {url: srv.URL, proxy: "socks5" + strings.TrimPrefix(silent.url, "http")},
		"handshake first": {url: srv.URL, proxy: "https" + strings.TrimPrefix(silent.url, "http")},
		"arrives later":   {url: srv.URL},
	} {
		t.Run(name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, tr *Transport) {
				expectNoLeaks(t, tr)
				tr.DialTimeout, tr.TLSHandshakeTimeout, tr.TLSClientConfig = -1, -1, trust()
				if test.proxy != "" {
					proxy, _ := url.Parse(test.proxy)
					tr.Proxy = http.ProxyURL(proxy)
				}
				began, closed := make(chan bool), make(chan bool)
				tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					began <- true
					if name == "arrives later" {
						<-closed
						ctx = context.Background()
					}
					return new(net.Dialer).DialContext(ctx, network, addr)
				}
				req, _ := http.NewRequest("GET", test.url, nil)
				f := (&Client{Transport: tr}).Go(req)
				<-began
				tr.Close()
				close(closed)
				if _, err := f.Wait(t.Context()); !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			})
		})
	}
}

// Who has waited longest gets the next connection.
func TestQueueIsFair(t *testing.T) {
	for _, most := range []struct{ all, host int }{{1, 0}, {0, 1}, {1, 1}} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			onEngines(t, func(t *testing.T, tr *Transport) {
				const n = 30
				goOn := make(chan bool)
				var mu sync.Mutex
				var order []string
				h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					<-goOn
					mu.Lock()
					defer mu.Unlock()
					order = append(order, r.URL.Path)
				})
				srv, _ := origin(t, "http", h)
				tr.MaxConns, tr.MaxConnsPerHost = most.all, most.host
				var all []*Future
				for i := range n {
					req, _ := http.NewRequest("GET", fmt.Sprint(srv.URL, "/", i), nil)
					all = append(all, (&Client{Transport: tr}).Go(req))
				}
				close(goOn)
				for _, f := range all {
					if _, err := f.Wait(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				for i, path := range order {
					if path != fmt.Sprint("/", i) {
						t.Fatalf("answered in the order %v", order)
					}
				}
				if s := tr.Stats(); s.Dials != 1 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// With MaxConns reached by one host the requests of others get their turn: an idle
// connection gives way at once, a busy one when it has answered.
func TestMaxConnsAmongHosts(t *testing.T) {
	var servers []string
	for range 4 {
		srv, _ := origin(t, "http", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { time.Sleep(time.Millisecond) }))
		servers = append(servers, srv.URL)
	}
	onEngines(t, func(t *testing.T, tr *Transport) {
		expectNoLeaks(t, tr)
		tr.MaxConns = 2
		var all []*Future
		for i := range 200 {
			req, _ := http.NewRequest("GET", servers[(i/10)%4], nil)
			all = append(all, (&Client{Transport: tr}).Go(req))
		}
		for _, f := range all {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			if _, err := f.Wait(ctx); err != nil {
				t.Fatalf("%v, %+v", err, tr.Stats())
			}
			cancel()
			if s := tr.Stats(); s.Conns > 2 {
				t.Fatalf("%+v", s)
			}
		}
		if s := tr.Stats(); s.Queued != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// No more connections are kept idle than may be.
func TestMaxIdle(t *testing.T) {
	for _, test := range []struct{ all, host, want int }{{3, 0, 3}, {0, 3, 3}, {-1, -1, 10}} {
		onEngines(t, func(t *testing.T, tr *Transport) {
			expectNoLeaks(t, tr)
			tr.MaxIdleConns, tr.MaxIdleConnsPerHost = test.all, test.host
			const n = 10
			var there sync.WaitGroup
			there.Add(n)
			srv, _ := origin(t, "http", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { there.Done(); there.Wait() }))
			var all []*Future
			for range n {
				req, _ := http.NewRequest("GET", srv.URL, nil)
				all = append(all, (&Client{Transport: tr}).Go(req))
			}
			for _, f := range all {
				if _, err := f.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			expectConns(t, tr, test.want)
			expectQuiet(t, tr)
		})
	}
}
