package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/proxy"

	"github.com/ringkit/ringkit/http1"
	"github.com/ringkit/ringkit/internal/tlsconn"
)

// ProxyError is the answer of a proxy that refuses to make a tunnel (RFC 9110, section
// 9.3.6). The body of its answer is not read.
type ProxyError struct {
	Proxy      string      // its URL, without a password
	StatusCode int         // of its answer, such as 407
	Status     string      // "407 Proxy Authentication Required"
	Header     http.Header // with 407 the challenge: Proxy-Authenticate
}

// Error implements error.
func (e *ProxyError) Error() string {
	return "the proxy " + e.Proxy + " makes no tunnel: " + e.Status
}

// goThrough has the request go through a proxy.
func (ex *exchange) goThrough(proxy *url.URL) error {
	addr, err := proxyAddress(proxy)
	if err == nil && strings.Contains(ex.key.addr, "%") {
		err = errors.New("the zone of an address means nothing to a proxy")
	}
	if err != nil {
		return &opError{opProxy, err}
	}
	ex.proxy = proxy
	ex.key.proxy = proxy.String()
	if ex.key.tunnel = !ex.plainProxy(); !ex.key.tunnel {
		ex.key.addr = addr // requests for all hosts share its connections
	}
	return nil
}

// plainProxy reports whether the proxy is sent the request itself, rather than making a
// tunnel for it. What is going to be another protocol gets a tunnel.
func (ex *exchange) plainProxy() bool {
	return ex.key.scheme == "http" && ex.takes == nil && (ex.proxy.Scheme == "http" || ex.proxy.Scheme == "https")
}

// tunnels reports whether a proxy is there that does not get to see the request.
func (ex *exchange) tunnels() bool { return ex.proxy != nil && !ex.plainProxy() }

// proxyAddress returns the "host:port" of a proxy.
func proxyAddress(proxy *url.URL) (string, error) {
	u := url.URL{Scheme: proxy.Scheme, Host: proxy.Host}
	switch u.Scheme {
	case "http", "https":
	case "socks5", "socks5h":
		if u.Port() == "" {
			u.Host = strings.TrimSuffix(u.Host, ":") + ":1080" // RFC 1928, section 3
		}
	default:
		return "", fmt.Errorf("the scheme of the proxy is %q, not http, https, socks5 or socks5h", u.Scheme)
	}
	if u.Hostname() == "" {
		return "", errors.New("the URL of the proxy has no host")
	}
	return address(&u)
}

// throughProxy has a connection to the proxy of the host lead where it has to. If the
// proxy is spoken to over TLS it returns that.
func (d *dialing) throughProxy(ctx context.Context, nc net.Conn) (outer *tlsconn.Conn, err error) {
	p, tunnel := d.host.proxy, d.host.key.tunnel
	switch p.Scheme {
	case "socks5", "socks5h":
		err = d.socks(ctx, nc, p)
		tunnel = false
	case "https":
		if outer, err = d.secure(ctx, nc, d.proxyTLSConfig()); err != nil {
			return nil, &opError{opTLS, fmt.Errorf("with the proxy %s: %w", p.Redacted(), err)}
		}
		nc = outer
	}
	if tunnel {
		err = d.connect(ctx, nc, p)
	}
	if err != nil {
		return nil, &opError{opProxy, err}
	}
	return outer, nil
}

// proxyTLSConfig returns the configuration for the proxy: the transport's, whatever those
// for requests are. A ServerName in it is not that of a proxy.
func (d *dialing) proxyTLSConfig() *tls.Config {
	addr, _ := proxyAddress(d.host.proxy)
	cfg := d.t.completed(d.t.TLSClientConfig, key{scheme: "https", addr: addr, proxy: d.host.key.proxy})
	cfg.ServerName = hostname(addr)
	return cfg
}

