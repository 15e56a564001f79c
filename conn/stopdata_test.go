package conn_test

import (
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/simring"
)

// A connection that is stopped in the moment in which data and a reset arrive is let go
// of, as the end of the loop shows.
func TestStopWhileDataArrives(t *testing.T) {
	onEngines(t, conn.Config{}, func(e *engine) {
		var wanted, sent atomic.Int32
		spin := func(v *atomic.Int32, n int32) { // without system calls, in which the kernel would work
			for end := time.Now().Add(5 * time.Second); v.Load() < n && time.Now().Before(end); {
			}
		}
		closed := make(chan bool)
		addr, stop := e.listen(func() conn.Protocol {
			return &hooks{
				data: func(c *conn.Conn, in []byte) int {
					spin(&sent, wanted.Add(1))
					c.Abort(nil)
					return len(in)
				},
				closed: func(*conn.Conn, error) { closed <- true },
			}
		})
		for i := range int32(50) {
			peer := e.dial(addr)
			peer.Write([]byte("x"))
			for end := time.Now().Add(5 * time.Second); wanted.Load() <= i && time.Now().Before(end); {
				runtime.Gosched()
			}
			peer.Write([]byte("y"))
			peer.(*net.TCPConn).SetLinger(0)
			peer.Close() // nothing comes any more that would wake anybody
			sent.Add(1)
			<-closed
		}
		stop()
	})
}

// A receive that has lost the end of its socket is cancelled, so that the loop can end.
func TestStopEndsADeafReceive(t *testing.T) {
	b := newBench(t, conn.Config{}, simring.WithFaults(simring.Faults{LoseReset: 1, LoseShutdown: 1}))
	h := &hooks{}
	c, peer := b.adopt(h)
	peer.WriteString("x")
	b.settle()
	c.Abort(nil)
	b.sleep(time.Second)
	if h.ends != 1 || b.sim.OpenFDs() != 0 {
		t.Errorf("closed %d times, %d descriptors are open", h.ends, b.sim.OpenFDs())
	}
	b.finish()
}
