package ringtest

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

var acceptTests = []test{
	{"many peers", acceptManyPeers},
	{"waiting peers", acceptWaitingPeers},
	{"a burst", acceptABurst},
	{"blocking listener", acceptOnBlockingListener},
	{"errors", acceptErrors},
	{"shutdown", acceptShutdown},
	{"descriptor limit", acceptAtTheDescriptorLimit},
	{"cancel and go on", acceptCancelAndGoOn},
}

// One accept accepts any number of peers, over each kind of socket, with
// descriptors that no child process inherits and no plain call blocks on.
func acceptManyPeers(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	for _, family := range []int{unix.AF_UNIX, unix.AF_INET} {
		l, addr := Listen(t, family)
		tok := Token(ring.OpAccept, uint32(family))
		r.Accept(tok, l)
		for i := range 300 {
			peer := Dial(t, family, addr)
			fd, more := r.Accepted(tok)
			if !more {
				t.Fatalf("accept ended after %d peers", i+1)
			}
			if i == 0 {
				checkAccepted(t, fd)
			}
			expectByte(t, peer, fd, byte(i))
			unix.Close(fd)
		}
		cancel := Token(ring.OpCancel, uint32(family))
		r.Cancel(cancel, tok)
		r.Expect(cancel, 0)
		r.Expect(tok, Errno(unix.ECANCELED))
	}
}

func checkAccepted(t *testing.T, fd int) {
	t.Helper()
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %#x, %v: want FD_CLOEXEC", flags, err)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("file flags %#x, %v: want O_NONBLOCK", flags, err)
	}
}

// expectByte sends a byte from peer to fd.
func expectByte(t *testing.T, peer, fd int, b byte) {
	t.Helper()
	Write(t, peer, []byte{b})
	// On a busy machine a packet takes its time, also over the loopback interface.
	if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(Patience.Milliseconds())); err != nil && err != unix.EINTR {
		t.Fatal(err)
	}
	var got [1]byte
	if n, err := unix.Read(fd, got[:]); n != 1 || err != nil || got[0] != b {
		t.Fatalf("read %d, %v, %v, want %d", n, err, got, b)
	}
}

// Peers that came before the accept was armed are accepted as well.
func acceptWaitingPeers(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	l, addr := Listen(t, unix.AF_INET)
	for range 50 {
		Dial(t, unix.AF_INET, addr)
	}
	tok := Token(ring.OpAccept, 1)
	r.Accept(tok, l)
	for range 50 {
		fd, _ := r.Accepted(tok)
		unix.Close(fd)
	}
}

// However many peers come at once, each is accepted.
func acceptABurst(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	l, addr := Listen(t, unix.AF_UNIX)
	tok := Token(ring.OpAccept, 1<<31)
	const peers = 900
	for range peers {
		Dial(t, unix.AF_UNIX, addr)
	}
	r.Accept(tok, l)
	for i := range peers {
		fd, more := r.Accepted(tok)
		unix.Close(fd)
		if !more {
			t.Fatalf("accept ended after %d peers", i+1)
		}
	}
	r.Quiet()
}

// A listening socket may be blocking, or become so; the ring does not.
func acceptOnBlockingListener(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	l, addr := Listen(t, unix.AF_INET)
	block := func() {
		if err := unix.SetNonblock(l, false); err != nil {
			t.Fatal(err)
		}
	}
	tok := Token(ring.OpAccept, 1)
	block()
	r.Accept(tok, l)
	for range 3 {
		r.Quiet()
		block()
		Dial(t, unix.AF_INET, addr)
		fd, _ := r.Accepted(tok)
		checkAccepted(t, fd)
		unix.Close(fd)
	}
}

func acceptErrors(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	a, _ := TCPPair(t)
	for i, test := range []struct {
		fd   int
		want unix.Errno
	}{
		{-1, unix.EBADF},
		{devNull(t), unix.ENOTSOCK},
		{a, unix.EINVAL}, // does not listen
	} {
		tok := Token(ring.OpAccept, uint32(i))
		r.Accept(tok, test.fd)
		r.Expect(tok, Errno(test.want))
	}
}

func devNull(t *testing.T) int {
	t.Helper()
	fd, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return Closing(t, fd)
}

// A listener that is shut down ends the accept.
func acceptShutdown(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	l, _ := Listen(t, unix.AF_INET)
	tok := Token(ring.OpAccept, 1)
	r.Accept(tok, l)
	r.Turn(0)
	r.Shutdown(l, unix.SHUT_RDWR)
	r.Expect(tok, Errno(unix.EINVAL))
}

// At the limit of descriptors accept ends with EMFILE, and ends again at once when
// it is armed again, even without a peer. With a descriptor free it goes on; no
// peer is lost.
func acceptAtTheDescriptorLimit(t *testing.T, e Engine) {
	if e.Brief {
		t.Skip("takes a process")
	}
	if e.Need != nil {
		e.Need(t)
	}
	if !InChild(t) {
		return
	}
	r := e.open(t, buffers, bufferSize)
	l, addr := Listen(t, unix.AF_UNIX)
	peers := []int{Socket(t, unix.AF_UNIX), Socket(t, unix.AF_UNIX)}
	tok := Token(ring.OpAccept, 1)
	LimitDescriptors(t, 100)
	r.Accept(tok, l) // with io_uring the limit of this moment holds for its whole life
	r.Turn(0)
	fillers := UseAllDescriptors(t)
	for _, peer := range peers {
		if err := unix.Connect(peer, addr); err != nil {
			t.Fatal(err)
		}
	}
	r.Expect(tok, Errno(unix.EMFILE))
	r.Accept(tok, l)
	r.Expect(tok, Errno(unix.EMFILE))
	for i, peer := range peers {
		unix.Close(fillers[i])
		r.Accept(tok, l)
		fd, more := r.Accepted(tok)
		if more {
			r.Expect(tok, Errno(unix.EMFILE))
		}
		expectByte(t, peer, fd, byte(i))
		Closing(t, fd)
	}
	r.Accept(tok, l) // no peer is left
	r.Expect(tok, Errno(unix.EMFILE))
	for _, fd := range fillers[2:] {
		unix.Close(fd)
	}
	r.Accept(tok, l)
	r.Quiet()
}

// An accept that was cancelled can be armed again; who came meanwhile waits.
func acceptCancelAndGoOn(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	l, addr := Listen(t, unix.AF_INET)
	tok, cancel := Token(ring.OpAccept, 1<<31), Token(ring.OpCancel, 1<<31)
	for i := range 20 {
		r.Accept(tok, l)
		if i%2 == 0 {
			r.Turn(0)
		}
		r.Cancel(cancel, tok)
		r.Expect(tok, Errno(unix.ECANCELED))
		r.Expect(cancel, 0)
		peer := Dial(t, unix.AF_INET, addr)
		r.Quiet()
		r.Accept(tok, l)
		fd, more := r.Accepted(tok)
		expectByte(t, peer, fd, byte(i))
		unix.Close(fd)
		if more {
			r.Cancel(cancel, tok)
			r.Expect(tok, Errno(unix.ECANCELED))
			r.Expect(cancel, 0)
		}
	}
}
