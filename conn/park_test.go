package conn_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/ring"
	"github.com/ringkit/ringkit/internal/simring"
	"github.com/ringkit/ringkit/internal/wheel"
)

// kernel is a ring that completes nothing of itself but sends, and writes down what it
// is asked for.
type kernel struct {
	*stub
	*testing.T
	asked    []string
	inflight map[ring.Op]ring.Token
	target   ring.Token // of the cancellation in flight
	over     bool       // the descriptor was closed or given away
}

func (k *kernel) ask(t ring.Token, what string) {
	k.asked = append(k.asked, what)
	if k.inflight[t.Op()] != 0 || k.over {
		k.Errorf("%s with %v in flight, over %v", what, k.inflight, k.over)
	}
	k.inflight[t.Op()] = t
}

func (k *kernel) Recv(t ring.Token, _ int)           { k.ask(t, "recv") }
func (k *kernel) Poll(t ring.Token, _ int, _ uint32) { k.ask(t, "poll") }
func (k *kernel) Shutdown(_, how int)                { k.asked = append(k.asked, fmt.Sprint("shutdown ", how)) }
func (k *kernel) Reset(int)                          { k.asked = append(k.asked, "reset") }
func (k *kernel) CloseFD(int)                        { k.end("close") }
func (k *kernel) Forget(int)                         { k.end("forget") }

func (k *kernel) Cancel(t, target ring.Token) {
	k.target = target
	k.ask(t, "cancel "+target.Op().String())
}

func (k *kernel) end(what string) {
	k.asked = append(k.asked, what)
	if len(k.inflight) != 0 || k.over {
		k.Errorf("%s with %v in flight, over %v", what, k.inflight, k.over)
	}
	k.over = true
}

// complete has an operation complete, for good unless it is a receive with more to come.
func (k *kernel) complete(op ring.Op, res int32, more bool) {
	t := k.inflight[op]
	if t == 0 {
		k.Fatalf("no %v is in flight", op)
	}
	e := ring.Completion{Token: t, Res: res}
	if op == ring.OpRecv && res > 0 {
		e.Flags, e.Buf = ring.HasBuffer, []byte("data")[:res]
	}
	if more {
		e.Flags |= ring.More
	} else {
		delete(k.inflight, op)
	}
	k.queue = append(k.queue, e)
}

// parkBench is a loop with one connection on such a ring.
type parkBench struct {
	*kernel
	loop *conn.Loop
	now  int64
	c    *conn.Conn
	*hooks
	received int
}

func newParkBench(t *testing.T) *parkBench {
	b := &parkBench{kernel: &kernel{stub: newStub(), T: t, inflight: make(map[ring.Op]ring.Token)}, now: 1}
	b.loop = conn.NewLoop(conn.Config{Ring: b.kernel, Clock: func() int64 { return b.now }, ParkAfter: time.Second, InputLimit: 4})
	b.hooks = &hooks{
		open: func(c *conn.Conn) { b.c = c },
		data: func(_ *conn.Conn, in []byte) int { b.received += len(in); return len(in) },
	}
	b.loop.Adopt(7, b.hooks)
	return b
}

func (b *parkBench) turn() {
	if err := b.loop.Turn(); err != nil {
		b.Fatal(err)
	}
}

// pass lets a sweep look at the connection.
func (b *parkBench) pass() {
	b.now += int64(time.Second) + 2*wheel.TickNanos
	b.turn()
}

const (
	canceled = -int32(syscall.ECANCELED)
	pollIn   = 1
	pollOut  = 4
)

// The states of a connection on its way to be parked, and how it gets there.
var parkStates = []struct {
	name  string
	enter func(b *parkBench)
}{
	{"receiving", func(*parkBench) {}},
	{"quiet", (*parkBench).pass},
	{"cancelling", func(b *parkBench) { b.pass(); b.pass() }},
	{"cancelled", func(b *parkBench) { b.pass(); b.pass(); b.complete(ring.OpCancel, 0, false) }},
	{"ended", func(b *parkBench) { b.pass(); b.pass(); b.complete(ring.OpRecv, canceled, false) }},
	{"polling", func(b *parkBench) {
		b.pass()
		b.pass()
		b.complete(ring.OpCancel, 0, false)
		b.complete(ring.OpRecv, canceled, false)
	}},
}

