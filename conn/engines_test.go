package conn_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/fallback"
	"github.com/ringkit/ringkit/uring"
)

// The same protocols on the engines that use the kernel, over real sockets.

// rings are ways to make a ring. Few and small buffers are used up often.
var rings = []struct {
	name   string
	make   func() (conn.Ring, error)
	direct bool // connections have no descriptors
}{
	{name: "io_uring", make: uringWith(uring.Config{Buffers: 16, BufferSize: 1024})},
	{name: "io_uring, single-shot receive", make: uringWith(uring.Config{Buffers: 16, BufferSize: 1024, Without: uring.MultishotRecv})},
	{name: "io_uring, polled receive", make: uringWith(uring.Config{Buffers: 16, BufferSize: 1024, Without: uring.BufferRing})},
	{name: "io_uring, direct descriptors", make: directWith(uring.Config{Buffers: 16, BufferSize: 1024}, 0), direct: true},
	{name: "io_uring, few direct descriptors", make: directWith(uring.Config{Buffers: 16, BufferSize: 1024}, 7), direct: true},
	{name: "epoll", make: epollWith(fallback.Config{Buffers: 16, BufferSize: 1024})},
	{name: "epoll, one buffer, one event", make: epollWith(fallback.Config{Buffers: 1, BufferSize: 64, Events: 1})},
}

func uringWith(cfg uring.Config) func() (conn.Ring, error) {
	return func() (conn.Ring, error) {
		r, err := uring.New(cfg)
		if err != nil {
			return nil, err
		}
		return r, nil
	}
}

// directWith is uringWith with a table of n files.
func directWith(cfg uring.Config, n int) func() (conn.Ring, error) {
	return func() (conn.Ring, error) {
		r, err := uring.New(cfg)
		if err != nil {
			return nil, err
		}
		if err := r.OpenFiles(n); err != nil {
			r.Close(0)
			return nil, err
		}
		return r, nil
	}
}

func epollWith(cfg fallback.Config) func() (conn.Ring, error) {
	return func() (conn.Ring, error) {
		r, err := fallback.New(cfg)
		if err != nil {
			return nil, err
		}
		return r, nil
	}
}

// engine is some loops that run, each on a goroutine of its own.
type engine struct {
	*testing.T
	loops []*conn.Loop
	next  atomic.Int64
}

func newEngine(t *testing.T, n int, makeRing func() (conn.Ring, error), cfg conn.Config) *engine {
	fds, goroutines := openFDs(t), runtime.NumGoroutine()
	e := &engine{T: t}
	for range n {
		r, err := makeRing()
		if errors.Is(err, uring.ErrUnavailable) {
			t.Skipf("not on this kernel: %v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		cfg.Ring = r
		e.loops = append(e.loops, conn.NewLoop(cfg))
	}
	for _, l := range e.loops {
		go l.Run()
	}
	t.Cleanup(func() {
		e.stop()
		e.settles("descriptors", fds, func() int { return openFDs(t) })
		e.settles("goroutines", goroutines, runtime.NumGoroutine)
	})
	return e
}

// stop ends the loops, which by then should have nothing to do.
func (e *engine) stop() {
	for i, l := range e.loops {
		l.Do(func(l *conn.Loop) {
			l.Each(func(c *conn.Conn) { c.Abort(nil) })
			l.Quit()
		})
		select {
		case <-l.Done():
		case <-time.After(10 * time.Second):
			e.Fatalf("loop %d does not end: %d connections", i, l.Conns())
		}
		if l.Err() != nil {
			e.Errorf("loop %d: %v", i, l.Err())
		}
		if _, direct := l.Files(); direct != 0 {
			e.Errorf("loop %d: %d connections are in the table of files", i, direct)
		}
		if blocks, slots := l.Live(); blocks != 0 || slots != 0 || l.Timers() != 0 {
			e.Errorf("loop %d: %d blocks, %d slots, %d timers are left", i, blocks, slots, l.Timers())
		}
	}
}

// settles waits for a count to come down again.
func (e *engine) settles(what string, want int, count func() int) {
	for deadline := time.Now().Add(5 * time.Second); count() > want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			e.Errorf("%d %s, %d before", count(), what, want)
			return
		}
	}
}

func openFDs(t *testing.T) int {
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(dir)
}

// adopt gives a descriptor to the next loop.
func (e *engine) adopt(fd int, p conn.Protocol) {
	l := e.loops[int(e.next.Add(1))%len(e.loops)]
	l.Do(func(l *conn.Loop) { l.Adopt(fd, p) })
}

// pair makes a socket pair: one end is a loop's, the other one is returned.
func (e *engine) pair(p conn.Protocol) net.Conn {
	e.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		e.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[1]), "peer")
	defer f.Close()
	peer, err := net.FileConn(f)
	if err != nil {
		e.Fatal(err)
	}
	peer.SetDeadline(time.Now().Add(20 * time.Second))
	e.adopt(fds[0], p)
	return peer
}

