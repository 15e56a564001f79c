package client

import (
	"context"
	"crypto/tls"
	"net/url"
	"slices"

	"github.com/ringkit/ringkit/conn"
)

// key says which requests may share connections.
type key struct {
	scheme string
	addr   string // host:port
	proxy  string // its URL
	tunnel bool   // which the proxy makes
	tls    *tls.Config
}

// host has the connections with one key. All of it is under mu of the transport.
type host struct {
	t     *Transport
	key   key
	proxy *url.URL

	idle    int // of its links
	last    *link
	conns   int // and those that are being made
	dialing int
	queue   chain[exchange]
	fresh   chain[exchange] // that are repeated: they wait for a new connection
	roomy   []*link         // that take another request behind those under way
	wanting bool            // it is in Transport.wanting
}

// hostOf returns the host with a key; mu is held.
func (t *Transport) hostOf(k key, proxy *url.URL) *host {
	h := t.hosts[k]
	if h == nil {
		h = &host{t: t, key: k, proxy: proxy}
		t.hosts[k] = h
	}
	return h
}

// forget drops a host nobody is interested in.
func (h *host) forget() {
	if h.conns == 0 && h.waiting() == 0 && h.t.hosts[h.key] == h {
		delete(h.t.hosts, h.key)
	}
}

func (h *host) waiting() int { return h.queue.n + h.fresh.n }

// submit finds a connection for an exchange, now or later.
func (t *Transport) submit(ex *exchange) {
	if ex.trace != nil && ex.trace.GetConn != nil {
		ex.trace.GetConn(ex.key.addr)
	}
	t.mu.Lock()
	l, err := t.place(ex)
	t.mu.Unlock()
	switch {
	case err != nil:
		ex.fail(nil, opQueue, err)
	case l != nil && !l.w.loop.Post(&ex.task):
		t.submit(ex) // the loop has ended, and the connection with it
	}
}

// place gives an exchange a connection that is there, or has it wait for one; mu is held.
func (t *Transport) place(ex *exchange) (*link, error) {
	if t.closed {
		return nil, ErrClosed
	}
	if cause := ex.cancelled.Load(); cause != nil {
		return nil, *cause
	}
	h := t.hostOf(ex.key, ex.proxy)
	if !ex.repeated {
		if l := h.last; l != nil {
			t.take(l)
			t.assign(l, ex)
			return l, nil
		}
		if l := h.withRoom(ex); l != nil {
			t.assign(l, ex)
			return l, nil
		}
	}
	if t.queued >= limit(t.MaxQueued, DefaultMaxQueued) {
		h.forget()
		return nil, ErrQueueFull
	}
	ex.host = h
	if ex.repeated {
		h.fresh.push(ex, &ex.place)
	} else {
		h.queue.push(ex, &ex.place)
	}
	t.queued++
	ex.stopWaiting = t.after(ex.patience(timeout(t.QueueTimeout, DefaultQueueTimeout)), ex.waitedTooLong)
	h.grow(ex)
	return nil, nil
}

// withRoom returns a link that ex can be sent on behind others.
func (h *host) withRoom(ex *exchange) *link {
	if len(h.roomy) == 0 || !ex.pipelines() {
		return nil
	}
	return h.roomy[len(h.roomy)-1]
}

// assign gives ex to a link; mu is held. The loop learns of it by ex.task, or is who calls.
func (t *Transport) assign(l *link, ex *exchange) {
	ex.link = l
	l.assigned++
	l.noteRoom(ex.pipelines())
	t.counts.Requests++
}

// noteRoom keeps host.roomy; mu is held. more says that others may come behind what was
// assigned last.
func (l *link) noteRoom(more bool) {
	h := l.host
	i := slices.Index(h.roomy, l)
	room := more && l.assigned > 0 && l.assigned < h.t.Pipeline && !l.leaving
	switch {
	case room && i < 0:
		h.roomy = append(h.roomy, l)
	case !room && i >= 0:
		h.roomy = slices.Delete(h.roomy, i, i+1)
	}
}

// grow begins to make connections for those that wait, as far as the limits allow; mu is
// held. ex is who has just begun to wait, or nil.
func (h *host) grow(ex *exchange) {
	t := h.t
	for h.dialing < h.waiting() {
		if h.conns >= limit(t.MaxConnsPerHost, -1) {
			return
		}
		if t.conns >= limit(t.MaxConns, -1) {
			if l := t.idle.head(); l != nil {
				t.take(l)
				l.postRetire() // and grow is called again
			}
			if !h.wanting {
				h.wanting = true
				t.wanting = append(t.wanting, h)
			}
			return
		}
		h.conns++
		h.dialing++
		t.conns++
		t.counts.Dials++
		d := &dialing{t: t, host: h, ctx: context.Background()}
		if ex == nil {
			ex = h.first()
		}
		if ex != nil {
			d.ctx, d.trace = context.WithoutCancel(ex.req.Context()), ex.trace
		}
		if t.hooks.dial != nil {
			t.hooks.dial(d)
		} else {
			go d.run()
		}
		ex = nil
	}
}

