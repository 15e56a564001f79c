package conn_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/simring"
)

var (
	oneSeed  = flag.Int64("seed", -1, "run the seeded tests with this seed only")
	numSeeds = flag.Int("seeds", 0, "run the seeded tests with so many seeds")
)

// seeds calls run with n seeds, and says how to repeat the one that fails.
func seeds(t *testing.T, n int, run func(w *world)) {
	t.Helper()
	switch {
	case *numSeeds > 0:
		n = *numSeeds
	case testing.Short():
		n /= 40
	case check.Enabled:
		n /= 8
	}
	first := uint64(0)
	if *oneSeed >= 0 {
		first, n = uint64(*oneSeed), 1
	}
	for seed := first; seed < first+uint64(n) && !t.Failed(); seed++ {
		runSeed(t, seed, run)
	}
}

func runSeed(t *testing.T, seed uint64, run func(w *world)) {
	defer func() {
		p := recover()
		if p != nil || t.Failed() {
			t.Logf("to repeat: go test ./conn -run '^%s$' -seed %d", t.Name(), seed)
		}
		if p != nil {
			panic(p)
		}
	}()
	run(newWorld(t, seed))
}

// world is one seeded run: a loop on a simulated ring, and its peers.
type world struct {
	*testing.T
	seed  uint64
	rng   *rand.Rand
	sim   *simring.Ring
	loop  *conn.Loop
	fd    int
	ln    *conn.Listener
	conns []*watched
	peers map[int]*simring.Peer // by number, in the order of dialling
	calm  bool                  // no fault breaks a connection
	over  bool                  // everything is being closed

	detaching int                // Detach was called, and has not called back
	borrowed  map[*conn.Conn]int // connections that are lent, and their descriptors
}

func newWorld(t *testing.T, seed uint64) *world {
	return &world{
		T: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)),
		peers:    make(map[int]*simring.Peer),
		borrowed: make(map[*conn.Conn]int),
	}
}

const (
	testWriteTimeout = 10 * time.Second
	testInputLimit   = 1000
)

// start makes the loop and a listener whose connections speak what protocol says.
func (w *world) start(protocol func(c *watched) conn.Protocol, opts ...simring.Option) {
	w.sim = simring.New(w.seed, append(opts, withFiles(w.seed)...)...)
	faults := w.sim.Faults()
	w.calm = faults.Reset == 0
	w.loop = conn.NewLoop(conn.Config{Ring: w.sim, Clock: w.sim.Now, WriteTimeout: testWriteTimeout, InputLimit: testInputLimit, ParkAfter: w.parking()})
	w.fd = w.sim.Listen()
	w.ln = w.loop.Listen(w.fd, conn.ListenerEvents{Accepted: func(fd int) {
		w.adopt(fd, protocol)
	}})
}

// withFiles gives every other simulated ring a table, which some are too small for all
// connections.
func withFiles(seed uint64) []simring.Option {
	rng := rand.New(rand.NewPCG(seed, 5))
	if rng.IntN(2) == 0 {
		return nil
	}
	return []simring.Option{simring.WithFiles(1 + rng.IntN(20))}
}

// parking is after how long connections are parked in this run: at once, often enough
// to be in the middle of things, or never. Where they are, nothing depends on a receive
// that notices every reset.
func (w *world) parking() time.Duration {
	if w.rng.IntN(3) == 0 {
		return -1
	}
	faults := w.sim.Faults()
	if faults.Reset > 0 {
		faults.LoseReset = w.rng.Float64()
		faults.LoseShutdown = w.rng.Float64()
		faults.NoFile = w.rng.Float64() / 20
		w.sim.SetFaults(faults)
	}
	return time.Duration(1 + w.rng.Int64N(int64(20*time.Millisecond)))
}

func (w *world) adopt(fd int, protocol func(c *watched) conn.Protocol) {
	c := &watched{world: w, fd: fd}
	for _, p := range w.peers {
		if p.FD() == fd {
			c.peer = p
		}
	}
	c.inner = protocol(c)
	w.conns = append(w.conns, c)
	w.loop.Adopt(fd, c)
}

func (w *world) dial() *simring.Peer {
	p := w.sim.Dial(w.fd)
	w.peers[len(w.peers)] = p
	return p
}

// pair makes a connection without the listener.
func (w *world) pair(protocol func(c *watched) conn.Protocol) *simring.Peer {
	fd, p := w.sim.Pair()
	w.peers[len(w.peers)] = p
	w.adopt(fd, protocol)
	return p
}

// soon is a random time within the run.
func (w *world) soon() time.Duration {
	return time.Duration(w.rng.Int64N(int64(100 * time.Millisecond)))
}

