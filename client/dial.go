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
	returned := false
	defer func() {
		if !returned { // runtime.Goexit, in one of the user's functions
			d.failed(opDial, errGoexit)
		}
	}()
	fd, sec, err := d.make()
	returned = true
	if err != nil {
		what := opDial
		var step *opError
		if errors.As(err, &step) {
			what, err = step.op, step.err
		}
		if timedOut(err) {
			err = fmt.Errorf("%w: %w", errDialTimeout, err)
		}
		d.failed(what, err)
		return
	}
	d.connected(fd, sec)
}

var errGoexit = errors.New("a function of the transport's or of its tls.Config has ended its goroutine")

// secured is TLS on a connection, which the loop has as a layer: a *tlsconn.Conn, or a
// *tlsconn.Nested where the proxy is spoken to over TLS as well.
type secured interface {
	conn.Layer
	Attach(tlsconn.Sink) (rest []byte)
	ConnectionState() tls.ConnectionState
	CloseNotified() bool
	Release(net.Conn) *tls.Conn
}

func (d *dialing) make() (fd int, sec secured, err error) {
	ctx, end := context.WithCancel(d.ctx)
	defer end()
	defer context.AfterFunc(d.t.closing, end)()
	nc, outer, err := d.reach(ctx)
	if err != nil {
		return -1, nil, err
	}
	defer nc.Close() // the loop has a descriptor of its own
	if sec, err = d.layer(ctx, nc, outer); err != nil {
		return -1, nil, err
	}
	fd, err = descriptor(nc)
	return fd, sec, err
}

// reach makes a connection to the host, or one that leads there through its proxy; outer
// is TLS with the proxy, nil without.
func (d *dialing) reach(ctx context.Context) (nc net.Conn, outer *tlsconn.Conn, err error) {
	if limit := timeout(d.t.DialTimeout, DefaultDialTimeout); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	proxy := d.host.proxy
	if proxy == nil {
		nc, err = d.dial(ctx, d.host.key.addr)
		return nc, nil, err
	}
	addr, err := proxyAddress(proxy)
	if err == nil {
		nc, err = d.dial(ctx, addr)
	}
	if err != nil {
		return nil, nil, &opError{opProxy, err}
	}
	if outer, err = d.throughProxy(ctx, nc); err != nil {
		nc.Close()
		return nil, nil, err
	}
	return nc, outer, nil
}

// layer returns what the connection has for a layer, nil for none.
func (d *dialing) layer(ctx context.Context, nc net.Conn, outer *tlsconn.Conn) (secured, error) {
	switch https := d.host.key.scheme == "https"; {
	case !https && outer == nil:
		return nil, nil
	case !https:
		return outer, nil
	case outer != nil:
		nc = outer
	}
	inner, err := d.secure(ctx, nc, d.tlsConfig())
	switch {
	case err != nil:
		return nil, &opError{opTLS, err}
	case outer != nil:
		return &tlsconn.Nested{Inner: inner, Outer: outer}, nil
	}
	return inner, nil
}

// dial makes a connection to an address.
func (d *dialing) dial(ctx context.Context, addr string) (net.Conn, error) {
	network, t := "tcp", d.t
	if t.UnixSocket != "" {
		network, addr = "unix", t.UnixSocket
	}
	if t.DialContext != nil {
		nc, err := t.DialContext(ctx, network, addr)
		if err == nil {
			err = usable(nc)
		}
		return nc, err
	}
	dialer := net.Dialer{Resolver: t.Resolver, LocalAddr: t.LocalAddr}
	return dialer.DialContext(ctx, network, addr)
}

// usable reports what is wrong with a connection of DialContext, which is closed then.
func usable(nc net.Conn) error {
	if nc == nil {
		return errors.New("DialContext returned no connection and no error")
	}
	if _, ok := nc.(syscall.Conn); !ok {
		nc.Close()
		return fmt.Errorf("a connection of type %T has no descriptor: DialContext has to return one of package net", nc)
	}
	return nil
}

// tlsConfig returns the configuration for the host.
func (d *dialing) tlsConfig() *tls.Config {
	cfg := d.host.key.tls
	if cfg == nil {
		cfg = d.t.TLSClientConfig
	}
	return d.t.completed(cfg, d.host.key)
}

// completed returns a copy of a configuration, nil meaning the zero value, with what it
// lacks for connections with a key.
func (t *Transport) completed(cfg *tls.Config, k key) *tls.Config {
	if cfg == nil {
		cfg = &tls.Config{}
	}
	cfg = cfg.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName = hostname(k.addr)
	}
	cfg.NextProtos = []string{"http/1.1"}
	if cfg.ClientSessionCache == nil {
		cfg.ClientSessionCache = sessionsOf{&t.sessions, k}
	}
	return cfg
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
func (d *dialing) secure(ctx context.Context, nc net.Conn, cfg *tls.Config) (*tlsconn.Conn, error) {
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
	var header tls.RecordHeaderError
	if errors.As(err, &header) && string(header.RecordHeader[:]) == "HTTP/" {
		err = fmt.Errorf("the server answers in plain HTTP: %w", err)
	}
	if d.trace != nil && d.trace.TLSHandshakeDone != nil {
		d.trace.TLSHandshakeDone(c.ConnectionState(), err)
	}
	return c, err
}

// descriptor returns a descriptor of a connection, which stays open when that is closed.
func descriptor(nc net.Conn) (fd int, err error) {
	raw, err := nc.(syscall.Conn).SyscallConn()
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
func (d *dialing) connected(fd int, sec secured) {
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
