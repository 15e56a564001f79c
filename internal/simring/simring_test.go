package simring_test

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/mapped"
	"github.com/ringkit/ringkit/internal/ring"
	"github.com/ringkit/ringkit/internal/simring"
)

func token(op ring.Op, slot uint32) ring.Token { return ring.MakeToken(op, 1, slot) }

// bed is a ring without faults, with a connection on it.
type bed struct {
	*testing.T
	*simring.Ring
	fd   int
	peer *simring.Peer
	mem  []byte // mapped
}

func newBed(t *testing.T, opts ...simring.Option) *bed {
	mem, err := mapped.Alloc(4096)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mapped.Free(mem) })
	opts = append([]simring.Option{simring.WithFaults(simring.Faults{}), simring.WithBuffers(2, 16)}, opts...)
	b := &bed{T: t, Ring: simring.New(1, opts...), mem: mem}
	b.fd, b.peer = b.Pair()
	return b
}

// next enters until there is a completion.
func (b *bed) next() ring.Completion {
	b.Helper()
	var c ring.Completion
	for range 10 {
		if err := b.Enter(-1); err != nil {
			b.Fatal(err)
		}
		if b.Next(&c) {
			return c
		}
	}
	b.Fatal("no completion")
	return c
}

func (b *bed) none() {
	b.Helper()
	var c ring.Completion
	if b.Enter(time.Second); b.Next(&c) {
		b.Fatalf("unexpected completion of %v: %d", c.Token, c.Res)
	}
}

func TestReceive(t *testing.T) {
	b := newBed(t)
	recv := token(ring.OpRecv, 1)
	b.Recv(recv, b.fd)
	b.none()
	b.peer.WriteString(strings.Repeat("x", 40))
	b.peer.CloseWrite()
	a := b.next()
	if string(a.Buf) != strings.Repeat("x", 16) || !a.More() || !a.HasBuffer() {
		t.Fatalf("%+v", a)
	}
	if c := b.next(); c.Res != 16 || !c.More() {
		t.Fatalf("%+v", c)
	}
	if c := b.next(); c.Res != -int32(syscall.ENOBUFS) || c.More() {
		t.Fatalf("%+v, want no buffers", c)
	}
	b.Release(a.BufID)
	if a.Buf[0] != check.PoisonByte {
		t.Error("a released buffer keeps its content")
	}
	b.Recv(recv, b.fd)
	if c := b.next(); c.Res != 8 || c.BufID != a.BufID {
		t.Fatalf("%+v, want the rest", c)
	}
	if c := b.next(); c.Res != 0 || c.More() {
		t.Fatalf("%+v, want the end", c)
	}
}

func TestSendToSlowReader(t *testing.T) {
	b := newBed(t, simring.WithWindow(100))
	b.peer.ReadLimit(50)
	b.Send(token(ring.OpSend, 1), b.fd, b.mem[:200])
	b.none()
	if n := len(b.peer.Received()); n != 50 || b.peer.Unread() != 100 {
		t.Fatalf("%d bytes read, %d on their way", n, b.peer.Unread())
	}
	b.peer.ReadLimit(-1)
	if c := b.next(); c.Res != 200 {
		t.Fatalf("%+v", c)
	}
	b.Send(token(ring.OpSend, 1), b.fd, b.mem[:200])
	b.peer.Reset()
	if c := b.next(); c.Res >= 200 {
		t.Fatalf("%+v after a reset", c)
	}
}

func TestShutdownCompletesEverything(t *testing.T) {
	b := newBed(t, simring.WithWindow(100))
	b.peer.ReadLimit(0)
	b.Recv(token(ring.OpRecv, 1), b.fd)
	b.Send(token(ring.OpSend, 1), b.fd, b.mem[:200])
	b.none()
	b.Shutdown(b.fd, syscall.SHUT_RDWR)
	for range 2 {
		if c := b.next(); c.Token.Op() == ring.OpRecv && c.Res != 0 || c.Token.Op() == ring.OpSend && c.Res != 100 {
			t.Errorf("%v: %d", c.Token, c.Res)
		}
	}
	b.CloseFD(b.fd)
	b.peer.ReadLimit(-1)
	b.none()
	if !b.peer.SawEOF() || len(b.peer.Received()) != 100 {
		t.Errorf("the peer received %d bytes, end %v", len(b.peer.Received()), b.peer.SawEOF())
	}
	b.Close(0)
	if err := b.Leaks(); err != nil {
		t.Error(err)
	}
}