// arrive waits until every peer has been accepted or turned away.
func (w *world) arrive() {
	w.Helper()
	for range 100 {
		waiting := 0
		for _, p := range w.peers {
			if p.FD() == 0 && !p.SawReset() {
				waiting++
			}
		}
		if waiting == 0 {
			return
		}
		w.sim.Sleep(100*time.Millisecond, w.loop.Turn)
	}
	w.Fatalf("seed %d: a peer is not accepted", w.seed)
}

// end closes the listener, lets everything come to its end, and checks that
// nothing is left. By then every connection has to be on its way to its end.
func (w *world) end() {
	w.Helper()
	w.loop.Do(func(l *conn.Loop) {
		w.ln.Close()
		l.Quit()
	})
	quiet := 0
	for turns := 0; !w.loop.Ended(); turns++ {
		if err := w.loop.Turn(); err != nil {
			w.Fatalf("seed %d: turn: %v", w.seed, err)
		}
		if w.sim.Idle() {
			quiet++
		}
		if quiet > 10 || turns > 200000 {
			blocks, slots := w.loop.Live()
			w.Fatalf("seed %d: the loop does not end: %d connections open, %d slots and %d blocks in use, after %d turns", w.seed, w.loop.Conns(), slots, blocks, turns)
		}
	}
	blocks, slots := w.loop.Live()
	if blocks != 0 || slots != 0 || w.loop.Conns() != 0 || w.loop.Timers() != 0 {
		w.Errorf("seed %d: %d blocks, %d slots, %d connections, %d timers are left", w.seed, blocks, slots, w.loop.Conns(), w.loop.Timers())
	}
	if err := w.loop.Run(); err != nil {
		w.Errorf("seed %d: run: %v", w.seed, err)
	}
	w.sim.Drain()
	if err := w.sim.Leaks(); err != nil {
		w.Errorf("seed %d: %v", w.seed, err)
	}
	for _, c := range w.conns {
		if c.opened != 1 || c.closed != 1 {
			w.Errorf("seed %d: connection opened %d times and closed %d times", w.seed, c.opened, c.closed)
		}
		if c.handle.Conn() != nil {
			w.Errorf("seed %d: the handle of a connection that is gone finds one", w.seed)
		}
	}
}

// watched is a protocol around another that checks the promises of the loop.
type watched struct {
	*world
	inner  conn.Protocol
	peer   *simring.Peer
	fd     int
	sent   []byte // by the peer, when it is known
	taken  int    // consumed of it
	handle conn.Handle

	opened, closed, ended int
	err                   error
}

func (w *watched) expectOpen(c *conn.Conn, what string) {
	if w.opened != 1 || w.closed != 0 {
		w.Fatalf("seed %d: %s of a connection opened %d and closed %d times", w.seed, what, w.opened, w.closed)
	}
	if c.Handle() != w.handle {
		w.Fatalf("seed %d: %s with the connection %v, want %v", w.seed, what, c.Handle(), w.handle)
	}
}

func (w *watched) Open(c *conn.Conn) {
	w.opened++
	w.handle = c.Handle()
	w.expectOpen(c, "Open")
	if c.FD() != w.fd {
		w.Fatalf("seed %d: Open with descriptor %d, want %d", w.seed, c.FD(), w.fd)
	}
	if w.handle.Conn() != c {
		w.Fatalf("seed %d: the handle of a new connection does not find it", w.seed)
	}
	w.inner.Open(c)
}

func (w *watched) Data(c *conn.Conn, in []byte) int {
	w.expectOpen(c, "Data")
	if len(in) == 0 || c.Held() || c.Closing() {
		w.Fatalf("seed %d: Data of %d bytes, held %v, closing %v", w.seed, len(in), c.Held(), c.Closing())
	}
	if w.sent != nil && (w.taken+len(in) > len(w.sent) || !bytes.Equal(in, w.sent[w.taken:w.taken+len(in)])) {
		w.Fatalf("seed %d: received %q at %d, which is not what was sent", w.seed, in, w.taken)
	}
	before := bytes.Clone(in)
	n := w.inner.Data(c, in)
	if !bytes.Equal(in, before) {
		w.Fatalf("seed %d: the input changed during Data: %q, was %q", w.seed, in, before)
	}
	w.taken += n
	return n
}

func (w *watched) EOF(c *conn.Conn) {
	w.expectOpen(c, "EOF")
	if w.ended++; w.ended > 1 || !c.AtEOF() {
		w.Fatalf("seed %d: EOF for the %d. time, at the end %v", w.seed, w.ended, c.AtEOF())
	}
	w.inner.EOF(c)
}

