package conn_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/conn"
)

// lend makes a connection that is lent as soon as its peer has written something.
func lend(e *engine, h *hooks) (peer net.Conn, c *conn.Conn) {
	e.Helper()
	return lendFrom(e, h, func() net.Conn { return e.pair(h) })
}

func lendFrom(e *engine, h *hooks, connect func() net.Conn) (peer net.Conn, c *conn.Conn) {
	e.Helper()
	lent := make(chan *conn.Conn, 1)
	h.data = func(c *conn.Conn, in []byte) int {
		if !c.Borrow() {
			e.Error("Borrow is refused, with nothing to send")
		}
		if c.Borrow() {
			e.Error("lent twice")
		}
		lent <- c
		return len(in)
	}
	peer = connect()
	e.Cleanup(func() { peer.Close() })
	peer.Write([]byte("x"))
	select {
	case c = <-lent:
	case <-time.After(10 * time.Second):
		e.Fatal("not lent")
	}
	return peer, c
}

// do has the loop run f, and waits for it.
func (e *engine) do(f func()) {
	done := make(chan bool)
	e.loops[0].Do(func(*conn.Loop) { f(); close(done) })
	<-done
}

// fill writes to a descriptor until it takes no more.
func fill(t *testing.T, fd int) (n int) {
	block := make([]byte, 16<<10)
	for {
		m, err := unix.Write(fd, block)
		if err == unix.EAGAIN {
			// What is on its way to the peer may make room yet.
			if m, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 20); m == 0 && err == nil {
				return n
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
}

// What is written to a connection that is lent comes behind what the borrower writes,
// and so does its end.
func TestBorrow(t *testing.T) {
	for _, tr := range rings {
		t.Run(tr.name, func(t *testing.T) {
			e := newEngine(t, 1, tr.make, conn.Config{})
			peer, c := lend(e, &hooks{})
			e.do(func() {
				c.Commit(append(c.Reserve(10), "second "...))
				c.Write([]byte("third "))
			})
			unix.Write(c.FD(), []byte("first "))
			e.do(func() { c.GiveBack(0) })
			got := make([]byte, len("first second third "))
			if readAll(t, peer, got); string(got) != "first second third " {
				t.Errorf("read %q", got)
			}
			e.do(func() {
				if !c.Borrow() {
					t.Error("not lent again")
				}
				c.Close()
			})
			unix.Write(c.FD(), []byte("last"))
			e.do(func() { c.GiveBack(0) })
			if rest, err := io.ReadAll(peer); string(rest) != "last" || err != nil {
				t.Errorf("read %q, %v", rest, err)
			}
		})
	}
}

// A connection with something to send is not lent, nor one that is closing.
func TestBorrowRefused(t *testing.T) {
	for _, tr := range rings {
		t.Run(tr.name, func(t *testing.T) {
			e := newEngine(t, 1, tr.make, conn.Config{})
			done := make(chan bool)
			peer := e.pair(&hooks{data: func(c *conn.Conn, in []byte) int {
				c.Write(in)
				if c.Borrow() {
					t.Error("lent with output waiting")
				}
				c.Close()
				if c.Borrow() {
					t.Error("lent while closing")
				}
				close(done)
				return len(in)
			}})
			defer peer.Close()
			peer.Write([]byte("x"))
			<-done
			io.ReadAll(peer)
		})
	}
}

// The borrower hears when there is room again.
func TestBorrowAwaitsRoom(t *testing.T) {
	for _, tr := range rings {
		t.Run(tr.name, func(t *testing.T) {
			e := newEngine(t, 1, tr.make, conn.Config{})
			room := make(chan bool, 1)
			peer, c := lend(e, &hooks{drained: func(*conn.Conn) { room <- true }})
			total := 0
			for range 3 {
				n := fill(t, c.FD())
				total += n
				e.do(func() { c.AwaitRoom(0) })
				select {
				case <-room:
					t.Fatal("there is room although nothing was read")
				case <-time.After(10 * time.Millisecond):
				}
				readAll(t, peer, make([]byte, n))
				<-room
			}
			e.do(func() { c.GiveBack(0) })
		})
	}
}

// A peer that takes nothing ends the connection in time. Descriptor and slot are kept
// for the borrower, who is told by the socket.
func TestBorrowTimesOut(t *testing.T) {
	for _, tr := range rings {
		t.Run(tr.name, func(t *testing.T) {
			e := newEngine(t, 1, tr.make, conn.Config{WriteTimeout: 30 * time.Millisecond})
			closed := make(chan error, 1)
			peer, c := lend(e, &hooks{closed: func(_ *conn.Conn, err error) { closed <- err }})
			fd := c.FD()
			fill(t, fd)
			select {
			case err := <-closed:
				t.Fatalf("a connection that is lent, and whose borrower does not wait, ends with %v", err)
			case <-time.After(60 * time.Millisecond):
			}
			e.do(func() { c.AwaitRoom(0) })
			if err := <-closed; !errors.Is(err, conn.ErrWriteTimeout) {
				t.Errorf("it ended with %v", err)
			}
			for range 3 {
				e.do(func() {})
			}
			if _, err := unix.Write(fd, []byte("x")); err != unix.EPIPE {
				t.Errorf("a write gives %v, want %v", err, unix.EPIPE)
			}
			if _, slots := e.live(); slots != 1 {
				t.Errorf("%d slots are in use, want the borrowed one", slots)
			}
			e.do(func() { c.GiveBack(0) })
			io.ReadAll(peer)
			for _, slots := e.live(); slots != 0; _, slots = e.live() {
				time.Sleep(time.Millisecond)
			}
		})
	}
}

// Who waits for room need not wait until there is: nothing is left of it when the
// connection is given back, lent again, or ended in any way.
func TestBorrowGivenBackWhileWaiting(t *testing.T) {
	for _, tr := range rings {
		t.Run(tr.name, func(t *testing.T) {
			e := newEngine(t, 1, tr.make, conn.Config{})
			for name, end := range map[string]func(*conn.Conn){
				"Close":      (*conn.Conn).Close,
				"CloseReset": (*conn.Conn).CloseReset,
				"Abort":      func(c *conn.Conn) { c.Abort(nil) },
				"Detach":     func(c *conn.Conn) { c.Detach(func(fd int, _ []byte, _ error) { unix.Close(fd) }) },
			} {
				h := &hooks{}
				peer, c := lendFrom(e, h, func() net.Conn { return e.tcp(h) })
				n := fill(t, c.FD())
				e.do(func() { c.AwaitRoom(0); c.GiveBack(0) })
				e.borrow(c)
				e.do(func() { c.AwaitRoom(0); c.GiveBack(0); c.Write([]byte("x")) })
				readAll(t, peer, make([]byte, n+1))
				e.borrow(c)
				fill(t, c.FD())
				e.do(func() { c.AwaitRoom(0); c.GiveBack(0); end(c) })
				e.settles("slots in use after "+name+", want 0", 0, func() int {
					_, slots := e.live()
					return slots
				})
				peer.Close()
			}
		})
	}
}

// What the borrower has sent counts.
func TestBorrowCounts(t *testing.T) {
	for _, tr := range rings {
		t.Run(tr.name, func(t *testing.T) {
			e := newEngine(t, 1, tr.make, conn.Config{})
			room := make(chan bool, 1)
			peer, c := lend(e, &hooks{drained: func(*conn.Conn) { room <- true }})
			n := fill(t, c.FD())
			e.do(func() { c.AwaitRoom(int64(n)) })
			readAll(t, peer, make([]byte, n))
			<-room
			unix.Write(c.FD(), []byte("more"))
			e.do(func() { c.GiveBack(4) })
			e.do(func() {
				if out := e.loops[0].Counters().BytesOut; out != uint64(n+4) {
					t.Errorf("%d bytes were sent, want %d", out, n+4)
				}
			})
		})
	}
}

// borrow borrows a connection as soon as it is lent.
func (e *engine) borrow(c *conn.Conn) {
	e.Helper()
	e.settles("times refused", 0, func() (refused int) {
		e.do(func() {
			if !c.Borrow() {
				refused = 1
			}
		})
		return refused
	})
}

func (e *engine) live() (blocks, slots int) {
	e.do(func() { blocks, slots = e.loops[0].Live() })
	return blocks, slots
}

// A connection that is lent is detached only when it has been given back.
func TestBorrowBeforeDetach(t *testing.T) {
	for _, tr := range rings {
		t.Run(tr.name, func(t *testing.T) {
			e := newEngine(t, 1, tr.make, conn.Config{})
			peer, c := lend(e, &hooks{})
			detached := make(chan int, 1)
			e.do(func() { c.Detach(func(fd int, _ []byte, _ error) { detached <- fd }) })
			for range 3 {
				e.do(func() {})
			}
			select {
			case <-detached:
				t.Fatal("detached while lent")
			default:
			}
			unix.Write(c.FD(), []byte("mine"))
			e.do(func() { c.GiveBack(0) })
			unix.Close(<-detached)
			if got, err := io.ReadAll(peer); !bytes.Equal(got, []byte("mine")) || err != nil {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
}

// Room that is reserved and not used is not kept.
func TestRoomNotUsed(t *testing.T) {
	e := newEngine(t, 1, rings[len(rings)-1].make, conn.Config{})
	blocks := make(chan int, 2)
	peer := e.pair(&hooks{data: func(c *conn.Conn, in []byte) int {
		c.Commit(c.Reserve(10_000))
		n, _ := c.Loop().Live()
		blocks <- n
		c.Write(in)
		c.Commit(c.Reserve(10))
		n, _ = c.Loop().Live()
		blocks <- n
		return len(in)
	}})
	defer peer.Close()
	peer.Write([]byte("x"))
	if empty, used := <-blocks, <-blocks; empty != 0 || used != 1 {
		t.Errorf("%d blocks with nothing to send, %d with something", empty, used)
	}
	readAll(t, peer, make([]byte, 1))
}
