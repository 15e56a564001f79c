package uring

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/mapped"
	"github.com/ringkit/ringkit/internal/ring"
)

// prober fills a report. The first step that fails and is needed ends it.
type prober struct {
	report Report
	ops    opProbe
}

var errEndLost = errors.New("the kernel loses the end of a unix stream that comes right behind data, as 6.18 does")

var errUnfair = errors.New("the kernel is older than 6.8, where one connection could starve the others")

func (p *prober) run() {
	if !p.need("set-up", "5.19", p.setup) ||
		!p.need("operations", "5.19", p.operations) {
		return
	}
	p.want(CoopTaskrun, "5.19", p.flags(setupCoopTaskrun|setupTaskrunFlag))
	p.want(NoSQArray, "6.6", p.flags(setupNoSQArray))
	p.want(NoIowait, "6.15", p.noIowait)
	p.want(BufferRing, "5.19", p.bufferRing)
	if !p.need("multishot accept", "5.19", p.multishotAccept) ||
		!p.need("complete send", "6.0", p.sendAll) ||
		!p.need("cancel", "5.19", p.cancel) {
		return
	}
	p.want(MultishotRecv, "6.8", p.multishotRecv)
	p.want(MultishotUnix, "6.8", p.multishotUnix)
	p.want(OneshotPoll, "5.19", p.oneshotPoll)
	p.want(DirectDescriptors, "6.13", p.directDescriptors)
}

func (p *prober) add(f Finding) bool {
	p.report.Findings = append(p.report.Findings, f)
	return f.Err == nil
}

func (p *prober) need(name, since string, try func() error) bool {
	err := try()
	if err != nil && !errors.Is(err, ErrUnavailable) {
		why := cause(err, disabledSysctl())
		if why == "" {
			why = "the kernel is older than 6.0, or a sandbox emulates it incompletely: upgrade to 6.1 or newer, or use epoll"
		}
		err = &Error{Step: name, Err: err, Cause: why}
	}
	if err != nil {
		p.report.Err = err
		p.report.Features = 0
	}
	return p.add(Finding{Name: name, Since: since, Need: true, Err: err})
}

func (p *prober) want(f Feature, since string, try func() error) {
	err := try()
	if err == nil {
		p.report.Features |= f
	}
	var e *Error
	if errors.As(err, &e) {
		// io_uring is there, only this part of it is not.
		err = fmt.Errorf("%s: %w", e.Step, e.Err)
	}
	p.add(Finding{Name: f.String(), Since: since, Err: err})
}

// A multishot receive on a kernel before 6.18 needs a free buffer beyond those with
// data, to find out that there is no more.
var probeConfig = Config{Entries: 8, CQEntries: 16, Buffers: 8, BufferSize: 64}

// with runs use on a small ring that has the given features.
func (p *prober) with(f Feature, use func(*Ring) error) error { return p.made(f, probeConfig, use) }

func (p *prober) made(f Feature, cfg Config, use func(*Ring) error) error {
	r := newRing(f)
	if err := r.open(cfg); err != nil {
		return errors.Join(err, r.release())
	}
	return errors.Join(use(r), r.Close(time.Second))
}

func (p *prober) setup() error {
	return p.with(0, func(r *Ring) error { return nil })
}

func (p *prober) operations() error {
	return p.with(0, func(r *Ring) error {
		if err := register(r.fd, registerProbe, unsafe.Pointer(&p.ops), probeMaxOps); err != nil {
			return bare(err)
		}
		for _, op := range []uint8{opNop, opPollAdd, opAccept, opAsyncCancel, opConnect, opClose, opSend, opRecv} {
			if !p.has(op) {
				return fmt.Errorf("operation %d is missing", op)
			}
		}
		return nil
	})
}

func (p *prober) has(op uint8) bool {
	return op <= p.ops.lastOp && p.ops.ops[op].flags&probeOpSupported != 0
}

func (p *prober) flags(flags uint32) func() error {
	return func() error {
		q := params{Flags: setupSubmitAll | flags}
		fd, err := setup(4, &q)
		if err != nil {
			return fmt.Errorf("set-up flags %#x: %w", flags, bare(err))
		}
		return unix.Close(fd)
	}
}

