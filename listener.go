package ringkit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/conn"
)

// listener is one listening socket of a server. It accepts on one loop and gives
// each connection to the loop that has the fewest.
type listener struct {
	srv     *Server
	worker  *worker
	addr    net.Addr
	tls     *tls.Config    // nil without
	ended   chan error     // gets why accepting ended
	accept  *conn.Listener // set by start, on the loop
	origins []*origin      // of its connections, by worker
}

func newListener(srv *Server, l net.Listener, cfg *tls.Config, ctx context.Context) *listener {
	ln := &listener{
		srv: srv, addr: l.Addr(), tls: cfg, ended: make(chan error, 1),
		worker: srv.workers[len(srv.listeners)%len(srv.workers)],
	}
	for _, w := range srv.workers {
		ln.origins = append(ln.origins, &origin{worker: w, ctx: ctx, addr: ln.addr})
	}
	return ln
}

func (ln *listener) start(loop *conn.Loop, fd int) {
	ln.accept = loop.Listen(fd, conn.ListenerEvents{
		Accepted:  ln.accepted,
		Exhausted: ln.waits,
		Closed: func(err error) {
			ln.ended <- ln.endError(err)
			ln.srv.listening.Done()
		},
	})
}

// waits is called when accepting has to wait, for want of descriptors or memory.
func (ln *listener) waits(err error) {
	ln.srv.logAcceptWaits(ln.addr, err)
	if f := ln.srv.Hooks.AcceptWaits; f != nil {
		f(ln.addr, err)
	}
}

func (ln *listener) endError(err error) error {
	if err == nil {
		return net.ErrClosed
	}
	return fmt.Errorf("ringkit: accept on %v: %w", ln.addr, err)
}

func (ln *listener) accepted(fd int) {
	o := ln.origins[ln.srv.pick()]
	if ln.srv.hooked() {
		o = &origin{worker: o.worker, ctx: o.ctx, addr: o.addr, peer: &peerConn{}}
	}
	var p conn.Protocol = o
	if ln.tls != nil {
		p = ln.secure(o)
	}
	if o.worker == ln.worker {
		o.loop.Adopt(fd, p)
		return
	}
	o.loop.Do(func(l *conn.Loop) { l.Adopt(fd, p) })
}

// secure returns the protocol of a connection that begins with a handshake. From then
// on it has an origin of its own.
func (ln *listener) secure(o *origin) *handshake {
	if o.peer == nil {
		o = &origin{worker: o.worker, ctx: o.ctx, addr: o.addr}
	}
	return &handshake{origin: o, cfg: ln.tls}
}

// close ends accepting; it runs on the listener's loop.
func (ln *listener) close() {
	if ln.accept != nil {
		ln.accept.Close()
	}
}

// descriptor returns a duplicate of the listener's descriptor, which becomes the
// loop's. Socket options set here are inherited by accepted connections, so that
// none costs a system call of its own.
func descriptor(l net.Listener) (int, error) {
	sc, ok := l.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("ringkit: cannot serve on a %T: it has no descriptor; use a TCP or unix listener of the net package, with ServeTLS for TLS", l)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("ringkit: listener %v: %w", l.Addr(), err)
	}
	fd := -1
	var duperr error
	err = raw.Control(func(s uintptr) {
		fd, duperr = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err = errors.Join(err, duperr); err != nil {
		return -1, fmt.Errorf("ringkit: listener %v: %w", l.Addr(), err)
	}
	if ul, ok := l.(*net.UnixListener); ok {
		ul.SetUnlinkOnClose(true)
	}
	if l.Addr().Network() == "tcp" {
		// Failing here costs latency at most.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	}
	return fd, nil
}

// listenError adds to the system's words what can be done about them.
func listenError(err error) error {
	hint := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = "another process listens there; choose another port, or 0 for a free one"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = "this machine has no such address; an empty host listens on all it has"
	case errors.Is(err, os.ErrPermission):
		hint = "ports below 1024 need CAP_NET_BIND_SERVICE"
	}
	if hint == "" {
		return fmt.Errorf("ringkit: %w", err)
	}
	return fmt.Errorf("ringkit: %w (%s)", err, hint)
}
