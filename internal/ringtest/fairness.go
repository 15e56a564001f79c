package ringtest

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

var fairnessTests = []test{
	{"many buffers", func(t *testing.T, e Engine) { receiveIsFair(t, e, 1024) }},
	{"few buffers", func(t *testing.T, e Engine) { receiveIsFair(t, e, 4) }},
	{"short turns", fairInShortTurns},
	{"listener", fairToListener},
	{"senders", fairToReceivers},
}

// A connection with endless input does not keep another from being served: with
// buffers to spare in any order of arming, without when the other is armed first.
func receiveIsFair(t *testing.T, e Engine, buffers int) {
	r := e.open(t, buffers, 64)
	a, b := SocketPair(t)
	x, y := SocketPair(t)
	busy := &Receiver{R: r, Tok: Token(ring.OpRecv, 1), FD: a}
	calm := &Receiver{R: r, Tok: Token(ring.OpRecv, 2), FD: x}
	busy.Arm()
	calm.Arm()
	flood := make([]byte, 32<<10)
	Write(t, y, []byte("hello"))
	for turns := 0; len(calm.Data) == 0; turns++ {
		if _, err := unix.Write(b, flood); err != nil && err != unix.EAGAIN {
			t.Fatal(err)
		}
		r.Turn(0)
		calm.Drain()
		busy.Drain()
		if busy.Data = busy.Data[:0]; turns > 100 {
			t.Fatal("starved by the other connection")
		}
	}
}

// flooded has n connections that always have input, each with a receive armed.
type flooded struct {
	r     *Driver
	peers []int
	fds   []int
}

func flood(t *testing.T, r *Driver, n int) *flooded {
	f := &flooded{r: r}
	for i := range n {
		a, b := SocketPair(t)
		f.fds, f.peers = append(f.fds, a), append(f.peers, b)
		r.Recv(Token(ring.OpRecv, uint32(i)), a)
	}
	return f
}

var floodBytes = make([]byte, 32<<10)

// turn has everybody write, and handles at most so many completions. It returns
// the one with another token, if it was among them.
func (f *flooded) turn(most int) (other ring.Completion) {
	for _, fd := range f.peers {
		_, _ = unix.Write(fd, floodBytes)
	}
	f.r.Turn(0)
	var c ring.Completion
	for ; most > 0 && f.r.Next(&c); most-- {
		if c.HasBuffer() {
			f.r.Release(c.BufID)
		}
		if n := int(c.Token.Slot()); c.Token.Op() != ring.OpRecv || n >= len(f.fds) {
			other = c
		} else if !c.More() {
			f.r.Recv(c.Token, f.fds[n])
		}
	}
	return other
}

// A loop looks at so many completions in a turn and no more. Connections with
// endless input do not use up all turns.
func fairInShortTurns(t *testing.T, e Engine) {
	data := Mem(t, 8<<20)
	r := e.open(t, 1024, 64)
	f := flood(t, r, 8)
	for range 20 {
		f.turn(4)
	}
	x, y := SocketPair(t)
	recv, send := Token(ring.OpRecv, 100), Token(ring.OpSend, 100)
	r.Recv(recv, x)
	Write(t, y, []byte("hello"))
	turns := 0
	for turns = 0; f.turn(4).Token != recv; turns++ {
		if turns > 2000 {
			t.Fatal("a receive is starved")
		}
	}
	r.Send(send, x, data)
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 1<<16)
		for n := 0; n < len(data); {
			k, err := unix.Read(y, buf)
			if err == unix.EAGAIN {
				pollNow(y, unix.POLLIN, 100)
				continue
			}
			if k <= 0 {
				t.Errorf("read: %d, %v", k, err)
				return
			}
			n += k
		}
	}()
	for turns = 0; f.turn(4).Token != send; turns++ {
		if turns > 200_000 {
			t.Fatal("a send is starved")
		}
	}
	<-read
}

// pollNow waits for events on a descriptor, so many milliseconds at most.
func pollNow(fd int, events int16, timeout int) (revents int16) {
	p := []unix.PollFd{{Fd: int32(fd), Events: events}}
	_, _ = unix.Poll(p, timeout)
	return p[0].Revents
}

// Nor do they keep peers from being accepted.
func fairToListener(t *testing.T, e Engine) {
	r := e.open(t, 1024, 64)
	f := flood(t, r, 8)
	l, addr := Listen(t, unix.AF_UNIX)
	tok := Token(ring.OpAccept, 1<<31)
	r.Accept(tok, l)
	for range 20 {
		f.turn(4)
	}
	Dial(t, unix.AF_UNIX, addr)
	for turns := 0; ; turns++ {
		if c := f.turn(4); c.Token == tok {
			if c.Res < 0 {
				t.Fatalf("accept: %s", ResultName(c.Res))
			}
			unix.Close(int(c.Res))
			return
		}
		if turns > 2000 {
			t.Fatal("starved by the connections")
		}
	}
}

// Connections whose sends complete at once, and are followed by the next, do not
// keep others from being received from.
func fairToReceivers(t *testing.T, e Engine) {
	const n = 8
	data := Mem(t, 64)
	r := e.open(t, 1024, 64)
	fds, peers := make([]int, n), make([]int, n)
	for i := range n {
		fds[i], peers[i] = SocketPair(t)
		r.Send(Token(ring.OpSend, uint32(i)), fds[i], data)
	}
	x, y := SocketPair(t)
	recv := Token(ring.OpRecv, 100)
	r.Recv(recv, x)
	Write(t, y, []byte("hello"))
	sink := make([]byte, 1<<10)
	for turns := 0; ; turns++ {
		r.Turn(0)
		var c ring.Completion
		for i := 0; i < 4 && r.Next(&c); i++ {
			if c.Token == recv {
				r.Release(c.BufID)
				r.Reap() // the sends
				return
			}
			k := c.Token.Slot()
			_, _ = unix.Read(peers[k], sink)
			r.Send(c.Token, fds[k], data)
		}
		if turns > 2000 {
			t.Fatal("starved by senders")
		}
	}
}
