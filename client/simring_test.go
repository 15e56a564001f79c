package client

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
	"github.com/ringkit/ringkit/internal/simring"
)

var (
	oneSeed  = flag.Int64("seed", -1, "run the seeded tests with this seed only")
	numSeeds = flag.Int("seeds", 0, "run the seeded tests with so many seeds")
)

// world is a transport on a simulated ring, with servers that do what a seed says.
type world struct {
	t   *testing.T
	sim *simring.Ring
	rng *rand.Rand
	tr  *Transport

	asks    []*ask
	arrived map[string]int // complete requests that servers have seen, by path
	kind    bool           // nothing goes wrong: every request has to succeed
	lied    bool           // a server has sent a response it was not asked for
}

// ask is a request of a simulation.
type ask struct {
	w       *world
	path    string
	method  string
	ex      *exchange
	until   time.Time
	results int
	resp    *http.Response
	err     error
	body    []byte
	ended   bool
	lazy    bool // nobody reads the body for a while
}

// slack is how much later than its deadline a request may end: the wheel's tick, and the
// longest delay of the simulation for what the end takes.
const slack = 200 * time.Millisecond

// TestSeeds has servers and a network do all they may do, on purpose or by accident. Each
// request ends exactly once, by its deadline; its response is its own; one that is not
// idempotent reaches servers once at most, others twice; nothing is left behind.
func TestSeeds(t *testing.T) {
	n := 3000
	switch {
	case *numSeeds > 0:
		n = *numSeeds
	case testing.Short():
		n = 200
	}
	first := 0
	if *oneSeed >= 0 {
		first, n = int(*oneSeed), 1
	}
	for seed := first; seed < first+n && !t.Failed(); seed++ {
		simulateSeed(t, uint64(seed))
		if t.Failed() {
			t.Logf("to repeat: go test ./client -run '^TestSeeds$' -seed %d", seed)
		}
	}
}

func simulateSeed(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 3))
	w := &world{t: t, rng: rng, arrived: map[string]int{}, kind: seed%8 == 0}
	faults := simring.Storm(rng)
	if w.kind {
		faults.Reset = 0
	}
	sim := simring.New(seed, simring.WithFaults(faults))
	w.sim = sim
	w.tr = &Transport{
		ResponseHeaderTimeout: w.some(time.Second), ReadTimeout: w.some(time.Second), QueueTimeout: w.some(time.Second),
		IdleConnTimeout: w.some(time.Second), MaxConnsPerHost: rng.IntN(4), MaxConns: rng.IntN(5), MaxQueued: 1 + rng.IntN(30),
		MaxIdleConnsPerHost: 1 + rng.IntN(3), MaxIdleConns: 1 + rng.IntN(3), Pipeline: rng.IntN(4), MaxBodyBytes: 100_000,
		DisableCompression: true,
		hooks: hooks{
			newRing: func() (conn.Ring, error) { return sim, nil }, clock: sim.Now, dial: w.dial, after: w.after, byHand: true,
		},
	}
	if w.kind {
		w.tr.ResponseHeaderTimeout, w.tr.ReadTimeout, w.tr.QueueTimeout, w.tr.MaxQueued = 0, 0, 0, 0
	}
	for i := range 1 + rng.IntN(20) {
		sim.After(w.some(2*time.Second), func() { w.ask(i) })
	}
	loop := func() *conn.Loop {
		w.tr.mu.Lock()
		defer w.tr.mu.Unlock()
		if err := w.tr.begin(); err != nil {
			t.Fatal(err)
		}
		return w.tr.workers[0].loop
	}()
	for range 40 {
		sim.Sleep(100*time.Millisecond+w.some(100*time.Millisecond), loop.Turn)
		w.look()
	}
	w.tr.Close()
	if err := loop.Run(); err != nil {
		t.Error(err)
	}
	w.look()
	for _, a := range w.asks {
		a.check()
	}
	sim.Drain()
	if err := sim.Leaks(); err != nil {
		t.Error(err)
	}
	if s := w.tr.Stats(); s.Conns != 0 || s.Queued != 0 || s.Idle != 0 {
		t.Errorf("left behind: %+v", s)
	}
}

// some returns a duration up to d.
func (w *world) some(d time.Duration) time.Duration { return 1 + time.Duration(w.rng.Int64N(int64(d))) }

func (w *world) one(n int) bool { return w.rng.IntN(n) == 0 }

// bad is one, and false in a kind world.
func (w *world) bad(n int) bool { return w.one(n) && !w.kind }

// after is hooks.after.
func (w *world) after(d time.Duration, f func()) (stop func()) {
	stopped := false
	w.sim.After(d, func() {
		if !stopped {
			f()
		}
	})
	return func() { stopped = true }
}

