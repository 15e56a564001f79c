package conn

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

// Where the ring has a table of files, a connection lives in the slot of it that has the
// connection's own number, and its descriptor is closed: it is a direct one. A slot of the
// table is used again when that of the connection is, with nothing in flight. What needs
// a descriptor has one made for as long as that takes.
//
// A connection whose number is beyond the table keeps its descriptor.

// FileTable is what a Ring may have besides: places for connections that are no
// descriptors of the process. All operations, Shutdown, Reset, CloseFD and Forget are
// given ring.Direct(slot) then.
type FileTable interface {
	// Files returns the number of slots; 0 says that there is no table.
	Files() int
	// Register moves a descriptor into an empty slot, at the latest before the operations
	// that are prepared afterwards, and closes it. Operations in flight on it go on.
	Register(fd int, slot uint32) (direct int)
	// Install makes a descriptor of what is in a slot and stays there.
	Install(direct int) (fd int, err error)
}

// ErrNoDescriptor is matched by the errors of a direct connection that cannot be given a
// descriptor, mostly at the limit of the process.
var ErrNoDescriptor = errors.New("the connection cannot be given a descriptor")

// noDescriptor is an ErrNoDescriptor with what the kernel said.
type noDescriptor struct{ err error }

func (e *noDescriptor) Error() string        { return ErrNoDescriptor.Error() + ": " + e.err.Error() }
func (e *noDescriptor) Unwrap() error        { return e.err }
func (e *noDescriptor) Is(target error) bool { return target == ErrNoDescriptor }

// Files returns how many connections of the loop can be without a descriptor, and how
// many are. It is for the loop's goroutine and for functions given to Observe.
func (l *Loop) Files() (slots, used int) { return int(l.table.files), l.direct }

// IsDirect reports whether the connection is a slot of its ring's table of files, and has
// no descriptor.
func (c *Conn) IsDirect() bool { return ring.IsDirect(int(c.fd)) }

// goDirect gives up the descriptor for a slot of the table, if there is one.
func (c *Conn) goDirect() {
	l := c.loop
	if l.files == nil || c.phase != phaseOpen || c.flags&(flagKeeps|flagBorrowed|flagDozing) != 0 || c.IsDirect() {
		return
	}
	if c.slot >= l.table.files {
		return
	}
	e := l.table.endsOf(c.slot)
	e.local.set(socketAddr(int(c.fd), unix.SYS_GETSOCKNAME))
	e.remote.set(socketAddr(int(c.fd), unix.SYS_GETPEERNAME))
	c.fd = int32(l.files.Register(int(c.fd), c.slot))
	l.direct++
}

// goReal makes a descriptor of a direct connection, and has it give up its slot. What is
// in flight goes on.
func (c *Conn) goReal() error {
	if !c.IsDirect() {
		return nil
	}
	fd, err := c.loop.files.Install(int(c.fd))
	if err != nil {
		return &noDescriptor{err}
	}
	c.loop.closeFD(int(c.fd))
	c.fd = int32(fd)
	return nil
}

// KeepDescriptor has the connection keep a descriptor from now on, which FD returns. The
// error matches ErrNoDescriptor.
func (c *Conn) KeepDescriptor() error {
	if err := c.goReal(); err != nil {
		return err
	}
	c.flags |= flagKeeps
	return nil
}

// WithDescriptor calls use with a descriptor of the connection, which is its own or was
// made for this: use does not close or keep it. The error is that there is none.
func (c *Conn) WithDescriptor(use func(fd int)) error {
	fd := int(c.fd)
	if c.IsDirect() {
		var err error
		if fd, err = c.loop.files.Install(fd); err != nil {
			return &noDescriptor{err}
		}
		defer c.loop.closeFD(fd) // with the next submission
	}
	use(fd)
	return nil
}

// LocalAddr returns the address of this end of a connection of the internet, the zero
// value for another.
func (c *Conn) LocalAddr() netip.AddrPort {
	if c.IsDirect() {
		return c.loop.table.endsOf(c.slot).local.get()
	}
	return socketAddr(int(c.fd), unix.SYS_GETSOCKNAME)
}

// RemoteAddr returns the address of the peer, as LocalAddr does. Of a direct connection
// it is known also when the peer is gone.
func (c *Conn) RemoteAddr() netip.AddrPort {
	if c.IsDirect() {
		return c.loop.table.endsOf(c.slot).remote.get()
	}
	return socketAddr(int(c.fd), unix.SYS_GETPEERNAME)
}

// ends are the addresses of a direct connection, of which the kernel tells those that have
// a descriptor (and others from 6.19 on).
type ends struct{ local, remote inetAddr }

// inetAddr is a netip.AddrPort that is small and without a pointer.
type inetAddr struct {
	ip   [16]byte // an IPv4 address is mapped (RFC 4291 section 2.5.5.2)
	port uint16
}

func (a *inetAddr) set(ap netip.AddrPort) {
	*a = inetAddr{}
	if ap.IsValid() {
		a.ip, a.port = ap.Addr().As16(), ap.Port()
	}
}

func (a *inetAddr) get() netip.AddrPort {
	if a.ip == ([16]byte{}) {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.AddrFrom16(a.ip).Unmap(), a.port)
}

// socketAddr returns the address of one end of a socket, as getpeername(2) or getsockname(2)
// tells it, and the zero value if it is none of the internet. The functions of x/sys/unix
// make 144 bytes of garbage, for each connection.
func socketAddr(fd int, call uintptr) netip.AddrPort {
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
