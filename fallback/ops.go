package fallback

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/mapped"
	"github.com/ringkit/ringkit/internal/ring"
)

// Accept accepts connections on a listening descriptor until an error ends it:
// each completion is a new descriptor, close-on-exec and non-blocking. It makes
// the listening descriptor itself non-blocking.
func (r *Ring) Accept(t ring.Token, fd int) {
	unblock(fd)
	if f := r.register(t, fd); f != nil {
		// Not to wait for a peer tells at once what is no listener.
		f.set(fileReadable)
		r.input(t, fd, f)
	}
}

// Recv receives into the ring's buffers until the stream or an error ends it. A
// completion with res 0 is the end of the stream; -ENOBUFS means that all buffers
// are lent, the data being safe in the socket.
func (r *Ring) Recv(t ring.Token, fd int) {
	if f := r.register(t, fd); f != nil {
		r.input(t, fd, f)
	}
}

func (r *Ring) input(t ring.Token, fd int, f *file) {
	alone(t, f.in)
	f.in = t
	r.schedule(int32(fd), f)
}

// register prepares a descriptor for an operation. When that fails the operation
// completes, and the result is nil.
func (r *Ring) register(t ring.Token, fd int) *file {
	f, errno := r.file(t, fd)
	if errno == syscall.EPERM {
		errno = syscall.ENOTSOCK // epoll refuses what is always ready
	}
	if errno != 0 {
		r.failed(t, errno)
		return nil
	}
	return f
}

// file adds a descriptor to the epoll set at its first operation.
func (r *Ring) file(t ring.Token, fd int) (*file, syscall.Errno) {
	f := r.files.at(fd)
	if f == nil || !f.is(fileRegistered) {
		if errno := r.watch(fd, f.life()); errno != 0 {
			return nil, errno
		}
		f = r.files.get(fd)
		f.set(fileRegistered)
	}
	r.files.setSlot(t.Slot(), int32(fd))
	return f, 0
}

func (r *Ring) watch(fd int, gen uint32) syscall.Errno {
	ev := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLPRI | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff,
		Fd:     int32(fd),
		Pad:    int32(gen),
	}
	err := unix.EpollCtl(r.epfd, unix.EPOLL_CTL_ADD, fd, &ev)
	if err == unix.EEXIST {
		// The socket had this number before; it was closed, but for a duplicate.
		err = unix.EpollCtl(r.epfd, unix.EPOLL_CTL_MOD, fd, &ev)
	}
	return errnoOf(err)
}

func alone(t, other ring.Token) {
	if check.Enabled {
		check.That(other == 0, "%v while %v is in flight on the descriptor", t, other)
	}
}

// acceptOne accepts one connection. It reports whether that gave a completion.
func (r *Ring) acceptOne(c *ring.Completion, fd int32, f *file) bool {
	if r.accepts == 0 {
		f.set(fileQueued)
		r.again = append(r.again, fd)
		return false
	}
	r.accepts--
	n, errno := accept(int(fd))
	switch errno {
	case 0:
		*c = ring.Completion{Token: f.in, Res: int32(n), Flags: ring.More}
		r.schedule(fd, f)
	case syscall.EAGAIN:
		f.clear(fileReadable)
		return false
	default:
		// The connection that failed may not be the last: readable it stays.
		*c = ring.Completion{Token: f.in, Res: -int32(errno)}
		f.in = 0
	}
	return true
}

// receiveOne receives once. It reports whether that gave a completion.
func (r *Ring) receiveOne(c *ring.Completion, fd int32, f *file) bool {
	id, buf, ok := r.bufs.take()
	if !ok {
		r.stats.Starved++
		*c = ring.Completion{Token: f.in, Res: -int32(syscall.ENOBUFS)}
		f.in = 0
		return true
	}
	n, errno := receive(int(fd), buf)
	if errno != 0 || n == 0 {
		r.bufs.give(id)
		if errno == syscall.EAGAIN {
			f.clear(fileReadable)
			return false
		}
		*c = ring.Completion{Token: f.in, Res: -int32(errno)}
		f.in = 0
		return true
	}
	*c = ring.Completion{Token: f.in, Res: int32(n), Flags: ring.More | ring.HasBuffer, BufID: id, Buf: buf[:n]}
	if n < len(buf) && !f.is(fileUnsure) {
		// The socket is empty; what comes next is an edge. (The one exception
		// that epoll does not announce is a message with descriptors on a unix
		// socket: what follows it waits for the peer to write again.)
		f.clear(fileReadable)
		return true
	}
	// There may be more, for which others do not have to wait for long.
	r.bulk = fd
	r.burst++
	if !f.is(fileQueued) {
		f.set(fileQueued)
		r.again = append(r.again, fd)
	}
	return true
}

