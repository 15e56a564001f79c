package ringkit

import (
	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/uring"
)

// newRing makes the ring of one loop.
func newRing() (conn.Ring, error) {
	r, err := uring.New(uring.Config{})
	if err != nil {
		return nil, err
	}
	return r, nil
}
