package ringkit

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var soakFor = flag.Duration("soak", 0, "run TestSoak for so long on each engine, for example 3m; with -v it tells how it gets on")

const (
	soakWorkers = 6 // of each sort, for each server

	// soakGrowth is by how much the memory of the process may grow after the first
	// third of a soak: stacks and heap spans that are kept, not what connections leave.
	soakGrowth = 16 << 20
)

// soak is servers with good and bad clients.
type soak struct {
	testing.TB
	sites []*site
	stop  chan struct{}
	all   sync.WaitGroup

	answers, attacks, resets, hijacks atomic.Int64
}

// All adversaries and good clients at the same time, for as long as one likes. In the
// end descriptors, goroutines and memory are back where they were when it had warmed
// up; the good clients have got the right answers all the time.
func TestSoak(t *testing.T) {
	takesLong(t)
	d := *soakFor
	if d == 0 {
		d = 10 * tick
	}
	eachKind(t, func(t *testing.T, e engine) {
		k := &soak{TB: t}
		for _, h := range []http.Handler{HandlerFunc(soakNative), soakStandard()} {
			s := serve(t, e, &Server{
				Handler: h, Loops: 2, MaxBodyBytes: 1 << 20,
				ReadHeaderTimeout: 20 * tick, ReadTimeout: 20 * tick, IdleTimeout: 20 * tick, WriteTimeout: 20 * tick, lookAfter: tick,
			})
			s.listening(1)
			k.sites = append(k.sites, s)
		}
		warm := k.run(d / 3)
		after := k.run(d - d/3)
		t.Logf("warm: %v; after: %v", warm, after)
		if after.goroutines > warm.goroutines+2*len(k.sites) || after.descriptors > warm.descriptors {
			t.Errorf("warm: %v; after: %v", warm, after)
		}
		if *soakFor > 0 && !checksEnabled && after.memory > warm.memory+soakGrowth {
			t.Errorf("memory grew by %d KiB", (after.memory-warm.memory)>>10)
		}
		// And stopped in the middle of it.
		k.start()
		time.Sleep(tick)
		for _, s := range k.sites {
			ctx, cancel := context.WithTimeout(t.Context(), tick)
			s.Shutdown(ctx) // in time or not
			cancel()
			within(t, "Close", func() { s.Close() })
		}
		k.end()
	})
}

// footing is what a process has.
type footing struct{ goroutines, descriptors, memory int }

func (f footing) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d KiB", f.goroutines, f.descriptors, f.memory>>10)
}

// run soaks for a time, and returns what is there when all clients are gone.
func (k *soak) run(d time.Duration) footing {
	k.Helper()
	k.start()
	end := time.After(d)
	for began, over := time.Now(), false; !over; {
		select {
		case <-end:
			over = true
		case <-time.After(10 * time.Second):
			k.Logf("%3.0f s: %d answers, %d attacks, %d resets, %d hijacks; %d goroutines, %d KiB", time.Since(began).Seconds(),
				k.answers.Load(), k.attacks.Load(), k.resets.Load(), k.hijacks.Load(), runtime.NumGoroutine(), memoryOf(k)>>10)
		}
	}
	k.end()
	for _, s := range k.sites {
		if !eventually(func() bool { st := s.Stats(); return st.Conns+st.Running+st.Queued == 0 }) {
			k.Errorf("left behind: %+v", s.Stats())
		}
	}
	return footing{runtime.NumGoroutine(), len(openFiles(k)), resident(k)}
}

func (k *soak) start() {
	k.stop = make(chan struct{})
	for _, s := range k.sites {
		native := s.native != nil
		for range soakWorkers {
			k.worker(func() { k.good(s) })
			k.worker(func() { k.bad(s, native) })
			k.worker(func() { k.reset(s) })
		}
	}
}

func (k *soak) end() {
	close(k.stop)
	within(k, "the end of all clients", k.all.Wait)
}

func (k *soak) stopped() bool {
	select {
	case <-k.stop:
		return true
	default:
		return false
	}
}

// worker does something again and again.
func (k *soak) worker(f func()) {
	k.all.Go(func() {
		for !k.stopped() {
			f()
		}
	})
}

// pauseFor waits, unless it is over before.
func (k *soak) pauseFor(d time.Duration) {
	select {
	case <-k.stop:
	case <-time.After(d):
	}
}

// soakExchange is a request with the answer to it.
type soakExchange struct{ request, body string }

// exchange makes one up.
func exchange() soakExchange {
	n := rand.IntN(200_000)
	if rand.IntN(3) > 0 {
		n %= 2000
	}
	switch rand.IntN(6) {
	case 0:
		return soakExchange{ask("POST", "/body", withLength(n)) + pattern(n), fmt.Sprint(n)}
	case 1:
		return soakExchange{ask("POST", "/body", withChunks) + inChunks(pattern(n), 1+n/3) + chunk(""), fmt.Sprint(n)}
	case 2:
		return soakExchange{ask("GET", fmt.Sprint("/part/", n)), pattern(n)}
	case 3:
		return soakExchange{ask("GET", "/block"), "ok"}
	}
	return soakExchange{smallRequest, "ok"}
}

