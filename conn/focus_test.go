package conn_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/simring"
)

// hooks is a protocol made of functions, those that are not nil.
type hooks struct {
	open, eof, drained, timeout func(*conn.Conn)
	data                        func(*conn.Conn, []byte) int
	closed                      func(*conn.Conn, error)

	ends int
	err  error // of Closed
}

func call(f func(*conn.Conn), c *conn.Conn) {
	if f != nil {
		f(c)
	}
}

func (h *hooks) Open(c *conn.Conn)    { call(h.open, c) }
func (h *hooks) EOF(c *conn.Conn)     { call(h.eof, c) }
func (h *hooks) Drained(c *conn.Conn) { call(h.drained, c) }
func (h *hooks) Timeout(c *conn.Conn) { call(h.timeout, c) }

func (h *hooks) Data(c *conn.Conn, in []byte) int {
	if h.data == nil {
		return len(in)
	}
	return h.data(c, in)
}

func (h *hooks) Closed(c *conn.Conn, err error) {
	h.ends++
	h.err = err
	if h.closed != nil {
		h.closed(c, err)
	}
}

// bench is a loop on a ring without faults, unless told otherwise.
type bench struct {
	*testing.T
	sim  *simring.Ring
	loop *conn.Loop
}

func newBench(t *testing.T, cfg conn.Config, opts ...simring.Option) *bench {
	opts = append([]simring.Option{simring.WithFaults(simring.Faults{}), simring.WithBuffers(8, 1024), simring.WithWindow(64 << 10)}, opts...)
	b := &bench{T: t, sim: simring.New(1, opts...)}
	cfg.Ring, cfg.Clock = b.sim, b.sim.Now
	b.loop = conn.NewLoop(cfg)
	return b
}

// adopt gives the loop a connection and returns its peer.
func (b *bench) adopt(p conn.Protocol) (*conn.Conn, *simring.Peer) {
	fd, peer := b.sim.Pair()
	return b.conn(fd, p), peer
}

func (b *bench) conn(fd int, p conn.Protocol) (found *conn.Conn) {
	b.loop.Adopt(fd, p)
	b.loop.Each(func(c *conn.Conn) {
		if c.FD() == fd {
			found = c
		}
	})
	return found
}

func (b *bench) settle() { b.sim.Settle(b.loop.Turn) }

func (b *bench) sleep(d time.Duration) { b.sim.Sleep(d, b.loop.Turn) }

// finish aborts what is open, runs the loop to its end and looks for leaks.
func (b *bench) finish() {
	b.Helper()
	b.loop.Do(func(l *conn.Loop) {
		l.Each(func(c *conn.Conn) { c.Abort(nil) })
		l.Quit()
	})
	if err := b.loop.Run(); err != nil {
		b.Error(err)
	}
	b.clean()
}

func (b *bench) clean() {
	b.Helper()
	b.sim.Drain()
	if err := b.sim.Leaks(); err != nil {
		b.Error(err)
	}
	if blocks, slots := b.loop.Live(); blocks != 0 || slots != 0 || b.loop.Timers() != 0 {
		b.Errorf("%d blocks, %d slots and %d timers are left", blocks, slots, b.loop.Timers())
	}
}

func TestInputLimitPausesReceiving(t *testing.T) {
	const limit, buffers, size = 4000, 4, 1000
	b := newBench(t, conn.Config{InputLimit: limit}, simring.WithBuffers(buffers, size))
	var got []byte
	c, peer := b.adopt(&hooks{
		open: func(c *conn.Conn) { c.Hold() },
		data: func(_ *conn.Conn, in []byte) int {
			got = append(got, in...)
			return len(in)
		},
	})
	sent := bytes.Repeat([]byte("0123456789"), 10_000)
	peer.Write(sent)
	b.settle()
	if n := c.Buffered(); n < limit || n > limit+buffers*size {
		t.Errorf("%d bytes are kept, want %d and what was on its way", n, limit)
	}
	if n := b.sim.Stats().Cancels; n != 1 {
		t.Errorf("%d cancellations, want 1", n)
	}
	if got != nil {
		t.Error("data was delivered although the connection is held")
	}
	c.Resume()
	b.settle()
	if !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes were delivered after Resume", len(got), len(sent))
	}
	b.finish()
}

