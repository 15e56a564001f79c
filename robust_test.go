package ringkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
)

// lateness is how much later than it should something may happen on a machine that
// has other things to do. It is less than the timeouts that a Server has by default.
var lateness = 8 * time.Second * timeScale()

// Timeouts of the servers that adversaries play against.
var (
	shortHeader = 4 * tick
	shortRead   = 4 * tick
	shortIdle   = 4 * tick
	shortWrite  = 4 * tick
)

// besieged is a server of one loop for adversaries, with handlers of one kind.
func besieged(t testing.TB, e engine, h http.Handler) *site {
	s := serve(t, e, &Server{
		Handler: h, Loops: 1, MaxBodyBytes: 1 << 20,
		ReadHeaderTimeout: shortHeader, ReadTimeout: shortRead, IdleTimeout: shortIdle, WriteTimeout: shortWrite,
	})
	s.listening(1)
	return s
}

// hugePart is how much a request for /huge gets at a time, of which there are hugeParts.
const (
	hugePart  = 1 << 20
	hugeParts = 1024
)

// hostNative and hostStandard answer alike. A client that wants a GiB asks a native
// handler for hugePart many times, a standard handler once.
func hostNative(x *Exchange) {
	switch x.Path() {
	case "/huge":
		x.WriteString(numberedLines())
	case "/body":
		fmt.Fprint(x, len(x.Body()))
	default:
		x.WriteString("ok")
	}
}

func hostStandard(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/huge":
		for range hugeParts {
			if _, err := io.WriteString(w, numberedLines()); err != nil {
				return
			}
		}
	case "/body":
		n, err := io.Copy(io.Discard, r.Body)
		tooLong := new(http.MaxBytesError)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			http.Error(w, "late", http.StatusRequestTimeout)
		case errors.As(err, &tooLong):
			http.Error(w, "too long", http.StatusRequestEntityTooLarge)
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadRequest)
		default:
			fmt.Fprint(w, n)
		}
	default:
		io.WriteString(w, "ok")
	}
}

var besiegedKinds = []struct {
	name    string
	handler http.Handler
}{
	{"native", HandlerFunc(hostNative)},
	{"standard", http.HandlerFunc(hostStandard)},
}

// badClient is a client that plays an adversary. Its methods fail in silence: the
// server may end the connection at any time.
type badClient struct {
	*peer
	native bool // what answers
	aside  sync.WaitGroup
}

func (b *badClient) say(s string) bool {
	_, err := io.WriteString(b, s)
	return err == nil
}

// again says something again and again, until that fails.
func (b *badClient) again(s string, pause time.Duration) {
	b.aside.Go(func() {
		for b.say(s) {
			time.Sleep(pause)
		}
	})
}

// hear reads answers until the connection ends, and returns their status codes and
// how it ended.
func (b *badClient) hear() string {
	var heard []string
	for {
		a, err := readAnswer(b.r, "GET")
		if err == nil {
			heard = append(heard, fmt.Sprint(a.status))
			continue
		}
		switch {
		case err == io.EOF:
			heard = append(heard, "end")
		case errors.Is(err, syscall.ECONNRESET):
			heard = append(heard, "reset")
		default:
			heard = append(heard, err.Error())
		}
		return strings.Join(heard, " ")
	}
}

// crowd is some clients that play the same adversary against the same server.
type crowd struct {
	*site
	name    string
	what    *adversary
	clients []*badClient
	heard   chan string
	began   time.Time
	took    time.Duration // until the server had got rid of them
}

const crowdSize = 4

// attack starts a crowd for each of the adversaries, with a server of its own for each
// kind of handler.
func attack(t *testing.T, e engine, all []adversary) (crowds []*crowd) {
	for i := range all {
		for _, h := range besiegedKinds {
			c := &crowd{
				site: besieged(t, e, h.handler), name: all[i].name + ", " + h.name, what: &all[i],
				heard: make(chan string, crowdSize),
			}
			for range crowdSize {
				c.clients = append(c.clients, &badClient{native: h.name == "native"})
			}
			crowds = append(crowds, c)
		}
	}
	for _, c := range crowds {
		c.began = time.Now()
		var connected sync.WaitGroup
		for _, b := range c.clients {
			connected.Add(1)
			go func() {
				err := b.dial(c)
				connected.Done()
				if err != nil {
					c.Errorf("%s: %v", c.name, err)
					return
				}
				c.heard <- c.what.play(b)
			}()
		}
		connected.Wait()
	}
	return crowds
}