// good is a connection of a good client: one request at a time or several, and in the
// end perhaps a hijack.
func (k *soak) good(s *site) {
	last := time.Now()
	p, err := dialPeer(k, "tcp", s.addr, 0)
	if err != nil {
		k.failed(s, "dial", err)
		return
	}
	defer p.Close()
	for range 1 + rand.IntN(20) {
		began := time.Now()
		var batch []soakExchange
		for range 1 + rand.IntN(2)*rand.IntN(16) {
			batch = append(batch, exchange())
		}
		var sent sync.WaitGroup
		sent.Go(func() {
			for _, x := range batch {
				io.WriteString(p, x.request)
			}
		})
		for i, x := range batch {
			a, err := readAnswer(p.r, "GET")
			if err == nil && a.status == 200 && a.body == x.body {
				k.answers.Add(1)
				continue
			}
			if time.Since(last) < 19*tick { // otherwise the server may have given it up
				k.failed(s, fmt.Sprintf("answer %d of %d to %q: %+v", i, len(batch), short(x.request), a), err)
			}
			p.Close()
			sent.Wait()
			return
		}
		sent.Wait()
		last = began
		if k.stopped() {
			return
		}
	}
	if s.native == nil && rand.IntN(4) == 0 {
		k.hijack(s, p)
	}
}

func (k *soak) hijack(s *site, p *peer) {
	io.WriteString(p, ask("GET", "/hijack")+"early")
	want := pattern(1 + rand.IntN(100_000))
	go io.WriteString(p, want)
	got := make([]byte, len("early")+len(want))
	if _, err := io.ReadFull(p.r, got); err != nil || string(got) != "early"+want {
		k.failed(s, "hijacked: "+short(string(got)), err)
	}
	k.hijacks.Add(1)
}

// failed reports what went wrong, unless the server may have been stopped.
func (k *soak) failed(s *site, what string, err error) {
	if !s.stopping.Load() {
		k.Errorf("%s: %v", what, err)
	}
}

// bad is a client that plays an adversary for a while.
func (k *soak) bad(s *site, native bool) {
	all := adversaries()
	a := all[rand.IntN(len(all))]
	b := &badClient{native: native}
	window := 0
	if a.window {
		window = 16 << 10
	}
	var err error
	if b.peer, err = dialPeer(k, "tcp", s.addr, window); err != nil {
		k.failed(s, "dial", err)
		return
	}
	k.attacks.Add(1)
	over := make(chan struct{})
	go func() {
		defer close(over)
		a.play(b)
	}()
	select {
	case <-over:
	case <-k.stop:
	case <-time.After(rand.N(4 * tick)):
	}
	if rand.IntN(2) == 0 {
		b.reset()
	}
	b.Close()
	<-over
	b.aside.Wait()
}

// reset is a client that is reset in the middle of something.
func (k *soak) reset(s *site) {
	p, err := dialPeer(k, "tcp", s.addr, 0)
	if err != nil {
		k.failed(s, "dial", err)
		return
	}
	var in strings.Builder
	for range 1 + rand.IntN(4) {
		in.WriteString(exchange().request)
		if rand.IntN(4) == 0 {
			in.WriteString(ask("GET", []string{"/huge", "/wait", "/hijack", "/stream"}[rand.IntN(4)]))
		}
	}
	p.SetDeadline(time.Now().Add(tick))
	io.WriteString(p, in.String()[:rand.IntN(in.Len()+1)])
	switch rand.IntN(4) {
	case 0:
		k.pauseFor(rand.N(tick / 4))
	case 1:
		io.CopyN(io.Discard, p.r, rand.Int64N(100_000))
	}
	p.reset()
	k.resets.Add(1)
}

func soakNative(x *Exchange) {
	switch path := x.Path(); {
	case strings.HasPrefix(path, "/part/"):
		var n int
		fmt.Sscan(path[len("/part/"):], &n)
		x.WriteString(pattern(n))
	case path == "/block":
		time.Sleep(rand.N(5 * time.Millisecond))
		x.WriteString("ok")
	case path == "/wait" || path == "/hijack" || path == "/stream":
		x.Delegate(soakStandard())
	default:
		hostNative(x)
	}
}

var soakStandard = sync.OnceValue(func() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", hostStandard)
	mux.HandleFunc("/part/{n}", func(w http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscan(r.PathValue("n"), &n)
		io.WriteString(w, pattern(n))
	})
	mux.HandleFunc("/block", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(rand.N(5 * time.Millisecond))
		io.WriteString(w, "ok")
	})
	mux.HandleFunc("/wait", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		for range 100 {
			io.WriteString(w, "a piece\n")
			flush(w)
		}
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/hijack", func(w http.ResponseWriter, r *http.Request) {
		c, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.Copy(c, buffered)
	})
	return mux
})
