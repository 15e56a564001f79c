package ringtest

import (
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

// Patience bounds every wait that is expected to end. It is generous: nothing
// here measures speed.
const Patience = 20 * time.Second

// Driver turns a ring and collects its completions by token.
type Driver struct {
	Ring
	T   testing.TB
	Got map[ring.Token][]ring.Completion
}

// NewDriver returns a driver of r.
func NewDriver(t testing.TB, r Ring) *Driver {
	return &Driver{Ring: r, T: t, Got: map[ring.Token][]ring.Completion{}}
}

// Default numbers and sizes of receive buffers in tests.
const (
	buffers    = 256
	bufferSize = 4096
)

// open makes a ring that is closed with the test, on the test's own thread, and
// with nothing left behind.
func (e Engine) open(t testing.TB, buffers, size int) *Driver {
	t.Helper()
	if e.Need != nil {
		e.Need(t)
	}
	OnThread(t)
	NoLeaks(t)
	r, err := e.New(buffers, size)
	if err != nil {
		t.Fatalf("a ring with %d buffers of %d bytes: %v", buffers, size, err)
	}
	t.Cleanup(func() {
		if err := r.Close(Patience); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return NewDriver(t, r)
}

// OnThread locks the test to its thread.
func OnThread(t testing.TB) {
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
}

// Turn enters, and fails the test on an error.
func (r *Driver) Turn(timeout time.Duration) {
	r.T.Helper()
	if err := r.Enter(timeout); err != nil {
		r.T.Fatal(err)
	}
}

// Reap collects the completions that are there.
func (r *Driver) Reap() {
	var c ring.Completion
	for r.Next(&c) {
		r.Got[c.Token] = append(r.Got[c.Token], c)
	}
}

// Until turns the ring until done says so.
func (r *Driver) Until(what string, done func() bool) {
	r.T.Helper()
	for deadline := time.Now().Add(Patience); !done(); {
		if time.Now().After(deadline) {
			r.T.Fatalf("waited %v for %s", Patience, what)
		}
		r.Turn(50 * time.Millisecond)
		r.Reap()
	}
}

// Take waits for the first completion of an operation not yet taken.
func (r *Driver) Take(tok ring.Token) ring.Completion {
	r.T.Helper()
	r.Until(tok.String(), func() bool { return len(r.Got[tok]) > 0 })
	c := r.Got[tok][0]
	r.Got[tok] = r.Got[tok][1:]
	return c
}

// Expect takes a completion with the given result and no flag More.
func (r *Driver) Expect(tok ring.Token, res int32) {
	r.T.Helper()
	c := r.Take(tok)
	if c.Res != res || c.More() {
		r.T.Fatalf("%v completed with %s (more %v), want %s at last", tok, ResultName(c.Res), c.More(), ResultName(res))
	}
}

// ExpectData takes a completion with the given data and gives its buffer back.
func (r *Driver) ExpectData(tok ring.Token, want string) (more bool) {
	r.T.Helper()
	c := r.Take(tok)
	if string(c.Buf) != want {
		r.T.Fatalf("%v completed with %s and %q, want %q", tok, ResultName(c.Res), c.Buf, want)
	}
	r.Release(c.BufID)
	return c.More()
}

// Quiet fails the test if something completes within a short while.
func (r *Driver) Quiet() {
	r.T.Helper()
	r.Turn(10 * time.Millisecond)
	r.Reap()
	for tok, cs := range r.Got {
		if len(cs) > 0 {
			r.T.Fatalf("%v completed with %s, want nothing", tok, ResultName(cs[0].Res))
		}
	}
}

// Accepted takes a completion of accept, which has to be a descriptor.
func (r *Driver) Accepted(tok ring.Token) (fd int, more bool) {
	r.T.Helper()
	c := r.Take(tok)
	if c.Res < 0 {
		r.T.Fatalf("accept: %s", ResultName(c.Res))
	}
	return int(c.Res), c.More()
}

// ResultName returns the number or the name of the error that a result is.
func ResultName(res int32) string {
	if res < 0 {
		return unix.ErrnoName(unix.Errno(-res))
	}
	return strconv.Itoa(int(res))
}

// Errno returns an error as a result.
func Errno(e unix.Errno) int32 { return -int32(e) }

// Token returns a token of the first generation.
func Token(op ring.Op, slot uint32) ring.Token { return ring.MakeToken(op, 1, slot) }