func (w *watched) Drained(c *conn.Conn) {
	w.expectOpen(c, "Drained")
	if _, lent := w.borrowed[c]; c.Queued() != 0 && !lent {
		w.Fatalf("seed %d: drained with %d bytes queued", w.seed, c.Queued())
	}
	w.inner.Drained(c)
}

func (w *watched) Timeout(c *conn.Conn) {
	w.expectOpen(c, "Timeout")
	w.inner.Timeout(c)
}

func (w *watched) Closed(c *conn.Conn, err error) {
	w.expectOpen(c, "Closed")
	w.closed++
	w.err = err
	if w.handle.Conn() != nil {
		w.Fatalf("seed %d: the handle of a closed connection finds it", w.seed)
	}
	w.inner.Closed(c, err)
}

// Nothing is a protocol that does nothing, to embed in others.
type nothing struct{}

func (nothing) Open(*conn.Conn)                  {}
func (nothing) Data(_ *conn.Conn, in []byte) int { return len(in) }
func (nothing) EOF(c *conn.Conn)                 { c.Close() }
func (nothing) Drained(*conn.Conn)               {}
func (nothing) Timeout(*conn.Conn)               {}
func (nothing) Closed(_ *conn.Conn, _ error)     {}

// script has a peer send bytes in pieces over some time, then end its side.
func (w *world) script(p *simring.Peer, data []byte) {
	at := w.soon()
	for len(data) > 0 {
		n := 1 + w.rng.IntN(len(data))
		piece := data[:n]
		data = data[n:]
		w.sim.After(at, func() { p.Write(piece) })
		at += time.Duration(w.rng.Int64N(int64(10 * time.Millisecond)))
	}
	w.sim.After(at, p.CloseWrite)
}

func (w *world) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + w.rng.IntN(26))
	}
	return b
}

// clean fails the test unless the connection ended as its protocol wanted and
// the peer got exactly what it should.
func (w *world) clean(c *watched, want []byte) {
	w.Helper()
	got := c.peer.Received()
	if !bytes.HasPrefix(want, got) {
		w.Fatalf("seed %d: the peer received %d bytes that are no beginning of the %d expected", w.seed, len(got), len(want))
	}
	if w.calm && (c.err != nil || !c.peer.SawEOF() || c.peer.SawReset() || len(got) != len(want)) {
		w.Fatalf("seed %d: closed with %v; the peer received %d of %d bytes, end %v, reset %v",
			w.seed, c.err, len(got), len(want), c.peer.SawEOF(), c.peer.SawReset())
	}
}

type echo struct{ nothing }

func (echo) Data(c *conn.Conn, in []byte) int {
	c.Write(in)
	return len(in)
}

func TestSeedsEcho(t *testing.T) {
	seeds(t, 2000, func(w *world) {
		data := make(map[*simring.Peer][]byte)
		w.start(func(c *watched) conn.Protocol {
			c.sent = data[c.peer]
			return echo{}
		})
		for range 1 + w.rng.IntN(6) {
			p := w.dial()
			data[p] = w.bytes(1 + w.rng.IntN(1<<w.rng.IntN(14)))
			w.script(p, data[p])
		}
		w.arrive()
		w.sim.Settle(w.loop.Turn)
		w.end()
		for _, c := range w.conns {
			w.clean(c, data[c.peer])
		}
	})
}

// lines answers every line, "n\n", with n letters; incomplete lines stay in the
// loop's keeping.
type lines struct{ nothing }

func (lines) Data(c *conn.Conn, in []byte) int {
	taken := 0
	for {
		line, _, found := bytes.Cut(in[taken:], []byte("\n"))
		if !found {
			return taken
		}
		taken += len(line) + 1
		answer(c, line)
	}
}

func answer(c *conn.Conn, line []byte) {
	var n int
	fmt.Sscan(string(line), &n)
	if n%2 == 0 && n <= 4096 {
		p := c.Reserve(n)
		for range n {
			p = append(p, byte('a'+n%26))
		}
		c.Commit(p)
		return
	}
	c.Write(bytes.Repeat([]byte{byte('a' + n%26)}, n))
}

// requests returns lines and what has to come back.
func (w *world) requests() (lines, answers []byte) {
	for range 1 + w.rng.IntN(30) {
		n := w.rng.IntN(1 << w.rng.IntN(12))
		if w.rng.IntN(50) == 0 {
			n = w.rng.IntN(200 << 10)
		}
		lines = fmt.Appendf(lines, "%d\n", n)
		answers = append(answers, bytes.Repeat([]byte{byte('a' + n%26)}, n)...)
	}
	return lines, answers
}

