package ringkit

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// ServerContextKey is the key under which the context of a request has the
// *Server that serves it. The address the connection arrived at, a net.Addr, is
// under http.LocalAddrContextKey. Under http.ServerContextKey is an *http.Server with
// the same settings that serves nothing: there are programs that behave differently
// without (httputil.ReverseProxy does not break off an answer).
var ServerContextKey = &contextKey{"ringkit-server"}

type contextKey struct{ name string }

func (k *contextKey) String() string { return "ringkit context value " + k.name }

// callContext is the context of a request. It is cancelled when the handler has
// returned, and when the client goes away before. It costs nothing until somebody
// asks for its channel.
type callContext struct {
	parent context.Context
	local  net.Addr
	cred   *Credentials // of the peer, nil for TCP

	mu    sync.Mutex
	done  chan struct{}
	err   error
	leave func() bool // ends the watch of parent, nil when there is none
	after []*afterFunc
}

type afterFunc struct{ f func() }

// Deadline implements context.Context.
func (c *callContext) Deadline() (time.Time, bool) { return c.parent.Deadline() }

// Value implements context.Context.
func (c *callContext) Value(key any) any {
	switch key {
	case any(http.LocalAddrContextKey):
		return c.local
	case any(credentialsKey):
		return c.cred
	}
	return c.parent.Value(key)
}

// Err implements context.Context.
func (c *callContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		return c.parent.Err()
	}
	return c.err
}

// Done implements context.Context.
func (c *callContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		} else {
			c.join()
		}
	}
	return c.done
}

// AfterFunc lets context.AfterFunc and derived contexts do without a goroutine that
// waits.
func (c *callContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	c.join()
	a := &afterFunc{f}
	c.after = append(c.after, a)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := slices.Index(c.after, a)
		if i < 0 {
			return false
		}
		c.after = slices.Delete(c.after, i, i+1)
		return true
	}
}

// join has the end of the parent end c.
func (c *callContext) join() {
	if c.leave == nil && c.parent.Done() != nil {
		c.leave = context.AfterFunc(c.parent, func() { c.cancel(c.parent.Err()) })
	}
}

// cancel ends the context; only the first call counts.
func (c *callContext) cancel(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	if c.done != nil {
		close(c.done)
	}
	after, leave := c.after, c.leave
	c.after, c.leave = nil, nil
	c.mu.Unlock()
	if leave != nil {
		leave()
	}
	for _, a := range after {
		go a.f()
	}
}
