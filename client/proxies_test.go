package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"
)

// proxied is a proxy for tests. Whatever the host it is asked for is called, it goes to
// that port of this machine.
type proxied struct {
	url   *url.URL
	close func()

	mu   sync.Mutex
	seen []seen
	open map[net.Conn]bool
}

// seen is what a proxy was asked.
type seen struct {
	what   string // "CONNECT host:port", "GET http://…", "name host:port", "address host:port"
	header http.Header
}

// asked returns what the proxy was asked, and forgets it.
func (p *proxied) asked() []seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.seen
	p.seen = nil
	return all
}

func (p *proxied) note(what string, h http.Header) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, seen{what, h})
}

// userPass is what proxies of tests want to hear.
const userPass = "user:secret: with ü"

// proxyFor starts a proxy that is spoken to with a scheme.
func proxyFor(t *testing.T, scheme string) *proxied {
	p := &proxied{open: make(map[net.Conn]bool)}
	var addr string
	switch scheme {
	case "http", "https":
		srv := httptest.NewUnstartedServer(p)
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
		if scheme == "https" {
			srv.StartTLS()
		} else {
			srv.Start()
		}
		addr, p.close = srv.Listener.Addr().String(), srv.Close
	default:
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr = l.Addr().String()
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				wg.Go(func() { p.socks(nc) })
			}
		})
		p.close = func() { l.Close(); p.hangUp(); wg.Wait() }
	}
	p.url = &url.URL{Scheme: scheme, Host: addr, User: url.UserPassword("user", "secret: with ü")}
	t.Cleanup(func() { p.hangUp(); p.close() })
	return p
}

// ServeHTTP makes tunnels, and forwards requests in absolute-form.
func (p *proxied) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.note(r.Method+" "+r.RequestURI, r.Header.Clone())
	if r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte(userPass)) {
		w.Header().Set("Proxy-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	if r.Method != http.MethodConnect {
		if !r.URL.IsAbs() {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		tr := &http.Transport{DialContext: dialHere, DisableKeepAlives: true, DisableCompression: true}
		(&httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}, Transport: tr}).ServeHTTP(w, r)
		return
	}
	to, err := dialHere(r.Context(), "tcp", r.RequestURI)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	from, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		to.Close()
		return
	}
	fmt.Fprint(from, "HTTP/1.1 200 Connection established\r\nX-Proxy: test\r\n\r\n")
	p.join(from, to, rw.Reader)
}

// socks speaks SOCKS5 (RFC 1928, RFC 1929) with one client.
func (p *proxied) socks(nc net.Conn) {
	defer nc.Close()
	r := bufio.NewReader(nc)
	next := func(n int) []byte {
		b := make([]byte, n)
		io.ReadFull(r, b)
		return b
	}
	if methods := next(int(next(2)[1])); !slices.Contains(methods, 2) {
		nc.Write([]byte{5, 0xff})
		return
	}
	nc.Write([]byte{5, 2})
	user := next(int(next(2)[1]))
	password := next(int(next(1)[0]))
	if string(user)+":"+string(password) != userPass {
		nc.Write([]byte{1, 1})
		return
	}
	nc.Write([]byte{1, 0})
	what, host := "address ", ""
	switch head := next(4); head[3] {
	case 1:
		host = net.IP(next(4)).String()
	case 4:
		host = net.IP(next(16)).String()
	default:
		what, host = "name ", string(next(int(next(1)[0])))
	}
	port := next(2)
	addr := net.JoinHostPort(host, fmt.Sprint(int(port[0])<<8|int(port[1])))
	p.note(what+addr, nil)
	to, err := dialHere(context.Background(), "tcp", addr)
	if err != nil {
		nc.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	nc.Write([]byte{5, 0, 0, 1, 127, 0, 0, 1, 0, 80})
	p.join(nc, to, r)
}

// join carries bytes both ways until both have ended.
func (p *proxied) join(from, to net.Conn, fromReader io.Reader) {
	p.mu.Lock()
	p.open[from], p.open[to] = true, true
	p.mu.Unlock()
	var wg sync.WaitGroup
	carry := func(dst net.Conn, src io.Reader) {
		io.Copy(dst, src)
		dst.(interface{ CloseWrite() error }).CloseWrite()
	}
	wg.Go(func() { carry(to, fromReader) })
	wg.Go(func() { carry(from, to) })
	wg.Wait()
	from.Close()
	to.Close()
	p.mu.Lock()
	delete(p.open, from)
	delete(p.open, to)
	p.mu.Unlock()
}

// hangUp ends all tunnels.
func (p *proxied) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for nc := range p.open {
		nc.Close()
	}
}

// dialHere goes to a port of this machine.
func dialHere(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

// trust is a tls.Config that trusts the servers of package httptest, which are called
// example.com.
func trust() *tls.Config {
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	return &tls.Config{RootCAs: pool}
}

// origin starts a server with a scheme, and returns it with a URL that has a name.
func origin(t *testing.T, scheme string, h http.Handler) (*httptest.Server, string) {
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	if scheme == "https" {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	return srv, scheme + "://example.com:" + port
}
