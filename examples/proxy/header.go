package main

import (
	"net"
	"net/http"
	"net/http/httputil"
	"strings"

	"github.com/ringkit/ringkit"
)

// via is what this proxy calls itself.
const via = "1.1 ringkit-proxy"

// hopByHop reports whether a field is not passed on, whatever Connection says (RFC 9110,
// section 7.6.1). The name is canonical.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Proxy-Authenticate", "Proxy-Authorization":
		return true
	}
	return false
}

// named reports whether a Connection field names another one.
func named(connection, name string) bool {
	for option := range strings.SplitSeq(connection, ",") {
		if strings.EqualFold(strings.TrimSpace(option), name) {
			return true
		}
	}
	return false
}

// requestHeader returns the header of the request that is sent for x.
func (p *proxy) requestHeader(x *ringkit.Exchange) http.Header {
	h := make(http.Header, 12)
	connection := ""
	for name, value := range x.Headers() {
		switch name = http.CanonicalHeaderKey(name); {
		case name == "Connection":
			connection += "," + value
		case name == "Host", name == "Content-Length", name == "Expect", hopByHop(name):
		default:
			h[name] = append(h[name], value)
		}
	}
	if connection != "" {
		for name := range h {
			if named(connection, name) {
				delete(h, name)
			}
		}
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // the transport adds none
	}
	p.addForwarding(h, x.RemoteAddr(), x.Host(), x.TLS() != nil)
	return h
}

// addForwarding says on whose behalf a request is sent (RFC 7239).
func (p *proxy) addForwarding(h http.Header, remote, host string, secure bool) {
	if !p.trusts {
		for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
			delete(h, name)
		}
	}
	proto := "http"
	if secure {
		proto = "https"
	}
	ip, _, err := net.SplitHostPort(remote)
	if err != nil {
		ip = "unknown"
	}
	node := ip
	if strings.Contains(ip, ":") {
		node = `"[` + ip + `]"`
	}
	extend(h, "Forwarded", "for="+node+";host="+quoted(host)+";proto="+proto)
	extend(h, "X-Forwarded-For", ip)
	if h["X-Forwarded-Host"] == nil {
		h["X-Forwarded-Host"] = []string{host}
	}
	if h["X-Forwarded-Proto"] == nil {
		h["X-Forwarded-Proto"] = []string{proto}
	}
	extend(h, "Via", via)
}

// quoted returns a host as a value of Forwarded: one that has a port is no token.
func quoted(host string) string {
	if strings.ContainsAny(host, ":[]") || host == "" {
		return `"` + host + `"`
	}
	return host
}

// extend adds to a list.
func extend(h http.Header, name, element string) {
	if old := h[name]; len(old) > 0 {
		element = strings.Join(old, ", ") + ", " + element
	}
	h[name] = []string{element}
}

// copyResponseHeader answers x with the header of a response.
func copyResponseHeader(x *ringkit.Exchange, resp *http.Response) {
	connection := strings.Join(resp.Header["Connection"], ",")
	for name, values := range resp.Header {
		if name == "Content-Length" || name == "Via" || hopByHop(name) || connection != "" && named(connection, name) {
			continue
		}
		for _, value := range values {
			x.AddHeader(name, value)
		}
	}
	if old := resp.Header["Via"]; len(old) > 0 {
		x.AddHeader("Via", strings.Join(old, ", ")+", "+via)
	} else {
		x.AddHeader("Via", via)
	}
}

// rewrite makes the request that is sent for a streamed one, from which the ReverseProxy
// has taken the fields of the hop.
func (p *proxy) rewrite(r *httputil.ProxyRequest) {
	to, out := p.server(), r.Out
	out.URL.Scheme, out.URL.Host, out.URL.User = to.Scheme, to.Host, to.User
	out.URL.RawQuery = r.In.URL.RawQuery
	out.Trailer = r.In.Trailer // that is filled when the body has been read
	delete(out.Header, "Te")
	if p.ownHost {
		out.Host = to.Host
	}
	if p.trusts {
		for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
			if values := r.In.Header[name]; values != nil {
				out.Header[name] = values
			}
		}
	}
	p.addForwarding(out.Header, r.In.RemoteAddr, r.In.Host, r.In.TLS != nil)
}

// modifyResponse changes a response that is streamed.
func modifyResponse(resp *http.Response) error {
	extend(resp.Header, "Via", via)
	return nil
}
