package ringkit

import (
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"github.com/ringkit/ringkit/conn"
)

// gate bounds the connections of a server. Listeners pause when there is no room:
// who connects then waits in the backlog.
type gate struct {
	most int

	mu      sync.Mutex
	open    int
	waiting []*listener // for room
}

// enter takes room for one connection, if there is any. Without room for another the
// listener has to wait: it is told of room by its method admit.
func (g *gate) enter(ln *listener) (ok, more bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ok = g.open < g.most; ok {
		g.open++
	}
	return ok, g.roomFor(ln)
}

// room reports whether there is room; if not, the listener is told of it.
func (g *gate) room(ln *listener) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.roomFor(ln)
}

func (g *gate) roomFor(ln *listener) bool {
	more := g.open < g.most
	if !more && !slices.Contains(g.waiting, ln) {
		g.waiting = append(g.waiting, ln)
	}
	return more
}

// leave gives back the room of one connection. All listeners that wait are told:
// the first may have nobody who wants to come in.
func (g *gate) leave() {
	g.mu.Lock()
	g.open--
	waiting := g.waiting
	g.waiting = nil
	g.mu.Unlock()
	for _, ln := range waiting {
		ln.worker.loop.Do(func(*conn.Loop) { ln.admit() })
	}
}

// hasRoom takes room for a connection that was accepted. The kernel may hand out
// several before the listener has paused; those wait here.
func (ln *listener) hasRoom(fd int) bool {
	g := ln.srv.gate
	if g == nil {
		return true
	}
	ok := false
	if len(ln.parked) == 0 {
		var more bool
		if ok, more = g.enter(ln); !more {
			ln.accept.Pause()
		}
	}
	if !ok {
		ln.parked = append(ln.parked, fd)
	}
	return ok
}

// admit goes on when there may be room again.
func (ln *listener) admit() {
	for len(ln.parked) > 0 {
		ok, _ := ln.srv.gate.enter(ln)
		if !ok {
			return
		}
		fd := ln.parked[0]
		ln.parked = ln.parked[1:]
		ln.adopt(fd)
	}
	if ln.srv.gate.room(ln) {
		ln.accept.Resume()
	}
}

// dismiss ends the connections that wait for room, with their listener.
func (ln *listener) dismiss() {
	for _, fd := range ln.parked {
		syscall.Close(fd)
	}
	ln.parked = nil
}

// perAddress counts connections by the address of their client.
type perAddress struct {
	most int

	mu    sync.Mutex
	conns map[netip.Addr]int
}

// admission is what becomes of a connection that perAddress was asked for.
type admission uint8

const (
	admitted   admission = iota
	refused              // there are too many, which it can be told
	turnedAway           // and too many are being told: it is not counted
)

// enter counts a connection. Those that are refused count, too, as long as they are
// there: an address has twice the limit of sockets at most.
func (p *perAddress) enter(client netip.Addr) admission {
	key := addressKey(client)
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.conns[key]
	if n/2 >= p.most {
		return turnedAway
	}
	p.conns[key] = n + 1
	if n >= p.most {
		return refused
	}
	return admitted
}

// leave ends what enter began.
func (p *perAddress) leave(client netip.Addr) {
	key := addressKey(client)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns[key]--; p.conns[key] == 0 {
		delete(p.conns, key)
	}
}

// addressKey is what one client has: an IPv4 address, or the /64 of IPv6 that a
// client usually has all addresses of.
func addressKey(a netip.Addr) netip.Addr {
	if a = a.Unmap(); a.Is4() {
		return a
	}
	p, _ := a.WithZone("").Prefix(64)
	return p.Addr()
}
