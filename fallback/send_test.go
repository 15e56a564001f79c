package fallback

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
	"github.com/ringkit/ringkit/internal/ringtest"
)

// What the socket takes is sent by Send itself; its completion needs no event.
func TestSendAtOnce(t *testing.T) {
	data := ringtest.Mem(t, 100)
	r, d := open(t, Config{})
	a, b := ringtest.SocketPair(t)
	tok := ringtest.Token(ring.OpSend, 1)
	r.Send(tok, a, data)
	if n, err := unix.Read(b, make([]byte, 200)); n != 100 {
		t.Errorf("the peer read %d, %v", n, err)
	}
	d.Reap()
	d.Expect(tok, 100)
	if s := r.Stats(); s.Waits != 0 || s.Enters != 0 {
		t.Errorf("%+v", s)
	}
}

// What has been sent at once is told before events are asked for, but not again and again.
func TestSendIsToldFirst(t *testing.T) {
	data := ringtest.Mem(t, 10)
	r, _ := open(t, Config{})
	a, b := ringtest.SocketPair(t)
	r.Recv(recvToken(1), a)
	tok := ringtest.Token(ring.OpSend, 1)
	for range 3 {
		ringtest.Write(t, b, []byte("x"))
		for _, want := range []struct{ enters, completions uint64 }{{0, 1}, {1, 2}} {
			r.Send(tok, a, data)
			before := r.Stats()
			if err := r.Enter(-1); err != nil {
				t.Fatal(err)
			}
			for _, c := range next(r, 10) {
				if c.HasBuffer() {
					r.Release(c.BufID)
				}
			}
			after := r.Stats()
			if enters, completions := after.Enters-before.Enters, after.Completions-before.Completions; enters != want.enters || completions != want.completions {
				t.Errorf("%d calls for %d completions, want %d for %d", enters, completions, want.enters, want.completions)
			}
		}
	}
}

// A send that waits is counted, and nothing is done for it until the socket is
// writable again.
func TestSendThatWaits(t *testing.T) {
	data := ringtest.Mem(t, 1<<20)
	r, d := open(t, Config{})
	a, b := ringtest.SocketPair(t)
	tok := ringtest.Token(ring.OpSend, 1)
	r.Send(tok, a, data)
	if s := r.Stats(); s.Waits != 1 {
		t.Errorf("%+v", s)
	}
	d.Quiet()
	before := r.files.at(a).sent
	d.Quiet()
	if got := r.files.at(a).sent; got != before || got == 0 {
		t.Errorf("sent %d bytes, then %d", before, got)
	}
	all := ringtest.ReadAll(t, b)
	d.Expect(tok, 1<<20)
	if s := r.Stats(); s.Waits != 1 {
		t.Errorf("%+v", s)
	}
	r.Shutdown(a, unix.SHUT_WR)
	if n := len(<-all); n != 1<<20 {
		t.Errorf("the peer read %d bytes", n)
	}
}

// A connect that is cancelled has sent nothing, whatever the socket sent before.
func TestCancelledConnectSentNothing(t *testing.T) {
	data := ringtest.Mem(t, 10)
	r, d := open(t, Config{})
	a, _ := ringtest.TCPPair(t)
	send, connect, cancel := ringtest.Token(ring.OpSend, 1), ringtest.Token(ring.OpConnect, 1), ringtest.Token(ring.OpCancel, 1)
	r.Send(send, a, data)
	d.Expect(send, 10)
	f := r.files.at(a)
	f.out = connect // as it is while it waits
	r.Cancel(cancel, connect)
	d.Expect(connect, ringtest.Errno(unix.ECANCELED))
	d.Expect(cancel, 0)
}
