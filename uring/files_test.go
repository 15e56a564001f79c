package uring

import (
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
	"github.com/ringkit/ringkit/internal/ringtest"
)

// withFiles runs a test on each tier that has tables, with one of n files.
func withFiles(t *testing.T, c Config, n int, test func(*testing.T, *testRing)) {
	t.Helper()
	need(t, DirectDescriptors)
	eachTier(t, c, func(t *testing.T, r *testRing) {
		if r.features&DirectDescriptors == 0 {
			t.Skip("without direct descriptors")
		}
		if err := r.OpenFiles(n); err != nil {
			t.Fatal(err)
		}
		test(t, r)
	})
}

// accepted makes a connection, one end of which is closed with the test.
func accepted(t *testing.T, family int) (fd, peer int) {
	t.Helper()
	l, addr := listen(t, family)
	peer = dial(t, family, addr)
	// A peer that hears nothing fails its test.
	if err := unix.SetsockoptTimeval(peer, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(patience.Seconds())}); err != nil {
		t.Fatal(err)
	}
	fd, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	return fd, peer
}

func isOpen(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil
}

func expectReset(t *testing.T, fd int) {
	t.Helper()
	if n, err := unix.Read(fd, make([]byte, 1)); err != unix.ECONNRESET {
		t.Errorf("read %d, %v, want a reset", n, err)
	}
}

func expectText(t *testing.T, fd int, want string) {
	t.Helper()
	got := make([]byte, len(want)+1)
	if n, err := unix.Read(fd, got); err != nil || string(got[:max(n, 0)]) != want {
		t.Errorf("read %q, %v, want %q", got[:max(n, 0)], err, want)
	}
}

// A file in the table does what a descriptor does, from the batch on that brings it there,
// and the descriptor is closed. When the slot is closed, so is the connection, and another
// one can be there in the same batch.
func TestFilesLife(t *testing.T) {
	data := mem(t, 64)
	withFiles(t, Config{}, 4, func(t *testing.T, r *testRing) {
		if r.Files() != 4 {
			t.Errorf("%d files, want 4", r.Files())
		}
		previous := -1
		for i, family := range []int{unix.AF_INET, unix.AF_UNIX, unix.AF_INET, unix.AF_INET6} {
			fd, peer := accepted(t, family)
			direct := r.Register(fd, 3)
			recv, send, poll := token(ring.OpRecv, uint32(i)), token(ring.OpSend, uint32(i)), token(ring.OpPoll, uint32(i))
			r.Recv(recv, direct)
			r.Send(send, direct, data[:copy(data, "to the peer")])
			r.Expect(send, int32(len("to the peer")))
			if isOpen(fd) {
				t.Error("the descriptor is still open")
			}
			if previous >= 0 {
				if n, err := unix.Read(previous, make([]byte, 1)); n != 0 || err != nil {
					t.Errorf("the peer of the connection before: %d, %v", n, err)
				}
			}
			previous = peer
			expectText(t, peer, "to the peer")
			write(t, peer, []byte("from the peer"))
			if r.ExpectData(recv, "from the peer") {
				cancel := token(ring.OpCancel, uint32(i))
				r.Cancel(cancel, recv)
				r.Expect(cancel, 0)
				r.Expect(recv, errno(unix.ECANCELED))
			}
			r.Poll(poll, direct, unix.POLLIN)
			r.Quiet()
			write(t, peer, []byte("x"))
			r.Expect(poll, unix.POLLIN)
			r.Recv(recv, direct)
			if !r.ExpectData(recv, "x") {
				r.Recv(recv, direct)
			}
			unix.Shutdown(peer, unix.SHUT_WR)
			r.Expect(recv, 0)
			r.CloseFD(direct)
		}
	})
}

// A receive that was armed on the descriptor goes on while what it is armed on moves to the
// table and back.
func TestFilesMoveWithOperationsInFlight(t *testing.T) {
	withFiles(t, Config{}, 4, func(t *testing.T, r *testRing) {
		need(t, MultishotRecv)
		if r.features&MultishotRecv == 0 {
			t.Skip("a receive is over with the first data")
		}
		fd, peer := accepted(t, unix.AF_INET)
		recv := token(ring.OpRecv, 1)
		r.Recv(recv, fd)
		r.Turn(0)
		direct := r.Register(fd, 0)
		r.Turn(0)
		write(t, peer, []byte("in the table"))
		r.ExpectData(recv, "in the table")
		fd, err := r.Install(direct)
		if err != nil {
			t.Fatal(err)
		}
		closing(t, fd)
		r.CloseFD(direct)
		r.Turn(0)
		write(t, peer, []byte("behind it"))
		r.ExpectData(recv, "behind it")
		// The slot is empty, and another one's.
		other, otherPeer := accepted(t, unix.AF_INET)
		direct = r.Register(other, 0)
		r.Shutdown(direct, unix.SHUT_RDWR)
		r.Quiet()
		write(t, peer, []byte("still there"))
		r.ExpectData(recv, "still there")
		r.Shutdown(fd, unix.SHUT_RDWR)
		r.Expect(recv, 0)
		r.CloseFD(direct)
		r.Turn(0)
		if n, err := unix.Read(otherPeer, make([]byte, 1)); n != 0 || err != nil {
			t.Errorf("the other peer read %d, %v", n, err)
		}
	})
}

