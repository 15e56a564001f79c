package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ringkit/ringkit/bench/internal/hold"
	"github.com/ringkit/ringkit/bench/internal/procfs"
	"github.com/ringkit/ringkit/bench/internal/ws"
)

// crew are the client processes.
type crew struct {
	members []*member
	abreast int // so many open connections at the same time
}

// member is a client process. What it reported last may be looked at by anybody.
type member struct {
	*hold.Holder
	room     int
	held     atomic.Int64
	failed   atomic.Int64 // or lost, or not answered
	answered atomic.Int64
}

// chunk is how many connections a client process opens before it is asked whether there
// is room for more.
const chunk = 1000

// share distributes n connections evenly over processes that hold room each, want of them
// or more if that is not enough.
func share(n, room, want int) []int {
	want = max(want, (n+room-1)/room)
	shares := make([]int, min(want, n))
	for i := range shares {
		shares[i] = n/len(shares) + btoi(i < n%len(shares))
	}
	return shares
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// leastHolders is how many client processes there are at least.
const leastHolders = 2

// startCrew starts client processes for n connections.
func startCrew(ctx context.Context, o *options, s *system, n, port int) (*crew, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	shares := share(n, s.room(), max(o.holders, leastHolders))
	c := &crew{abreast: min(len(shares), 2*runtime.NumCPU())}
	path, first := "/", 0
	if o.sockets {
		path = ws.Echo
	}
	for _, room := range shares {
		h, err := hold.Start(ctx, program, []string{holdCommand}, hold.Config{
			Port: port, Path: path, Socket: o.sockets, Deflate: o.deflate,
			Room: room, First: first, PerAddress: s.perAddress(), Window: max(1, s.window()/c.abreast), Timeout: o.timeout,
		})
		if err != nil {
			return c, errors.Join(err, c.end())
		}
		c.members = append(c.members, &member{Holder: h, room: room})
		first += room
	}
	return c, nil
}

// do has an order carried out.
func (m *member) do(o hold.Order) (hold.Report, error) {
	note := func(r hold.Report) {
		m.held.Store(int64(r.Held))
		m.failed.Store(r.Failed + r.Lost + r.Missing)
		m.answered.Store(r.Answered)
	}
	r, err := m.Do(o, note)
	note(r)
	return r, err
}

// each calls f for all members at the same time.
func (c *crew) each(f func(i int, m *member) error) error {
	errs := make([]error, len(c.members))
	var all sync.WaitGroup
	for i, m := range c.members {
		all.Go(func() { errs[i] = f(i, m) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// open opens connections until all are there, or more returns false. A few processes do at a
// time.
func (c *crew) open(more func() bool) error {
	slots := make(chan struct{}, c.abreast)
	return c.each(func(_ int, m *member) error {
		slots <- struct{}{}
		defer func() { <-slots }()
		for n := 0; n < m.room && more(); {
			n = min(n+chunk, m.room)
			if _, err := m.do(hold.Order{Open: n}); err != nil {
				return err
			}
		}
		return nil
	})
}

// A load is divided among lanes of laneRate requests per second. In each, the client
// processes take turns of turnRequests, so that one of them has its hands full and the
// others sleep: if all were busy, the processors would do little but switch between them.
const (
	laneRate     = 20_000
	turnRequests = 500
)

// orders returns what the processes have to do for a load; those without connections have
// nothing to do.
func orders(held []int64, rate float64, d time.Duration, seed uint64) []*hold.Load {
	all := make([]*hold.Load, len(held))
	var able []int
	for i, n := range held {
		if n > 0 {
			able = append(able, i)
		}
	}
	lanes := min(len(able), int(math.Ceil(rate/laneRate)))
	if lanes == 0 {
		return all
	}
	rate /= float64(lanes)
	turn := time.Duration(math.Ceil(turnRequests / rate * float64(time.Second)))
	for k, i := range able {
		lane, place := k%lanes, k/lanes
		members := (len(able) - lane + lanes - 1) / lanes
		// Lanes begin one after the other, so that their requests are not due at the same times.
		begin := time.Duration(float64(lane) / float64(lanes) / rate * float64(time.Second))
		all[i] = &hold.Load{
			Rate: rate, Turn: turnRequests, Offset: begin + time.Duration(place)*turn, Every: time.Duration(members) * turn,
			Duration: d, Seed: seed + uint64(i),
		}
	}
	return all
}

// load has requests sent on all connections, and returns their latencies in microseconds.
func (c *crew) load(rate float64, d time.Duration) (*hdrhistogram.Histogram, error) {
	held := make([]int64, len(c.members))
	for i, m := range c.members {
		held[i] = m.held.Load()
	}
	todo := orders(held, rate, d, rand.Uint64())
	var mu sync.Mutex
	all := hold.NewHistogram()
	err := c.each(func(i int, m *member) error {
		if todo[i] == nil {
			return nil
		}
		r, err := m.do(hold.Order{Load: todo[i]})
		if err != nil {
			return err
		}
		h, err := hold.Decode(r.Latency)
		if err != nil {
			return fmt.Errorf("latencies of client process %d: %w", m.PID, err)
		}
		mu.Lock()
		defer mu.Unlock()
		if dropped := all.Merge(h); dropped > 0 {
			return fmt.Errorf("%d latencies of client process %d are too long", dropped, m.PID)
		}
		return nil
	})
	return all, err
}

// cpu is the processor time of all processes so far.
func (c *crew) cpu() (sum time.Duration, err error) {
	for _, m := range c.members {
		used, err := procfs.ReadCPU(m.PID)
		if err != nil {
			return 0, err
		}
		sum += used.Scheduled
	}
	return sum, nil
}

// close resets all connections.
func (c *crew) close() error {
	return c.each(func(_ int, m *member) error {
		_, err := m.do(hold.Order{Close: true})
		return err
	})
}

// end ends the processes, and whatever connections they have.
func (c *crew) end() error {
	err := c.each(func(_ int, m *member) error { return m.End() })
	c.members = nil
	return err
}

func (c *crew) sum(of func(*member) int64) (n int64) {
	for _, m := range c.members {
		n += of(m)
	}
	return n
}

func (c *crew) held() int64     { return c.sum(func(m *member) int64 { return m.held.Load() }) }
func (c *crew) failed() int64   { return c.sum(func(m *member) int64 { return m.failed.Load() }) }
func (c *crew) answered() int64 { return c.sum(func(m *member) int64 { return m.answered.Load() }) }
