package conn

import (
	"testing"

	"github.com/ringkit/ringkit/internal/bulk"
)

// A little more input than a carry has room for does not take memory for bulk: many
// connections may have as much.
func TestKeptInputTakesLittle(t *testing.T) {
	for _, n := range []int{carryBytes, carryBytes + 1, 3 * carryBytes, bulk.Smallest / 2} {
		c := &Conn{loop: &Loop{}}
		for at := 0; at < n; at += 1 << 10 {
			c.keep(make([]byte, min(1<<10, n-at)))
		}
		if len(c.in) != n || cap(c.in) > 2*max(n, carryBytes) {
			t.Errorf("%d bytes are kept in %d", len(c.in), cap(c.in))
		}
	}
}
