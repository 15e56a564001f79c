package ringtest

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

var pollTests = []test{
	{"events", pollEvents},
	{"ready socket", pollReadySocket},
	{"then receive", pollThenReceive},
	{"no longer ready", pollNoLongerReady},
	{"pipe", pollPipe},
	{"file", pollFile},
	{"cancel", pollCancel},
	{"errors", pollErrors},
}

const pollRDNorm = 0x40 // POLLRDNORM, which package unix lacks

func pollEvents(t *testing.T, e Engine) {
	for _, test := range []struct {
		name   string
		events uint32
		make   func(t *testing.T, b int) // what to wait for; nil for nothing
		want   int32
	}{
		{"readable", unix.POLLIN, func(t *testing.T, b int) { Write(t, b, []byte("x")) }, unix.POLLIN},
		{"writable", unix.POLLOUT, func(*testing.T, int) {}, unix.POLLOUT},
		{"half close", unix.POLLIN | unix.POLLRDHUP, func(_ *testing.T, b int) { _ = unix.Shutdown(b, unix.SHUT_WR) },
			unix.POLLIN | unix.POLLRDHUP},
		{"close", unix.POLLIN | unix.POLLRDHUP, func(_ *testing.T, b int) { unix.Close(b) },
			unix.POLLIN | unix.POLLRDHUP | unix.POLLHUP},
		{"close, not asked for", 0, func(_ *testing.T, b int) { unix.Close(b) }, unix.POLLHUP | unix.POLLRDHUP},
		{"half close, not asked for", 0, func(_ *testing.T, b int) { _ = unix.Shutdown(b, unix.SHUT_WR) }, unix.POLLRDHUP},
		{"another name", pollRDNorm, func(t *testing.T, b int) { Write(t, b, []byte("x")) }, pollRDNorm},
		{"nothing", unix.POLLIN | unix.POLLRDHUP, nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := e.open(t, buffers, bufferSize)
			a, b := SocketPair(t)
			tok := Token(ring.OpPoll, 1)
			r.Poll(tok, a, test.events)
			r.Turn(0)
			if test.make == nil {
				r.Quiet()
				return
			}
			test.make(t, b)
			r.Expect(tok, test.want)
			r.Quiet() // once only
		})
	}
}

// What is ready already completes at once.
func pollReadySocket(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	a, b := SocketPair(t)
	Write(t, b, []byte("x"))
	for i := range 3 {
		tok := Token(ring.OpPoll, uint32(i))
		r.Poll(tok, a, unix.POLLIN)
		r.Expect(tok, unix.POLLIN)
	}
}

// A parked connection is watched by a poll and received from when that completes,
// again and again.
func pollThenReceive(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	for i, pair := range pairs {
		a, b := pair.make(t)
		slot := uint32(i)
		poll, recv, cancel := Token(ring.OpPoll, slot), Token(ring.OpRecv, slot), Token(ring.OpCancel, slot)
		for range 5 {
			r.Poll(poll, a, unix.POLLIN|unix.POLLRDHUP)
			r.Turn(0)
			r.Quiet()
			Write(t, b, []byte("awake"))
			r.Expect(poll, unix.POLLIN)
			r.Recv(recv, a)
			if r.ExpectData(recv, "awake") {
				r.Cancel(cancel, recv)
				r.Expect(recv, Errno(unix.ECANCELED))
				r.Expect(cancel, 0)
			}
		}
	}
}

// A poll reports what is, not what was.
func pollNoLongerReady(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	a, b := SocketPair(t)
	tok := Token(ring.OpPoll, 1)
	Write(t, b, []byte("x"))
	r.Poll(tok, a, unix.POLLIN)
	r.Expect(tok, unix.POLLIN)
	if n, err := unix.Read(a, make([]byte, 10)); n != 1 {
		t.Fatalf("read %d, %v", n, err)
	}
	r.Poll(tok, a, unix.POLLIN)
	r.Quiet()
	Write(t, b, []byte("y"))
	r.Expect(tok, unix.POLLIN)
}

// Anything that can be waited for can be polled.
func pollPipe(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	in, out := Closing(t, fds[0]), fds[1]
	tok := Token(ring.OpPoll, 1)
	r.Poll(tok, in, unix.POLLIN)
	r.Quiet()
	Write(t, out, []byte("x"))
	r.Expect(tok, unix.POLLIN)
	unix.Close(out)
	r.Poll(tok, in, unix.POLLIN)
	r.Expect(tok, unix.POLLIN|unix.POLLHUP)
}

// What cannot be waited for is ready.
func pollFile(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	tok := Token(ring.OpPoll, 1)
	r.Poll(tok, devNull(t), unix.POLLIN)
	r.Expect(tok, unix.POLLIN)
}

func pollCancel(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	a, b := SocketPair(t)
	tok, cancel := Token(ring.OpPoll, 1), Token(ring.OpCancel, 1)
	for range 3 {
		r.Poll(tok, a, unix.POLLIN)
		r.Cancel(cancel, tok)
		r.Expect(cancel, 0)
		r.Expect(tok, Errno(unix.ECANCELED))
	}
	Write(t, b, []byte("x"))
	r.Quiet()
}

func pollErrors(t *testing.T, e Engine) {
	r := e.open(t, buffers, bufferSize)
	tok := Token(ring.OpPoll, 1)
	r.Poll(tok, -1, unix.POLLIN)
	r.Expect(tok, Errno(unix.EBADF))
}
