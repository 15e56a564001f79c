package ringkit

import (
	"errors"
	"net"
	"net/netip"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/proxyproto"
)

// ProxyProtocol is whether connections begin with a header of the PROXY protocol,
// version 1 or 2, in which a proxy tells whose connection it passes on
// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt). From then on, that
// address is the connection's: in requests, hooks, limits and the log; a connection
// that is hijacked has that of its socket. A header that tells none (UNKNOWN, LOCAL)
// leaves the connection its own. The header has to be there within ReadHeaderTimeout
// and may have 4 KiB; it comes in front of a TLS handshake. Without a valid one the
// connection is closed, with a line in the log (at most one a second for each loop),
// and counted in Stats. Who may send one is [Server].ProxyTrusted.
type ProxyProtocol uint8

const (
	// ProxyOff is no PROXY protocol: a header is a malformed request.
	ProxyOff ProxyProtocol = iota
	// ProxyOptional takes a header from trusted peers, which may leave it out. For
	// others it is a malformed request. Trusted peers must be proxies that send one
	// always or never: one that passes on what clients send lets them forge it.
	ProxyOptional
	// ProxyRequired takes connections of trusted peers with a header, no others.
	ProxyRequired
)

// told is what a proxy told of a connection.
type told struct {
	remote, local net.Addr
	remoteName    string // remote, as requests have it
}

func toldBy(h *proxyproto.Header) *told {
	switch h.Family {
	case proxyproto.TCP:
		return &told{net.TCPAddrFromAddrPort(h.Source), net.TCPAddrFromAddrPort(h.Destination), h.Source.String()}
	case proxyproto.Unix:
		t := &told{&net.UnixAddr{Name: h.SourcePath, Net: "unix"}, &net.UnixAddr{Name: h.DestinationPath, Net: "unix"}, h.SourcePath}
		if t.remoteName == "" {
			t.remoteName = "@"
		}
		return t
	}
	return nil
}

// trusts reports whether a peer with this address may send a PROXY header.
func (srv *Server) trusts(peer netip.Addr) bool {
	if srv.ProxyTrusted == nil {
		return peer.IsLoopback()
	}
	for _, p := range srv.ProxyTrusted {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

var (
	errUntrusted      = errors.New("a PROXY header is required, and its peer is not one of ProxyTrusted")
	errHeaderTimeout  = errors.New("PROXY protocol: the header did not arrive in time")
	errHeaderCutShort = errors.New("PROXY protocol: the connection ended in the middle of the header")
)

// readProxy takes the header from the beginning of the input, and goes on with the
// connection when it is complete.
func (a *arrival) readProxy(c *conn.Conn, in []byte) (n int) {
	h, n, err := proxyproto.Parse(in)
	switch {
	case err == proxyproto.ErrAbsent && a.srv.ProxyProtocol == ProxyOptional:
		a.admit(c, a.from)
	case err != nil:
		a.badProxy(c, err)
		return len(in)
	case n > 0:
		client := netip.Addr{} // the proxy's own connections are not counted
		if a.told = toldBy(&h); h.Family == proxyproto.TCP {
			client = h.Source.Addr()
		}
		a.admit(c, client)
	}
	return n
}

// badProxy ends a connection without a valid header. Nobody is told but the log: what
// the peer speaks is unknown. That is once a second at most, or peers could fill it
// before they are anybody's clients.
func (a *arrival) badProxy(c *conn.Conn, err error) {
	a.count.BadProxy++
	const second = 1_000_000_000
	if now := a.loop.Now(); a.complained == 0 || now-a.complained >= second {
		a.complained = max(now, 1)
		a.srv.logProxy(peerAddr(c), err)
	}
	c.Abort(err)
}