// A connection that holds again before its cancellation has completed is paused
// all the same.
func TestPauseAgainWhileCancelling(t *testing.T) {
	const limit = 1000
	b := newBench(t, conn.Config{InputLimit: limit}, simring.WithBuffers(8, 100))
	c, peer := b.adopt(&hooks{open: func(c *conn.Conn) { c.Hold() }})
	for range 200 {
		peer.Write(make([]byte, 200))
		if err := b.loop.Turn(); err != nil {
			t.Fatal(err)
		}
		if n := c.Buffered(); n > limit+8*100 {
			t.Fatalf("%d bytes are kept with a limit of %d", n, limit)
		}
		if c.Buffered() >= limit {
			c.Resume()
			c.Hold()
		}
	}
	b.settle()
	b.finish()
}

// InputLimit is for connections that are held: a protocol that waits for more gets
// it.
func TestInputLimitIsForHeldConnections(t *testing.T) {
	b := newBench(t, conn.Config{InputLimit: 1000})
	most := 0
	_, peer := b.adopt(&hooks{data: func(_ *conn.Conn, in []byte) int {
		most = len(in)
		return 0
	}})
	peer.Write(make([]byte, 50_000))
	b.settle()
	if most != 50_000 {
		t.Errorf("%d of 50000 bytes were delivered", most)
	}
	b.finish()
}

func TestResumeFromData(t *testing.T) {
	for _, held := range []bool{false, true} { // by then, input is kept or still in the receive buffer
		b := newBench(t, conn.Config{})
		var got []string
		c, peer := b.adopt(&hooks{data: func(c *conn.Conn, in []byte) int {
			got = append(got, string(in))
			c.Hold()
			c.Resume()
			return min(1, len(in)-1)
		}})
		if held {
			c.Hold()
		}
		peer.WriteString("abc")
		b.settle()
		if held {
			c.Resume()
		}
		if want := "[abc bc c]"; fmt.Sprint(got) != want {
			t.Errorf("held %v: delivered %v, want %v", held, got, want)
		}
		b.finish()
	}
}

// One connection's Data may let another's run, and close it, or be closed by it.
func TestDataInsideData(t *testing.T) {
	b := newBench(t, conn.Config{})
	var first, second *conn.Conn
	var log []string
	first, peer := b.adopt(&hooks{data: func(c *conn.Conn, in []byte) int {
		log = append(log, "first "+string(in))
		second.Resume()
		log = append(log, "first still "+string(in))
		return len(in)
	}})
	second, peer2 := b.adopt(&hooks{
		open: func(c *conn.Conn) { c.Hold() },
		data: func(c *conn.Conn, in []byte) int {
			log = append(log, "second "+string(in))
			first.Close()
			third, _ := b.adopt(&hooks{})
			third.Write([]byte("x"))
			return len(in)
		},
	})
	peer2.WriteString("two")
	first.Hold()
	peer.WriteString("one")
	b.settle()
	first.Resume()
	b.settle()
	if want := "[first one second two first still one]"; fmt.Sprint(log) != want {
		t.Errorf("%v, want %v", log, want)
	}
	b.finish()
}

func TestEOFComesBeforeHeldInput(t *testing.T) {
	b := newBench(t, conn.Config{})
	var log []string
	c, peer := b.adopt(&hooks{
		open: func(c *conn.Conn) { c.Hold() },
		data: func(_ *conn.Conn, in []byte) int { log = append(log, string(in)); return len(in) },
		eof:  func(*conn.Conn) { log = append(log, "EOF") },
	})
	peer.WriteString("abc")
	peer.CloseWrite()
	b.settle()
	c.Resume()
	c.Write([]byte("answer"))
	b.settle()
	if fmt.Sprint(log) != "[EOF abc]" || string(peer.Received()) != "answer" {
		t.Errorf("%v, the peer received %q", log, peer.Received())
	}
	b.finish()
}