// dial is hooks.dial: it is called with mu held.
func (w *world) dial(d *dialing) {
	fails, late := w.bad(8), w.some(300*time.Millisecond)
	w.sim.After(late, func() {
		if fails {
			d.failed(opDial, errors.New("refused"))
			return
		}
		fd, peer := w.sim.Pair()
		s := &server{w: w, peer: peer}
		peer.Notify = func(*simring.Peer) { s.read() }
		d.connected(fd, nil)
	})
}

// ask sends a request.
func (w *world) ask(i int) {
	a := &ask{w: w, path: fmt.Sprintf("/%d", i), lazy: w.one(4)}
	a.method = []string{"GET", "GET", "HEAD", "PUT", "POST", "POST", "DELETE"}[w.rng.IntN(7)]
	var body io.Reader
	if a.method == "POST" || a.method == "PUT" {
		body = strings.NewReader(strings.Repeat("b", w.rng.IntN(3000)))
	}
	req, err := http.NewRequest(a.method, fmt.Sprintf("http://host%d%s", w.rng.IntN(2), a.path), body)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Close = w.one(6)
	if a.ex, err = w.tr.newExchange(req); err != nil {
		w.t.Error(err)
		return
	}
	if a.until = w.tr.now().Add(w.some(3 * time.Second)); w.kind {
		a.until = w.tr.now().Add(time.Minute)
	}
	a.ex.until, a.ex.gathers = a.until, w.one(2)
	a.ex.asker = a
	w.asks = append(w.asks, a)
	if w.bad(8) {
		w.sim.After(w.some(time.Second), func() { a.ex.cancel(errors.New("cancelled")) })
	}
	w.tr.submit(a.ex)
}

// done implements asker.
func (a *ask) done(_ *conn.Loop, r result) {
	a.results++
	a.resp, a.err = r.resp, r.err
}

// look reads what has arrived, and sees that nothing is late.
func (w *world) look() {
	for _, a := range w.asks {
		a.read()
		if late := w.tr.now().Sub(a.until); late > slack && !a.ended {
			w.t.Errorf("%s %s has not ended %v after its deadline: %d results, %v; waits %v", a.method, a.path, late, a.results, a.err, a.ex.host != nil)
			if l := a.ex.link; l != nil {
				w.t.Logf("flight %d carries %v over %v closing %v assigned %d held %v inBody %v now-since %v parked %v", len(l.flight), l.carries(a.ex), l.over, l.c.Closing(), l.assigned, l.c.Held(), l.r != nil && l.r.inBody, time.Duration(l.w.loop.Now()-l.since), l.c.Parked())
			}
			a.ended = true
		}
	}
}

// read reads what there is of the body, without waiting.
func (a *ask) read() {
	switch {
	case a.ended:
		return
	case a.err != nil:
		a.ended = true
		return
	case a.resp == nil || a.lazy && !a.w.kind && a.w.tr.now().Before(a.until.Add(-time.Second)):
		return
	case a.resp.Body == http.NoBody:
		a.ended = true
		return
	case len(a.body) > 0 && a.w.bad(20):
		a.resp.Body.Close()
		a.ended = true
		a.err = http.ErrBodyReadAfterClose
		return
	}
	b := &a.ex.body
	for {
		b.mu.Lock()
		waits := b.at == len(b.buf) && b.err == nil
		b.mu.Unlock()
		if waits {
			return
		}
		p := make([]byte, 1+a.w.rng.IntN(50_000))
		n, err := b.Read(p)
		a.body = append(a.body, p[:n]...)
		if err != nil {
			a.ended = true
			if err != io.EOF {
				a.err = err
			}
			return
		}
	}
}

// check says what must be true of every request in the end.
func (a *ask) check() {
	w := a.w
	t, n := w.t, w.arrived[a.path]
	if a.results != 1 {
		t.Errorf("%s %s has %d results", a.method, a.path, a.results)
	}
	if w.kind && a.err != nil {
		t.Errorf("%s %s has failed in a kind world: %v", a.method, a.path, a.err)
	}
	most := 2
	if !idempotent(http1.MethodOf(a.method)) {
		most = 1
	}
	if n > most {
		t.Errorf("%s %s has reached servers %d times", a.method, a.path, n)
	}
	if a.err == nil && a.resp != nil && a.resp.Header.Get("For") == "nobody" && w.lied {
		// What a server sends that was not asked for cannot be told from the answer to
		// a request that was sent meanwhile.
		return
	}
	if a.err == nil && a.resp != nil {
		want := describe(a.method, a.path)
		if a.resp.Header.Get("For") != a.method+" "+a.path || a.method != "HEAD" && a.resp.StatusCode == 200 && !bytes.Equal(a.body, want) {
			t.Errorf("%s %s has %v and %.50q (%d bytes), want %d", a.method, a.path, a.resp.Header, a.body, len(a.body), len(want))
		}
		if n == 0 {
			t.Errorf("%s %s has a response and was not sent", a.method, a.path)
		}
	}
}

