package conn_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/fallback"
	"github.com/ringkit/ringkit/uring"
)

// With more busy connections than receive buffers there is no want of buffers for long,
// on any engine; and when they are idle again, none has more memory than before.
func TestManyBusyConnectionsHaveBuffers(t *testing.T) {
	for _, engine := range []struct {
		name string
		make func() (conn.Ring, error)
	}{
		{"io_uring", uringWith(uring.Config{Buffers: 16, MaxBuffers: 512})},
		{"io_uring, single-shot receive", uringWith(uring.Config{Buffers: 16, MaxBuffers: 512, Without: uring.MultishotRecv})},
		{"io_uring, polled receive", uringWith(uring.Config{Buffers: 16, Without: uring.BufferRing})},
		{"epoll", epollWith(fallback.Config{Buffers: 16})},
	} {
		t.Run(engine.name, func(t *testing.T) {
			start := time.Now()
			var made conn.Ring
			e := newEngine(t, 1, func() (r conn.Ring, err error) {
				made, err = engine.make()
				return made, err
			}, conn.Config{
				WriteTimeout: -1, ParkAfter: -1,
				Clock: func() int64 { return 10 * int64(time.Since(start)) }, // memory is looked at every second
			})
			addr, stop := e.listen(func() conn.Protocol { return echo{} })
			defer stop()
			var peers []net.Conn
			for range 200 {
				c := e.dial(addr)
				defer c.Close()
				peers = append(peers, c)
			}
			rounds := func(n int) (starved uint64) {
				before := e.starved()
				for range n {
					e.burst(peers)
				}
				return e.starved() - before
			}
			first := rounds(10)
			// Where the machine is busy they may be given back in between.
			if later := rounds(20); later > 20*200/10 {
				t.Errorf("%d receives found no buffer in 20 bursts, %d in 10 before", later, first)
			}
			ring, ok := made.(interface{ ExcessBuffers() bool })
			if !ok {
				return
			}
			for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
				if e.look(func(*conn.Loop) uint64 {
					if ring.ExcessBuffers() {
						return 1
					}
					return 0
				}) == 0 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("the buffers of idle connections have not been given back")
				}
			}
			rounds(2) // and they go on
		})
	}
}

// look asks the first loop.
func (e *engine) look(f func(*conn.Loop) uint64) uint64 {
	answer := make(chan uint64)
	e.loops[0].Do(func(l *conn.Loop) { answer <- f(l) })
	return <-answer
}

func (e *engine) starved() uint64 {
	return e.look(func(l *conn.Loop) uint64 { return l.Counters().Starved })
}

// burst has all peers send while the loop is busy with something else, and reads what
// comes back.
func (e *engine) burst(peers []net.Conn) {
	e.Helper()
	busy, free := make(chan bool), make(chan bool)
	e.loops[0].Do(func(*conn.Loop) { busy <- true; <-free })
	<-busy
	for _, c := range peers {
		if _, err := io.WriteString(c, "ping"); err != nil {
			e.Fatal(err)
		}
	}
	free <- true
	for _, c := range peers {
		var got [4]byte
		if _, err := io.ReadFull(c, got[:]); err != nil || string(got[:]) != "ping" {
			e.Fatalf("%q, %v came back", got, err)
		}
	}
}
