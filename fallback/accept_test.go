package fallback

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/ring"
	"github.com/ringkit/ringkit/internal/ringtest"
)

// So many peers are accepted in a turn and no more, and a connection with input
// does not wait for the last of them.
func TestAcceptsInATurn(t *testing.T) {
	r, d := open(t, Config{})
	l, addr := ringtest.Listen(t, unix.AF_UNIX)
	a, b := ringtest.SocketPair(t)
	const peers = 2*acceptsPerTurn + 10
	for range peers {
		ringtest.Dial(t, unix.AF_UNIX, addr)
	}
	r.Accept(ringtest.Token(ring.OpAccept, 1<<31), l)
	r.Recv(recvToken(1), a)
	ringtest.Write(t, b, []byte("hello"))
	for left := peers; left > 0; left -= acceptsPerTurn {
		d.Turn(-1)
		accepted := 0
		for i, c := range next(r, peers) {
			if c.Token == recvToken(1) {
				if left != peers || i > 2 {
					t.Errorf("the connection was served after %d accepts", peers-left+i)
				}
				r.Release(c.BufID)
				continue
			}
			if c.Res < 0 || !c.More() {
				t.Fatalf("accept: %s, more %v", ringtest.ResultName(c.Res), c.More())
			}
			unix.Close(int(c.Res))
			accepted++
		}
		if want := min(left, acceptsPerTurn); accepted != want {
			t.Errorf("%d peers accepted in a turn, want %d", accepted, want)
		}
	}
	d.Quiet()
}

// The listening socket is made non-blocking: it was not meant to block anybody.
func TestAcceptMakesTheListenerNonBlocking(t *testing.T) {
	r, _ := open(t, Config{})
	l, _ := ringtest.Listen(t, unix.AF_INET)
	if err := unix.SetNonblock(l, false); err != nil {
		t.Fatal(err)
	}
	r.Accept(ringtest.Token(ring.OpAccept, 1<<31), l)
	if blocking(l) {
		t.Error("the listening socket still blocks")
	}
}

func TestAcceptDoesNotAllocate(t *testing.T) {
	if check.Enabled {
		t.Skip("the checks of test builds allocate")
	}
	r, d := open(t, Config{})
	l, addr := ringtest.Listen(t, unix.AF_UNIX)
	raw := ringtest.RawSockaddr(t, ringtest.Mem(t, unix.SizeofSockaddrAny), addr)
	r.Accept(ringtest.Token(ring.OpAccept, 1<<31), l)
	var c ring.Completion
	slot := 0
	work := func() {
		for range 10 {
			peer, _, errno := unix.RawSyscall(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if errno != 0 {
				t.Fatal(errno)
			}
			if _, _, errno := unix.RawSyscall(unix.SYS_CONNECT, peer, uintptr(unsafe.Pointer(&raw[0])), uintptr(len(raw))); errno != 0 {
				t.Fatal(errno)
			}
			unix.Close(int(peer)) // the end is what the ring receives
			for closed := false; !closed; {
				d.Turn(-1)
				for r.Next(&c) {
					switch {
					case c.Res < 0:
						t.Fatal(ringtest.ResultName(c.Res))
					case c.Token.Op() == ring.OpAccept:
						slot = (slot + 1) % 100
						r.Recv(recvToken(slot), int(c.Res))
					default:
						r.CloseFD(r.files.ofSlot(c.Token.Slot()))
						closed = true
					}
				}
			}
		}
	}
	for range 20 {
		work()
	}
	if n := testing.AllocsPerRun(100, work); n != 0 {
		t.Errorf("%v allocations for 10 connections, want none", n)
	}
}
