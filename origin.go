package ringkit

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/tlsconn"
)

// origin is the conn.Protocol of the connections that one listener accepted for
// one loop: the worker, and what requests inherit from their listener. With the
// hooks of a server, or as an arrival, each connection has its own.
type origin struct {
	*worker
	ctx  context.Context
	addr net.Addr // of the listener

	peer  *peerConn // what the hooks see of the connection, nil without hooks
	state http.ConnState
	why   error // of the end, where that is known before

	tls      *tlsconn.Conn // nil without TLS, with it each connection has its own
	tlsState *tls.ConnectionState

	told    *told      // by a proxy, nil for the socket's own addresses
	counted netip.Addr // the client that it counts for, if any
}

// hooked reports whether connections have to be told apart from the beginning.
func (srv *Server) hooked() bool {
	return srv.ConnContext != nil || srv.ConnState != nil || srv.Hooks.Accepted != nil || srv.Hooks.Closed != nil
}

// Open implements conn.Protocol.
func (o *origin) Open(c *conn.Conn) {
	if o.peer != nil {
		o.meet(c)
	}
	o.worker.Open(c)
}

// meet introduces a connection to the hooks.
func (o *origin) meet(c *conn.Conn) {
	o.peer.handle = c.Handle()
	o.peer.local, o.peer.remote = o.endpoints(c)
	if f := o.srv.Hooks.Accepted; f != nil {
		f(o.peer.remote)
	}
	o.state = -1
	o.enter(http.StateNew)
	if f := o.srv.ConnContext; f != nil {
		if o.ctx = f(o.ctx, o.peer); o.ctx == nil {
			panic("ringkit: ConnContext returned a nil context")
		}
	}
}

// enter tells ConnState of a change.
func (o *origin) enter(state http.ConnState) {
	if o.state == state {
		return
	}
	o.state = state
	if f := o.srv.ConnState; f != nil {
		f(o.peer, state)
	}
}

// Closed implements conn.Protocol.
func (o *origin) Closed(c *conn.Conn, err error) {
	o.leave()
	o.worker.Closed(c, err)
	if o.peer == nil {
		return
	}
	if err == conn.ErrDetached {
		o.enter(http.StateHijacked)
	} else {
		o.enter(http.StateClosed)
	}
	o.closed(err)
}

// leave ends what counts the connections of a client.
func (o *origin) leave() {
	if o.counted.IsValid() {
		o.srv.perAddress.leave(o.counted)
		o.counted = netip.Addr{}
	}
}

// peerOf returns the address of the peer of a connection, as requests have it.
func peerOf(c *conn.Conn) string {
	if o, ok := c.Protocol().(*origin); ok {
		return o.peerName(c)
	}
	return peerAddr(c)
}

func (o *origin) peerName(c *conn.Conn) string {
	if o.told != nil {
		return o.told.remoteName
	}
	return peerAddr(c)
}

// endpoints returns the addresses of a connection.
func (o *origin) endpoints(c *conn.Conn) (local, remote net.Addr) {
	if o.told != nil {
		return o.told.local, o.told.remote
	}
	return localAddr(c, o.addr), remoteAddr(c, o.addr)
}

// changed tells the hooks of a connection's new state.
func (w *worker) changed(c *conn.Conn, state http.ConnState) {
	if w.srv.ConnState != nil {
		tellChange(c, state)
	}
}

// tellChange is not inlined, so that changed is.
//
//go:noinline
func tellChange(c *conn.Conn, state http.ConnState) {
	if o := c.Protocol().(*origin); o.peer != nil {
		o.enter(state)
	}
}

// addresses are those of a connection whose requests came last.
type addresses struct {
	handle conn.Handle
	remote string
	local  net.Addr
	cred   *Credentials
}

const addressEntries = 256 // a power of two

// addressesOf returns the addresses of a connection; asking the kernel for each
// request would cost two system calls.
func (w *worker) addressesOf(c *conn.Conn) *addresses {
	if w.addrs == nil {
		w.addrs = make([]addresses, addressEntries)
	}
	h := c.Handle()
	a := &w.addrs[h.Slot()%addressEntries]
	if a.handle != h {
		o := c.Protocol().(*origin)
		*a = addresses{handle: h, remote: peerOf(c), cred: credentialsOf(c)}
		if o.told != nil {
			a.local = o.told.local
		} else {
			a.local = localAddr(c, o.addr)
		}
	}
	return a
}
