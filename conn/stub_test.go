package conn_test

import (
	"os"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/ring"
)

// stub is the least a ring can be: it completes what a test pushes, and every send.
type stub struct {
	queue    []ring.Completion
	head     int
	token    ring.Token // of the accept or receive that was prepared last
	accepts  int
	recvs    []int // descriptors that receives were prepared for
	closed   []int
	released int
	fail     error
}

func newStub() *stub { return &stub{} }

func (r *stub) push(t ring.Token, res int32) {
	r.queue = append(r.queue, ring.Completion{Token: t, Res: res})
}

func (r *stub) Accept(t ring.Token, _ int)              { r.token = t; r.accepts++ }
func (r *stub) Recv(t ring.Token, fd int)               { r.token = t; r.recvs = append(r.recvs, fd) }
func (r *stub) SendSome(t ring.Token, fd int, p []byte) { r.Send(t, fd, p) }
func (r *stub) Send(t ring.Token, _ int, p []byte)      { r.push(t, int32(len(p))) }
func (r *stub) Connect(ring.Token, int, []byte)         {}
func (r *stub) Poll(ring.Token, int, uint32)            {}
func (r *stub) Cancel(t, _ ring.Token)                  {}
func (r *stub) Shutdown(int, int)                       {}
func (r *stub) Reset(int)                               {}
func (r *stub) CloseFD(fd int)                          { r.closed = append(r.closed, fd) }
func (r *stub) Forget(int)                              {}
func (r *stub) Release(uint16)                          { r.released++ }
func (r *stub) Enter(time.Duration) error               { return r.fail }
func (r *stub) Wake()                                   {}
func (r *stub) Close(time.Duration) error               { return nil }

func (r *stub) Next(c *ring.Completion) bool {
	if r.head == len(r.queue) {
		r.queue, r.head = r.queue[:0], 0
		return false
	}
	*c = r.queue[r.head]
	r.head++
	return true
}

func TestTurnDoesNotAllocate(t *testing.T) {
	if check.Enabled {
		t.Skip("checks allocate")
	}
	r := newStub()
	loop := conn.NewLoop(conn.Config{Ring: r})
	loop.Adopt(7, echo{})
	in := []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	turn := func() {
		r.queue = append(r.queue, ring.Completion{Token: r.token, Res: int32(len(in)), Flags: ring.More | ring.HasBuffer, Buf: in})
		if err := loop.Turn(); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		turn()
	}
	if n := testing.AllocsPerRun(1000, turn); n != 0 {
		t.Errorf("%v allocations per turn", n)
	}
	if r.released < 1000 {
		t.Errorf("%d buffers came back", r.released)
	}
}

func TestSizeOfConn(t *testing.T) {
	n := unsafe.Sizeof(conn.Conn{})
	t.Logf("a connection is %d bytes", n)
	if n > 200 {
		t.Errorf("a connection is %d bytes, want at most 200", n)
	}
}

// When the ring fails, everybody is told and the descriptors are closed without it.
func TestRingFailure(t *testing.T) {
	conns := make([]*os.File, 2)
	for i := range conns {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		conns[i] = r
	}
	detach := func(f *os.File) int { // takes the descriptor away from the file
		fd, err := duplicate(f)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		return fd
	}
	fdConn, fdListener := detach(conns[0]), detach(conns[1])
	r := newStub()
	loop := conn.NewLoop(conn.Config{Ring: r})
	h, late := &hooks{}, &hooks{}
	h.closed = func(c *conn.Conn, _ error) { loop.Adopt(1<<30, late) }
	loop.Adopt(fdConn, h)
	var ended error
	loop.Listen(fdListener, conn.ListenerEvents{Closed: func(err error) { ended = err }})
	r.fail = os.ErrInvalid
	if err := loop.Run(); err == nil || loop.Err() == nil {
		t.Error("Run does not say that the ring failed")
	}
	<-loop.Done()
	if h.ends != 1 || h.err == nil || late.ends != 1 || late.err == nil || ended == nil {
		t.Errorf("connection: %d, %v; adopted late: %d, %v; listener: %v", h.ends, h.err, late.ends, late.err, ended)
	}
	for _, fd := range []int{fdConn, fdListener} {
		if isOpen(fd) {
			t.Errorf("descriptor %d is still open", fd)
		}
	}
}

// With more input than buffers the first receive that is armed can take them all:
// each connection has to be the first once in a while.
func TestStarvedConnectionsTakeTurns(t *testing.T) {
	r := newStub()
	loop := conn.NewLoop(conn.Config{Ring: r})
	tokens := map[int]ring.Token{}
	for fd := 10; fd < 13; fd++ {
		loop.Adopt(fd, echo{})
		tokens[fd] = r.token
	}
	firsts := map[int]int{}
	for range 30 {
		for fd := 10; fd < 13; fd++ {
			r.push(tokens[fd], -int32(syscall.ENOBUFS))
		}
		r.recvs = nil
		if err := loop.Turn(); err != nil {
			t.Fatal(err)
		}
		if len(r.recvs) != 3 {
			t.Fatalf("%d receives armed, want 3", len(r.recvs))
		}
		firsts[r.recvs[0]]++
	}
	for fd := range tokens {
		if firsts[fd] < 5 {
			t.Errorf("descriptor %d was the first %d times of 30", fd, firsts[fd])
		}
	}
}