func (b *badClient) dial(c *crowd) (err error) {
	window := 0
	if c.what.window {
		window = 16 << 10
	}
	b.peer, err = dialPeer(c.TB, "tcp", c.addr, window)
	return err
}

// leave ends the clients of a crowd.
func (c *crowd) leave() {
	for _, b := range c.clients {
		if b.peer != nil {
			b.Close()
		}
	}
	for _, b := range c.clients {
		b.aside.Wait()
	}
}

// ended waits until only others are left of the connections, and all handlers are over.
func (c *crowd) ended(others int) {
	ok := eventually(func() bool { return c.conns() <= others && c.Stats().Running == 0 })
	c.took = time.Since(c.began)
	if !ok {
		c.Errorf("%s: %d connections and %+v are left", c.name, c.conns(), c.Stats())
	}
}

// bounded checks what connections keep in memory.
func (c *crowd) bounded(stop <-chan struct{}) {
	// Of output a handler's last piece may join what is just below the limit, of
	// input what is on its way when receiving stops: at most what fills the buffers
	// of a ring, and once more until the kernel is told.
	const (
		mostOut = outputHigh + hugePart + 1<<10
		mostIn  = conn.DefaultInputLimit + 2*256*16<<10
	)
	var out, in int
	for {
		select {
		case <-stop:
			if out > mostOut || in > mostIn {
				c.Errorf("%s: a connection kept %d bytes of output and %d of input", c.name, out, in)
			}
			return
		case <-time.After(tick / 10):
		}
		c.workers[0].loop.Do(func(l *conn.Loop) {
			l.Each(func(cn *conn.Conn) { out, in = max(out, cn.Queued()), max(in, cn.Buffered()) })
		})
		done := make(chan struct{})
		c.workers[0].loop.Do(func(*conn.Loop) { close(done) })
		select {
		case <-done:
		case <-c.workers[0].loop.Done():
		}
	}
}

// beside is a good client of a besieged server: it is always answered, and soon. Only
// when it has kept the server waiting itself, its connection may have ended.
func (s *site) beside(name string, stop <-chan struct{}) {
	slowest := time.Duration(0)
	for over := false; !over; {
		last := time.Now() // when it began to do something
		p, err := dialPeer(s.TB, "tcp", s.addr, 0)
		if err != nil {
			s.Errorf("beside %s: %v", name, err)
			return
		}
		for !over {
			began := time.Now()
			io.WriteString(p, smallRequest)
			a, err := readAnswer(p.r, "GET")
			if err != nil && a == nil && time.Since(last) > min(shortIdle, shortHeader)-tick/4 {
				break
			}
			if err != nil || a.status != 200 || a.body != "ok" {
				s.Errorf("beside %s: %+v, %v", name, a, err)
				over = true
			}
			last = began
			slowest = max(slowest, time.Since(began))
			select {
			case <-stop:
				over = true
			case <-time.After(tick / 8):
			}
		}
		p.Close()
	}
	if slowest > lateness {
		s.Errorf("beside %s: an answer took %v", name, slowest)
	}
}

// ownGoroutines returns how many goroutines belong to servers: not those that are
// there for each server anyway, but those that run handlers or lead loops instead of
// others.
func ownGoroutines(buf []byte) (n int) {
	stacks := buf[:runtime.Stack(buf, true)]
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if ownGoroutine.MatchString(stack) {
			n++
		}
	}
	return n
}

var ownGoroutine = regexp.MustCompile(`\.runAway\(|conn\.\(\*Loop\)\.(substitute|comeBack)\(`)

// Whatever adversaries do, each is ended in time, with the answer it deserves; the
// memory they take is bounded, those who are just slow take no goroutine, and good
// clients are served all the while.
func TestAdversaries(t *testing.T) {
	takesLong(t)
	eachKind(t, func(t *testing.T, e engine) {
		for _, g := range []group{slow, slowWithHandler, greedy} {
			t.Run(g.String(), func(t *testing.T) { fight(t, e, g) })
		}
	})
}

