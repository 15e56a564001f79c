package client

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/netfd"
)

// upgrade gives the connection to who has asked for another protocol (RFC 9110, section
// 7.8), or for a tunnel: it is the Body of the response.
func (l *link) upgrade(ex *exchange) {
	if l.r.resp.StatusCode() == http.StatusSwitchingProtocols && !hasToken(ex.req.Header["Connection"], "upgrade") {
		l.fail(opHead, errors.New("the server switches to a protocol it was not asked for"))
		return
	}
	if ex.takes != nil {
		l.give(ex)
		return
	}
	l.respond(ex)
	ex.over, ex.answered = true, true
	ex.endUpload()
	l.leave()
	l.flight, l.detaching = nil, true
	l.c.Detach(func(fd int, rest []byte, err error) {
		var rw io.ReadWriteCloser
		if err == nil {
			rw, err = l.takeOver(fd, rest)
		}
		if errors.Is(err, conn.ErrNoDescriptor) {
			l.c.Abort(err)
		}
		if err != nil {
			ex.asker.done(l.w.loop, result{err: ex.error(opHead, fmt.Errorf("take over the connection: %w", err))})
			return
		}
		ex.response.Body, ex.response.ContentLength, ex.response.Close = rw, 0, false
		ex.asker.done(l.w.loop, result{resp: &ex.response})
	})
}

// give gives the connection, as it is, to another protocol on the same loop. From now on the
// link only counts it.
func (l *link) give(ex *exchange) {
	if err := ex.takes(l, ex); err != nil {
		l.fail(opHandshake, err)
		return
	}
	ex.over, ex.answered = true, true
	l.leave()
	l.flight, l.given = nil, true
	l.free()
	ex.asker.done(l.w.loop, result{})
}

// takeOver makes an ordinary connection of a descriptor.
func (l *link) takeOver(fd int, rest []byte) (io.ReadWriteCloser, error) {
	nc, err := netfd.Conn(fd)
	if err != nil {
		return nil, err
	}
	if l.tls != nil {
		nc = l.tls.Release(nc)
	}
	return &upgraded{nc, netfd.Prefixed{First: rest, Reader: nc}}, nil
}

// upgraded is a connection of which some bytes have been read already.
type upgraded struct {
	net.Conn
	in netfd.Prefixed
}

func (u *upgraded) Read(p []byte) (int, error) { return u.in.Read(p) }

// connView is what traces see of a connection: its addresses.
type connView struct {
	net.Conn // nil: only what is below works
	local    net.Addr
	remote   net.Addr
}

func (v *connView) LocalAddr() net.Addr       { return v.local }
func (v *connView) RemoteAddr() net.Addr      { return v.remote }
func (v *connView) Read([]byte) (int, error)  { return 0, errView }
func (v *connView) Write([]byte) (int, error) { return 0, errView }
func (v *connView) Close() error              { return errView }

var errView = fmt.Errorf("ringkit/client: the connection is the transport's: %w", errors.ErrUnsupported)

// endpoint returns the address of one end of a connection: that of the internet, where it
// has one, otherwise what get tells.
func endpoint(c *conn.Conn, inet netip.AddrPort, get func(int) (unix.Sockaddr, error)) (addr net.Addr) {
	if inet.IsValid() {
		return net.TCPAddrFromAddrPort(inet)
	}
	_ = c.WithDescriptor(func(fd int) {
		if sa, err := get(fd); err == nil {
			if u, ok := sa.(*unix.SockaddrUnix); ok {
				addr = &net.UnixAddr{Net: "unix", Name: u.Name}
			}
		}
	})
	return addr
}
