package ringkit

import (
	"cmp"
	"encoding/binary"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// peerAddr returns the address a socket is connected to, as net.Addr has it:
// "host:port", "@" for a unix socket without a name, "" when it is unknown.
func peerAddr(fd int) string {
	if addr := inetAddr(fd, unix.SYS_GETPEERNAME); addr.IsValid() {
		return addr.String()
	}
	if sa := unixPeer(fd); sa != nil {
		return cmp.Or(sa.Name, "@")
	}
	return ""
}

// localAddr returns the address that a socket is bound to; that of its listener
// when it is no TCP socket.
func localAddr(fd int, listener net.Addr) net.Addr {
	if addr := inetAddr(fd, unix.SYS_GETSOCKNAME); addr.IsValid() {
		return net.TCPAddrFromAddrPort(addr)
	}
	return listener
}

// remoteAddr returns the address that a socket is connected to.
func remoteAddr(fd int, listener net.Addr) net.Addr {
	if addr := inetAddr(fd, unix.SYS_GETPEERNAME); addr.IsValid() {
		return net.TCPAddrFromAddrPort(addr)
	}
	if sa := unixPeer(fd); sa != nil {
		return &net.UnixAddr{Name: sa.Name, Net: "unix"}
	}
	return listener
}

// unixPeer returns the address that a unix socket is connected to, nil for another.
func unixPeer(fd int) *unix.SockaddrUnix {
	sa, err := unix.Getpeername(fd)
	if err != nil {
		return nil
	}
	u, _ := sa.(*unix.SockaddrUnix)
	return u
}

// inetAddr returns the address of one end of a socket, as getpeername(2) or getsockname(2)
// tells it, and the zero value if it is none of the internet. The functions of x/sys/unix
// make 144 bytes of garbage, for each connection.
func inetAddr(fd int, call uintptr) netip.AddrPort {
	var sa unix.RawSockaddrInet6
	size := uint32(unsafe.Sizeof(sa))
	_, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return netip.AddrPort{}
	}
	var addr netip.Addr
	switch sa.Family {
	case unix.AF_INET:
		addr = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&sa)).Addr)
	case unix.AF_INET6:
		addr = netip.AddrFrom16(sa.Addr).Unmap()
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:]))
}