func (p *prober) noIowait() error {
	return p.with(NoIowait, func(r *Ring) error {
		if r.kernel&featNoIowait == 0 {
			return errors.New("not among the kernel's feature bits")
		}
		return r.Enter(0)
	})
}

func (p *prober) bufferRing() error {
	return p.with(p.report.Features|BufferRing, func(r *Ring) error {
		return pair(func(a, b int) error { return receive(r, a, b, "through a buffer ring") })
	})
}

func (p *prober) multishotRecv() error {
	if p.report.Features&BufferRing == 0 {
		return errors.New("needs a buffer ring")
	}
	err := p.with(p.report.Features|MultishotRecv|MultishotUnix, func(r *Ring) error {
		return pair(func(a, b int) error {
			r.Recv(probeToken(ring.OpRecv), a)
			for _, text := range []string{"one", "two", "three"} {
				if err := expectData(r, b, text, true); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err == nil && !p.has(opFixedFD) {
		// It came with 6.8, as did the fairness of multishot receive; the operation can
		// be asked for, the fairness cannot.
		return errUnfair
	}
	return err
}

func (p *prober) multishotAccept() error {
	return p.with(p.report.Features, func(r *Ring) error {
		fd, addr, err := loopbackListener()
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		r.Accept(probeToken(ring.OpAccept), fd)
		for range 2 {
			peer, err := dialRaw(addr)
			if err != nil {
				return err
			}
			c, err := await(r)
			unix.Close(peer)
			if err != nil {
				return err
			}
			if c.Res < 0 {
				return syscall.Errno(-c.Res)
			}
			unix.Close(int(c.Res))
			if !c.More() {
				return errors.New("accept ended after one connection")
			}
		}
		return nil
	})
}

// sendAll sends more than a socket buffer holds: the completion has to wait until
// all of it is gone.
func (p *prober) sendAll() error {
	data, err := mapped.Alloc(1 << 20)
	if err != nil {
		return err
	}
	defer mapped.Free(data) // once the ring is closed
	return p.with(p.report.Features, func(r *Ring) error {
		return pair(func(a, b int) error { return sendAndRead(r, a, b, data) })
	})
}

func sendAndRead(r *Ring, a, b int, data []byte) error {
	r.Send(probeToken(ring.OpSend), a, data)
	if err := r.Enter(0); err != nil {
		return err
	}
	sink := make([]byte, 64<<10)
	for got := 0; got < len(data); {
		n, err := unix.Read(b, sink)
		if err == unix.EAGAIN || n == 0 {
			return fmt.Errorf("the send stopped after %d of %d bytes", got, len(data))
		}
		if err != nil {
			return err
		}
		got += n
		if err := r.Enter(0); err != nil {
			return err
		}
	}
	c, err := await(r)
	if err != nil {
		return err
	}
	if int(c.Res) != len(data) {
		return fmt.Errorf("the send completed with %d of %d bytes", c.Res, len(data))
	}
	return nil
}

func (p *prober) cancel() error {
	return p.with(p.report.Features, func(r *Ring) error {
		return pair(func(a, _ int) error {
			target := probeToken(ring.OpRecv)
			r.Recv(target, a)
			if err := r.Enter(0); err != nil {
				return err
			}
			r.Cancel(probeToken(ring.OpCancel), target)
			for range 2 {
				c, err := await(r)
				if err != nil {
					return err
				}
				want := int32(0)
				if c.Token == target {
					want = -int32(syscall.ECANCELED)
				}
				if c.Res != want {
					return fmt.Errorf("%v completed with %d", c.Token, c.Res)
				}
			}
			return nil
		})
	})
}

func probeToken(op ring.Op) ring.Token { return ring.MakeToken(op, 1, 1) }

// receive arms a receive on a and writes text to b.
func receive(r *Ring, a, b int, text string) error {
	r.Recv(probeToken(ring.OpRecv), a)
	return expectData(r, b, text, false)
}

func expectData(r *Ring, b int, text string, more bool) error {
	if _, err := unix.Write(b, []byte(text)); err != nil {
		return err
	}
	c, err := await(r)
	if err != nil {
		return err
	}
	if c.Res < 0 {
		return syscall.Errno(-c.Res)
	}
	same := c.HasBuffer() && bytes.Equal(c.Buf, []byte(text))
	if c.HasBuffer() {
		r.Release(c.BufID)
	}
	if !same {
		return errors.New("the data did not arrive in a provided buffer")
	}
	if more && !c.More() {
		return errors.New("the request ended after one receive")
	}
	return nil
}

// multishotUnix ends a stream behind more data than the kernel receives in one go
// (32 buffers), so that the last receive is made knowing of both. Where the kernel
// takes an empty queue for the end of its work, the end of the stream is lost.
func (p *prober) multishotUnix() error {
	if p.report.Features&MultishotRecv == 0 {
		return errors.New("needs multishot receive")
	}
	cfg := Config{Entries: 8, CQEntries: 128, Buffers: 64, BufferSize: 64}
	for _, how := range []int{unix.SHUT_WR, unix.SHUT_RDWR} { // a half close, and what a close looks like
		err := p.made(p.report.Features|MultishotUnix, cfg, func(r *Ring) error {
			return pair(func(a, b int) error { return endBehindData(r, a, b, how) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func endBehindData(r *Ring, a, b, how int) error {
	if _, err := unix.Write(b, make([]byte, 40*r.bufs.size)); err != nil {
		return err
	}
	if err := unix.Shutdown(b, how); err != nil {
		return err
	}
	r.Recv(probeToken(ring.OpRecv), a)
	for {
		// Everything is there already. A machine too slow for this limit goes
		// without multishot on unix sockets, which costs it little.
		c, err := awaitFor(r, 2*time.Millisecond)
		if err != nil {
			return errEndLost
		}
		if c.HasBuffer() {
			r.Release(c.BufID)
		}
		switch {
		case c.Res < 0:
			return syscall.Errno(-c.Res)
		case c.Res == 0:
			return nil
		case !c.More():
			r.Recv(probeToken(ring.OpRecv), a)
		}
	}
}

// oneshotPoll does with a poll what is done to an idle connection: it is cancelled, and
// made before there is something to report, and afterwards.
func (p *prober) oneshotPoll() error {
	poll := probeToken(ring.OpPoll)
	return p.with(p.report.Features, func(r *Ring) error {
		return pair(func(a, b int) error {
			for _, step := range []struct {
				then func() error // once it has been made
				want int32
			}{
				{func() error { r.Cancel(probeToken(ring.OpCancel), poll); return nil }, -int32(syscall.ECANCELED)},
				{func() error { _, err := unix.Write(b, []byte("x")); return err }, unix.POLLIN},
				{func() error { return nil }, unix.POLLIN},
				{func() error { return unix.Shutdown(b, unix.SHUT_WR) }, unix.POLLIN},
				{func() error { return nil }, unix.POLLIN | unix.POLLRDHUP},
			} {
				r.Poll(poll, a, unix.POLLIN|unix.POLLRDHUP)
				if err := r.Enter(0); err != nil {
					return err
				}
				if err := step.then(); err != nil {
					return err
				}
				if err := expectPoll(r, poll, step.want); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// directDescriptors has a connection live as a connection of a server does that has no
// descriptor. What is prepared together is submitted together, and has to be done in order.
func (p *prober) directDescriptors() error {
	if p.report.Features&BufferRing == 0 {
		return errors.New("needs a buffer ring")
	}
	return p.with(p.report.Features|DirectDescriptors, func(r *Ring) error {
		if err := r.OpenFiles(4); err != nil {
			return err
		}
		return pair(func(a, b int) error {
			if err := liveInTable(r, a, b); err != nil {
				return err
			}
			if err := resetInTable(r); err != nil {
				return err
			}
			return endBesideOther(r, a)
		})
	})
}

var errHeldUp = errors.New("the kernel is older than 6.13, where a slot that was closed lives on while others have operations in flight")

// endBesideOther closes a slot while there is a receive in flight on another one, of which
// nothing comes: the peer has to hear of it all the same.
func endBesideOther(r *Ring, idle int) error {
	other, err := unix.FcntlInt(uintptr(idle), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	r.Recv(probeToken(ring.OpRecv), r.Register(other, 0))
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fds[1])
	direct := r.Register(fds[0], 1)
	r.Poll(probeToken(ring.OpPoll), direct, unix.POLLOUT) // so that it is in use
	if err := expectPoll(r, probeToken(ring.OpPoll), unix.POLLOUT); err != nil {
		return err
	}
	r.CloseFD(direct)
	if err := r.Enter(0); err != nil {
		return err
	}
	p := []unix.PollFd{{Fd: int32(fds[1]), Events: unix.POLLRDHUP}}
	if n, err := unix.Poll(p, 50); n == 0 {
		return errHeldUp
	} else if err != nil && err != unix.EINTR {
		return err
	}
	return nil
}

func liveInTable(r *Ring, a, b int) error {
	fd, err := unix.FcntlInt(uintptr(a), unix.F_DUPFD_CLOEXEC, 0) // a is the caller's
	if err != nil {
		return err
	}
	direct := r.Register(fd, 3)
	if err := receive(r, direct, b, "through a table"); err != nil {
		return err
	}
	if fd, err = r.Install(direct); err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte("x"))
	unix.Close(fd)
	if err != nil {
		return err
	}
	poll := probeToken(ring.OpPoll)
	r.Poll(poll, direct, 0)
	r.Shutdown(direct, unix.SHUT_RDWR) // which cancels that
	for over := false; !over; {
		c, err := await(r)
		switch {
		case err != nil:
			return err
		case c.HasBuffer():
			r.Release(c.BufID)
		case c.Token == poll && c.Res != -int32(syscall.ECANCELED):
			return fmt.Errorf("a poll that was cancelled completed with %d", c.Res)
		case c.Token == poll:
			over = true
		}
	}
	r.CloseFD(direct)
	if err := r.Enter(0); err != nil {
		return err
	}
	if _, err := r.Install(direct); !errors.Is(err, syscall.EBADF) {
		return fmt.Errorf("a slot that was closed is still in use: %v", err)
	}
	return nil
}

// resetInTable does what Reset does, to a TCP socket: others have no such option, and some
// kernels no socket commands.
func resetInTable(r *Ring) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	direct := r.Register(fd, 2)
	reset := probeToken(ring.OpConnect)
	r.setLinger(r.prepare(), direct).SetUserData(uint64(reset))
	for {
		c, err := await(r)
		switch {
		case err != nil:
			return err
		case c.HasBuffer():
			r.Release(c.BufID)
		case c.Token == reset && c.Res != 0:
			return fmt.Errorf("setting SO_LINGER completed with %d", c.Res)
		case c.Token == reset:
			r.CloseFD(direct)
			return nil
		}
	}
}

func expectPoll(r *Ring, poll ring.Token, want int32) error {
	for {
		c, err := await(r)
		if err != nil {
			return err
		}
		if c.Token != poll {
			continue // the cancellation
		}
		if c.Res != want || c.More() {
			return fmt.Errorf("the poll completed with %d, want %d", c.Res, want)
		}
		return nil
	}
}

// await returns the next completion, or an error after a second.
func await(r *Ring) (c ring.Completion, err error) { return awaitFor(r, time.Second) }

func awaitFor(r *Ring, limit time.Duration) (c ring.Completion, err error) {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		if err := r.Enter(limit / 10); err != nil {
			return c, err
		}
		if r.Next(&c) {
			return c, nil
		}
	}
	return c, fmt.Errorf("no completion within %v", limit)
}

func pair(use func(a, b int) error) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	return use(fds[0], fds[1])
}

// loopbackListener listens on a unix socket with a name the kernel chooses, so
// that the probe works without any network.
func loopbackListener() (int, unix.Sockaddr, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, nil, err
	}
	fail := func(err error) (int, unix.Sockaddr, error) {
		unix.Close(fd)
		return -1, nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{}); err != nil {
		return fail(err)
	}
	if err := unix.Listen(fd, 4); err != nil {
		return fail(err)
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		return fail(err)
	}
	return fd, addr, nil
}

func dialRaw(addr unix.Sockaddr) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, addr); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