// Closing a socket with unread input resets the connection.
func TestCloseWithUnreadInput(t *testing.T) {
	b := newBed(t)
	b.peer.WriteString("x")
	b.none()
	b.CloseFD(b.fd)
	b.none()
	if !b.peer.SawReset() || b.peer.SawEOF() {
		t.Error("the peer was not told")
	}
}

func TestReset(t *testing.T) {
	b := newBed(t)
	b.Reset(b.fd)
	b.CloseFD(b.fd)
	b.none()
	if !b.peer.SawReset() || b.peer.SawEOF() {
		t.Error("the peer saw no reset")
	}
}

func TestCancel(t *testing.T) {
	b := newBed(t)
	recv := token(ring.OpRecv, 1)
	b.Recv(recv, b.fd)
	b.Cancel(token(ring.OpCancel, 1), recv)
	got := map[ring.Token]int32{}
	for range 2 {
		c := b.next()
		got[c.Token] = c.Res
	}
	if got[recv] != -int32(syscall.ECANCELED) || got[token(ring.OpCancel, 1)] != 0 {
		t.Error(got)
	}
	b.Cancel(token(ring.OpCancel, 1), recv)
	if c := b.next(); c.Res != -int32(syscall.ENOENT) {
		t.Errorf("%+v, want nothing found", c)
	}
}

func TestAccept(t *testing.T) {
	b := newBed(t, simring.WithMaxFDs(3))
	l, accept := b.Listen(), token(ring.OpAccept, 1)
	peer := b.Dial(l)
	b.Accept(accept, l)
	if c := b.next(); int(c.Res) != peer.FD() || !c.More() {
		t.Fatalf("%+v", c)
	}
	if c := b.next(); c.Res != -int32(syscall.EMFILE) || c.More() {
		t.Fatalf("%+v at the limit of descriptors", c)
	}
}

func TestConnect(t *testing.T) {
	for _, test := range []struct {
		addr string
		want int32
	}{{"192.0.2.1:80", 0}, {"[2001:db8::1]:80", 0}, {"192.0.2.1:81", -int32(syscall.ECONNREFUSED)}} {
		b := newBed(t)
		var peer *simring.Peer
		for _, known := range []string{"192.0.2.1:80", "[2001:db8::1]:80"} {
			b.Remote(netip.MustParseAddrPort(known), func(p *simring.Peer) { peer = p })
		}
		addr := netip.MustParseAddrPort(test.addr)
		sa := b.mem[:0]
		if addr.Addr().Is4() {
			sa = binary.NativeEndian.AppendUint16(sa, syscall.AF_INET)
			sa = binary.BigEndian.AppendUint16(sa, addr.Port())
			sa = append(sa, addr.Addr().AsSlice()...)
		} else {
			sa = binary.NativeEndian.AppendUint16(sa, syscall.AF_INET6)
			sa = binary.BigEndian.AppendUint16(sa, addr.Port())
			sa = append(sa, 0, 0, 0, 0)
			sa = append(sa, addr.Addr().AsSlice()...)
			sa = append(sa, 0, 0, 0, 0)
		}
		fd := b.Socket()
		b.Connect(token(ring.OpConnect, 1), fd, sa)
		if c := b.next(); c.Res != test.want || (peer != nil) != (test.want == 0) {
			t.Errorf("%s: %+v, peer %v", test.addr, c, peer)
		}
	}
}

func TestPoll(t *testing.T) {
	b := newBed(t)
	b.Poll(token(ring.OpPoll, 1), b.fd, 1)
	b.none()
	b.peer.WriteString("x")
	if c := b.next(); c.Res != 1 {
		t.Errorf("%+v", c)
	}
}

