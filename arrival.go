package ringkit

import (
	"net"
	"net/netip"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
)

// arrival is the conn.Protocol of a connection of which something has to be settled
// before it speaks HTTP, or TLS in front of it: whose it is (see ProxyProtocol), and
// whether there are too many from there (see MaxConnsPerIP). Until then nothing else
// knows of it.
type arrival struct {
	origin // which it becomes

	next    conn.Protocol // what speaks then: the origin, or what comes in front of it
	from    netip.Addr    // of the socket, invalid for unix
	refused bool          // it gets a 503 as soon as it says anything
}

// refusedWait is how long a connection that is refused may wait to hear so.
const refusedWait = time.Second

// settles reports whether connections arrive.
func (srv *Server) settles() bool { return srv.ProxyProtocol != ProxyOff || srv.perAddress != nil }

// Open implements conn.Protocol.
func (a *arrival) Open(c *conn.Conn) {
	if a.draining {
		c.Close()
		return
	}
	_, local := a.addr.(*net.UnixAddr)
	if !local {
		peer, ok := remoteAddr(c, nil).(*net.TCPAddr)
		if !ok {
			c.Abort(nil) // it is gone
			return
		}
		a.from = peer.AddrPort().Addr().WithZone("")
	}
	switch trusted := local || a.srv.trusts(a.from); {
	case a.srv.ProxyProtocol == ProxyOff || a.srv.ProxyProtocol == ProxyOptional && !trusted:
		a.admit(c, a.from)
	case trusted:
		c.SetDeadline(a.headerTimeout)
	default:
		a.badProxy(c, errUntrusted)
	}
}

// Data implements conn.Protocol.
func (a *arrival) Data(c *conn.Conn, in []byte) (n int) {
	if !a.refused {
		n = a.readProxy(c, in)
	}
	if a.refused && n < len(in) && !c.Closing() {
		buf := c.Reserve(errorRoom + len(a.srv.Name))
		c.Commit(appendError(buf, a.worker, errCrowded, http1.Other, true))
		c.CloseLingering()
		return len(in)
	}
	return n
}

// EOF implements conn.Protocol.
func (a *arrival) EOF(c *conn.Conn) { a.ended(c, errHeaderCutShort) }

// Timeout implements conn.Protocol.
func (a *arrival) Timeout(c *conn.Conn) { a.ended(c, errHeaderTimeout) }

// ended gives up a connection that has not got as far as HTTP. One that never said
// anything has done nothing wrong.
func (a *arrival) ended(c *conn.Conn, err error) {
	if c.Buffered() > 0 {
		a.badProxy(c, err)
		return
	}
	c.Close()
}

// Drained implements conn.Protocol.
func (a *arrival) Drained(*conn.Conn) {}

// Closed implements conn.Protocol. The hooks have not been told of the connection.
func (a *arrival) Closed(c *conn.Conn, err error) {
	a.leave()
	a.worker.Closed(c, err)
}

// admit goes on with the connection, for whose client it counts; it is refused if
// there are too many.
func (a *arrival) admit(c *conn.Conn, client netip.Addr) {
	if p := a.srv.perAddress; p != nil && client.IsValid() {
		got := p.enter(client)
		if got != turnedAway {
			a.counted = client
		}
		if got != admitted {
			a.refuse(c, got)
			return
		}
	}
	c.SetProtocol(a.next)
	a.next.Open(c)
}

// refuse gets rid of a connection. A client that speaks HTTP is answered with a 503
// once it has begun to ask: some do not expect an answer before.
func (a *arrival) refuse(c *conn.Conn, got admission) {
	a.count.Crowded++
	if got == turnedAway || a.next != conn.Protocol(&a.origin) {
		c.Abort(nil)
		return
	}
	a.refused = true
	c.SetDeadline(refusedWait)
}

var errCrowded = &http1.Error{Status: 503, Reason: "too many connections from this address"}
