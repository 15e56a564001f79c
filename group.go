package ringkit

import (
	"sync"
	"sync/atomic"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/talk"
	"github.com/ringkit/ringkit/wsock"
)

// Group is a set of channels that are sent the same messages: a room, a topic. The zero
// value is an empty group. Its methods may be called by any goroutine. A channel can be
// in several groups, and leaves them when it is over.
type Group struct {
	mu      sync.Mutex
	loops   map[*worker]*members
	members atomic.Int64
	missed  atomic.Uint64
	link    *link // nil without a bus
}

// broadcastStep is how many members a loop serves before it sends and looks at others.
const broadcastStep = 256

// members are those of a group on one loop, which they belong to.
type members struct {
	group   *Group
	list    []*Channel // nil where one has left while a broadcast was going on
	at      map[*Channel]int
	running int // broadcasts
	holes   bool
}

// membership is one of the groups a channel is in.
type membership struct {
	members *members
	next    *membership
}

// Join makes ch a member: it gets what is broadcast from now on. It does nothing if ch is
// one already, or is over.
func (g *Group) Join(ch *Channel) {
	m := g.on(ch.origin.worker)
	ch.origin.loop.Do(func(*conn.Loop) { m.add(ch) })
}

// Leave ends that.
func (g *Group) Leave(ch *Channel) {
	m := g.on(ch.origin.worker)
	ch.origin.loop.Do(func(*conn.Loop) { m.remove(ch) })
}

// Len returns the number of members.
func (g *Group) Len() int { return int(g.members.Load()) }

// Missed returns how many times a message was not sent to a member because its queue
// was full.
func (g *Group) Missed() uint64 { return g.missed.Load() }

// on returns the members on a loop.
func (g *Group) on(w *worker) *members {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := g.loops[w]
	if m == nil {
		if g.loops == nil {
			g.loops = make(map[*worker]*members)
		}
		m = &members{group: g, at: make(map[*Channel]int)}
		g.loops[w] = m
	}
	return m
}

// Broadcast sends m to all members, and through the bus, if the group is connected to
// one, to those of other processes: then the error is the bus's. It does not wait for
// members: one whose queue is full drops its oldest messages or is closed, if its
// options say so, and otherwise misses this one. A channel that sends events gets one
// with m as its data. The data can be used again when Broadcast returns.
//
// Each member gets what one goroutine broadcasts in that order.
func (g *Group) Broadcast(m wsock.Message) error {
	if link := g.linked(); link != nil {
		return link.publish(m)
	}
	g.deliver(Prepare(m))
	return nil
}

// BroadcastEvent is Broadcast for an event, which is UTF-8: channels that send events get
// it with its name, ID and Retry, others its data as a text message.
func (g *Group) BroadcastEvent(e ServerEvent) error {
	if link := g.linked(); link != nil {
		return link.publishEvent(e)
	}
	g.deliver(PrepareEvent(e))
	return nil
}

// linked returns what connects the group to a bus, nil if nothing does.
func (g *Group) linked() *link {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.link
}

// deliver sends to the members in this process.
func (g *Group) deliver(p *Prepared) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for w, m := range g.loops {
		w.loop.Do(func(l *conn.Loop) { m.begin(l, p) })
	}
}

// Close closes all members, see Channel.CloseWith.
func (g *Group) Close(code wsock.CloseCode, reason string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for w, m := range g.loops {
		w.loop.Do(func(*conn.Loop) {
			for _, ch := range m.list {
				if ch != nil {
					ch.CloseWith(code, reason)
				}
			}
		})
	}
}

func (m *members) add(ch *Channel) {
	if _, is := m.at[ch]; is || ch.ended {
		return
	}
	m.at[ch] = len(m.list)
	m.list = append(m.list, ch)
	ch.groups = &membership{m, ch.groups}
	m.group.members.Add(1)
}

func (m *members) remove(ch *Channel) {
	i, is := m.at[ch]
	if !is {
		return
	}
	delete(m.at, ch)
	m.group.members.Add(-1)
	at := &ch.groups
	for (*at).members != m {
		at = &(*at).next
	}
	*at = (*at).next
	if m.running > 0 {
		m.list[i], m.holes = nil, true // nobody changes places, and misses something
		return
	}
	last := len(m.list) - 1
	m.list[i] = m.list[last]
	m.list[last] = nil
	if m.list = m.list[:last]; i < last {
		m.at[m.list[i]] = i
	}
}

// begin sends to those who are members now.
func (m *members) begin(l *conn.Loop, p *Prepared) {
	if len(m.list) == 0 {
		return
	}
	m.running++
	m.broadcast(l, p, 0, len(m.list))
}

func (m *members) broadcast(l *conn.Loop, p *Prepared, from, to int) {
	step := min(from+broadcastStep, to)
	for _, ch := range m.list[from:step] {
		if ch != nil && !ch.tell(p) {
			m.group.missed.Add(1)
		}
	}
	if step < to {
		l.Do(func(l *conn.Loop) { m.broadcast(l, p, step, to) })
		return
	}
	if m.running--; m.running == 0 && m.holes {
		m.compact()
	}
}

// compact closes the gaps of those who have left meanwhile.
func (m *members) compact() {
	m.holes = false
	n := 0
	for _, ch := range m.list {
		if ch != nil {
			m.list[n], m.at[ch] = ch, n
			n++
		}
	}
	clear(m.list[n:])
	m.list = m.list[:n]
}

// tell sends a broadcast to one member, on the loop, and reports whether it could.
func (ch *Channel) tell(p *Prepared) bool {
	if ch.tellNow(p) {
		return true
	}
	overflow := ch.opts.Overflow
	if overflow == OverflowWait {
		overflow = OverflowError // a loop does not wait
	}
	return ch.sendPrepared(p, overflow) != ErrChannelFull
}

// tellNow has the connection send a broadcast without the queue, as the loop may if nothing
// waits in that, and reports whether it did. Frames that depend on those before are left
// to sendPrepared.
func (ch *Channel) tellNow(p *Prepared) bool {
	c := ch.conn()
	if c == nil || c.Closing() || !ch.opened || ch.ws == nil || ch.ws.takesOver() {
		return false
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.order.Phase != talk.Open || !ch.queue.Empty() || c.Queued()+len(p.m.Data) > min(ch.opts.HighWater, talk.HandOver)/2 {
		return false
	}
	c.Write(ch.ws.enc.Frame(p.frames))
	ch.unsent = c.Queued()
	return true
}
