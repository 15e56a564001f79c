package uring

import (
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/mapped"
	"github.com/ringkit/ringkit/internal/ring"
)

// Each operation below is prepared at once and submitted by the next Enter (or
// earlier, when the queue is full). It has at least one completion with its
// token, and exactly one without the flag More.

// Accept accepts connections on a listening descriptor until an error ends it:
// each completion is a new descriptor, close-on-exec and non-blocking.
func (r *Ring) Accept(t ring.Token, fd int) {
	e := r.prepare()
	e.PrepOperation(opAccept, int32(fd), 0, 0, 0)
	e.SetIoprio(acceptMultishot)
	e.SetOpFlags(unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK)
	e.SetUserData(uint64(t))
}

// Recv receives into the ring's buffers: repeatedly with MultishotRecv (and on a
// unix socket MultishotUnix), otherwise once. A completion with res 0 is the end of the stream; -ENOBUFS means that all
// buffers are in use, the data being safe in the socket.
func (r *Ring) Recv(t ring.Token, fd int) {
	e := r.prepare()
	e.SetUserData(uint64(t))
	if r.polled != nil {
		r.polled[t] = int32(fd)
		e.PrepOperation(opPollAdd, int32(fd), 0, 0, 0) // never a slot: see open
		e.SetOpFlags(unix.POLLIN | unix.POLLRDHUP)
		return
	}
	n := uint32(0)
	if r.multishot(fd) {
		e.SetIoprio(recvMultishot)
	} else {
		n = uint32(r.bufs.size)
	}
	e.PrepOperation(opRecv, file(e, fd), 0, n, 0)
	e.SetFlags(sqeBufferSelect)
	if len(r.bufs.groups) > 1 || r.bufs.want {
		e.SetBufGroup(r.bufs.pick())
	}
}

// multishot reports whether a receive on fd may be multishot. Only kernels that need
// it pay for the system call, and for sockets that are not unix sockets once.
func (r *Ring) multishot(fd int) bool {
	switch r.features & (MultishotRecv | MultishotUnix) {
	case MultishotRecv | MultishotUnix:
		return true
	case MultishotRecv:
		if ring.IsDirect(fd) {
			return !r.files.unix[ring.FileSlot(fd)]
		}
		if r.notUnix.has(fd) {
			return true
		}
		family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		if err != nil || family == unix.AF_UNIX {
			return false
		}
		r.notUnix.add(fd)
		return true
	}
	return false
}

// fdSet is a set of descriptors.
type fdSet []uint64

func (s fdSet) has(fd int) bool { return fd >= 0 && fd>>6 < len(s) && s[fd>>6]&(1<<(fd&63)) != 0 }

func (s *fdSet) add(fd int) {
	for fd>>6 >= len(*s) {
		*s = append(*s, 0)
	}
	(*s)[fd>>6] |= 1 << (fd & 63)
}

func (s fdSet) remove(fd int) {
	if s.has(fd) {
		s[fd>>6] &^= 1 << (fd & 63)
	}
}

// receivePolled turns the completion of a poll into that of a receive, where the
// kernel has no buffer rings.
func (r *Ring) receivePolled(c *ring.Completion) {
	fd := r.polled[c.Token]
	delete(r.polled, c.Token)
	if c.Res < 0 {
		return
	}
	id, ok := r.bufs.pop()
	if !ok {
		r.stats.Starved++
		c.Res = -int32(syscall.ENOBUFS)
		return
	}
	buf := r.bufs.take(id, r.bufs.size)
	n, errno := recvNow(int(fd), buf)
	if errno != 0 || n == 0 {
		r.bufs.give(id)
		c.Res = -int32(errno)
		return
	}
	c.Res, c.Flags, c.BufID, c.Buf = int32(n), ring.HasBuffer, id, buf[:n]
}

func recvNow(fd int, buf []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)), unix.MSG_DONTWAIT, 0, 0)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

// Release gives a receive buffer back.
func (r *Ring) Release(id uint16) { r.bufs.give(id) }

// ExcessBuffers reports whether there are more receive buffers than Config.Buffers, so
// that TrimBuffers should be called in a while.
func (r *Ring) ExcessBuffers() bool { return r.bufs.excess() }

// TrimBuffers gives back the memory of some of the buffers that were added to
// Config.Buffers, if so many have not been used since the last call: a second is a good
// time between two calls.
func (r *Ring) TrimBuffers() {
	overflows := atomic.LoadUint32(r.sq.flags)&sqCQOverflow != 0 // there are completions in the kernel
	r.bufs.trim(!overflows && !r.ready())
}

