package ringkit

import (
	"io"
	"strings"
	"testing"
	"time"
)

// Clients that take long over a head do not wake the loops, are answered when it is
// complete, and have as long as all others.
func TestSlowHeads(t *testing.T) {
	if testing.Short() {
		t.Skip("heads are not slow before a second")
	}
	eachKind(t, func(t *testing.T, e engine) {
		t.Parallel()
		s := serve(t, e, &Server{ReadHeaderTimeout: time.Hour, IdleTimeout: time.Hour,
			Handler: HandlerFunc(func(x *Exchange) { x.WriteString(x.Header("X")) })})
		const clients, bytesEach = 8, 20
		var peers []*peer
		for range clients {
			p := s.dial()
			io.WriteString(p, "GET / HTTP/1.1\r\nHost: x\r\nX: ")
			peers = append(peers, p)
		}
		time.Sleep(slowHead + 300*time.Millisecond) // they are slow by now
		turns := func() (n int) {
			for _, l := range s.Stats().Loops {
				n += int(l.Turns)
			}
			return n
		}
		before, began := turns(), time.Now()
		for range bytesEach {
			for _, p := range peers {
				io.WriteString(p, "y")
				time.Sleep(time.Millisecond)
			}
		}
		if n := turns() - before; time.Since(began) < time.Second && n > clients*bytesEach/2 {
			t.Errorf("%d turns for %d bytes", n, clients*bytesEach)
		}
		for _, p := range peers {
			p.send("\r\n\r\n")
			p.expectAnswer(200, strings.Repeat("y", bytesEach))
		}
	})
}

// The time that a head may take is the same for those who are slow.
func TestSlowHeadTimeout(t *testing.T) {
	if testing.Short() {
		t.Skip("heads are not slow before a second")
	}
	eachKind(t, func(t *testing.T, e engine) {
		t.Parallel()
		const limit = slowHead + 400*time.Millisecond
		s := serve(t, e, &Server{ReadHeaderTimeout: limit, Handler: HandlerFunc(func(*Exchange) {})})
		p, began := s.dial(), time.Now()
		io.WriteString(p, "GET / HTTP/1.1\r\nHost")
		got, _ := io.ReadAll(p)
		if took := time.Since(began); !strings.HasPrefix(string(got), "HTTP/1.1 408 ") || took < limit-10*time.Millisecond {
			t.Errorf("after %v: %q", took, got)
		}
	})
}
