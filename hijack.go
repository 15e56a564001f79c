package ringkit

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/netfd"
)

// detached is what the loop gives away.
type detached struct {
	fd   int
	rest []byte
	err  error
}

// Hijack implements http.Hijacker. The connection is one of the net package, a *tls.Conn with TLS, of
// which the server knows nothing any more; what it had received already is in the
// reader, beginning with what was not read of the body.
func (w *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.call
	switch {
	case w.over.Load():
		return nil, nil, errReturned
	case c.hijacked:
		return nil, nil, http.ErrHijacked
	}
	if w.status != 0 && !w.streaming {
		if err := w.stream(); err != nil {
			return nil, nil, err
		}
	}
	c.hijacked = true
	d := c.detach()
	if d.err != nil {
		// Without a descriptor for it the connection is still the server's.
		c.hijacked = !errors.Is(d.err, conn.ErrNoDescriptor)
		return nil, nil, fmt.Errorf("ringkit: hijack: %w", d.err)
	}
	c.release()
	nc, err := netfd.Conn(d.fd)
	if err != nil {
		return nil, nil, fmt.Errorf("ringkit: hijack: %w", err)
	}
	if c.tls != nil {
		nc = c.tls.Release(nc)
	}
	r := bufio.NewReaderSize(&netfd.Prefixed{First: d.rest, Reader: nc}, max(4096, len(d.rest)))
	if len(d.rest) > 0 {
		r.Peek(len(d.rest)) // what was received counts as buffered
	}
	return nc, bufio.NewReadWriter(r, bufio.NewWriter(nc)), nil
}

// detach has the loop give the connection away.
func (c *call) detach() detached {
	if c.lead.Hold() {
		// The handler is likely to stay for as long as the connection lasts.
		c.leave()
		runtime.UnlockOSThread()
	}
	got := make(chan detached, 1)
	c.w.loop.Do(func(*conn.Loop) {
		cn := c.handle.Conn()
		if cn == nil {
			got <- detached{err: errGone}
			return
		}
		cn.Detach(func(fd int, rest []byte, err error) {
			if err == nil && c.body != nil {
				rest = append(c.unreadBody(), rest...)
			}
			got <- detached{fd, rest, err}
		})
	})
	select {
	case d := <-got:
		return d
	case <-c.w.loop.Done():
	}
	select {
	case d := <-got: // it was the last connection
		return d
	default:
		return detached{err: errServerClosed}
	}
}

// unreadBody takes what has arrived of the body and was not read, as it was on the
// wire. It is called on the loop, which passes nothing more on.
func (c *call) unreadBody() []byte {
	unread, begun := c.body.surrender()
	switch {
	case !c.s.req.Chunked():
		return unread
	case c.s.body.Done() && len(unread) == 0 && begun:
		return nil // who has read everything has read the last chunk, too
	}
	return c.s.body.AppendUnread(nil, unread)
}

// peerConn is what the hooks of a server get to see of a connection.
type peerConn struct {
	net.Conn // nil: only what is below works
	handle   conn.Handle
	local    net.Addr
	remote   net.Addr
}

var errHook = fmt.Errorf("ringkit: the connection is the server's: %w", errors.ErrUnsupported)

func (p *peerConn) LocalAddr() net.Addr       { return p.local }
func (p *peerConn) RemoteAddr() net.Addr      { return p.remote }
func (p *peerConn) Read([]byte) (int, error)  { return 0, errHook }
func (p *peerConn) Write([]byte) (int, error) { return 0, errHook }

// Close ends the connection at once.
func (p *peerConn) Close() error {
	l := p.handle.Loop()
	if l == nil {
		return net.ErrClosed
	}
	l.Do(func(*conn.Loop) {
		if c := p.handle.Conn(); c != nil {
			c.Abort(net.ErrClosed)
		}
	})
	return nil
}
