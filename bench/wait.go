package main

import (
	"context"
	"time"
)

const (
	settle       = time.Second            // for a server to finish what it does after an event
	fdTimeout    = 10 * time.Second       // for a server to close what its clients have closed
	pollInterval = 100 * time.Millisecond // between looks at a server
)

// sleep waits for d, or returns an error when ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
