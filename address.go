package ringkit

import (
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
