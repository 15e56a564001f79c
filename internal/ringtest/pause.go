package ringtest

import (
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

// A loop pauses a connection by cancelling its receive and resumes it by arming
// another one. Nothing may be lost in between, and nothing may wait for the peer
// to write again.
var pauseTests = []test{
	{"data before the pause", resumeFinds("", "before", "")},
	{"data during the pause", resumeFinds("", "", "during")},
	{"data behind what was taken", resumeFinds("taken", "before", "during")},
	{"more than a buffer", resumeAfterAFullBuffer},
	{"end during the pause", endDuringThePause},
	{"reset during the pause", resetDuringThePause},
	{"at any time", pauseAtAnyTime},
	{"again and again", pauseAgainAndAgain},
}

func resumeFinds(taken, before, during string) func(*testing.T, Engine) {
	return func(t *testing.T, e Engine) {
		r := e.open(t, buffers, 64)
		for i, pair := range pairs {
			a, b := pair.make(t)
			v := &Receiver{R: r, Tok: Token(ring.OpRecv, uint32(i)), FD: a}
			v.Arm()
			r.Turn(0)
			if taken != "" {
				Write(t, b, []byte(taken))
				v.Until("the first data", func() bool { return string(v.Data) == taken })
			}
			if before != "" {
				Write(t, b, []byte(before))
			}
			v.pause()
			v.untilPaused()
			if during != "" {
				Write(t, b, []byte(during))
			}
			r.Quiet()
			r.Quiet()
			v.resume()
			want := taken + before + during
			v.Until("the data", func() bool { return len(v.Data) >= len(want) })
			if string(v.Data) != want {
				t.Errorf("received %q, want %q", v.Data, want)
			}
		}
	}
}

// A receive that filled its buffer and goes on is cancelled before it does, and
// armed again in the same turn or later.
func resumeAfterAFullBuffer(t *testing.T, e Engine) {
	r := e.open(t, 1, 64)
	for i, wait := range []bool{false, true} {
		a, b := SocketPair(t)
		tok, cancel := Token(ring.OpRecv, uint32(i)), Token(ring.OpCancel, uint32(i))
		data := make([]byte, 64*10)
		randomBytes(data)
		Write(t, b, data)
		var got []byte
		for len(got) < len(data) {
			r.Recv(tok, a)
			for more := true; more; {
				c := r.Take(tok)
				if more = c.More(); more {
					r.Cancel(cancel, tok)
				}
				if c.HasBuffer() {
					got = append(got, c.Buf...)
					r.Release(c.BufID)
				} else if c.Res != Errno(unix.ECANCELED) && c.Res != Errno(unix.ENOBUFS) && c.Res != Errno(unix.EAGAIN) {
					t.Fatalf("the receive ended with %s", ResultName(c.Res))
				}
			}
			if wait {
				r.Turn(0)
				r.Turn(0)
			}
		}
		if string(got) != string(data) {
			t.Errorf("received %d bytes, not the %d sent", len(got), len(data))
		}
	}
}

func endDuringThePause(t *testing.T, e Engine) {
	r := e.open(t, buffers, 64)
	for i, pair := range pairs {
		a, b := pair.make(t)
		v := &Receiver{R: r, Tok: Token(ring.OpRecv, uint32(i)), FD: a}
		v.Arm()
		r.Turn(0)
		v.pause()
		v.untilPaused()
		data := make([]byte, 64*3)
		randomBytes(data)
		Write(t, b, data)
		unix.Close(b)
		r.Quiet()
		v.resume()
		v.untilEnd()
		if v.End != nil || string(v.Data) != string(data) {
			t.Errorf("%s: received %d of %d bytes, ended by %v", pair.name, len(v.Data), len(data), v.End)
		}
	}
}

func resetDuringThePause(t *testing.T, e Engine) {
	r := e.open(t, buffers, 64)
	a, b := TCPPair(t)
	v := &Receiver{R: r, Tok: Token(ring.OpRecv, 1), FD: a}
	v.Arm()
	r.Turn(0)
	v.pause()
	v.untilPaused()
	Reset(t, b)
	r.Quiet()
	v.resume()
	v.untilEnd()
	if v.End != unix.ECONNRESET {
		t.Errorf("ended by %v, want ECONNRESET", v.End)
	}
}

func pauseAtAnyTime(t *testing.T, e Engine) {
	for _, n := range []int{2, 64} {
		r := e.open(t, n, 512)
		for i, pair := range pairs {
			a, b := pair.make(t)
			pauses := 0
			checkStream(t, r, Token(ring.OpRecv, uint32(i)), a, b, func(rnd *rand.Rand, v *Receiver) {
				switch rnd.IntN(6) {
				case 0:
					v.pause()
					pauses++
				case 1:
					r.Turn(0)
					v.pause()
					v.Drain()
				case 2, 3:
					v.resume()
				}
			})
			if pauses == 0 {
				t.Error("never paused")
			}
		}
	}
}

// Each message finds a receive that was cancelled and armed again since the last,
// with turns in between or without.
func pauseAgainAndAgain(t *testing.T, e Engine) {
	r := e.open(t, buffers, 64)
	a, b := SocketPair(t)
	v := &Receiver{R: r, Tok: Token(ring.OpRecv, 1), FD: a}
	v.Arm()
	for i := range 500 {
		if i&1 != 0 {
			Write(t, b, []byte{byte(i)})
		}
		if i&2 != 0 {
			r.Turn(0)
		}
		v.pause()
		if i&4 != 0 {
			r.Turn(0)
			v.Drain()
		}
		if i&1 == 0 {
			Write(t, b, []byte{byte(i)})
		}
		v.resume()
		v.Until("a byte", func() bool { return len(v.Data) == i+1 })
		if v.Data[i] != byte(i) {
			t.Fatalf("message %d: %d", i, v.Data[i])
		}
	}
}
