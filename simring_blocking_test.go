package ringkit

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/simring"
)

var blockFor = flag.Duration("blockfor", 5*time.Second, "how long TestSeedsBlocking may take at most")

// Handlers block in real time on a loop whose kernel, network and clock are simulated.
// Whoever leads the loop, each peer gets the answers to its own requests in their
// order, and nothing is left behind.
//
// A seed determines what the peers, the network and the handlers want to do, but not
// when the lead is taken away: a failure may need its seed to run more than once.
func TestSeedsBlocking(t *testing.T) {
	const together = 8 // they wait most of the time
	start := time.Now()
	var ran, taken, left, predicted atomic.Uint64
	var busy sync.WaitGroup
	places := make(chan struct{}, together)
	seeds(t, 8000, func(t *testing.T, seed uint64) {
		if time.Since(start) > *blockFor && *oneSeed < 0 && *numSeeds == 0 {
			return
		}
		places <- struct{}{}
		busy.Go(func() {
			defer func() { <-places }()
			stats := runBlocking(t, seed)
			ran.Add(1)
			taken.Add(stats.Takeovers)
			left.Add(stats.Released)
			predicted.Add(stats.Predicted)
		})
	})
	busy.Wait()
	t.Logf("%d seeds: the lead was taken %d times and given away %d times, %d calls were predicted to block",
		ran.Load(), taken.Load(), left.Load(), predicted.Load())
	if ran.Load() >= 100 && (taken.Load() == 0 || left.Load() == 0 || predicted.Load() == 0) {
		t.Error("not everything has been tried")
	}
}

// runBlocking runs one seed on a loop of its own.
func runBlocking(t *testing.T, seed uint64) Stats {
	b := newBlocker(seed)
	b.most, b.often = 3*time.Millisecond, 0.4
	srv := &Server{
		// Virtual time passes at once while handlers block in real time.
		ReadHeaderTimeout: -1, ReadTimeout: -1, WriteTimeout: -1, IdleTimeout: -1,
		Handler: simulatedHandler(),
	}
	if seed%2 == 0 {
		srv.Handler = streamingHandler()
	}
	b.forget = srv.predict.forget
	var handlers atomic.Int32
	srv.Handler = counted(&handlers, b.wrap(srv.Handler))
	s := simulate(t, seed, srv, simring.WithBlocking())
	srv.workers = []*worker{s.w}
	faults := s.sim.Faults()
	faults.Exhaust = 0 // its back-off is conn's to test
	s.sim.SetFaults(faults)
	over := make(chan *simring.Peer, 64)
	scripts := make([]*script, 1+s.rng.IntN(6))
	resets := make([]bool, len(scripts))
	for i := range scripts {
		sc := s.begin(i)
		scripts[i] = sc
		told := false
		tell := func(p *simring.Peer) {
			if p.Over() && !told {
				told = true
				over <- p
			}
		}
		sc.peer.Notify = tell
		if resets[i] = s.rng.IntN(5) == 0; resets[i] {
			s.sim.After(time.Duration(s.rng.IntN(int(50*time.Millisecond))), func() {
				sc.peer.Reset()
				tell(sc.peer)
			})
		}
	}
	go srv.run(0, s.w)
	fail := func(what string) {
		panic(fmt.Sprintf("seed %d: waited %v for %s", seed, patience, what))
	}
	for i := range scripts {
		select {
		case <-over:
		case <-time.After(patience):
			fail(fmt.Sprintf("peer %d of %d to be over", i+1, len(scripts)))
		}
	}
	s.w.loop.Do(func(l *conn.Loop) {
		s.ln.Close()
		s.w.drain()
		l.Quit()
	})
	select {
	case <-s.w.loop.Done():
	case <-time.After(patience):
		fail("the end of the loop")
	}
	if !eventually(func() bool { return handlers.Load() == 0 && srv.Stats().Running == 0 }) {
		fail("the end of the handlers")
	}
	failed := t.Failed()
	if err := s.w.loop.Err(); err != nil {
		t.Error(err)
	}
	s.sim.Drain()
	if err := s.sim.Leaks(); err != nil {
		t.Error(err)
	}
	for i, sc := range scripts {
		sc.verify(t, resets[i] || faults.Reset > 0 || faults.AbortAccept > 0)
	}
	stats := srv.Stats()
	if stats.Queued != 0 || stats.Conns != 0 {
		t.Errorf("at the end: %+v", stats)
	}
	if t.Failed() && !failed {
		t.Logf("it was seed %d", seed)
	}
	return stats
}

// streamingHandler answers like simulatedHandler. As it is not a native handler, it
// gets bodies in chunks while they arrive.
func streamingHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the peer is gone
		}
		text := describe(r.Method, r.URL.Path, body)
		half := len(text) / 2
		io.WriteString(w, text[:half])
		if len(r.URL.Path)%2 == 0 {
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, text[half:])
	})
}

// counted returns a handler that counts how many of it are running.
func counted(running *atomic.Int32, h http.Handler) http.Handler {
	if native, ok := h.(HandlerFunc); ok {
		return HandlerFunc(func(x *Exchange) {
			running.Add(1)
			defer running.Add(-1)
			native(x)
			if x.delegate != nil {
				x.delegate = counted(running, x.delegate)
			}
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		defer running.Add(-1)
		h.ServeHTTP(w, r)
	})
}
