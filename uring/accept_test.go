package uring

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

// accepted takes a completion of accept, which has to be a descriptor.
func (r *testRing) accepted(tok ring.Token) (fd int, more bool) {
	r.t.Helper()
	c := r.take(tok)
	if c.Res < 0 {
		r.t.Fatalf("accept: %s", resultName(c.Res))
	}
	return int(c.Res), c.More()
}

// One accept accepts any number of peers, over each kind of socket, with
// descriptors that no child process inherits and no plain call blocks on.
func TestAccept(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		for _, family := range []int{unix.AF_UNIX, unix.AF_INET} {
			l, addr := listen(t, family)
			tok := token(ring.OpAccept, uint32(family))
			r.Accept(tok, l)
			for i := range 300 {
				peer := dial(t, family, addr)
				fd, more := r.accepted(tok)
				if !more {
					t.Fatalf("accept ended after %d peers", i+1)
				}
				if i == 0 {
					checkAccepted(t, fd)
				}
				write(t, peer, []byte{byte(i)})
				var got [1]byte
				if n, err := unix.Read(fd, got[:]); n != 1 || err != nil || got[0] != byte(i) {
					t.Fatalf("peer %d: read %d, %v: %v", i, n, err, got)
				}
				unix.Close(fd)
			}
			cancel := token(ring.OpCancel, uint32(family))
			r.Cancel(cancel, tok)
			r.expect(cancel, 0)
			r.expect(tok, errno(unix.ECANCELED))
		}
	})
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

// Peers that came before the accept was armed are accepted as well.
func TestAcceptFindsWaitingPeers(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		l, addr := listen(t, unix.AF_INET)
		for range 50 {
			dial(t, unix.AF_INET, addr)
		}
		tok := token(ring.OpAccept, 1)
		r.Accept(tok, l)
		for range 50 {
			fd, _ := r.accepted(tok)
			unix.Close(fd)
		}
	})
}

func TestAcceptErrors(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		a, _ := tcpPair(t)
		file, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		closing(t, file)
		for i, test := range []struct {
			fd   int
			want unix.Errno
		}{
			{-1, unix.EBADF},
			{file, unix.ENOTSOCK},
			{a, unix.EINVAL}, // does not listen
		} {
			tok := token(ring.OpAccept, uint32(i))
			r.Accept(tok, test.fd)
			r.expect(tok, errno(test.want))
		}
	})
}

// A listener that is shut down ends the accept.
func TestShutdownEndsAccept(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		l, _ := listen(t, unix.AF_INET)
		tok := token(ring.OpAccept, 1)
		r.Accept(tok, l)
		r.turn(0)
		r.Shutdown(l, unix.SHUT_RDWR)
		r.expect(tok, errno(unix.EINVAL))
	})
}

// At the limit of descriptors accept ends with EMFILE, and ends again at once when
// it is armed again, even without a peer. With a descriptor free it goes on; no
// peer is lost.
func TestAcceptAtTheDescriptorLimit(t *testing.T) {
	needRing(t)
	if !inChild(t) {
		return
	}
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		l, addr := listen(t, unix.AF_UNIX)
		peers := []int{socket(t, unix.AF_UNIX), socket(t, unix.AF_UNIX)}
		tok := token(ring.OpAccept, 1)
		limitDescriptors(t, 100)
		r.Accept(tok, l) // the limit of this moment holds for its whole life
		r.turn(0)
		fillers := useAllDescriptors(t)
		for _, peer := range peers {
			if err := unix.Connect(peer, addr); err != nil {
				t.Fatal(err)
			}
		}
		r.expect(tok, errno(unix.EMFILE))
		r.Accept(tok, l)
		r.expect(tok, errno(unix.EMFILE))
		for i, peer := range peers {
			unix.Close(fillers[i])
			r.Accept(tok, l)
			fd, more := r.accepted(tok)
			if more {
				r.expect(tok, errno(unix.EMFILE))
			}
			write(t, peer, []byte{byte(i)})
			var got [1]byte
			if n, err := unix.Read(fd, got[:]); n != 1 || err != nil || got[0] != byte(i) {
				t.Errorf("read %d, %v, %v from peer %d", n, err, got, i)
			}
			closing(t, fd)
		}
		for _, fd := range fillers[2:] {
			unix.Close(fd)
		}
		r.Accept(tok, l) // no peer is left
		r.quiet()
	})
}

// limitDescriptors lowers the limit of descriptors until the end of the test.
func limitDescriptors(t *testing.T, limit uint64) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			t.Error(err)
		}
	})
}

func useAllDescriptors(t *testing.T) (fds []int) {
	t.Helper()
	for {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == unix.EMFILE {
			return fds
		}
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
	}
}