// describe is the body of the response to a request.
func describe(method, path string) []byte {
	line := method + " " + path + "\n"
	return bytes.Repeat([]byte(line), 1+len(path)*len(path)*len(path)*80)
}

// server is the other end of a simulated connection.
type server struct {
	w    *world
	peer *simring.Peer
	in   []byte
	req  http1.Request
	body http1.Body
	head bool
	path string
	verb string
	busy bool // answers the last request
	over bool
}

// read takes what has been received.
func (s *server) read() {
	s.in = append(s.in, s.peer.Take()...)
	if !s.busy {
		s.next()
	}
	if s.peer.SawEOF() && !s.over {
		s.over = true
		s.peer.Close()
	}
}

// next takes the next request.
func (s *server) next() {
	if s.over || !s.head && len(s.in) == 0 {
		return
	}
	limits := (&http1.Limits{}).Resolve()
	if !s.head {
		n, err := s.req.Parse(s.in, &limits)
		if err != nil {
			s.w.t.Errorf("a server received %q: %v", s.in, err)
			s.over = true
			return
		}
		if n == 0 {
			return
		}
		s.path, s.verb = string(s.req.RawPath()), string(s.req.Method())
		if err := s.body.Init(&s.req, &limits); err != nil {
			s.w.t.Error(err)
		}
		s.in, s.head = s.in[n:], true
		if s.w.bad(20) {
			s.misbehave() // before it has the body
			return
		}
	}
	for !s.body.Done() {
		_, n, done, err := s.body.Next(s.in)
		if err != nil {
			s.w.t.Errorf("a server received %q: %v", s.in, err)
			s.over = true
			return
		}
		if s.in = s.in[n:]; n == 0 && !done {
			return
		}
	}
	s.w.arrived[s.path]++
	s.head = false
	s.req.Reset()
	s.busy = true
	if s.w.bad(6) {
		s.misbehave()
		return
	}
	s.w.sim.After(s.w.some(200*time.Millisecond), s.answer)
}

// misbehave does something a server should not do.
func (s *server) misbehave() {
	s.over = true
	w := s.w
	switch w.rng.IntN(7) {
	case 0:
		s.peer.Close()
	case 1:
		s.peer.Reset()
	case 2: // says nothing
	case 3:
		s.peer.CloseWrite()
	case 4:
		s.peer.WriteString("HTTP/1.1 20")
		if w.one(2) {
			w.sim.After(w.some(time.Second), s.peer.Close)
		}
	case 5:
		s.peer.WriteString("nonsense\r\n\r\n")
	case 6:
		all := s.response()
		s.peer.Write(all[:w.rng.IntN(len(all))])
		if w.one(2) {
			w.sim.After(w.some(time.Second), s.peer.Reset)
		}
	}
}

// response returns a whole response with a length.
func (s *server) response() []byte {
	body := describe(s.verb, s.path)
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nFor: %s %s\r\nContent-Length: %d\r\n\r\n", s.verb, s.path, len(body))
	if s.verb == "HEAD" {
		body = nil
	}
	return append([]byte(head), body...)
}

// answer answers the request, in one of many ways.
func (s *server) answer() {
	w, p := s.w, s.peer
	body := describe(s.verb, s.path)
	id := fmt.Sprintf("For: %s %s\r\n", s.verb, s.path)
	for w.one(3) {
		p.WriteString("HTTP/1.1 103 Early Hints\r\nFor: nobody\r\n\r\n")
	}
	last := false
	switch how := w.rng.IntN(5); {
	case how == 0:
		p.WriteString("HTTP/1.1 204 No Content\r\n" + id + "\r\n")
	case how == 1 && s.verb != "HEAD":
		out := []byte("HTTP/1.1 200 OK\r\n" + id + "Transfer-Encoding: chunked\r\n\r\n")
		for rest := body; len(rest) > 0; {
			n := 1 + w.rng.IntN(len(rest))
			out = http1.AppendChunk(out, rest[:n])
			rest = rest[n:]
		}
		p.Write(http1.AppendLastChunk(out))
	case how == 2 && s.verb != "HEAD":
		p.Write(append([]byte("HTTP/1.1 200 OK\r\n"+id+"\r\n"), body...))
		last = true
	case how == 3:
		all := bytes.Replace(s.response(), []byte("\r\n\r\n"), []byte("\r\nConnection: close\r\n\r\n"), 1)
		p.Write(all)
		last = true
	default:
		p.Write(s.response())
		if w.bad(10) {
			p.WriteString("HTTP/1.1 200 OK\r\nFor: nobody\r\nContent-Length: 0\r\n\r\n")
			w.lied, last = true, true
		}
	}
	if last || w.bad(6) {
		s.over = true
		p.CloseWrite()
		return
	}
	s.busy = false
	s.next()
}
