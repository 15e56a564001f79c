package client

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"testing"
)

// A WebSocket goes through a tunnel, also without TLS, and its connection is none for the
// requests that a proxy is sent itself.
func TestDialThroughProxy(t *testing.T) {
	for _, scheme := range []string{"http", "https", "socks5h"} {
		for _, secure := range []bool{false, true} {
			name := scheme + "/ws"
			if secure {
				name += "s"
			}
			t.Run(name, func(t *testing.T) {
				onEngines(t, func(t *testing.T, tr *Transport) {
					p := proxyFor(t, scheme)
					srv := wsServer(t, secure, nil, (*wsPeer).echo)
					tr.Proxy = func(*http.Request) (*url.URL, error) { return p.url, nil }
					tr.TLSClientConfig = &tls.Config{RootCAs: trusted(t)}
					told := newLogbook()
					ws := dial(t, &WebSocketOptions{Client: &Client{Transport: tr}}, wsURL(srv), told.events())
					ws.SendText("hi")
					told.expect(t, "open", `text "hi" 2`)
					what := "CONNECT " + srv.Listener.Addr().String()
					if scheme == "socks5h" {
						what = "address " + srv.Listener.Addr().String()
					}
					if all := p.asked(); len(all) != 1 || all[0].what != what {
						t.Errorf("the proxy was asked %+v, want %s", all, what)
					}
					ws.Close()
					told.expect(t, `close 1000 "" clean`)
				})
			})
		}
	}
}

// trusted returns the authority of httptest's certificates.
func trusted(t *testing.T) *x509.CertPool {
	srv := wsServer(t, true, nil, func(*wsPeer) {})
	return srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
}