// What can happen to a connection, and what is asked of the kernel then, in each of
// the states; "-" is what cannot happen.
var parkEvents = []struct {
	name string
	do   func(b *parkBench)
	want [6]string
}{
	{"data", func(b *parkBench) { b.complete(ring.OpRecv, 4, true) },
		[6]string{"", "", "", "", "-", "-"}},
	{"the last data", func(b *parkBench) { b.complete(ring.OpRecv, 4, false) },
		[6]string{"recv", "recv", "recv", "recv", "-", "-"}},
	{"data, then the end of the receive", func(b *parkBench) {
		b.complete(ring.OpRecv, 4, true)
		b.complete(ring.OpRecv, canceled, false)
	}, [6]string{"recv", "recv", "recv", "recv", "-", "-"}},
	{"end of the receive", func(b *parkBench) { b.complete(ring.OpRecv, canceled, false) },
		[6]string{"recv", "recv", "poll", "poll", "-", "-"}},
	{"no buffer", func(b *parkBench) { b.complete(ring.OpRecv, -int32(syscall.ENOBUFS), false) },
		[6]string{"recv", "recv", "poll", "poll", "-", "-"}},
	{"end of the stream", func(b *parkBench) { b.complete(ring.OpRecv, 0, false) },
		[6]string{"", "", "", "", "-", "-"}},
	{"reset", func(b *parkBench) { b.complete(ring.OpRecv, -int32(syscall.ECONNRESET), false) },
		[6]string{"close", "close", "shutdown 2", "close", "-", "-"}},
	{"cancelled", func(b *parkBench) { b.complete(ring.OpCancel, 0, false) },
		[6]string{"-", "-", "", "-", "", "-"}},
	{"cancelled too late", func(b *parkBench) { b.complete(ring.OpCancel, -int32(syscall.ENOENT), false) },
		[6]string{"-", "-", "", "-", "", "-"}},
	{"readiness", func(b *parkBench) { b.complete(ring.OpPoll, pollIn, false) },
		[6]string{"-", "-", "-", "-", "recv", "recv"}},
	{"hang-up", func(b *parkBench) { b.complete(ring.OpPoll, 0x2019, false) },
		[6]string{"-", "-", "-", "-", "recv", "recv"}},
	{"end of the thread that polls", func(b *parkBench) { b.complete(ring.OpPoll, canceled, false) },
		[6]string{"-", "-", "-", "-", "poll", "poll"}},
	{"poll without memory", func(b *parkBench) { b.complete(ring.OpPoll, -int32(syscall.ENOMEM), false) },
		[6]string{"-", "-", "-", "-", "recv", "recv"}},
	{"a sweep", (*parkBench).pass,
		[6]string{"", "cancel recv", "", "cancel recv", "", ""}},
	{"Write", func(b *parkBench) { b.c.Write([]byte("x")) },
		[6]string{"", "", "", "", "", ""}},
	{"Write, then a sweep", func(b *parkBench) { b.c.Write([]byte("x")); b.turn(); b.pass() },
		[6]string{"", "", "", "", "", ""}},
	{"Hold", func(b *parkBench) { b.c.Hold() },
		[6]string{"", "", "", "", "", ""}},
	{"Resume", func(b *parkBench) { b.c.Hold(); b.c.Resume() },
		[6]string{"", "", "", "", "", ""}},
	{"Hold, then the limit", func(b *parkBench) { b.c.Hold(); b.complete(ring.OpRecv, 4, true) },
		[6]string{"cancel recv", "cancel recv", "", "cancel recv", "-", "-"}},
	{"Close", func(b *parkBench) { b.c.Close() },
		[6]string{"shutdown 2", "shutdown 2", "shutdown 2", "shutdown 2", "shutdown 2", "shutdown 2"}},
	{"Write, Close", func(b *parkBench) { b.c.Write([]byte("x")); b.c.Close() },
		[6]string{"shutdown 2", "shutdown 2", "shutdown 2", "shutdown 2", "shutdown 2", "shutdown 2"}},
	{"CloseLingering", func(b *parkBench) { b.c.CloseLingering() },
		[6]string{"shutdown 1", "shutdown 1", "shutdown 1", "shutdown 1", "shutdown 1", "shutdown 1"}},
	{"Abort", func(b *parkBench) { b.c.Abort(nil) },
		[6]string{"shutdown 2", "shutdown 2", "shutdown 2", "shutdown 2", "shutdown 2", "shutdown 2"}},
	{"Detach", func(b *parkBench) { b.c.Detach(func(int, []byte, error) {}) },
		[6]string{"cancel recv", "cancel recv", "", "cancel recv", "", "cancel poll"}},
	{"CloseReset", func(b *parkBench) { b.c.CloseReset() },
		[6]string{"reset, shutdown 0", "reset, shutdown 0", "reset, shutdown 0", "reset, shutdown 0", "reset, shutdown 0", "reset, shutdown 0"}},
	{"Borrow", func(b *parkBench) {
		if b.borrow() {
			b.c.GiveBack(0)
		}
	}, [6]string{"lent", "lent", "", "", "", ""}},
	{"Borrow, two sweeps", func(b *parkBench) { b.borrow(); b.pass(); b.pass(); b.c.GiveBack(0) },
		[6]string{"lent", "lent", "-", "-", "-", "-"}},
	{"Borrow, GiveBack, a sweep", func(b *parkBench) { b.borrow(); b.c.GiveBack(0); b.pass() },
		[6]string{"lent", "lent", "-", "-", "-", "-"}},
	{"Borrow, Write, Close", func(b *parkBench) {
		b.borrow()
		b.c.Write([]byte("x"))
		b.c.Close()
		b.turn()
		b.c.GiveBack(0)
	}, [6]string{"lent, shutdown 2", "lent, shutdown 2", "-", "-", "-", "-"}},
	{"AwaitRoom, room", func(b *parkBench) {
		b.borrow()
		b.c.AwaitRoom(0)
		b.complete(ring.OpPoll, pollOut, false)
		b.turn()
		b.c.GiveBack(0)
	}, [6]string{"lent, poll", "lent, poll", "-", "-", "-", "-"}},
	{"AwaitRoom, Abort", func(b *parkBench) { b.borrow(); b.c.AwaitRoom(0); b.c.Abort(nil); b.c.GiveBack(0) },
		[6]string{"lent, poll, shutdown 2", "lent, poll, shutdown 2", "-", "-", "-", "-"}},
	{"AwaitRoom, GiveBack", func(b *parkBench) { b.borrow(); b.c.AwaitRoom(0); b.c.GiveBack(0); b.refuse() },
		[6]string{"lent, poll, cancel poll", "lent, poll, cancel poll", "-", "-", "-", "-"}},
	{"AwaitRoom, GiveBack, three sweeps", func(b *parkBench) {
		b.borrow()
		b.c.AwaitRoom(0)
		b.c.GiveBack(0)
		b.pass()
		b.pass()
		b.pass()
	}, [6]string{"lent, poll, cancel poll", "lent, poll, cancel poll", "-", "-", "-", "-"}},
	{"AwaitRoom, GiveBack, Write", func(b *parkBench) { b.borrow(); b.c.AwaitRoom(0); b.c.GiveBack(0); b.c.Write([]byte("x")) },
		[6]string{"lent, poll, cancel poll", "lent, poll, cancel poll", "-", "-", "-", "-"}},
	{"AwaitRoom, GiveBack, CloseReset", func(b *parkBench) { b.borrow(); b.c.AwaitRoom(0); b.c.GiveBack(0); b.c.CloseReset() },
		[6]string{"lent, poll, cancel poll", "lent, poll, cancel poll", "-", "-", "-", "-"}},
	{"AwaitRoom, GiveBack, Detach", func(b *parkBench) {
		b.borrow()
		b.c.AwaitRoom(0)
		b.c.GiveBack(0)
		b.c.Detach(func(int, []byte, error) {})
	}, [6]string{"lent, poll, cancel poll", "lent, poll, cancel poll", "-", "-", "-", "-"}},
	{"AwaitRoom, Detach, GiveBack", func(b *parkBench) {
		b.borrow()
		b.c.AwaitRoom(0)
		b.c.Detach(func(int, []byte, error) {})
		b.c.GiveBack(0)
	}, [6]string{"lent, poll, cancel recv", "lent, poll, cancel recv", "-", "-", "-", "-"}},
	{"Detach, then the cancellation", func(b *parkBench) {
		b.c.Detach(func(int, []byte, error) {})
		b.complete(ring.OpCancel, 0, false)
	}, [6]string{"-", "-", "cancel recv", "-", "cancel poll", "-"}},
}