// listen accepts on the first loop, for all loops.
func (e *engine) listen(protocol func() conn.Protocol) (addr string, stop func()) {
	e.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		e.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		e.Fatal(err)
	}
	defer f.Close()
	fd, err := duplicate(f)
	if err != nil {
		e.Fatal(err)
	}
	ended := make(chan error, 1)
	var ln *conn.Listener
	e.loops[0].Do(func(loop *conn.Loop) {
		ln = loop.Listen(fd, conn.ListenerEvents{
			Accepted: func(fd int) { e.adopt(fd, protocol()) },
			Closed:   func(err error) { ended <- err },
		})
	})
	return l.Addr().String(), func() {
		e.loops[0].Do(func(*conn.Loop) { ln.Close() })
		if err := <-ended; err != nil {
			e.Errorf("the listener ended with %v", err)
		}
	}
}

func (e *engine) dial(addr string) net.Conn {
	e.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		e.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// talk writes lines and reads what comes back, until the end.
func talk(c net.Conn, lines []byte, seed uint64) ([]byte, error) {
	defer c.Close()
	rng := rand.New(rand.NewPCG(seed, 2))
	go func() {
		for len(lines) > 0 {
			n := min(len(lines), 1+rng.IntN(200))
			c.Write(lines[:n])
			lines = lines[n:]
			if rng.IntN(4) == 0 {
				time.Sleep(time.Duration(rng.IntN(200)) * time.Microsecond)
			}
		}
		c.(interface{ CloseWrite() error }).CloseWrite()
	}()
	return io.ReadAll(c)
}

// onEngines runs a test on each engine, with one loop and with two.
func onEngines(t *testing.T, cfg conn.Config, run func(e *engine)) {
	for _, r := range rings {
		for _, n := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s/%d loops", r.name, n), func(t *testing.T) { run(newEngine(t, n, r.make, cfg)) })
		}
	}
}

func (e *engine) converse(connect func() net.Conn, conns int) {
	w := &world{T: e.T, rng: rand.New(rand.NewPCG(1, 1))}
	var wg sync.WaitGroup
	for i := range conns {
		lines, want := w.requests()
		c := connect()
		wg.Go(func() {
			got, err := talk(c, lines, uint64(i))
			if err != nil || !bytes.Equal(got, want) {
				e.Errorf("connection %d: %d bytes came back, want %d, error %v", i, len(got), len(want), err)
			}
		})
	}
	wg.Wait()
}

func TestEnginesLines(t *testing.T) {
	onEngines(t, conn.Config{}, func(e *engine) {
		e.converse(func() net.Conn { return e.pair(lines{}) }, 40)
	})
}

func TestEnginesLinesOverTCP(t *testing.T) {
	onEngines(t, conn.Config{}, func(e *engine) {
		addr, stop := e.listen(func() conn.Protocol { return lines{} })
		e.converse(func() net.Conn { return e.dial(addr) }, 40)
		stop()
	})
}

// waiting is lines whose answers come from another goroutine, or a timer.
type waiting struct {
	nothing
	n, end int
	line   []byte
}

func (w *waiting) Data(c *conn.Conn, in []byte) int {
	line, _, found := bytes.Cut(in, []byte("\n"))
	if !found {
		return 0
	}
	c.Hold()
	w.line = bytes.Clone(line)
	if w.n++; w.n%3 == 0 {
		c.SetDeadline(time.Millisecond)
	} else {
		h := c.Handle()
		go h.Loop().Do(func(*conn.Loop) {
			if c := h.Conn(); c != nil {
				w.Timeout(c)
			}
		})
	}
	return len(line) + 1
}

func (w *waiting) Timeout(c *conn.Conn) {
	answer(c, w.line)
	c.Resume()
	w.finish(c)
}

func (w *waiting) EOF(c *conn.Conn) {
	w.end++
	w.finish(c)
}

func (w *waiting) finish(c *conn.Conn) {
	if w.end > 0 && !c.Held() && c.Buffered() == 0 {
		c.Close()
	}
}

func TestEnginesHold(t *testing.T) {
	onEngines(t, conn.Config{InputLimit: 100}, func(e *engine) {
		addr, stop := e.listen(func() conn.Protocol { return &waiting{} })
		e.converse(func() net.Conn { return e.dial(addr) }, 30)
		e.converse(func() net.Conn { return e.pair(&waiting{}) }, 10)
		stop()
	})
}