func (w *world) runLines(protocol func() conn.Protocol, opts ...simring.Option) {
	type talk struct{ lines, answers []byte }
	talks := make(map[*simring.Peer]talk)
	w.start(func(c *watched) conn.Protocol {
		c.sent = talks[c.peer].lines
		return protocol()
	}, opts...)
	for range 1 + w.rng.IntN(5) {
		p := w.dial()
		var k talk
		k.lines, k.answers = w.requests()
		talks[p] = k
		w.script(p, k.lines)
	}
	w.arrive()
	w.sim.Settle(w.loop.Turn)
	w.end()
	for _, c := range w.conns {
		w.clean(c, talks[c.peer].answers)
	}
}

func TestSeedsLines(t *testing.T) {
	seeds(t, 1000, func(w *world) { w.runLines(func() conn.Protocol { return lines{} }) })
}

// holding is lines with an answer that takes time: meanwhile it holds.
type holding struct {
	nothing
	w   *world
	end bool
}

func (h *holding) Data(c *conn.Conn, in []byte) int {
	line, _, found := bytes.Cut(in, []byte("\n"))
	if !found {
		return 0
	}
	c.Hold()
	text := bytes.Clone(line)
	handle := c.Handle()
	finish := func(l *conn.Loop) {
		if c := handle.Conn(); c != nil {
			answer(c, text)
			c.Resume()
			h.finish(c)
		}
	}
	switch h.w.rng.IntN(4) {
	case 0:
		h.w.loop.Do(finish)
	case 1:
		h.w.sim.After(time.Duration(h.w.rng.Int64N(int64(5*time.Millisecond))), func() { h.w.loop.Do(finish) })
	case 2:
		c.State = finish
		c.SetDeadline(time.Duration(1 + h.w.rng.Int64N(int64(5*time.Millisecond))))
	case 3: // at once
		answer(c, text)
		c.Resume()
	}
	return len(line) + 1
}

func (h *holding) Timeout(c *conn.Conn) {
	finish := c.State.(func(*conn.Loop))
	c.State = nil
	finish(c.Loop())
}

func (h *holding) EOF(c *conn.Conn) {
	h.end = true
	h.finish(c)
}

func (h *holding) finish(c *conn.Conn) {
	if h.end && !c.Held() && c.Buffered() == 0 && !c.Closing() {
		c.Close()
	}
}

func TestSeedsHold(t *testing.T) {
	seeds(t, 1000, func(w *world) {
		w.runLines(func() conn.Protocol { return &holding{w: w} })
	})
}

// flood writes much, with a bounded queue.
type flood struct {
	nothing
	left, next int
}

const floodQueue = 100 << 10

func (f *flood) Open(c *conn.Conn) { f.more(c) }

func (f *flood) more(c *conn.Conn) {
	for f.left > 0 && c.Queued() < floodQueue && !c.Closing() {
		n := min(f.left, 1+f.next*7919%(30<<10))
		p := make([]byte, n)
		for i := range p {
			p[i] = floodByte(f.next + i)
		}
		f.next += n
		f.left -= n
		c.Write(p)
	}
	if f.left == 0 {
		c.CloseLingering()
	}
}

func floodByte(i int) byte { return byte(i ^ i>>8) }

func (f *flood) Drained(c *conn.Conn) { f.more(c) }
func (f *flood) EOF(*conn.Conn)       {}

func TestSeedsFlood(t *testing.T) {
	seeds(t, 400, func(w *world) {
		total := w.rng.IntN(300 << 10)
		w.start(func(c *watched) conn.Protocol { return &flood{left: total} })
		never := make(map[*simring.Peer]bool)
		for range 1 + w.rng.IntN(4) {
			p := w.dial()
			switch w.rng.IntN(4) {
			case 0:
				p.ReadSlowly(256<<w.rng.IntN(9), time.Duration(w.rng.Int64N(int64(2*time.Millisecond))))
			case 1:
				p.ReadLimit(w.rng.IntN(1000))
				never[p] = true
			}
			w.sim.After(w.soon(), func() { p.WriteString("chatter") })
			w.sim.After(w.soon(), p.CloseWrite)
		}
		w.arrive()
		w.sim.Settle(w.loop.Turn)
		w.end()
		want := make([]byte, total)
		for i := range want {
			want[i] = floodByte(i)
		}
		for _, c := range w.conns {
			got := c.peer.Received()
			if !bytes.HasPrefix(want, got) {
				w.Fatalf("seed %d: a slow reader got wrong bytes", w.seed)
			}
			if stuck := errors.Is(c.err, conn.ErrWriteTimeout); stuck && !never[c.peer] && c.peer.Unread() == 0 {
				w.Fatalf("seed %d: write timeout although the peer reads", w.seed)
			}
			if w.calm && c.err == nil && !never[c.peer] && len(got) != total {
				w.Fatalf("seed %d: %d of %d bytes arrived", w.seed, len(got), total)
			}
		}
	})
}