func TestParkingStates(t *testing.T) {
	for i, state := range parkStates {
		for _, event := range parkEvents {
			if event.want[i] == "-" {
				continue
			}
			t.Run(state.name+"/"+event.name, func(t *testing.T) {
				b := newParkBench(t)
				state.enter(b)
				b.turn()
				b.asked = nil
				event.do(b)
				b.turn()
				b.turn() // sends complete
				if got := strings.Join(b.asked, ", "); got != event.want[i] {
					t.Errorf("asked for %q, want %q", got, event.want[i])
				}
				b.goesOn()
			})
		}
	}
}

// borrow borrows the connection, if it is lent.
func (b *parkBench) borrow() bool {
	if !b.c.Borrow() {
		return false
	}
	b.asked = append(b.asked, "lent")
	return true
}

// refuse has the connection not lent.
func (b *parkBench) refuse() {
	if b.c.Borrow() {
		b.Error("lent while somebody waits for room")
	}
}

// goesOn completes what is in flight as a kernel would. By then a connection that has
// not ended receives, one that has is gone.
func (b *parkBench) goesOn() {
	b.Helper()
	ending := b.c.Closing()
	b.c.Resume()
	for range 10 {
		if b.inflight[ring.OpCancel] != 0 {
			if op := b.target.Op(); b.inflight[op] == b.target {
				b.complete(op, canceled, false)
			}
			b.complete(ring.OpCancel, 0, false)
		} else if b.inflight[ring.OpPoll] != 0 {
			b.complete(ring.OpPoll, pollIn, false)
		} else if b.inflight[ring.OpRecv] != 0 && ending {
			b.complete(ring.OpRecv, 0, false)
		}
		b.turn()
	}
	if ending {
		if blocks, slots := b.loop.Live(); !b.over || b.ends != 1 || blocks != 0 || slots != 0 || b.loop.Timers() != 0 {
			b.Errorf("the connection is still there, with %v in flight", b.inflight)
		}
		return
	}
	before := b.received
	if b.c.AtEOF() {
		if len(b.inflight) != 0 {
			b.Errorf("%v in flight behind the end of the stream", b.inflight)
		}
		return
	}
	b.complete(ring.OpRecv, 3, true)
	b.turn()
	if b.received != before+3 || b.c.Parked() {
		b.Errorf("%d bytes received, want %d; parked %v", b.received, before+3, b.c.Parked())
	}
}