// Send sends all of p, which has to be mapped memory and to stay untouched until
// the completion: at once as far as the socket takes it, the rest as it becomes
// writable. A result shorter than p means that an error or Cancel came in between;
// sending the rest shows which.
func (r *Ring) Send(t ring.Token, fd int, p []byte) {
	check.That(mapped.Owns(p), "send of memory that is not mapped")
	f := r.register(t, fd)
	if f == nil {
		return
	}
	alone(t, f.out)
	f.out, f.rest, f.sent = t, p, 0
	r.send(fd, f)
	if f.out != 0 {
		r.stats.Waits++
	}
}

// SendSome is Send, which does not ask more of a socket than it takes.
func (r *Ring) SendSome(t ring.Token, fd int, p []byte) { r.Send(t, fd, p) }

func (r *Ring) send(fd int, f *file) {
	for len(f.rest) > 0 {
		n, errno := send(fd, f.rest)
		if errno == syscall.EAGAIN {
			return
		}
		if errno != 0 {
			r.outputEnds(f, errno)
			return
		}
		f.rest = f.rest[n:]
		f.sent += int32(n)
	}
	r.outputEnds(f, 0)
}

// outputEnds completes a send, or a connect, which has sent nothing.
func (r *Ring) outputEnds(f *file, errno syscall.Errno) {
	res := f.sent
	if errno != 0 && res == 0 {
		res = -int32(errno)
	}
	r.completed(f.out, res)
	f.out, f.rest, f.sent = 0, nil, 0
}

// Connect connects a socket, which has to be non-blocking, to a raw socket address
// in mapped memory.
func (r *Ring) Connect(t ring.Token, fd int, sockaddr []byte) {
	check.That(mapped.Owns(sockaddr), "connect with an address that is not mapped")
	check.That(!check.Enabled || !blocking(fd), "connect of a blocking socket")
	f := r.register(t, fd)
	if f == nil {
		return
	}
	alone(t, f.out)
	f.clear(fileReadable | fileUnsure) // of an earlier attempt
	f.out = t
	errno := connect(fd, sockaddr)
	if errno == syscall.ECONNABORTED {
		// The end of an earlier attempt, which the socket had still to be told.
		errno = connect(fd, sockaddr)
	}
	if errno != syscall.EINPROGRESS && errno != syscall.EINTR {
		r.outputEnds(f, errno)
	}
}

// writable goes on with what waits for a descriptor to be writable.
func (r *Ring) writable(fd int, f *file) {
	if f.out.Op() != ring.OpConnect {
		r.send(fd, f)
		return
	}
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		code = int(errnoOf(err))
	}
	r.outputEnds(f, syscall.Errno(code))
}

// Poll waits once for any of the poll(2) events; POLLERR, POLLHUP and, as with
// io_uring, POLLRDHUP are implied. The result is the mask of events.
func (r *Ring) Poll(t ring.Token, fd int, events uint32) {
	f, errno := r.file(t, fd)
	switch errno {
	case 0:
	case syscall.EPERM: // what epoll refuses is always ready
		r.completed(t, int32(pollNow(fd, events)))
		return
	default:
		r.failed(t, errno)
		return
	}
	alone(t, f.poll)
	f.poll, f.mask = t, events|unix.POLLRDHUP
	r.poll(fd, f) // edges from before this call are gone
}

// poll completes the poll of a descriptor if there is something to report now.
func (r *Ring) poll(fd int, f *file) {
	if got := pollNow(fd, f.mask); got != 0 {
		r.completed(f.poll, int32(got))
		f.poll = 0
	}
}

// Cancel asks for the end of the operation with the token target. Its own
// completion is 0, or -ENOENT when there was nothing to cancel.
func (r *Ring) Cancel(t, target ring.Token) {
	f := r.files.at(r.files.ofSlot(target.Slot()))
	switch {
	case f == nil || target == 0:
		r.failed(t, syscall.ENOENT)
		return
	case f.in == target:
		f.in = 0
		r.failed(target, syscall.ECANCELED)
	case f.out == target:
		r.outputEnds(f, syscall.ECANCELED)
	case f.poll == target:
		f.poll = 0
		r.failed(target, syscall.ECANCELED)
	default:
		r.failed(t, syscall.ENOENT)
		return
	}
	r.completed(t, 0)
}

// Shutdown shuts down one or both directions of a socket at once. SHUT_RDWR
// completes an armed receive with 0.
func (r *Ring) Shutdown(fd, how int) { _ = unix.Shutdown(fd, how) }

// Reset has CloseFD end a TCP connection with a RST instead of a FIN, see
// socket(7), SO_LINGER. Other sockets know no such thing.
func (r *Ring) Reset(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}

// CloseFD closes a descriptor on which no operation is in flight. There is no
// completion.
func (r *Ring) CloseFD(fd int) {
	r.files.forget(fd)
	_ = unix.Close(fd)
}

// Forget tells that a descriptor with nothing in flight stays open, and is used
// elsewhere from now on.
func (r *Ring) Forget(fd int) {
	r.files.forget(fd)
	// It fails when the descriptor was never used here.
	_ = unix.EpollCtl(r.epfd, unix.EPOLL_CTL_DEL, fd, nil)
}
