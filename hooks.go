package ringkit

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/ringkit/ringkit/conn"
)

// Hooks are functions that a server calls when something happens that its operator may
// want to know of; what only has to be counted is in [Stats]. Each may be nil, and then
// costs nothing. They are called on an event loop, where not said otherwise, and must
// not block: meanwhile all connections of that loop wait. Several loops call them at the
// same time.
type Hooks struct {
	// EngineChosen is called once for each event loop, on a goroutine of its own,
	// before the loop does anything: loop counts from 0.
	EngineChosen func(loop int, engine LoopEngine)

	// Accepted is called for each new connection.
	Accepted func(remote net.Addr)

	// Closed is called when a connection has ended: why is nil when that was in order,
	// for one side or the other; it matches os.ErrDeadlineExceeded when the client took
	// too long, http.ErrServerClosed after Server.Close, http.ErrHijacked when a handler
	// has taken the connection, an *http1.Error when a request was rejected, a
	// *wsock.Error when the peer of a WebSocket broke its rules, and a syscall.Errno
	// when the connection failed.
	Closed func(remote net.Addr, why error)

	// Takeover is called when a handler is over that had lost its event loop because it
	// did not return: for how long it ran on from then. The route is the request's
	// pattern, or its method and path where there is none; callbacks of channels have
	// "GET channel" and the address of the peer.
	Takeover func(route string, blocked time.Duration)

	// Rejected is called when the server itself answers a request with an error:
	// because it is malformed, too large or too late, or with a 503 because too many
	// handlers are running.
	Rejected func(remote net.Addr, status int, reason string)

	// AcceptWaits is called when accepting has to wait for descriptors or memory: once,
	// until it has worked again.
	AcceptWaits func(listener net.Addr, why error)
}

// Why a connection ended, where that is known before it is closed.
var (
	errIdleTimeout  = fmt.Errorf("ringkit: no request came in time: %w", os.ErrDeadlineExceeded)
	errReadTimeout  = fmt.Errorf("ringkit: the request did not arrive in time: %w", os.ErrDeadlineExceeded)
	errWriteTimeout = fmt.Errorf("ringkit: %w: %w", conn.ErrWriteTimeout, os.ErrDeadlineExceeded)
	errStopped      = fmt.Errorf("ringkit: %w", http.ErrServerClosed)
)

// ends notes why the server is going to close a connection, for the hook Closed. The
// first reason counts.
func (w *worker) ends(c *conn.Conn, why error) {
	if w.srv.Hooks.Closed == nil {
		return
	}
	if o := c.Protocol().(*origin); o.why == nil {
		o.why = why
	}
}

// closed tells the hook of the end of a connection.
func (o *origin) closed(err error) {
	f := o.srv.Hooks.Closed
	if f == nil {
		return
	}
	switch {
	case err == conn.ErrDetached:
		err = http.ErrHijacked
	case err == conn.ErrWriteTimeout:
		err = errWriteTimeout
	case err == errServerClosed:
		err = errStopped
	case o.why != nil:
		err = o.why
	}
	f(o.peer.remote, err)
}

// rejected counts a request that the server answers with an error of its own.
func (w *worker) rejected(c *conn.Conn, status int, reason string) {
	w.count.Rejected++
	if f := w.srv.Hooks.Rejected; f != nil {
		f(remoteAddr(c, c.Protocol().(*origin).addr), status, reason)
	}
}

// takeover is what is known of a handler that lost its loop.
type takeover struct {
	route string // "" if it did not
	since time.Time
}

// begin notes that a handler has lost its loop.
func (t *takeover) begin(srv *Server, method, path string) {
	t.route, t.since = method+" "+path, time.Now()
	srv.logTakeover(t.route)
}

// end tells the hook that the handler is over. pattern is "" where there is none; t is nil
// or empty where nothing was lost.
func (t *takeover) end(srv *Server, pattern string) {
	if t != nil && t.route != "" {
		t.tell(srv, pattern)
	}
}

func (t *takeover) tell(srv *Server, pattern string) {
	if pattern != "" {
		t.route = pattern
	}
	if f := srv.Hooks.Takeover; f != nil {
		f(t.route, time.Since(t.since))
	}
	*t = takeover{}
}