func TestEnginesFlood(t *testing.T) {
	const total = 3 << 20
	onEngines(t, conn.Config{}, func(e *engine) {
		want := make([]byte, total)
		for i := range want {
			want[i] = floodByte(i)
		}
		addr, stop := e.listen(func() conn.Protocol { return &flood{left: total} })
		var wg sync.WaitGroup
		for range 4 {
			c := e.dial(addr)
			wg.Go(func() {
				defer c.Close()
				c.Write([]byte("chatter"))
				var got bytes.Buffer
				for piece := int64(1); ; piece += 100_000 {
					if _, err := io.CopyN(&got, c, piece); err != nil {
						break
					}
					time.Sleep(time.Millisecond)
				}
				if !bytes.Equal(got.Bytes(), want) {
					e.Errorf("%d of %d bytes arrived, or others", got.Len(), total)
				}
			})
		}
		wg.Wait()
		stop()
	})
}

func TestEnginesWriteTimeout(t *testing.T) {
	onEngines(t, conn.Config{WriteTimeout: 100 * time.Millisecond}, func(e *engine) {
		ended := make(chan error, 1)
		c := e.pair(&hooks{
			open:   func(c *conn.Conn) { c.Write(make([]byte, 8<<20)) },
			closed: func(_ *conn.Conn, err error) { ended <- err },
		})
		defer c.Close()
		start := time.Now()
		if err := <-ended; !errors.Is(err, conn.ErrWriteTimeout) {
			t.Errorf("closed with %v after %v", err, time.Since(start))
		}
	})
}

// Peers that vanish in the middle of everything, and connections that are aborted.
func TestEnginesChurn(t *testing.T) {
	onEngines(t, conn.Config{InputLimit: 1000}, func(e *engine) {
		var opened, closed atomic.Int64
		addr, stop := e.listen(func() conn.Protocol {
			n := opened.Add(1)
			return &hooks{
				open: func(c *conn.Conn) {
					if n%7 == 0 {
						c.SetDeadline(time.Duration(n%5) * time.Millisecond)
					}
				},
				data: func(c *conn.Conn, in []byte) int {
					c.Write(in)
					switch n % 11 {
					case 1:
						c.Close()
					case 2:
						c.CloseLingering()
					case 3:
						c.Abort(nil)
					case 4:
						c.Hold()
						c.SetDeadline(time.Millisecond)
					case 5:
						c.Write(make([]byte, 1<<20))
					}
					return len(in)
				},
				timeout: func(c *conn.Conn) { c.Resume() },
				eof:     func(c *conn.Conn) { c.Close() },
				closed:  func(*conn.Conn, error) { closed.Add(1) },
			}
		})
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 30 {
					c, err := net.Dial("tcp", addr)
					if err != nil {
						t.Error(err)
						return
					}
					c.Write(make([]byte, 1+i*100))
					if (g+i)%3 == 0 {
						c.(*net.TCPConn).SetLinger(0)
					}
					if (g+i)%4 == 0 {
						c.SetReadDeadline(time.Now().Add(2 * time.Millisecond))
						io.Copy(io.Discard, c)
					}
					c.Close()
				}
			})
		}
		wg.Wait()
		stop()
		e.stop()
		if opened.Load() != closed.Load() || opened.Load() == 0 {
			t.Errorf("%d connections opened, %d closed", opened.Load(), closed.Load())
		}
	})
}

func TestEnginesGoexit(t *testing.T) {
	onEngines(t, conn.Config{}, func(e *engine) {
		ended := make(chan error, 1)
		witness := e.pair(lines{})
		defer witness.Close()
		e.next.Add(int64(len(e.loops)) - 1) // the same loop
		victim := e.pair(&hooks{
			data:   func(*conn.Conn, []byte) int { runtime.Goexit(); return 0 },
			closed: func(_ *conn.Conn, err error) { ended <- err },
		})
		defer victim.Close()
		victim.Write([]byte("x"))
		if err := <-ended; !errors.Is(err, conn.ErrAbandoned) {
			t.Errorf("closed with %v", err)
		}
		for range 100 {
			fmt.Fprintln(witness, 5)
			got := make([]byte, 5)
			if _, err := io.ReadFull(witness, got); err != nil || string(got) != strings.Repeat("f", 5) {
				t.Fatalf("received %q, %v", got, err)
			}
		}
	})
}

// The last closes of a loop are carried out although it does not turn any more.
func TestEnginesLastClose(t *testing.T) {
	onEngines(t, conn.Config{}, func(e *engine) {
		for range 2 * len(e.loops) {
			defer e.pair(&hooks{}).Close()
		}
		e.stop() // and the end of the test looks for descriptors that are open
	})
}

// What is no listener ends the listener at once, and says why.
func TestEnginesListenErrors(t *testing.T) {
	onEngines(t, conn.Config{}, func(e *engine) {
		null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		for fd, want := range map[int]error{null: unix.ENOTSOCK, fd: unix.EINVAL, 1 << 20: unix.EBADF} {
			ended := make(chan error, 1)
			e.loops[0].Do(func(l *conn.Loop) {
				l.Listen(fd, conn.ListenerEvents{Closed: func(err error) { ended <- err }})
			})
			if err := <-ended; !errors.Is(err, want) {
				e.Errorf("ended with %v, want %v", err, want)
			}
		}
	})
}