func TestTimeIsVirtual(t *testing.T) {
	b := newBed(t)
	start := b.Now()
	b.none()
	if d := time.Duration(b.Now() - start); d < time.Second || d > 1001*time.Millisecond {
		t.Errorf("waiting a second took %v", d)
	}
	called := int64(0)
	b.After(time.Minute, func() { called = b.Now() })
	b.Enter(-1)
	if d := time.Duration(called - start); d < time.Minute {
		t.Errorf("called after %v", d)
	}
	if b.Enter(-1); !b.Idle() {
		t.Error("not idle with nothing to do")
	}
}

func TestWakeEndsAWait(t *testing.T) {
	b := newBed(t, simring.WithBlocking())
	go b.Wake()
	if err := b.Enter(-1); err != nil {
		t.Error(err)
	}
}

func TestBreachesOfContract(t *testing.T) {
	recv, send := token(ring.OpRecv, 1), token(ring.OpSend, 1)
	for _, test := range []struct {
		name string
		do   func(b *bed)
	}{
		{"unknown descriptor", func(b *bed) { b.Recv(recv, 5) }},
		{"closed descriptor", func(b *bed) { b.CloseFD(b.fd); b.Recv(recv, b.fd) }},
		{"shutdown of a closed descriptor", func(b *bed) { b.CloseFD(b.fd); b.Shutdown(b.fd, syscall.SHUT_WR) }},
		{"second close", func(b *bed) { b.CloseFD(b.fd); b.CloseFD(b.fd) }},
		{"close with a receive in flight", func(b *bed) { b.Recv(recv, b.fd); b.none(); b.CloseFD(b.fd) }},
		{"second receive", func(b *bed) { b.Recv(recv, b.fd); b.Recv(token(ring.OpRecv, 2), b.fd) }},
		{"second send", func(b *bed) {
			b.Send(send, b.fd, b.mem)
			b.Send(token(ring.OpSend, 2), b.fd, b.mem)
		}},
		{"token used twice", func(b *bed) { other, _ := b.Pair(); b.Recv(recv, b.fd); b.Recv(recv, other) }},
		{"accept on a connection", func(b *bed) { b.Accept(token(ring.OpAccept, 1), b.fd) }},
		{"receive on a listener", func(b *bed) { b.Recv(recv, b.Listen()) }},
		{"send of nothing", func(b *bed) { b.Send(send, b.fd, b.mem[:0]) }},
		{"bytes changed", func(b *bed) { b.Send(send, b.fd, b.mem); b.mem[7]++; b.next() }},
		{"release of a buffer not in use", func(b *bed) { b.Release(1) }},
		{"second release", func(b *bed) {
			b.Recv(recv, b.fd)
			b.peer.WriteString("x")
			id := b.next().BufID
			b.Release(id)
			b.Release(id)
		}},
		{"enter of a closed ring", func(b *bed) { b.Close(0); b.Enter(0) }},
		{"wake of a closed ring", func(b *bed) { b.Close(0); b.Wake() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBed(t)
			defer func() {
				if p, _ := recover().(string); !strings.Contains(p, "seed 1") {
					t.Errorf("panicked with %q, want the seed", p)
				}
			}()
			test.do(b)
			t.Error("it was not noticed")
		})
	}
}

func TestMemoryThatIsNotMapped(t *testing.T) {
	if !check.Enabled {
		t.Skip("known in test builds only")
	}
	defer func() {
		if recover() == nil {
			t.Error("it was not noticed")
		}
	}()
	b := newBed(t)
	b.Send(token(ring.OpSend, 1), b.fd, make([]byte, 10))
}

func TestLeaks(t *testing.T) {
	b := newBed(t)
	b.Recv(token(ring.OpRecv, 1), b.fd)
	b.peer.WriteString("x")
	b.next()
	other, _ := b.Pair()
	b.CloseFD(other)
	b.Close(0)
	err := b.Leaks()
	for _, want := range []string{"recv/1.1 was in flight", "buffer 0 was not released", "is open", "not submitted true"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}