func TestDeadlineMovesLazily(t *testing.T) {
	const idle = 2 * time.Second
	b := newBench(t, conn.Config{})
	var fired []int64
	c, peer := b.adopt(&hooks{
		open: func(c *conn.Conn) { c.SetDeadline(idle) },
		data: func(c *conn.Conn, in []byte) int {
			c.SetDeadline(idle)
			return len(in)
		},
		timeout: func(*conn.Conn) { fired = append(fired, b.sim.Now()) },
	})
	set := c.TimerAt()
	for range 100 {
		b.sleep(10 * time.Millisecond)
		peer.WriteString("request")
		b.settle()
		if c.TimerAt() != set {
			t.Fatal("a later deadline moved the timer")
		}
	}
	last := b.sim.Now()
	b.sleep(5 * time.Second)
	if len(fired) != 1 {
		t.Fatalf("fired %d times, want once", len(fired))
	}
	if after := time.Duration(fired[0] - last); after < idle-20*time.Millisecond || after > idle+20*time.Millisecond {
		t.Errorf("fired %v after the last request, want %v", after, idle)
	}
	c.SetDeadline(time.Hour)
	c.SetDeadline(50 * time.Millisecond) // an earlier one counts at once
	b.sleep(100 * time.Millisecond)
	c.SetDeadline(50 * time.Millisecond)
	c.SetDeadline(0)
	b.sleep(100 * time.Millisecond)
	if len(fired) != 2 {
		t.Errorf("fired %d times, want twice", len(fired))
	}
	b.finish()
}

func TestDeadlineFarAway(t *testing.T) {
	b := newBench(t, conn.Config{})
	fired := false
	b.adopt(&hooks{
		open:    func(c *conn.Conn) { c.SetDeadline(1<<63 - 1) },
		timeout: func(*conn.Conn) { fired = true },
	})
	b.sleep(1000 * time.Hour)
	if fired {
		t.Error("a deadline in 292 years has passed")
	}
	if n := b.sim.Stats().Enters; n > 100 {
		t.Errorf("%d turns to wait for it", n)
	}
	b.finish()
}

// A deadline is nothing on a connection that is over: its slot has another owner soon.
func TestDeadlineAfterTheEnd(t *testing.T) {
	b := newBench(t, conn.Config{})
	h := &hooks{data: func(c *conn.Conn, in []byte) int {
		c.Abort(nil)
		c.SetDeadline(time.Second)
		return len(in)
	}}
	h.closed = func(c *conn.Conn, _ error) { c.SetDeadline(time.Second) }
	for range 3 {
		_, peer := b.adopt(h)
		peer.WriteString("x")
		b.settle()
		if b.loop.Timers() != 0 {
			t.Fatal("a connection that is over has a timer")
		}
	}
	b.finish()
}

func TestWriteTimeout(t *testing.T) {
	b := newBench(t, conn.Config{WriteTimeout: 3 * time.Second})
	h := &hooks{}
	c, peer := b.adopt(h)
	peer.ReadLimit(0)
	c.Write(make([]byte, 200<<10))
	start := b.sim.Now()
	for h.ends == 0 {
		b.sleep(100 * time.Millisecond)
	}
	took := time.Duration(b.sim.Now() - start)
	if !errors.Is(h.err, conn.ErrWriteTimeout) || took < 3*time.Second || took > 3200*time.Millisecond {
		t.Errorf("closed with %v after %v", h.err, took)
	}
	b.finish()
}

// A peer that takes some of it in time gets all of it, however long that takes.
func TestWriteTimeoutIsForEachSend(t *testing.T) {
	b := newBench(t, conn.Config{WriteTimeout: 3 * time.Second})
	h := &hooks{}
	c, peer := b.adopt(h)
	peer.ReadSlowly(32<<10, time.Second)
	c.Write(make([]byte, 500<<10))
	b.sleep(30 * time.Second)
	if h.ends != 0 || len(peer.Received()) != 500<<10 {
		t.Errorf("closed with %v, %d bytes arrived", h.err, len(peer.Received()))
	}
	b.finish()
}

func TestLingerIsBoundedInTime(t *testing.T) {
	for _, answer := range []string{"", "no"} {
		b := newBench(t, conn.Config{})
		h := &hooks{data: func(c *conn.Conn, in []byte) int {
			c.Write([]byte(answer))
			c.CloseLingering()
			c.SetDeadline(time.Hour) // has no say any more
			return len(in)
		}}
		_, peer := b.adopt(h)
		for range 100 {
			peer.WriteString("chatter")
		}
		b.sleep(time.Second)
		if string(peer.Received()) != answer || !peer.SawEOF() || peer.SawReset() || h.ends != 0 {
			t.Fatalf("the peer received %q, end %v, reset %v; closed %d times", peer.Received(), peer.SawEOF(), peer.SawReset(), h.ends)
		}
		b.sleep(conn.LingerTime - time.Second + 20*time.Millisecond)
		if h.ends != 1 || h.err != nil {
			t.Errorf("closed %d times with %v", h.ends, h.err)
		}
		b.finish()
	}
}