// Send sends all of p, which has to be mapped memory and to stay untouched until
// the completion. The kernel finishes short sends itself (MSG_WAITALL); a result
// shorter than p is left to an interrupted one, and sending the rest shows why.
func (r *Ring) Send(t ring.Token, fd int, p []byte) {
	check.That(mapped.Owns(p), "send of memory that is not mapped")
	e := r.prepare()
	e.PrepOperation(opSend, file(e, fd), address(p), uint32(len(p)), 0)
	e.SetOpFlags(unix.MSG_WAITALL | unix.MSG_NOSIGNAL)
	e.SetUserData(uint64(t))
}

// SendSome is Send without MSG_WAITALL, which kernel TLS refuses (EOPNOTSUPP, as of 7.3).
// At least some of p is sent.
func (r *Ring) SendSome(t ring.Token, fd int, p []byte) {
	check.That(mapped.Owns(p), "send of memory that is not mapped")
	e := r.prepare()
	e.PrepOperation(opSend, file(e, fd), address(p), uint32(len(p)), 0)
	e.SetOpFlags(unix.MSG_NOSIGNAL)
	e.SetUserData(uint64(t))
}

// Connect connects a socket to a raw socket address, which has to be mapped
// memory and to stay untouched until the completion.
func (r *Ring) Connect(t ring.Token, fd int, sockaddr []byte) {
	check.That(mapped.Owns(sockaddr), "connect with an address that is not mapped")
	e := r.prepare()
	e.PrepOperation(opConnect, file(e, fd), address(sockaddr), 0, uint64(len(sockaddr)))
	e.SetUserData(uint64(t))
}

// Poll waits once for any of the poll(2) events; POLLERR, POLLHUP and, unlike in
// poll(2), POLLRDHUP are implied. The result is the mask of events.
func (r *Ring) Poll(t ring.Token, fd int, events uint32) {
	e := r.prepare()
	e.PrepOperation(opPollAdd, file(e, fd), 0, 0, 0)
	e.SetOpFlags(events)
	e.SetUserData(uint64(t))
}

// Parks reports whether Poll is fit to wait for the input of idle connections.
func (r *Ring) Parks() bool { return r.features&OneshotPoll != 0 }

// Cancel asks for the end of the operation with the token target. Its own
// completion (0, -ENOENT when there was nothing to cancel, -EALREADY) says
// nothing about the target's, which may come before or after.
func (r *Ring) Cancel(t, target ring.Token) {
	e := r.prepare()
	e.PrepOperation(opAsyncCancel, -1, uint64(target), 0, 0)
	e.SetUserData(uint64(t))
}

// Shutdown shuts down one or both directions of a socket at once, with a plain
// system call: as a ring operation it would always take a kernel worker.
// SHUT_RDWR completes an armed receive with 0.
//
// A file without a descriptor would have to be given one for that. So SHUT_RDWR and
// SHUT_RD cancel what is in flight on it instead, and leave the rest to CloseFD.
func (r *Ring) Shutdown(fd, how int) {
	if ring.IsDirect(fd) {
		r.shutdownDirect(fd, how)
		return
	}
	_ = unix.Shutdown(fd, how)
}

// Reset has CloseFD end a TCP connection with a RST instead of a FIN, see
// socket(7), SO_LINGER. Other sockets know no such thing.
func (r *Ring) Reset(fd int) {
	if ring.IsDirect(fd) {
		r.resetDirect(fd)
		return
	}
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}

// CloseFD closes a descriptor on which no operation is in flight. There is no
// completion.
func (r *Ring) CloseFD(fd int) {
	e := r.silent()
	if ring.IsDirect(fd) {
		e.PrepOperation(opClose, 0, 0, 0, 0)
		e.SetSpliceFdIn(int32(ring.FileSlot(fd)) + 1)
		return
	}
	r.notUnix.remove(fd)
	e.PrepOperation(opClose, int32(fd), 0, 0, 0)
}

// silent prepares an operation that completes only when it fails, of which nobody hears.
func (r *Ring) silent() *sqe {
	e := r.prepare()
	r.inflight--
	e.SetFlags(sqeSkipSuccess)
	return e
}

// Forget tells that a descriptor with nothing in flight is used elsewhere from now on.
func (r *Ring) Forget(fd int) { r.notUnix.remove(fd) }

// address returns where mapped memory is. It stays there, so the number may
// outlive the call.
func address(p []byte) uint64 {
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(p))))
}