// socks asks a SOCKS5 proxy for a connection (RFC 1928). It is told names, not addresses.
func (d *dialing) socks(ctx context.Context, nc net.Conn, p *url.URL) error {
	var auth *proxy.Auth
	if p.User != nil {
		auth = &proxy.Auth{User: p.User.Username()}
		auth.Password, _ = p.User.Password()
	}
	dialer, err := proxy.SOCKS5("tcp", nc.RemoteAddr().String(), auth, dialed{nc})
	if err != nil {
		return err
	}
	_, err = dialer.(proxy.ContextDialer).DialContext(ctx, "tcp", d.host.key.addr)
	return err
}

// dialed is a proxy.ContextDialer that has its connection already.
type dialed struct{ net.Conn }

func (d dialed) Dial(string, string) (net.Conn, error) { return d.Conn, nil }

func (d dialed) DialContext(context.Context, string, string) (net.Conn, error) { return d.Conn, nil }

// connect asks an HTTP proxy for a tunnel (RFC 9110, section 9.3.6).
func (d *dialing) connect(ctx context.Context, nc net.Conn, p *url.URL) error {
	head, err := d.connectHead(p)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	if _, err = nc.Write(head); err == nil {
		err = d.connectAnswer(nc, p)
	}
	if !stop() {
		return context.Cause(ctx)
	}
	nc.SetDeadline(time.Time{})
	return err
}

// connectHead makes the request for a tunnel.
func (d *dialing) connectHead(p *url.URL) ([]byte, error) {
	head, err := http1.AppendRequestStart(nil, &http1.RequestHead{
		Method: http.MethodConnect, Form: http1.AuthorityForm, Authority: d.host.key.addr,
	})
	if err != nil {
		return nil, err
	}
	h := d.t.ProxyConnectHeader
	for _, name := range names(h) {
		if skipped(name) {
			continue
		}
		for _, value := range h[name] {
			if head, err = http1.AppendRequestField(head, name, value); err != nil {
				return nil, fmt.Errorf("the field %q of ProxyConnectHeader: %w", name, err)
			}
		}
	}
	if _, set := h["User-Agent"]; !set {
		head = http1.AppendField(head, "User-Agent", userAgent)
	}
	if _, set := h["Proxy-Authorization"]; !set && p.User != nil {
		password, _ := p.User.Password()
		head = http1.AppendField(head, "Proxy-Authorization", basic(p.User.Username(), password))
	}
	return http1.AppendEnd(head), nil
}

// connectAnswer reads the answer to that.
func (d *dialing) connectAnswer(nc net.Conn, p *url.URL) error {
	var r http1.Response
	r.Reset(http1.CONNECT)
	buf := make([]byte, 0, 1<<10)
	for {
		n, err := r.Parse(buf, &d.t.limits)
		switch {
		case err != nil:
			return fmt.Errorf("the answer of the proxy: %w", err)
		case n == 0:
			buf = slices.Grow(buf, 1)
			if n, err = nc.Read(buf[len(buf):cap(buf)]); n == 0 && err != nil {
				if err == io.EOF {
					err = r.EOF()
				}
				return fmt.Errorf("the answer of the proxy: %w", err)
			}
			buf = buf[:len(buf)+n]
		case r.Interim():
			buf = buf[n:]
			r.Next()
		default:
			return tunnelled(&r, p, len(buf)-n)
		}
	}
}

// tunnelled reports why an answer makes no tunnel, nil if it does. behind is how many bytes
// have come behind it: who is at the other end speaks TLS, and waits for the client.
func tunnelled(r *http1.Response, p *url.URL, behind int) error {
	switch code := r.StatusCode(); {
	case code < 200 || code > 299:
		e := &ProxyError{Proxy: p.Redacted(), StatusCode: code, Status: statusLine(code, r.Reason()), Header: http.Header{}}
		fields(r, e.Header, nil)
		return e
	case behind > 0:
		return errors.New("something came through the tunnel that was not asked for")
	}
	return nil
}