func TestLingerEndsWithThePeer(t *testing.T) {
	b := newBench(t, conn.Config{})
	h := &hooks{}
	c, peer := b.adopt(h)
	c.CloseLingering()
	b.settle()
	peer.Close()
	b.settle()
	if h.ends != 1 || h.err != nil {
		t.Errorf("closed %d times with %v", h.ends, h.err)
	}
	b.finish()
}

// CloseReset is never seen as a good end, be there output or input or neither.
func TestCloseReset(t *testing.T) {
	for _, output := range []int{0, 1, 300 << 10} {
		for _, input := range []string{"", "more"} {
			b := newBench(t, conn.Config{})
			h := &hooks{}
			c, peer := b.adopt(h)
			c.Write(make([]byte, output))
			c.CloseReset()
			peer.WriteString(input)
			b.settle()
			if h.ends != 1 || h.err != nil || !peer.SawReset() || peer.SawEOF() {
				t.Errorf("%d bytes: closed %d times with %v; the peer saw reset %v, end %v",
					output, h.ends, h.err, peer.SawReset(), peer.SawEOF())
			}
			b.finish()
		}
	}
}

func TestNoLingerForAPeerThatHasEnded(t *testing.T) {
	b := newBench(t, conn.Config{})
	h := &hooks{}
	c, peer := b.adopt(h)
	peer.CloseWrite()
	b.settle()
	c.Write([]byte("answer"))
	c.CloseLingering()
	b.settle()
	if h.ends != 1 || h.err != nil || string(peer.Received()) != "answer" || !peer.SawEOF() {
		t.Errorf("closed %d times with %v, the peer received %q, end %v", h.ends, h.err, peer.Received(), peer.SawEOF())
	}
	b.finish()
}

func TestLingerIsBoundedInBytes(t *testing.T) {
	b := newBench(t, conn.Config{}, simring.WithBuffers(8, 64<<10))
	h := &hooks{}
	c, peer := b.adopt(h)
	c.CloseLingering()
	for range 9 {
		peer.Write(make([]byte, 1<<20))
	}
	b.settle()
	if h.ends != 1 || h.err != nil {
		t.Errorf("closed %d times with %v after 9 MiB", h.ends, h.err)
	}
	b.finish()
}

// Closing goes on receiving, also where receiving had paused: a peer that is stuck
// in sending would never read.
func TestCloseUnpausesReceiving(t *testing.T) {
	b := newBench(t, conn.Config{InputLimit: 1000}, simring.WithWindow(1000))
	h := &hooks{open: func(c *conn.Conn) { c.Hold() }}
	c, peer := b.adopt(h)
	peer.ReadLimit(0)
	peer.Write(make([]byte, 50_000))
	b.settle()
	received := peer.Unreceived()
	if received == 0 {
		t.Fatal("receiving was not paused")
	}
	c.Write(make([]byte, 5000))
	c.Close()
	b.settle()
	if peer.Unreceived() != 0 {
		t.Error("nothing is received while the connection is closing")
	}
	peer.ReadLimit(-1)
	b.settle()
	if h.ends != 1 || h.err != nil || len(peer.Received()) != 5000 || !peer.SawEOF() {
		t.Errorf("closed %d times with %v, %d bytes arrived", h.ends, h.err, len(peer.Received()))
	}
	b.finish()
}

func TestOneSendPerTurn(t *testing.T) {
	b := newBench(t, conn.Config{})
	c, peer := b.adopt(lines{})
	peer.WriteString(strings.Repeat("7\n", 100))
	b.loop.Do(func(*conn.Loop) { c.Write([]byte("task")) })
	b.settle()
	if n := b.sim.Stats().Sends; n != 1 || len(peer.Take()) != 704 {
		t.Errorf("%d sends, want 1", n)
	}
	// Also what is written between the completion of one send and the next.
	b.loop.Do(func(*conn.Loop) { c.Write(make([]byte, 100)) })
	b.loop.Turn()
	c.Write(make([]byte, 100)) // behind the send in flight
	peer.WriteString("100\n")
	b.settle()
	if n := b.sim.Stats().Sends; n != 3 || len(peer.Take()) != 300 {
		t.Errorf("%d sends, want 3", n)
	}
	b.finish()
}

