// Package ringtest tests engines: what package conn relies on, over real sockets,
// whatever is behind it. Each engine's own tests call [Run], and use the rest of
// this package for what is particular to them.
package ringtest

import (
	"testing"
	"time"

	"github.com/ringkit/ringkit/internal/ring"
)

// Ring is conn.Ring, where its contract is written down.
type Ring interface {
	Accept(t ring.Token, fd int)
	Recv(t ring.Token, fd int)
	Send(t ring.Token, fd int, p []byte)
	SendSome(t ring.Token, fd int, p []byte)
	Connect(t ring.Token, fd int, sockaddr []byte)
	Poll(t ring.Token, fd int, events uint32)
	Cancel(t, target ring.Token)
	Shutdown(fd, how int)
	CloseFD(fd int)
	Forget(fd int)
	Release(id uint16)
	Enter(timeout time.Duration) error
	Next(c *ring.Completion) bool
	Wake()
	Close(wait time.Duration) error
}

// Engine is one way to make rings.
type Engine struct {
	Name string
	// New makes a ring with so many receive buffers of so many bytes.
	New func(buffers, size int) (Ring, error)
	// Need skips the test where the engine cannot work; it may be nil.
	Need func(testing.TB)
	// WakeFD is the descriptor that Wake writes to.
	WakeFD func(Ring) int
	// Stats returns a ring's counters.
	Stats func(Ring) Stats
	// Greedy says that an armed receive takes buffers as long as there are some
	// and data is waiting: few buffers run out.
	Greedy bool
	// Brief leaves out tests that take a second or a process.
	Brief bool
}

// Stats are the counters that all engines have.
type Stats struct {
	Completions uint64
	Starved     uint64
	Wakes       uint64
}

// subject is one operation or one aspect of a ring, and its tests.
type subject struct {
	name  string
	tests []test
}

type test struct {
	name string
	run  func(*testing.T, Engine)
}

// Run runs every test on each engine, as the subtest engine/subject/test.
func Run(t *testing.T, engines ...Engine) {
	subjects := []subject{
		{"accept", acceptTests},
		{"receive", receiveTests},
		{"pause", pauseTests},
		{"fairness", fairnessTests},
		{"send", sendTests},
		{"connect", connectTests},
		{"poll", pollTests},
		{"cancel", cancelTests},
		{"descriptors", descriptorTests},
		{"enter", enterTests},
		{"wake", wakeTests},
		{"close", closeTests},
		{"memory", memoryTests},
	}
	for _, e := range engines {
		t.Run(e.Name, func(t *testing.T) {
			for _, s := range subjects {
				t.Run(s.name, func(t *testing.T) {
					for _, test := range s.tests {
						t.Run(test.name, func(t *testing.T) { test.run(t, e) })
					}
				})
			}
		})
	}
}
