package ringkit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/conn"
)

// lookEvery is how often a server looks whether somebody else has closed its
// listener, of which the system tells nobody.
const lookEvery = 500 * time.Millisecond

// listener is one listening socket of a server. It accepts on one loop and gives
// each connection to the loop that has the fewest.
type listener struct {
	srv     *Server
	worker  *worker
	addr    net.Addr
	tls     *tls.Config     // nil without
	raw     syscall.RawConn // of the listener that Serve was given
	ended   chan error      // gets why accepting ended
	accept  *conn.Listener  // set by start, on the loop
	origins []*origin       // of its connections, by worker
	early   int             // connections that came before the socket's options
	parked  []int           // connections that wait for MaxConns
}

func newListener(srv *Server, l net.Listener, raw syscall.RawConn, cfg *tls.Config, ctx context.Context) *listener {
	ln := &listener{
		srv: srv, addr: l.Addr(), raw: raw, tls: cfg, ended: make(chan error, 1),
		worker: srv.workers[srv.listened%len(srv.workers)],
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
			ln.dismiss()
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

// wait returns why accepting ended. shared says that others may close the listener.
func (ln *listener) wait(shared bool) error {
	if !shared {
		return <-ln.ended
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case err := <-ln.ended:
			return err
		case <-look.C:
			if ln.isClosed() {
				ln.worker.loop.Do(func(*conn.Loop) { ln.close() })
			}
		}
	}
}

// isClosed reports whether the listener that Serve was given is closed. The socket
// lives on, of which the loop has a descriptor of its own.
func (ln *listener) isClosed() bool { return ln.raw.Control(func(uintptr) {}) != nil }

func (ln *listener) endError(err error) error {
	if err == nil {
		return net.ErrClosed
	}
	return fmt.Errorf("ringkit: accept on %v: %w", ln.addr, err)
}

func (ln *listener) accepted(fd int) {
	if ln.isClosed() {
		ln.accept.Close()
		syscall.Close(fd)
		return
	}
	if ln.early > 0 {
		ln.early--
		setOptions(fd)
	}
	if ln.hasRoom(fd) {
		ln.adopt(fd)
	}
}

// adopt gives a connection to a loop.
func (ln *listener) adopt(fd int) {
	o := ln.origins[ln.srv.pick()]
	p := ln.protocol(o)
	if o.worker == ln.worker {
		o.loop.Adopt(fd, p)
		return
	}
	o.loop.Do(func(l *conn.Loop) { l.Adopt(fd, p) })
}

// protocol returns what a connection speaks first. Where connections have to be told
// apart it is one of its own, otherwise that of all.
func (ln *listener) protocol(o *origin) conn.Protocol {
	var peer *peerConn
	if ln.srv.hooked() {
		peer = &peerConn{}
	}
	if ln.srv.settles() {
		a := &arrival{origin: origin{worker: o.worker, ctx: o.ctx, addr: o.addr, peer: peer}}
		if a.next = &a.origin; ln.tls != nil {
			a.next = &handshake{origin: &a.origin, cfg: ln.tls}
		}
		return a
	}
	if peer != nil || ln.tls != nil {
		o = &origin{worker: o.worker, ctx: o.ctx, addr: o.addr, peer: peer}
	}
	if ln.tls != nil {
		return &handshake{origin: o, cfg: ln.tls}
	}
	return o
}

// close ends accepting; it runs on the listener's loop.
func (ln *listener) close() {
	if ln.accept != nil {
		ln.accept.Close()
	}
}

// descriptor returns a duplicate of a listener's descriptor, which becomes the loop's.
func descriptor(l net.Listener) (raw syscall.RawConn, fd int, err error) {
	sc, ok := l.(syscall.Conn)
	if !ok {
		return nil, -1, fmt.Errorf("ringkit: cannot serve on a %T: it has no descriptor; use a TCP or unix listener of the net package, with ServeTLS for TLS", l)
	}
	if raw, err = sc.SyscallConn(); err != nil {
		return nil, -1, fmt.Errorf("ringkit: listener %v: %w", l.Addr(), err)
	}
	var duperr error
	err = raw.Control(func(s uintptr) {
		fd, duperr = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err = errors.Join(err, duperr); err != nil {
		return nil, -1, fmt.Errorf("ringkit: listener %v: %w", l.Addr(), err)
	}
	return raw, fd, nil
}
