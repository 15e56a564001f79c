package fallback

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/ring"
	"github.com/ringkit/ringkit/internal/ringtest"
)

// Where buffers are given back at once, a connection with much input fills some at a stretch.
// Who has less is not kept waiting by it for more than those, whatever their order.
func TestBulkIsReceivedAtAStretch(t *testing.T) {
	r, d := open(t, Config{Buffers: 16, BufferSize: 64})
	const flooding, calm = 3, 2
	fds, peers := make([]int, flooding+calm), make([]int, flooding+calm)
	for i := range fds {
		fds[i], peers[i] = ringtest.SocketPair(t)
		r.Recv(recvToken(i), fds[i])
	}
	const much = 10 * burstMost * 64
	for i := range flooding {
		ringtest.Write(t, peers[i], make([]byte, much+1))
	}
	for turn := range 10 {
		for i := range calm {
			ringtest.Write(t, peers[flooding+i], []byte("x"))
		}
		d.Turn(-1)
		seen := map[ring.Token]int{}
		last, stretches := ring.Token(0), 0
		for c := (ring.Completion{}); r.Next(&c); {
			seen[c.Token] += len(c.Buf)
			if c.Token != last {
				last, stretches = c.Token, stretches+1
			}
			r.Release(c.BufID)
		}
		for i := range fds {
			want := burstMost * 64
			if i >= flooding {
				want = 1
			}
			if seen[recvToken(i)] != want {
				t.Errorf("turn %d: connection %d received %d bytes, want %d", turn, i, seen[recvToken(i)], want)
			}
		}
		if stretches != len(fds) {
			t.Errorf("turn %d: %d stretches of %d connections", turn, stretches, len(fds))
		}
	}
	d.Turn(0) // the rest comes without another event
	rest := 0
	for c := (ring.Completion{}); r.Next(&c); r.Release(c.BufID) {
		rest += len(c.Buf)
	}
	if rest != flooding {
		t.Errorf("the rest is %d bytes, want %d", rest, flooding)
	}
}

// A receive in a turn is what a connection with more than a buffer of input gets otherwise.
// Who has less is not kept waiting by it, whatever their order.
func TestOneReceiveInATurn(t *testing.T) {
	r, d := open(t, Config{Buffers: 16, BufferSize: 64})
	const flooding, calm = 3, 2
	fds, peers := make([]int, flooding+calm), make([]int, flooding+calm)
	for i := range fds {
		fds[i], peers[i] = ringtest.SocketPair(t)
		r.Recv(recvToken(i), fds[i])
	}
	for i := range flooding {
		ringtest.Write(t, peers[i], make([]byte, 10_000))
	}
	for turn := range 20 {
		for i := range calm {
			ringtest.Write(t, peers[flooding+i], []byte("x"))
		}
		d.Turn(-1)
		seen := map[ring.Token]int{}
		for _, c := range next(r, 100) {
			seen[c.Token] += len(c.Buf)
			r.Release(c.BufID)
		}
		for i := range fds {
			want := 64
			if i >= flooding {
				want = 1
			}
			if seen[recvToken(i)] != want {
				t.Errorf("turn %d: connection %d received %d bytes, want %d", turn, i, seen[recvToken(i)], want)
			}
		}
	}
}

// A receive that did not fill its buffer has emptied the socket: it costs no second
// system call to learn that. The descriptor is not looked at until the next event.
func TestShortReceiveIsTheLast(t *testing.T) {
	r, d := open(t, Config{BufferSize: 64})
	a, b := ringtest.TCPPair(t)
	r.Recv(recvToken(1), a)
	for range 3 {
		ringtest.Write(t, b, []byte("short"))
		d.ExpectData(recvToken(1), "short")
		if f := r.files.at(a); f.is(fileReadable) || len(r.again) != 0 || r.ready.len() != 0 {
			t.Error("the descriptor is to be looked at again")
		}
	}
	// Full, and so not known to be the last.
	ringtest.Write(t, b, bytes.Repeat([]byte("x"), 64))
	d.Turn(-1)
	cs := next(r, 1)
	if len(cs) != 1 || len(cs[0].Buf) != 64 {
		t.Fatalf("completions: %v", cs)
	}
	r.Release(cs[0].BufID)
	if f := r.files.at(a); !f.is(fileReadable) || len(r.again) != 1 {
		t.Error("the descriptor is not looked at again")
	}
	d.Quiet()
	if f := r.files.at(a); f.is(fileReadable) || len(r.again) != 0 {
		t.Error("and again")
	}
}

// The buffer given back last is used next, as long as nobody keeps it: few of them
// are ever touched.
func TestBuffersAreAStack(t *testing.T) {
	r, d := open(t, Config{})
	a, b := ringtest.SocketPair(t)
	r.Recv(recvToken(1), a)
	used := map[uint16]bool{}
	for range 100 {
		ringtest.Write(t, b, []byte("x"))
		c := d.Take(recvToken(1))
		used[c.BufID] = true
		r.Release(c.BufID)
	}
	if len(used) != 1 {
		t.Errorf("%d buffers were used, want 1", len(used))
	}
}

// More descriptors have events than one epoll_wait reports.
func TestManyEvents(t *testing.T) {
	r, d := open(t, Config{Events: 4})
	const n = 100
	for i := range n {
		a, b := ringtest.SocketPair(t)
		r.Recv(recvToken(i), a)
		ringtest.Write(t, b, []byte{byte(i)})
	}
	for i := range n {
		d.ExpectData(recvToken(i), string([]byte{byte(i)}))
	}
}

// Turns of a flooded ring, with pauses, allocate nothing.
func TestFloodedTurnsDoNotAllocate(t *testing.T) {
	if check.Enabled {
		t.Skip("the checks of test builds allocate")
	}
	data := ringtest.Mem(t, 64)
	r, d := open(t, Config{Buffers: 4, BufferSize: 64})
	const n = 6
	fds, peers := make([]int, n), make([]int, n)
	for i := range fds {
		fds[i], peers[i] = ringtest.SocketPair(t)
		r.Recv(recvToken(i), fds[i])
	}
	input, sink := make([]byte, 200), make([]byte, 4096)
	var c ring.Completion
	turns := 0
	work := func() {
		for range 50 {
			turns++
			for _, fd := range peers {
				_, _ = unix.Write(fd, input)
				_, _ = unix.Read(fd, sink)
			}
			d.Turn(-1)
			for k := 0; k < 8 && r.Next(&c); k++ {
				i := int(c.Token.Slot())
				if c.HasBuffer() {
					r.Release(c.BufID)
				}
				if c.Token.Op() == ring.OpRecv {
					switch {
					case !c.More():
						r.Recv(c.Token, fds[i])
					case turns%3 == 0:
						r.Cancel(ringtest.Token(ring.OpCancel, uint32(i)), c.Token)
					}
					if r.files.at(fds[i]).out == 0 {
						r.Send(ringtest.Token(ring.OpSend, uint32(i)), fds[i], data)
					}
				}
			}
		}
	}
	for range 20 {
		work()
	}
	if n := testing.AllocsPerRun(20, work); n != 0 {
		t.Errorf("%v allocations in 50 turns, want none", n)
	}
}