func takesLong(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a while")
	}
}

func fight(t *testing.T, e engine, g group) {
	var chosen []adversary
	for _, a := range adversaries() {
		if a.group == g {
			chosen = append(chosen, a)
		}
	}
	crowds := attack(t, e, chosen)
	stop := make(chan struct{})
	var others, fights sync.WaitGroup
	var most atomic.Int64 // goroutines
	for _, c := range crowds {
		others.Go(func() { c.beside(c.name, stop) })
		others.Go(func() { c.bounded(stop) })
		fights.Go(func() {
			heard := c.listen()
			c.ended(1)
			for _, h := range heard {
				c.judge(h)
			}
			c.leave()
		})
	}
	others.Go(func() {
		buf := make([]byte, 8<<20)
		for {
			select {
			case <-stop:
				return
			case <-time.After(tick): // it stops the world
				most.Store(max(most.Load(), int64(ownGoroutines(buf))))
			}
		}
	})
	within(t, "the end of all adversaries", fights.Wait)
	close(stop)
	others.Wait()
	// A good client may be found on a goroutine, too.
	if n := most.Load(); g == slow && n > int64(len(crowds)+crowdSize/2) {
		t.Errorf("%d goroutines run for %d clients", n, len(crowds)*crowdSize)
	}
}

// listen returns what the clients of a crowd have heard in the end. Where they do not
// listen, it waits until they are there, or may be gone again.
func (c *crowd) listen() (heard []string) {
	if c.what.hears == "" {
		for end := time.Now().Add(4 * tick); c.conns() < crowdSize && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		return []string{""}
	}
	for range c.clients {
		select {
		case h := <-c.heard:
			heard = append(heard, h)
		case <-time.After(patience):
			c.Errorf("%s: has not heard the end", c.name)
		}
	}
	return heard
}

// judge checks how a client was treated.
func (c *crowd) judge(heard string) {
	a := c.what
	if a.hears != "" && !regexp.MustCompile("^(?:"+a.hears+")$").MatchString(heard) {
		c.Errorf("%s: heard %q, want %q", c.name, heard, a.hears)
	}
	if least := a.after - 20*time.Millisecond; c.took < least || c.took > a.until+lateness {
		c.Errorf("%s: ended after %v, want %v to %v", c.name, c.took, a.after, a.until)
	}
}

// A server that is shut down in the middle of it all ends when the last adversary is
// out of time.
func TestShutdownAmongAdversaries(t *testing.T) {
	takesLong(t)
	eachKind(t, func(t *testing.T, e engine) {
		var ends sync.WaitGroup
		for _, c := range attack(t, e, adversaries()) {
			ends.Go(func() {
				<-time.After(tick)
				ctx, cancel := context.WithTimeout(t.Context(), max(c.what.until, shortWrite)+2*lateness)
				defer cancel()
				if err := c.Shutdown(ctx); err != nil {
					t.Errorf("%s: Shutdown = %v with %d connections, %+v", c.name, err, c.conns(), c.Stats())
				}
				c.ended(0)
				c.leave()
			})
		}
		within(t, "the end of all servers", ends.Wait)
	})
}

// Close ends all of them at once, when a Shutdown has not had the time.
func TestCloseAmongAdversaries(t *testing.T) {
	takesLong(t)
	eachKind(t, func(t *testing.T, e engine) {
		var ends sync.WaitGroup
		for i, c := range attack(t, e, adversaries()) {
			ends.Go(func() {
				<-time.After(time.Duration(i%8) * tick / 4)
				ctx, cancel := context.WithTimeout(t.Context(), tick/10)
				defer cancel()
				if err := c.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: Shutdown = %v", c.name, err)
				}
				began := time.Now()
				if err := c.Close(); err != nil {
					t.Errorf("%s: Close = %v", c.name, err)
				}
				if took := time.Since(began); took > lateness {
					t.Errorf("%s: Close took %v", c.name, took)
				}
				c.ended(0)
				c.leave()
			})
		}
		within(t, "the end of all servers", ends.Wait)
	})
}
