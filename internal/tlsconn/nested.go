package tlsconn

import (
	"crypto/tls"
	"net"
	"sync"
)

// Nested is TLS within TLS, as a client has it with a server behind a proxy that is
// spoken to over TLS: one conn.Layer made of two. The handshake of Inner has run over
// Outer, see ClientOver.
type Nested struct {
	Inner, Outer *Conn

	opened []byte // a buffer with what Inner is fed, nil while that is nothing
	end    error  // of Outer, behind that
	failed error  // Outer cannot seal any more
}

// openedBytes is how much of Outer is opened at a time: a TLS record.
const openedBytes = 16 << 10

// openedBuffers has the buffers of connections that have nothing in them.
var openedBuffers = sync.Pool{New: func() any { return new([openedBytes]byte) }}

// Attach is that of [Conn], for both. There is no rest. What Outer has opened behind the
// last record of Inner's handshake comes with what is fed first.
func (n *Nested) Attach(sink Sink) (rest []byte) {
	n.Outer.Attach(sink)
	return n.Inner.Attach(n)
}

// WriteWire implements Sink: it is the wire of Inner.
func (n *Nested) WriteWire(p []byte) {
	if _, err := n.Outer.Write(p); err != nil && n.failed == nil {
		n.failed = err
	}
}

// Feed implements conn.Layer.
func (n *Nested) Feed(wire []byte) { n.Outer.Feed(wire) }

// Read implements conn.Layer. The end of either is the end of the peer's side; which it
// was CloseNotified tells.
func (n *Nested) Read(p []byte) (int, error) {
	for {
		got, err := n.Inner.Read(p)
		if got > 0 || err != nil {
			return got, err
		}
		if n.end != nil {
			n.putBuffer()
			return 0, n.end
		}
		if n.opened == nil {
			n.opened = openedBuffers.Get().(*[openedBytes]byte)[:]
		}
		got, err = n.Outer.Read(n.opened)
		n.end = err
		if got == 0 && err == nil {
			n.putBuffer()
			return 0, nil
		}
		n.Inner.Feed(n.opened[:got])
	}
}

func (n *Nested) putBuffer() {
	if n.opened != nil {
		openedBuffers.Put((*[openedBytes]byte)(n.opened))
		n.opened = nil
	}
}

// Write implements conn.Layer.
func (n *Nested) Write(p []byte) (int, error) {
	written, err := n.Inner.Write(p)
	if err == nil {
		err = n.failed
	}
	return written, err
}

// CloseWrite implements conn.Layer.
func (n *Nested) CloseWrite() error {
	n.Inner.CloseWrite() // if it fails, the outer end is still to be told
	return n.Outer.CloseWrite()
}

// CloseNotified is that of Inner: what ends Outer is no word of the server's.
func (n *Nested) CloseNotified() bool { return n.Inner.CloseNotified() }

// ConnectionState is that of Inner.
func (n *Nested) ConnectionState() tls.ConnectionState { return n.Inner.ConnectionState() }

// Release is that of [Conn], for both.
func (n *Nested) Release(nc net.Conn) *tls.Conn { return n.Inner.Release(n.Outer.Release(nc)) }
