package uring

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/ring"
)

// The assertions of test builds: run with -race or -tags ringkitcheck.

func needChecks(t *testing.T) {
	t.Helper()
	if !check.Enabled {
		t.Skip("not a test build")
	}
}

// panics runs f, which has to panic with the given words.
func panics(t *testing.T, words string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if p := recover(); p == nil || !strings.Contains(p.(string), words) {
			t.Errorf("panic: %v, want %q", p, words)
		}
	}()
	f()
}

func TestDoubleReleasePanics(t *testing.T) {
	needChecks(t)
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		a, b := socketPair(t)
		tok := token(ring.OpRecv, 1)
		r.Recv(tok, a)
		write(t, b, []byte("x"))
		c := r.take(tok)
		r.Release(c.BufID)
		panics(t, "released twice", func() { r.Release(c.BufID) })
	})
}

func TestReleasedBufferIsPoisoned(t *testing.T) {
	needChecks(t)
	eachTier(t, Config{Buffers: 2, BufferSize: 64}, func(t *testing.T, r *testRing) {
		a, b := socketPair(t)
		tok := token(ring.OpRecv, 1)
		r.Recv(tok, a)
		write(t, b, []byte("secret"))
		c := r.take(tok)
		r.Release(c.BufID)
		if want := bytes.Repeat([]byte{check.PoisonByte}, len(c.Buf)); !bytes.Equal(c.Buf, want) {
			t.Errorf("the released buffer holds %q", c.Buf)
		}
	})
}

// A receiver that writes past what it got would write into another buffer.
func TestReceivedSliceEndsWithItsBuffer(t *testing.T) {
	eachTier(t, Config{Buffers: 2, BufferSize: 64}, func(t *testing.T, r *testRing) {
		a, b := socketPair(t)
		tok := token(ring.OpRecv, 1)
		r.Recv(tok, a)
		write(t, b, []byte("x"))
		c := r.take(tok)
		if len(c.Buf) != 1 || cap(c.Buf) != 64 {
			t.Errorf("length %d, capacity %d, want 1 and 64", len(c.Buf), cap(c.Buf))
		}
		r.Release(c.BufID)
	})
}

func TestMemoryOfTheGoHeapPanics(t *testing.T) {
	needChecks(t)
	r := open(t, Config{})
	a, _ := socketPair(t)
	heap := make([]byte, 128)
	panics(t, "send of memory that is not mapped", func() { r.Send(token(ring.OpSend, 1), a, heap) })
	panics(t, "address that is not mapped", func() { r.Connect(token(ring.OpConnect, 1), a, heap) })
	mapped := mem(t, 100)
	panics(t, "not mapped", func() { r.Send(token(ring.OpSend, 1), a, append(mapped[:cap(mapped)], 1)) })
	r.Send(token(ring.OpSend, 1), a, mapped[10:20])
	r.expect(token(ring.OpSend, 1), 10)
	_ = unix.Shutdown(a, unix.SHUT_RDWR)
}
