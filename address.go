package ringkit

import (
	"cmp"
	"net"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/conn"
)

// peerAddr returns the address a connection has been made from, as net.Addr has it:
// "host:port", "@" for a unix socket without a name, "" when it is unknown.
func peerAddr(c *conn.Conn) string {
	if addr := c.RemoteAddr(); addr.IsValid() {
		return addr.String()
	}
	if sa := unixPeer(c); sa != nil {
		return cmp.Or(sa.Name, "@")
	}
	return ""
}

// localAddr returns the address of this end of a connection; that of its listener
// when it is no TCP socket.
func localAddr(c *conn.Conn, listener net.Addr) net.Addr {
	if addr := c.LocalAddr(); addr.IsValid() {
		return net.TCPAddrFromAddrPort(addr)
	}
	return listener
}

// remoteAddr returns the address of the peer of a connection.
func remoteAddr(c *conn.Conn, listener net.Addr) net.Addr {
	if addr := c.RemoteAddr(); addr.IsValid() {
		return net.TCPAddrFromAddrPort(addr)
	}
	if sa := unixPeer(c); sa != nil {
		return &net.UnixAddr{Name: sa.Name, Net: "unix"}
	}
	return listener
}

// unixPeer returns the address that a unix socket is connected to, nil for another.
func unixPeer(c *conn.Conn) (u *unix.SockaddrUnix) {
	_ = c.WithDescriptor(func(fd int) {
		if sa, err := unix.Getpeername(fd); err == nil {
			u, _ = sa.(*unix.SockaddrUnix)
		}
	})
	return u
}
