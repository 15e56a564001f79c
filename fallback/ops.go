package fallback

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

// Accept accepts connections on a listening descriptor until an error ends it:
// each completion is a new descriptor, close-on-exec and non-blocking.
func (r *Ring) Accept(t ring.Token, fd int) { r.input(t, fd) }

// Recv receives into the ring's buffers until the stream or an error ends it. A
// completion with res 0 is the end of the stream; -ENOBUFS means that all buffers
// are lent, the data being safe in the socket.
func (r *Ring) Recv(t ring.Token, fd int) { r.input(t, fd) }

func (r *Ring) input(t ring.Token, fd int) {
	f, errno := r.register(t, fd)
	if errno != 0 {
		r.queue.push(t, -int32(errno), 0)
		return
	}
	f.in = t
	r.schedule(int32(fd), f)
}

// register adds a descriptor to the epoll set at its first operation.
func (r *Ring) register(t ring.Token, fd int) (*file, syscall.Errno) {
	f := r.files.get(fd)
	r.files.setSlot(t.Slot(), int32(fd))
	if f.is(fileRegistered) {
		return f, 0
	}
	ev := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff,
		Fd:     int32(fd),
		Pad:    int32(f.gen),
	}
	if err := unix.EpollCtl(r.epfd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return nil, errnoOf(err)
	}
	f.set(fileRegistered)
	return f, 0
}

// acceptOne accepts one connection. It reports whether that gave a completion.
func (r *Ring) acceptOne(c *ring.Completion, fd int32, f *file) bool {
	if r.accepts == 0 {
		f.set(fileQueued)
		r.again = append(r.again, fd)
		return false
	}
	r.accepts--
	n, _, err := unix.Accept4(int(fd), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	switch errno := errnoOf(err); errno {
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
	if n < len(buf) && !f.is(fileEnded) {
		// The socket is empty; what comes next is an edge.
		f.clear(fileReadable)
		return true
	}
	// There may be more, for which others do not have to wait.
	f.set(fileQueued)
	r.again = append(r.again, fd)
	return true
}

// Send sends all of p, which stays untouched until the completion: at once as far
// as the socket takes it, the rest as it becomes writable. A result shorter than p
// means that an error or Cancel came in between; sending the rest shows which.
func (r *Ring) Send(t ring.Token, fd int, p []byte) {
	f, errno := r.register(t, fd)
	if errno != 0 {
		r.queue.push(t, -int32(errno), 0)
		return
	}
	f.out, f.rest, f.sent = t, p, 0
	r.send(fd, f)
	if f.out != 0 {
		r.stats.Waits++
	}
}

func (r *Ring) send(fd int, f *file) {
	for len(f.rest) > 0 {
		n, errno := send(fd, f.rest)
		if errno == syscall.EAGAIN {
			return
		}
		if errno != 0 {
			r.sendEnds(f, errno)
			return
		}
		f.rest = f.rest[n:]
		f.sent += int32(n)
	}
	r.sendEnds(f, 0)
}

func (r *Ring) sendEnds(f *file, errno syscall.Errno) {
	res := f.sent
	if errno != 0 && res == 0 {
		res = -int32(errno)
	}
	r.queue.push(f.out, res, 0)
	f.out, f.rest = 0, nil
}

// Connect connects a socket to a raw socket address.
func (r *Ring) Connect(t ring.Token, fd int, sockaddr []byte) {
	f, errno := r.register(t, fd)
	if errno == 0 {
		errno = connect(fd, sockaddr)
	}
	if errno == syscall.EINPROGRESS || errno == syscall.EINTR {
		f.out = t
		return
	}
	r.queue.push(t, -int32(errno), 0)
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
	r.queue.push(f.out, -int32(code), 0)
	f.out = 0
}

// Poll waits once for any of the poll(2) events; POLLERR, POLLHUP and, as with
// io_uring, POLLRDHUP are implied. The result is the mask of events.
func (r *Ring) Poll(t ring.Token, fd int, events uint32) {
	f, errno := r.register(t, fd)
	if errno != 0 {
		r.queue.push(t, -int32(errno), 0)
		return
	}
	// Edges from before this call are gone: look at the present state.
	p := []unix.PollFd{{Fd: int32(fd), Events: int16(events | unix.POLLRDHUP)}}
	if n, err := unix.Poll(p, 0); err == nil && n > 0 {
		r.queue.push(t, int32(p[0].Revents), 0)
		return
	}
	f.poll, f.mask = t, events|unix.POLLRDHUP
}

// Cancel asks for the end of the operation with the token target. Its own
// completion is 0, or -ENOENT when there was nothing to cancel.
func (r *Ring) Cancel(t, target ring.Token) {
	f := r.files.at(r.files.ofSlot(target.Slot()))
	res := int32(0)
	switch {
	case f == nil || target == 0:
		res = -int32(syscall.ENOENT)
	case f.in == target:
		f.in = 0
		r.queue.push(target, -int32(syscall.ECANCELED), 0)
	case f.out == target:
		r.sendEnds(f, syscall.ECANCELED)
	case f.poll == target:
		f.poll = 0
		r.queue.push(target, -int32(syscall.ECANCELED), 0)
	default:
		res = -int32(syscall.ENOENT)
	}
	r.queue.push(t, res, 0)
}

// Shutdown shuts down one or both directions of a socket at once. SHUT_RDWR
// completes an armed receive with 0.
func (r *Ring) Shutdown(fd, how int) { _ = unix.Shutdown(fd, how) }

// CloseFD closes a descriptor on which no operation is in flight. There is no
// completion.
func (r *Ring) CloseFD(fd int) {
	r.files.forget(fd)
	_ = unix.Close(fd)
}