// Install makes a descriptor of the same socket, and leaves the completions alone that are
// in the queue.
func TestFilesInstall(t *testing.T) {
	withFiles(t, Config{}, 2, func(t *testing.T, r *testRing) {
		fd, peer := accepted(t, unix.AF_INET)
		direct := r.Register(fd, 1)
		a, _ := socketPair(t)
		var toks []ring.Token
		for i := range uint32(5) {
			tok := token(ring.OpPoll, i)
			r.Poll(tok, a, unix.POLLOUT) // completes at once
			toks = append(toks, tok)
		}
		r.Turn(0)
		recv := token(ring.OpRecv, 9)
		r.Recv(recv, direct)
		var fds []int
		for range 3 {
			fd, err := r.Install(direct) // also submits the receive
			if err != nil {
				t.Fatal(err)
			}
			fds = append(fds, closing(t, fd))
		}
		flags, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("flags %#x of the descriptor, %v: want close-on-exec", flags, err)
		}
		write(t, fds[1], []byte("from the descriptor"))
		expectText(t, peer, "from the descriptor")
		for _, tok := range toks {
			r.Expect(tok, unix.POLLOUT)
		}
		write(t, peer, []byte("to the slot"))
		more := r.ExpectData(recv, "to the slot")
		if _, err := r.Install(ring.Direct(0)); err != unix.EBADF {
			t.Errorf("an empty slot: %v, want EBADF", err)
		}
		if more {
			r.Shutdown(direct, unix.SHUT_RDWR)
			r.Expect(recv, errno(unix.ECANCELED))
		}
		r.CloseFD(direct)
	})
}

// Without a descriptor left Install says so, and shutting down works all the same.
func TestFilesWithoutDescriptors(t *testing.T) {
	need(t, DirectDescriptors)
	if !inChild(t) {
		return
	}
	r := open(t, Config{})
	if err := r.OpenFiles(2); err != nil {
		t.Fatal(err)
	}
	fd, peer := accepted(t, unix.AF_INET)
	direct := r.Register(fd, 1)
	r.Turn(0)
	ringtest.LimitDescriptors(t, 100)
	fillers := ringtest.UseAllDescriptors(t)
	if _, err := r.Install(direct); err != unix.EMFILE {
		t.Errorf("Install: %v, want EMFILE", err)
	}
	r.Shutdown(direct, unix.SHUT_WR)
	r.Turn(0)
	if n, err := unix.Read(peer, make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("behind SHUT_WR the peer reads %d, %v", n, err)
	}
	for _, fd := range fillers {
		unix.Close(fd)
	}
}

// Shutdown of a slot in both directions ends what is in flight; that of the sending side is
// what it always is. CloseFD behind Reset resets.
func TestFilesShutdown(t *testing.T) {
	data := mem(t, 16<<20)
	withFiles(t, Config{}, 2, func(t *testing.T, r *testRing) {
		fd, peer := accepted(t, unix.AF_INET)
		direct := r.Register(fd, 1)
		recv, send := token(ring.OpRecv, 1), token(ring.OpSend, 1)
		r.Recv(recv, direct)
		r.Turn(0)
		r.Shutdown(direct, unix.SHUT_WR)
		r.Turn(0)
		if n, err := unix.Read(peer, make([]byte, 1)); n != 0 || err != nil {
			t.Errorf("behind SHUT_WR the peer reads %d, %v", n, err)
		}
		write(t, peer, []byte("late"))
		if !r.ExpectData(recv, "late") {
			r.Recv(recv, direct)
		}
		r.Shutdown(direct, unix.SHUT_RDWR)
		r.Expect(recv, errno(unix.ECANCELED))
		r.CloseFD(direct)

		fd, _ = accepted(t, unix.AF_INET)
		direct = r.Register(fd, 1)
		r.Recv(recv, direct)
		r.Send(send, direct, data)
		r.Turn(0)
		r.Shutdown(direct, unix.SHUT_RDWR)
		r.Expect(recv, errno(unix.ECANCELED))
		if c := r.Take(send); c.Res >= int32(len(data)) {
			t.Errorf("the send ended with %s", resultName(c.Res))
		}
		r.Shutdown(direct, unix.SHUT_RDWR) // with nothing in flight
		r.CloseFD(direct)
		r.Quiet()

		fd, peer = accepted(t, unix.AF_INET)
		direct = r.Register(fd, 1)
		r.Reset(direct)
		r.Quiet()
		r.CloseFD(direct)
		r.Quiet()
		expectReset(t, peer)
	})
}

