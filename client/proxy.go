package client

import (
	"context"
	"fmt"
	"net"
	"net/url"
)

// goThrough has the request go through a proxy.
func (ex *exchange) goThrough(proxy *url.URL) error {
	if proxy.Scheme != "http" {
		return &opError{opProxy, fmt.Errorf("the scheme %q of the proxy is not supported", proxy.Scheme)}
	}
	ex.proxy = proxy
	ex.key.proxy = proxy.String()
	if ex.plainProxy() {
		addr, err := address(proxy)
		if err != nil {
			return &opError{opProxy, err}
		}
		ex.key.addr = addr // requests for all hosts share its connections
	}
	return nil
}

// plainProxy reports whether the proxy is sent the request itself, rather than making a
// tunnel for it.
func (ex *exchange) plainProxy() bool {
	return ex.key.scheme == "http" && (ex.proxy.Scheme == "http" || ex.proxy.Scheme == "https")
}

func (d *dialing) throughProxy(ctx context.Context, proxy *url.URL) (net.Conn, error) {
	if d.host.key.scheme == "http" {
		return d.dial(ctx, d.host.key.addr)
	}
	return nil, &opError{opProxy, fmt.Errorf("no tunnel")}
}
