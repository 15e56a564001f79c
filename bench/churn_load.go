package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ringkit/ringkit/bench/internal/client"
)

const (
	maxPerConnection  = 200
	maxPipeline       = 16
	connectionTimeout = 30 * time.Second // for everything on one connection
	maxFailures       = 100              // then the load gives up
	keptFailures      = 5
)

// churnLoad is a bounded number of requests on many short connections.
type churnLoad struct {
	addr      string
	request   []byte
	pipelined []byte // maxPipeline requests
	budget    atomic.Int64

	checked     atomic.Int64 // responses read and found right
	abandoned   atomic.Int64 // requests whose response nobody waited for
	connections atomic.Int64
	failed      atomic.Int64 // connections on which something went wrong

	mu       sync.Mutex
	failures []error // the first few
}

func newChurnLoad(port int, route string, requests int64) *churnLoad {
	request := client.Request(route)
	l := &churnLoad{
		addr:      net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		request:   request,
		pipelined: bytes.Repeat(request, maxPipeline),
	}
	l.budget.Store(requests)
	return l
}

// done returns how many requests have been sent and dealt with.
func (l *churnLoad) done() int64 {
	return l.checked.Load() + l.abandoned.Load()
}

// examples returns the first few failures.
func (l *churnLoad) examples() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failures
}

// run uses up the budget, or ends early with ctx or after too many failures.
func (l *churnLoad) run(ctx context.Context, workers int, seed uint64) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			w := worker{churnLoad: l, rng: rand.New(rand.NewPCG(seed, uint64(i))), input: make([]byte, 16*1024)}
			for ctx.Err() == nil {
				n := l.take(1 + w.rng.Int64N(maxPerConnection))
				if n == 0 {
					return
				}
				if err := w.connection(ctx, n); err != nil && ctx.Err() == nil && l.fail(err) {
					cancel()
				}
			}
		})
	}
	wg.Wait()
}

// take takes up to n requests from the budget.
func (l *churnLoad) take(n int64) int64 {
	left := l.budget.Add(-n)
	return max(0, min(n, left+n))
}

// fail records a failure and reports whether it is one too many.
func (l *churnLoad) fail(err error) bool {
	l.mu.Lock()
	if len(l.failures) < keptFailures {
		l.failures = append(l.failures, err)
	}
	l.mu.Unlock()
	return l.failed.Add(1) >= maxFailures
}

// worker has one connection at a time.
type worker struct {
	*churnLoad
	rng   *rand.Rand
	input []byte
}

// connection opens a connection and sends n requests in a randomly chosen way.
func (w *worker) connection(ctx context.Context, n int64) error {
	conn, err := dial(ctx, w.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	// An interruption must not wait for a server that does not answer.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	w.connections.Add(1)
	if err := conn.SetDeadline(time.Now().Add(connectionTimeout)); err != nil {
		return err
	}
	switch roll := w.rng.IntN(100); {
	case roll < 65:
		return w.exchange(conn, n, 1)
	case roll < 85:
		return w.exchange(conn, n, 2+w.rng.Int64N(maxPipeline-1))
	case roll < 95:
		return w.breakOff(conn, n)
	default:
		return w.ignoreAnswers(conn, n)
	}
}

// dial connects. When all local ports wait out recent connections, it waits too.
func dial(ctx context.Context, addr string) (*net.TCPConn, error) {
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp4", addr)
		switch {
		case err == nil:
			return conn.(*net.TCPConn), nil
		case !errors.Is(err, syscall.EADDRNOTAVAIL):
			return nil, err
		}
		if err := sleep(ctx, pollInterval); err != nil {
			return nil, err
		}
	}
}

// exchange sends n requests, depth in one write, and checks the responses.
func (w *worker) exchange(conn *net.TCPConn, n, depth int64) error {
	for n > 0 {
		batch := min(n, depth)
		n -= batch
		if _, err := conn.Write(w.pipelined[:batch*int64(len(w.request))]); err != nil {
			return err
		}
		if err := w.readResponses(conn, batch); err != nil {
			return err
		}
		w.checked.Add(batch)
	}
	return nil
}

// readResponses reads n responses and not a byte more.
func (w *worker) readResponses(conn *net.TCPConn, n int64) error {
	have := 0
	for {
		at := 0
		for at < have {
			size, err := client.ParseResponse(w.input[at:have])
			if err != nil {
				return fmt.Errorf("wrong response: %w", err)
			}
			if size == 0 {
				break
			}
			if n == 0 {
				return fmt.Errorf("more responses than requests: %q", w.input[at:have])
			}
			at += size
			n--
		}
		have = copy(w.input, w.input[at:have])
		if n == 0 && have == 0 {
			return nil
		}
		size, err := conn.Read(w.input[have:])
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("waiting for %d responses: %w", n, err)
		}
		have += size
	}
}

// breakOff sends n requests, then a part of one more, and closes or resets.
func (w *worker) breakOff(conn *net.TCPConn, n int64) error {
	if err := w.exchange(conn, n, 1); err != nil {
		return err
	}
	if _, err := conn.Write(w.request[:1+w.rng.IntN(len(w.request)-1)]); err != nil {
		return err
	}
	if w.rng.IntN(2) == 0 {
		return conn.SetLinger(0)
	}
	return nil
}

// ignoreAnswers sends requests in batches without reading, then closes, which
// resets the connection. The server may have reset it before.
func (w *worker) ignoreAnswers(conn *net.TCPConn, n int64) error {
	w.abandoned.Add(n)
	for n > 0 {
		batch := min(n, maxPipeline)
		n -= batch
		if _, err := conn.Write(w.pipelined[:batch*int64(len(w.request))]); err != nil {
			return nil
		}
	}
	return nil
}
