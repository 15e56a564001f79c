package ringkit

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// peerAddr returns the address a socket is connected to, as net.Addr has it:
// "host:port", "@" for a unix socket without a name, "" when it is unknown.
func peerAddr(fd int) string {
	sa, err := unix.Getpeername(fd)
	if err != nil {
		return ""
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)).String()
	case *unix.SockaddrInet6:
		addr := netip.AddrFrom16(sa.Addr).Unmap()
		return netip.AddrPortFrom(addr, uint16(sa.Port)).String()
	case *unix.SockaddrUnix:
		if sa.Name == "" {
			return "@"
		}
		return sa.Name
	}
	return ""
}

// localAddr returns the address that a socket is bound to; that of its listener
// when it is no TCP socket.
func localAddr(fd int, listener net.Addr) net.Addr {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return listener
	}
	return tcpAddr(sa, listener)
}

// remoteAddr returns the address that a socket is connected to.
func remoteAddr(fd int, listener net.Addr) net.Addr {
	sa, err := unix.Getpeername(fd)
	if err != nil {
		return listener
	}
	if u, ok := sa.(*unix.SockaddrUnix); ok {
		return &net.UnixAddr{Name: u.Name, Net: "unix"}
	}
	return tcpAddr(sa, listener)
}

func tcpAddr(sa unix.Sockaddr, otherwise net.Addr) net.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)))
	case *unix.SockaddrInet6:
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port)))
	}
	return otherwise
}
