package conn_test

import (
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
)

// What a burst of output has taken is given back when it has not been used for a while,
// also when there is no connection left.
func TestOutputMemoryIsGivenBack(t *testing.T) {
	b := newBench(t, conn.Config{})
	c, peer := b.adopt(&hooks{})
	for range 3 {
		c.Write(make([]byte, 4<<20))
		b.settle()
		peer.Take()
		if !b.loop.Excess() {
			t.Fatal("memory that is used again and again was given back")
		}
		b.sleep(500 * time.Millisecond)
	}
	c.Abort(nil)
	b.sleep(5 * time.Second)
	if b.loop.Excess() || b.loop.Timers() != 0 {
		t.Errorf("nobody uses it: there is more than is kept: %v; %d timers", b.loop.Excess(), b.loop.Timers())
	}
	c, _ = b.adopt(&hooks{})
	c.Write(make([]byte, 4<<20))
	b.settle() // and the loop ends before it is looked at
	b.finish()
}
