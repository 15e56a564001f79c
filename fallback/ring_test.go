package fallback

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/ring"
	"github.com/ringkit/ringkit/internal/ringtest"
)

func TestConfig(t *testing.T) {
	ringtest.NoLeaks(t)
	for _, c := range []Config{
		{Buffers: -1}, {Buffers: 1<<16 + 1},
		{BufferSize: 63}, {BufferSize: 1<<20 + 1}, {BufferSize: -64},
		{Events: -1}, {Events: 1<<16 + 1},
	} {
		if r, err := New(c); err == nil {
			t.Errorf("New(%+v) succeeded", c)
			_ = r.Close(0)
		}
	}
	for _, c := range []Config{{}, {Buffers: 1, BufferSize: 64, Events: 1}, {Buffers: 1 << 16, BufferSize: 64, Events: 1 << 16}} {
		r, err := New(c)
		if err != nil {
			t.Errorf("New(%+v): %v", c, err)
			continue
		}
		if err := r.Close(0); err != nil {
			t.Error(err)
		}
	}
}

// What the kernel refuses is said with what to do about it.
func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		err  unix.Errno
		cure string
	}{
		{unix.EMFILE, "RLIMIT_NOFILE"},
		{unix.ENFILE, "fs.file-max"},
		{unix.ENOMEM, "memory limit"},
		{unix.ENOSPC, "max_user_watches"},
		{unix.EPERM, "allow epoll_create1"},
		{unix.ENOSYS, "allow epoll_create1"},
		{unix.EIO, "input/output error"},
	} {
		err := refused("epoll_create1", test.err)
		if !errors.Is(err, test.err) || !strings.Contains(err.Error(), test.cure) || !strings.Contains(err.Error(), "epoll_create1") {
			t.Errorf("%v lacks %q", err, test.cure)
		}
	}
}

func TestNoDescriptorForTheRing(t *testing.T) {
	if !ringtest.InChild(t) {
		return
	}
	ringtest.LimitDescriptors(t, 100)
	fillers := ringtest.UseAllDescriptors(t)
	for free := range 2 {
		if _, err := New(Config{}); !errors.Is(err, unix.EMFILE) || !strings.Contains(err.Error(), "RLIMIT_NOFILE") {
			t.Errorf("with %d descriptors left: %v", free, err)
		}
		unix.Close(fillers[free])
	}
}

// Waits are rounded up to milliseconds, and never mistaken for other ones.
func TestMilliseconds(t *testing.T) {
	for _, test := range []struct {
		timeout time.Duration
		want    int
	}{
		{0, 0}, {1, 1}, {time.Millisecond - 1, 1}, {time.Millisecond, 1}, {time.Millisecond + 1, 2},
		{1500 * time.Microsecond, 2}, {time.Hour, 3_600_000}, {math.MaxInt32 * time.Millisecond, math.MaxInt32},
		{30 * 24 * time.Hour, math.MaxInt32}, {math.MaxInt64, math.MaxInt32}, {math.MaxInt64 - 1, math.MaxInt32},
		{-1, -1}, {math.MinInt64, -1},
	} {
		if got := milliseconds(test.timeout); got != test.want {
			t.Errorf("%v is %d ms, want %d", test.timeout, got, test.want)
		}
	}
}

// Enter is one system call.
func TestEnterIsOneSystemCall(t *testing.T) {
	r, d := open(t, Config{})
	a, b := ringtest.SocketPair(t)
	r.Recv(recvToken(1), a)
	ringtest.Write(t, b, []byte("x"))
	for i := range uint64(5) {
		d.Turn(0)
		if got := r.Stats().Enters; got != i+1 {
			t.Errorf("%d system calls in %d turns", got, i+1)
		}
	}
	c := d.Take(recvToken(1))
	r.Release(c.BufID)
	if got := r.Stats().Completions; got != 1 {
		t.Errorf("%d completions counted, want 1", got)
	}
}

// All events are looked at by Enter: a socket that is connected anew afterwards is
// not taken for writable because it was so before.
func TestNoEventWaitsForNext(t *testing.T) {
	r, d := open(t, Config{})
	a, b := ringtest.SocketPair(t)
	r.Poll(ringtest.Token(ring.OpPoll, 1), a, 0)
	unix.Close(b)
	d.Turn(-1)
	if !r.files.at(a).is(fileReadable) || r.done.len() != 1 {
		t.Error("an event was left for later")
	}
	d.Reap()
}

// The memory of a ring in use does not grow, also when its completions are never
// all read.
func TestUnreadCompletionsDoNotGrow(t *testing.T) {
	data := ringtest.Mem(t, 1)
	r, d := open(t, Config{})
	const n = 10
	sink := make([]byte, 4096)
	fds, peers := make([]int, n), make([]int, n)
	for i := range n {
		fds[i], peers[i] = ringtest.SocketPair(t)
		r.Send(ringtest.Token(ring.OpSend, uint32(i)), fds[i], data)
	}
	for range 3000 {
		d.Turn(0)
		for _, c := range next(r, n/2) {
			i := c.Token.Slot()
			_, _ = unix.Read(peers[i], sink)
			r.Send(c.Token, fds[i], data)
		}
	}
	if c := cap(r.done.items); c > 8*n {
		t.Errorf("room for %d completions, with %d in flight at most", c, n)
	}
}

// The assertions of test builds: run with -race or -tags ringkitcheck.
func TestMisusePanics(t *testing.T) {
	if !check.Enabled {
		t.Skip("not a test build")
	}
	data, addrMem := ringtest.Mem(t, 4<<20), ringtest.Mem(t, unix.SizeofSockaddrAny)
	r, _ := open(t, Config{})
	a, _ := ringtest.SocketPair(t)
	_, addr := ringtest.Listen(t, unix.AF_INET)
	blocking := ringtest.Socket(t, unix.AF_INET)
	if err := unix.SetNonblock(blocking, false); err != nil {
		t.Fatal(err)
	}
	recv, send, poll := recvToken(1), ringtest.Token(ring.OpSend, 1), ringtest.Token(ring.OpPoll, 1)
	r.Recv(recv, a)
	ringtest.Panics(t, "while recv/1.1 is in flight", func() { r.Recv(recvToken(2), a) })
	r.Send(send, a, data)
	ringtest.Panics(t, "while send/1.1 is in flight", func() { r.Send(ringtest.Token(ring.OpSend, 2), a, data) })
	r.Poll(poll, a, unix.POLLIN)
	ringtest.Panics(t, "while poll/1.1 is in flight", func() { r.Poll(ringtest.Token(ring.OpPoll, 2), a, unix.POLLIN) })
	ringtest.Panics(t, "with recv/1.1, send/1.1, poll/1.1 in flight", func() { r.CloseFD(a) })
	ringtest.Panics(t, "blocking socket", func() {
		r.Connect(ringtest.Token(ring.OpConnect, 3), blocking, ringtest.RawSockaddr(t, addrMem, addr))
	})
}