const parkAfter = 100 * time.Millisecond

// An idle connection is parked in time, and its loop sleeps from then on. It wakes up
// for whatever its peer does.
func TestParking(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(p *simring.Peer)
		want error // Closed is told
		ends bool
	}{
		{name: "data", do: func(p *simring.Peer) { p.WriteString("ping") }},
		{name: "half close", do: (*simring.Peer).CloseWrite},
		{name: "close", do: (*simring.Peer).Close},
		{name: "reset", do: (*simring.Peer).Reset, want: syscall.ECONNRESET, ends: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, conn.Config{ParkAfter: parkAfter})
			ended := 0
			h := &hooks{
				data: func(c *conn.Conn, in []byte) int { c.Write(in); return len(in) },
				eof:  func(*conn.Conn) { ended++ },
			}
			c, peer := b.adopt(h)
			b.sleep(parkAfter)
			if c.Parked() {
				t.Errorf("parked before %v", parkAfter)
			}
			b.sleep(parkAfter + 4*wheel.TickNanos)
			if !c.Parked() {
				t.Errorf("not parked after twice %v", parkAfter)
			}
			b.sleep(2 * parkAfter)
			if b.loop.Timers() != 0 {
				t.Error("a loop whose connections are parked wakes up")
			}
			test.do(peer)
			b.settle()
			if c.Parked() {
				t.Error("still parked")
			}
			polls := b.sim.Stats().Polls
			switch {
			case test.ends:
				if h.ends != 1 || !errors.Is(h.err, test.want) {
					t.Errorf("closed %d times, with %v, want %v", h.ends, h.err, test.want)
				}
			case test.name == "data":
				if got := string(peer.Received()); got != "ping" {
					t.Errorf("received %q", got)
				}
				if b.sleep(3 * parkAfter); !c.Parked() {
					t.Error("not parked again")
				}
			default:
				if b.sleep(10 * parkAfter); ended != 1 || b.sim.Stats().Polls != polls {
					t.Errorf("EOF %d times; %d polls behind the end", ended, b.sim.Stats().Polls-polls)
				}
			}
			b.finish()
		})
	}
}