// first returns the exchange that has waited longest.
func (h *host) first() *exchange {
	if h.fresh.head() != nil {
		return h.fresh.head()
	}
	return h.queue.head()
}

// left is called when a connection is no more, or was not made; mu is held.
func (h *host) left() {
	t := h.t
	h.conns--
	t.conns--
	h.grow(nil)
	h.forget()
	for len(t.wanting) > 0 && t.conns < limit(t.MaxConns, -1) {
		other := t.wanting[0]
		t.wanting = slices.Delete(t.wanting, 0, 1)
		other.wanting = false
		other.grow(nil)
	}
}

// dialFailed gives a connection up that could not be made: who waited for it learns why.
func (h *host) dialFailed(what op, err error) {
	t := h.t
	t.mu.Lock()
	h.dialing--
	ex := h.first()
	if ex != nil {
		t.unqueue(ex)
	}
	t.counts.DialsFailed++
	h.left()
	t.mu.Unlock()
	if ex != nil {
		ex.fail(nil, what, err)
	}
}

// unqueue ends the waiting of an exchange; mu is held.
func (t *Transport) unqueue(ex *exchange) {
	h := ex.host
	if ex.repeated {
		h.fresh.remove(&ex.place)
	} else {
		h.queue.remove(&ex.place)
	}
	ex.host = nil
	t.queued--
	ex.stopWaiting()
}

// next takes the exchange that is to go on a link, nil for none; mu is held.
func (h *host) next(l *link) *exchange {
	ex := h.queue.head()
	if !l.used && h.fresh.head() != nil {
		ex = h.fresh.head()
	}
	if ex != nil {
		h.t.unqueue(ex)
		h.t.assign(l, ex)
	}
	return ex
}

// behind takes an exchange that waits and may be sent behind those of a link, nil for none.
func (t *Transport) behind(l *link) *exchange {
	if t.Pipeline < 2 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	ex := l.host.queue.head()
	if ex == nil || !ex.pipelines() || !slices.Contains(l.host.roomy, l) {
		return nil
	}
	t.unqueue(ex)
	t.assign(l, ex)
	return ex
}

// release takes back a link that has answered everything: it gets the next exchange, or
// is idle. It reports whether it is to be kept.
func (t *Transport) release(l *link) (next *exchange, keep bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.assigned > 0 { // it was given another one meanwhile
		return nil, true
	}
	if t.closed || l.leaving || l.w.loop.Quitting() {
		l.leaving = true
		return nil, false
	}
	if ex := l.host.next(l); ex != nil {
		return ex, true
	}
	if len(t.wanting) > 0 || l.host.idle >= limit(t.MaxIdleConnsPerHost, DefaultMaxIdleConnsPerHost) {
		l.leaving = true
		return nil, false
	}
	if t.idle.n >= limit(t.MaxIdleConns, DefaultMaxIdleConns) {
		old := t.idle.head()
		if old == nil {
			l.leaving = true
			return nil, false
		}
		t.take(old)
		old.postRetire()
	}
	l.idle = true
	l.below, l.host.last = l.host.last, l
	if l.below != nil {
		l.below.above = l
	}
	l.host.idle++
	t.idle.push(l, &l.place)
	return nil, true
}

// take makes a link idle no more; mu is held.
func (t *Transport) take(l *link) {
	l.idle = false
	h := l.host
	if l.above != nil {
		l.above.below = l.below
	} else {
		h.last = l.below
	}
	if l.below != nil {
		l.below.above = l.above
	}
	l.above, l.below = nil, nil
	h.idle--
	t.idle.remove(&l.place)
}

// dropQueues takes all that waits; mu is held.
func (t *Transport) dropQueues() (all []*exchange) {
	for _, h := range t.hosts {
		for ex := h.first(); ex != nil; ex = h.first() {
			t.unqueue(ex)
			all = append(all, ex)
		}
	}
	return all
}

// stopped is called when a connection is over.
func (l *link) stopped() {
	t := l.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.idle {
		t.take(l)
	}
	l.leaving = true
	l.noteRoom(false)
	l.w.load.Add(-1)
	l.host.left()
}

// postRetire has the loop close a link that was taken from the idle ones; mu is held.
func (l *link) postRetire() {
	l.leaving = true
	l.w.loop.Do(func(*conn.Loop) { l.close() })
}

// retire is postRetire without mu.
func (l *link) retire() {
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	l.postRetire()
}
