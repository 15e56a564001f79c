package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/tlsconn"
)

// dialing is a connection that is being made, on a goroutine: names are looked up,
// addresses tried, proxies asked and TLS agreed on as packages net and crypto/tls do it.
// Then an event loop takes the descriptor.
type dialing struct {
	t     *Transport
	host  *host
	ctx   context.Context
	trace *httptrace.ClientTrace // of the request that has waited longest
}

// opError is an error of one step of making a connection.
type opError struct {
	op  op
	err error
}

func (e *opError) Error() string { return string(e.op) + ": " + e.err.Error() }
func (e *opError) Unwrap() error { return e.err }

// run makes the connection.
func (d *dialing) run() {
	fd, sec, err := d.make()
	if err != nil {
		var step *opError
		if errors.As(err, &step) {
			d.failed(step.op, step.err)
		} else {
			d.failed(opDial, err)
		}
		return
	}
	d.connected(fd, sec)
}

func (d *dialing) make() (fd int, sec *tlsconn.Conn, err error) {
	ctx, cancel := d.limited()
	defer cancel()
	nc, err := d.connect(ctx)
	if err != nil {
		return -1, nil, err
	}
	defer nc.Close() // the loop has a descriptor of its own
	if d.host.key.scheme == "https" {
		if sec, err = d.secure(nc, d.tlsConfig()); err != nil {
			return -1, nil, &opError{opTLS, err}
		}
	}
	if fd, err = descriptor(nc); err != nil {
		return -1, nil, err
	}
	return fd, sec, nil
}

// limited returns the context of what DialTimeout bounds.
func (d *dialing) limited() (context.Context, context.CancelFunc) {
	if limit := timeout(d.t.DialTimeout, DefaultDialTimeout); limit > 0 {
		return context.WithTimeout(d.ctx, limit)
	}
	return d.ctx, func() {}
}

// connect makes a connection that leads to the host.
func (d *dialing) connect(ctx context.Context) (net.Conn, error) {
	if d.host.proxy != nil {
		return d.throughProxy(ctx, d.host.proxy)
	}
	return d.dial(ctx, d.host.key.addr)
}

// dial makes a connection to an address.
func (d *dialing) dial(ctx context.Context, addr string) (net.Conn, error) {
	network, t := "tcp", d.t
	if t.UnixSocket != "" {
		network, addr = "unix", t.UnixSocket
	}
	if t.DialContext != nil {
		nc, err := t.DialContext(ctx, network, addr)
		if err == nil && nc == nil {
			err = errors.New("DialContext returned no connection and no error")
		}
		return nc, err
	}
	dialer := net.Dialer{Resolver: t.Resolver, LocalAddr: t.LocalAddr}
	return dialer.DialContext(ctx, network, addr)
}

// tlsConfig returns the configuration for the host.
func (d *dialing) tlsConfig() *tls.Config {
	cfg := d.host.key.tls
	if cfg == nil {
		cfg = d.t.TLSClientConfig
	}
	if cfg == nil {
		cfg = &tls.Config{}
	}
	cfg = cfg.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName = hostname(d.host.key.addr)
	}
	cfg.NextProtos = []string{"http/1.1"}
	if cfg.ClientSessionCache == nil {
		cfg.ClientSessionCache = d.t.sessionCache()
	}
	return cfg
}

func (t *Transport) sessionCache() tls.ClientSessionCache {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sessions == nil {
		t.sessions = tls.NewLRUClientSessionCache(0)
	}
	return t.sessions
}

// hostname returns the host of a "host:port".
func hostname(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	host, _, _ = strings.Cut(host, "%") // the zone of an address is this machine's business
	return host
}

// secure agrees on TLS.
func (d *dialing) secure(nc net.Conn, cfg *tls.Config) (*tlsconn.Conn, error) {
	ctx := d.ctx
	if limit := timeout(d.t.TLSHandshakeTimeout, DefaultTLSHandshakeTimeout); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	if d.trace != nil && d.trace.TLSHandshakeStart != nil {
		d.trace.TLSHandshakeStart()
	}
	c := tlsconn.ClientOver(nc, cfg)
	err := c.HandshakeContext(ctx)
	if err == nil {
		if p := c.ConnectionState().NegotiatedProtocol; p != "" && p != "http/1.1" {
			err = fmt.Errorf("the server speaks %q, not http/1.1", p)
		}
	}
	if d.trace != nil && d.trace.TLSHandshakeDone != nil {
		d.trace.TLSHandshakeDone(c.ConnectionState(), err)
	}
	return c, err
}

// descriptor returns a descriptor of a connection, which stays open when that is closed.
func descriptor(nc net.Conn) (fd int, err error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("a connection of type %T has no descriptor: DialContext has to return one of package net", nc)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	var dup error
	err = raw.Control(func(old uintptr) { fd, dup = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err == nil && dup != nil {
		err = fmt.Errorf("fcntl(F_DUPFD_CLOEXEC): %w", dup)
	}
	return fd, err
}

// connected gives the descriptor to a loop.
func (d *dialing) connected(fd int, sec *tlsconn.Conn) {
	t := d.t
	t.mu.Lock()
	w := t.pick()
	t.mu.Unlock()
	if w != nil {
		l := &link{t: t, host: d.host, w: w, tls: sec}
		w.load.Add(1)
		if w.loop.Do(func(loop *conn.Loop) { loop.Adopt(fd, l) }) {
			return
		}
	}
	unix.Close(fd)
	if t.isClosed() {
		d.failed(opDial, ErrClosed)
	} else {
		d.failed(opDial, ErrLoopEnded)
	}
}

func (t *Transport) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// failed says that there is going to be no connection.
func (d *dialing) failed(what op, err error) { d.host.dialFailed(what, err) }