// A connection ends while others are idle, however long.
func TestFilesEndBesideOthers(t *testing.T) {
	withFiles(t, Config{}, 8, func(t *testing.T, r *testRing) {
		for slot := range uint32(4) {
			fd, _ := accepted(t, unix.AF_INET)
			r.Recv(token(ring.OpRecv, slot), r.Register(fd, slot))
		}
		for range 3 {
			fd, peer := accepted(t, unix.AF_INET)
			direct := r.Register(fd, 7)
			recv := token(ring.OpRecv, 7)
			r.Recv(recv, direct)
			r.Turn(0)
			r.Shutdown(direct, unix.SHUT_RDWR)
			r.Expect(recv, errno(unix.ECANCELED))
			r.CloseFD(direct)
			r.Turn(0)
			if n, err := unix.Read(peer, make([]byte, 1)); n != 0 || err != nil {
				t.Fatalf("the peer reads %d, %v", n, err)
			}
		}
	})
}

// What is in the table when the ring is closed goes with it, as does what was on its way
// there.
func TestFilesOfAClosedRing(t *testing.T) {
	withFiles(t, Config{}, 8, func(t *testing.T, r *testRing) {
		fd, peer := accepted(t, unix.AF_INET)
		r.Recv(token(ring.OpRecv, 1), r.Register(fd, 1))
		r.Turn(0)
		fd2, peer2 := accepted(t, unix.AF_INET)
		r.Recv(token(ring.OpRecv, 2), r.Register(fd2, 2)) // not submitted
		r.CloseFD(ring.Direct(1))
		if err := r.Close(patience); err != nil {
			t.Fatal(err)
		}
		if isOpen(fd2) {
			t.Error("the descriptor on its way to the table is open")
		}
		for _, p := range []int{peer, peer2} {
			polls := []unix.PollFd{{Fd: int32(p), Events: unix.POLLIN}}
			if n, err := unix.Poll(polls, int(patience.Milliseconds())); n != 1 || err != nil {
				t.Errorf("the peer does not hear of the end: %v", err)
			}
		}
	})
}

// A descriptor that nobody waits for any more is closed when it comes.
func TestFilesInstallTooLate(t *testing.T) {
	withFiles(t, Config{Entries: 8, CQEntries: 8}, 2, func(t *testing.T, r *testRing) {
		fd, _ := accepted(t, unix.AF_INET)
		direct := r.Register(fd, 1)
		a, _ := socketPair(t)
		for i := range uint32(8) {
			r.Poll(token(ring.OpPoll, i), a, unix.POLLOUT)
			r.Turn(0) // the queue of completions is full with the last
		}
		fd, err := r.Install(direct)
		if err == nil {
			unix.Close(fd) // the kernel had room
		} else if err != unix.EBUSY {
			t.Errorf("Install: %v, want EBUSY", err)
		}
		for i := range uint32(8) {
			r.Expect(token(ring.OpPoll, i), unix.POLLOUT)
		}
		r.CloseFD(direct)
		r.Quiet()
		if err := r.Close(patience); err != nil || r.inflight != 0 {
			t.Errorf("%v; %d operations in flight", err, r.inflight)
		}
	}) // noLeaks looks for the descriptor
}

// A table is made once, of a size that the kernel allows.
func TestOpenFiles(t *testing.T) {
	need(t, DirectDescriptors)
	if !inChild(t) {
		return
	}
	ringtest.LimitDescriptors(t, 300)
	r := open(t, Config{})
	for _, n := range []int{-1, maxFiles + 1} {
		if err := r.OpenFiles(n); err == nil {
			t.Errorf("a table of %d files was made", n)
		}
	}
	if err := r.OpenFiles(301); err == nil || !strings.Contains(err.Error(), "RLIMIT_NOFILE") {
		t.Errorf("beyond the limit of descriptors: %v", err)
	}
	if err := r.OpenFiles(0); err != nil || r.Files() != 300 {
		t.Errorf("%v, %d files, want as many as descriptors", err, r.Files())
	}
	if err := r.OpenFiles(10); err == nil {
		t.Error("a second table was made")
	}
	r = open(t, Config{Without: BufferRing})
	if err := r.OpenFiles(0); err == nil || r.Files() != 0 {
		t.Errorf("%v, %d files without buffer rings", err, r.Files())
	}
}

// The numbers of slots are no descriptors.
func TestDirect(t *testing.T) {
	for _, slot := range []uint32{0, 1, maxFiles - 1} {
		fd := ring.Direct(slot)
		if !ring.IsDirect(fd) || ring.FileSlot(fd) != slot || fd >= -1 {
			t.Errorf("slot %d is %d", slot, fd)
		}
		if err := unix.Shutdown(fd, unix.SHUT_WR); err != syscall.EBADF {
			t.Errorf("a system call takes %d: %v", fd, err)
		}
	}
	for _, fd := range []int{-1, 0, 1 << 30} {
		if ring.IsDirect(fd) {
			t.Errorf("%d is a slot", fd)
		}
	}
}