// What is used more often than that is left alone.
func TestBusyConnectionsAreNotParked(t *testing.T) {
	b := newBench(t, conn.Config{ParkAfter: parkAfter})
	_, asks := b.adopt(echo{})
	var tells *conn.Conn
	tells, _ = b.adopt(&hooks{
		open:    func(c *conn.Conn) { c.SetDeadline(parkAfter / 2) },
		timeout: func(c *conn.Conn) { c.Write([]byte("news")); c.SetDeadline(parkAfter / 2) },
	})
	for range 50 {
		asks.WriteString("x")
		b.sleep(parkAfter * 9 / 10)
	}
	if s := b.sim.Stats(); s.Cancels != 0 || s.Polls != 0 || s.Recvs != 2 {
		t.Errorf("%+v, want two receives and nothing else", s)
	}
	if tells.Parked() {
		t.Error("parked")
	}
	b.finish()
}

// A multishot receive may miss that the connection was reset. The poll does not.
func TestParkingFindsLostReset(t *testing.T) {
	b := newBench(t, conn.Config{ParkAfter: parkAfter}, simring.WithFaults(simring.Faults{LoseReset: 1}))
	h := &hooks{}
	_, peer := b.adopt(h)
	peer.WriteString("x")
	b.settle()
	peer.Reset()
	b.settle()
	if h.ends != 0 {
		t.Fatal("the reset was not lost")
	}
	b.sleep(3 * parkAfter)
	if h.ends != 1 || !errors.Is(h.err, syscall.ECONNRESET) {
		t.Errorf("closed %d times, with %v", h.ends, h.err)
	}
	b.finish()
}

// A connection whose handler takes its time waits for input too, and may be parked.
func TestParkingOfHeldConnections(t *testing.T) {
	b := newBench(t, conn.Config{ParkAfter: parkAfter, InputLimit: 100})
	received := 0
	c, peer := b.adopt(&hooks{
		open: func(c *conn.Conn) { c.Hold() },
		data: func(_ *conn.Conn, in []byte) int { received += len(in); return len(in) },
	})
	b.sleep(3 * parkAfter)
	if !c.Parked() {
		t.Error("not parked")
	}
	peer.Write(make([]byte, 100<<10))
	b.sleep(3 * parkAfter)
	if c.Parked() || c.Buffered() < 100 || received != 0 {
		t.Errorf("parked %v with %d bytes waiting and %d received", c.Parked(), c.Buffered(), received)
	}
	polls := b.sim.Stats().Polls
	if b.sleep(10 * parkAfter); b.sim.Stats().Polls != polls {
		t.Error("a connection that takes no input polls")
	}
	c.Resume()
	b.settle()
	if received != 100<<10 {
		t.Errorf("%d bytes received", received)
	}
	b.finish()
}

// Of many connections some are parked at a time, so that the others do not wait.
func TestParkingIsSpread(t *testing.T) {
	const conns, most = 1000, 64
	b := newBench(t, conn.Config{ParkAfter: parkAfter})
	for range conns {
		b.adopt(echo{})
	}
	parks, largest := 0, 0
	b.sim.Sleep(10*parkAfter, func() error {
		before := b.sim.Stats().Cancels
		err := b.loop.Turn()
		n := b.sim.Stats().Cancels - before
		parks, largest = parks+n, max(largest, n)
		return err
	})
	if parks != conns || largest > most {
		t.Errorf("%d connections parked, want %d; %d in one turn, want at most %d", parks, conns, largest, most)
	}
	b.loop.Each(func(c *conn.Conn) {
		if !c.Parked() {
			t.Error("one is not parked")
		}
	})
	b.finish()
}

// polless is a ring whose polls are not fit for it.
type polless struct{ *simring.Ring }

func (polless) Parks() bool { return false }

func TestParkingIsOff(t *testing.T) {
	for name, cfg := range map[string]conn.Config{
		"never":        {ParkAfter: -1},
		"not the ring": {ParkAfter: parkAfter, Ring: polless{}},
	} {
		t.Run(name, func(t *testing.T) {
			sim := simring.New(1, simring.WithFaults(simring.Faults{}))
			if cfg.Ring != nil {
				cfg.Ring = polless{sim}
			} else {
				cfg.Ring = sim
			}
			cfg.Clock = sim.Now
			b := &bench{T: t, sim: sim, loop: conn.NewLoop(cfg)}
			c, _ := b.adopt(echo{})
			b.sleep(time.Minute)
			if s := sim.Stats(); c.Parked() || s.Polls != 0 || s.Cancels != 0 || b.loop.Timers() != 0 {
				t.Errorf("parked %v, %+v, %d timers", c.Parked(), s, b.loop.Timers())
			}
			b.finish()
		})
	}
}
