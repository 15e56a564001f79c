package ringkit

import (
	"context"
	"net"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/conn"
)

// Credentials are those of the process at the other end of a unix socket, as of when
// it connected (SO_PEERCRED, unix(7)). The kernel vouches for them. Who wants to know
// what the process may do should go by UID and GID: it may have ended since, and
// another one have its PID.
type Credentials struct {
	PID      int // 0 if it is in a PID namespace that the server cannot see
	UID, GID uint32
}

var credentialsKey = &contextKey{"peer-credentials"}

// PeerCredentials returns the credentials of the peer of a request, by the request's
// context or one derived from it. There are none for TCP. Behind a proxy they are the
// proxy's, also with a PROXY header.
func PeerCredentials(ctx context.Context) (Credentials, bool) {
	if cred, _ := ctx.Value(credentialsKey).(*Credentials); cred != nil {
		return *cred, true
	}
	return Credentials{}, false
}

// PeerCredentials is the function of that name for the request of the exchange.
func (x *Exchange) PeerCredentials() (Credentials, bool) {
	if x.r != nil {
		return PeerCredentials(x.r.Context())
	}
	if x.n.knows() {
		if cred := x.n.cred.Load(); cred != nil {
			return *cred, true
		}
	}
	return Credentials{}, false
}

// credentialsOf returns the credentials of the peer of a connection, nil if it is
// not that of a unix socket.
func credentialsOf(c *conn.Conn) *Credentials {
	o, ok := c.Protocol().(*origin)
	if !ok {
		return nil
	}
	if _, ok := o.addr.(*net.UnixAddr); !ok {
		return nil
	}
	var found *Credentials
	_ = c.WithDescriptor(func(fd int) {
		if cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			found = &Credentials{PID: int(cred.Pid), UID: cred.Uid, GID: cred.Gid}
		}
	})
	return found
}
