// Package hold is a client process that holds very many connections. It is one thread and
// one epoll descriptor; a connection takes 16 bytes of it, and no buffer. A program that
// needs more connections than a process may have descriptors starts several, see Start.
package hold

import (
	"fmt"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Config is what a holder is told first.
type Config struct {
	Port    int // of 127.0.0.1
	Path    string
	Socket  bool // open WebSockets
	Deflate bool // that negotiate compression, and use it

	Room       int // the most connections it is going to have
	First      int // how many others have before it, which decides on source addresses
	PerAddress int // the most connections from one source address
	Window     int // connections that are opened at a time

	// Timeout is how long nothing may happen while something is waited for.
	Timeout time.Duration
}

// Bounds of a holder.
const (
	MaxRoom     = 1 << 20
	MaxRate     = 1_000_000 // requests per second
	MaxDuration = time.Hour
	MaxTimeout  = 5 * time.Minute
)

func (c *Config) check() error {
	switch {
	case c.Port < 1 || c.Port > 65535:
		return fmt.Errorf("port %d", c.Port)
	case c.Room < 1 || c.Room > MaxRoom:
		return fmt.Errorf("%d connections: want 1 to %d", c.Room, MaxRoom)
	case c.PerAddress < 1 || c.First < 0 || (c.First+c.Room-1)/c.PerAddress >= MaxAddresses:
		return fmt.Errorf("%d connections behind %d others, %d from an address: there are %d addresses", c.Room, c.First, c.PerAddress, MaxAddresses)
	case c.Window < 1:
		return fmt.Errorf("a window of %d", c.Window)
	case c.Timeout <= 0 || c.Timeout > MaxTimeout:
		return fmt.Errorf("a timeout of %v: want up to %v", c.Timeout, MaxTimeout)
	}
	return nil
}

// Order is what a holder is to do next. It does one thing at a time.
type Order struct {
	Open  int   `json:",omitempty"` // have so many connections, each answered once
	Load  *Load `json:",omitempty"` // send requests on them
	Close bool  `json:",omitempty"` // reset them all
}

// Load is a load: requests are due at fixed times, each on a connection that is chosen at
// random. They come in turns of several, so that holders can take turns: a process that
// waits for each of its requests alone takes more for waiting than for the request.
type Load struct {
	Rate     float64       // requests per second, within a turn
	Turn     int           // requests of a turn
	Offset   time.Duration // from now to the first turn
	Every    time.Duration // from one turn to the next
	Duration time.Duration // from now to the end
	Seed     uint64
}

func (l *Load) check() error {
	switch {
	case !(l.Rate > 0) || l.Rate > MaxRate:
		return fmt.Errorf("%g requests per second: want up to %d", l.Rate, MaxRate)
	case l.Turn < 1 || l.Every <= 0 || float64(l.Turn) > 1.001*l.Rate*l.Every.Seconds():
		return fmt.Errorf("turns of %d requests, %g per second, do not end in %v", l.Turn, l.Rate, l.Every)
	case l.Duration <= 0 || l.Duration > MaxDuration || l.Offset < 0:
		return fmt.Errorf("%v from %v on: want up to %v", l.Duration, l.Offset, MaxDuration)
	}
	return nil
}

// due is when request n is, from now on.
func (l *Load) due(n int64) time.Duration {
	turn, i := n/int64(l.Turn), n%int64(l.Turn)
	return l.Offset + time.Duration(turn)*l.Every + time.Duration(float64(i)/l.Rate*float64(time.Second))
}

// count is how many requests are due before the end.
func (l *Load) count() int64 {
	left := l.Duration - l.Offset
	if left <= 0 {
		return 0
	}
	turns := int64((left - 1) / l.Every) // that are whole, since one ends before the next begins
	last := left - time.Duration(turns)*l.Every
	return turns*int64(l.Turn) + min(int64(l.Turn), int64(math.Ceil(last.Seconds()*l.Rate)))
}

// Report is what a holder says while it carries out an order, and when it has: then Done
// is set. Its counts are those since its start.
type Report struct {
	Done bool `json:",omitempty"`

	Held     int              // connections that are open and have been answered
	Answered int64            // requests of loads
	InTime   int64            // of these, before the end of their load
	Lost     int64            // connections that ended while nothing was asked
	Failed   int64            // connections that ended, or were answered wrongly, otherwise
	Unsent   int64            // requests that found no connection until the end
	Missing  int64            // requests that were not answered in time
	Errors   map[string]int64 `json:",omitempty"` // connections that ended, by why

	Latency []byte `json:",omitempty"` // of a load that is over, see Decode
}

// A histogram has three digits of latencies in microseconds.
const digits = 3

// NewHistogram returns an empty one.
func NewHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, (MaxDuration + MaxTimeout).Microseconds(), digits)
}

// Decode returns the latencies of a Report, from when requests were due.
func Decode(latency []byte) (*hdrhistogram.Histogram, error) {
	return hdrhistogram.Decode(latency)
}