func TestLargeWritesLeaveInBlocks(t *testing.T) {
	b := newBench(t, conn.Config{})
	drained := 0
	c, peer := b.adopt(&hooks{drained: func(*conn.Conn) { drained++ }})
	sent := make([]byte, 1<<20+123)
	for i := range sent {
		sent[i] = floodByte(i)
	}
	c.Write(sent)
	if c.Queued() != len(sent) {
		t.Errorf("%d bytes queued", c.Queued())
	}
	b.settle()
	if n := b.sim.Stats().Sends; n != 17 || drained != 1 || !bytes.Equal(peer.Received(), sent) {
		t.Errorf("%d sends, drained %d times, %d bytes arrived", n, drained, len(peer.Received()))
	}
	b.finish()
}

// Room that was reserved and not used keeps nobody from closing, and is not sent.
func TestReserveWithoutCommit(t *testing.T) {
	b := newBench(t, conn.Config{})
	h := &hooks{}
	c, _ := b.adopt(h)
	c.Reserve(100)
	c.Close()
	b.settle()
	if h.ends != 1 || h.err != nil {
		t.Errorf("closed %d times with %v", h.ends, h.err)
	}
	drained := 0
	c, peer := b.adopt(&hooks{drained: func(*conn.Conn) { drained++ }})
	c.Write([]byte("abc"))
	b.loop.Turn()
	c.Reserve(100) // behind the send in flight
	b.settle()
	if blocks, _ := b.loop.Live(); b.sim.Stats().Sends != 1 || drained != 1 || blocks != 0 || string(peer.Received()) != "abc" {
		t.Errorf("%d sends, drained %d times, %d blocks in use, %q arrived", b.sim.Stats().Sends, drained, blocks, peer.Received())
	}
	b.finish()
}

// What is written before the first turn, or between two, does not wait for
// something else to happen.
func TestUseBetweenTurns(t *testing.T) {
	b := newBench(t, conn.Config{})
	c, peer := b.adopt(&hooks{open: func(c *conn.Conn) { c.Write([]byte("hello ")) }})
	turn := func() {
		if err := b.loop.Turn(); err != nil {
			t.Fatal(err)
		}
		if b.sim.Idle() {
			t.Fatal("the loop waits with output at hand")
		}
	}
	for range 3 {
		turn()
	}
	b.settle()
	c.Write([]byte("again"))
	turn()
	b.settle()
	if got := string(peer.Received()); got != "hello again" {
		t.Errorf("received %q", got)
	}
	b.finish()
}

func TestFewBuffersStarveNobody(t *testing.T) {
	b := newBench(t, conn.Config{}, simring.WithBuffers(2, 64))
	var peers []*simring.Peer
	for range 20 {
		_, p := b.adopt(echo{})
		p.Write(bytes.Repeat([]byte("x"), 1000))
		peers = append(peers, p)
	}
	b.settle()
	for _, p := range peers {
		if len(p.Received()) != 1000 {
			t.Errorf("%d of 1000 bytes came back", len(p.Received()))
		}
	}
	b.finish()
}

// Slots are used again, in chunks that never move, under other handles.
func TestSlots(t *testing.T) {
	b := newBench(t, conn.Config{})
	seen := make(map[conn.Handle]bool)
	const rounds, each = 3, 600
	for range rounds {
		var handles []conn.Handle
		for range each {
			c, _ := b.adopt(&hooks{})
			h := c.Handle()
			if seen[h] {
				t.Fatal("a handle names two connections")
			}
			seen[h] = true
			handles = append(handles, h)
		}
		for _, h := range handles {
			if h.Conn() == nil || h.Loop() != b.loop {
				t.Fatal("the handle of an open connection does not find it")
			}
			h.Conn().Abort(nil)
			if h.Conn() != nil {
				t.Fatal("the handle of a closed connection finds it")
			}
		}
		b.settle()
	}
	if b.loop.Slots() > 1024 {
		t.Errorf("%d slots for %d connections at a time", b.loop.Slots(), each)
	}
	if (conn.Handle{}).Conn() != nil {
		t.Error("the zero handle finds a connection")
	}
	b.finish()
}
