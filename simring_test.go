package ringkit

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/simring"
)

var (
	oneSeed  = flag.Int64("seed", -1, "run the seeded tests with this seed only")
	numSeeds = flag.Int("seeds", 0, "run the seeded tests with so many seeds")
)

// seeds calls run with many seeds and says how to repeat the one that fails.
func seeds(t *testing.T, n int, run func(t *testing.T, seed uint64)) {
	switch {
	case *numSeeds > 0:
		n = *numSeeds
	case testing.Short():
		n /= 40
	case check.Enabled:
		n /= 8
	}
	first := uint64(0)
	if *oneSeed >= 0 {
		first, n = uint64(*oneSeed), 1
	}
	for seed := first; seed < first+uint64(n) && !t.Failed(); seed++ {
		func() {
			done := false
			defer func() {
				if !done || t.Failed() {
					t.Logf("to repeat: go test . -run '^%s$' -seed %d", t.Name(), seed)
				}
			}()
			run(t, seed)
			done = true
		}()
	}
}

// simulation is a server on a simulated ring.
type simulation struct {
	t   *testing.T
	sim *simring.Ring
	rng *rand.Rand
	w   *worker
	fd  int
	ln  *conn.Listener
}

func simulate(t *testing.T, seed uint64, srv *Server, opts ...simring.Option) *simulation {
	s := &simulation{t: t, sim: simring.New(seed, append(opts, withFiles(seed)...)...), rng: rand.New(rand.NewPCG(seed, 7))}
	srv.newRing = func() (conn.Ring, error) { return s.sim, nil }
	srv.clock = s.sim.Now
	srv.resolve()
	w, err := newWorker(srv)
	if err != nil {
		t.Fatal(err)
	}
	s.w, s.fd = w, s.sim.Listen()
	o := &origin{worker: w, ctx: context.Background()}
	s.ln = w.loop.Listen(s.fd, conn.ListenerEvents{Accepted: func(fd int) { w.loop.Adopt(fd, o) }})
	return s
}

// withFiles gives every other simulated ring a table, which some are too small for all
// connections.
func withFiles(seed uint64) []simring.Option {
	rng := rand.New(rand.NewPCG(seed, 5))
	if rng.IntN(2) == 0 {
		return nil
	}
	return []simring.Option{simring.WithFiles(1 + rng.IntN(20))}
}

// finish drains the server and looks for what it has left behind.
func (s *simulation) finish() {
	s.ln.Close()
	s.w.drain()
	s.w.loop.Quit()
	if err := s.w.loop.Run(); err != nil {
		s.t.Error(err)
	}
	s.sim.Drain()
	if err := s.sim.Leaks(); err != nil {
		s.t.Error(err)
	}
}

// simulatedHandler answers with a description of the request, so that an answer
// that belongs to another request is recognised.
func simulatedHandler() HandlerFunc {
	mux := http.NewServeMux()
	mux.HandleFunc("/std/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.HasSuffix(r.URL.Path, "/flush") {
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, describe(r.Method, r.URL.Path, body))
	})
	return func(x *Exchange) {
		if strings.HasPrefix(x.Path(), "/std/") {
			x.Delegate(mux)
			return
		}
		x.WriteString(describe(x.Method(), x.Path(), x.Body()))
	}
}

func describe(method, path string, body []byte) string {
	s := fmt.Sprintf("%s %s %x\n", method, path, body)
	if strings.Contains(path, "big") {
		s = strings.Repeat(s, 1+200_000/len(s))
	}
	return s
}

// script is what one peer sends, and the answers it is owed.
type script struct {
	peer   *simring.Peer
	sent   bytes.Buffer
	wants  []string
	method []string
	bad    bool // the last request is malformed: a 400 follows the answers
}

func newScript(rng *rand.Rand, number int) *script {
	s := &script{}
	for i := range 1 + rng.IntN(6) {
		s.addRequest(rng, fmt.Sprintf("%d-%d", number, i))
	}
	if s.bad = rng.IntN(4) == 0; s.bad {
		s.sent.WriteString("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nGET /never HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	return s
}

func (s *script) addRequest(rng *rand.Rand, name string) {
	path := []string{"/", "/std/", "/std/flush/", "/big/", "/std/big/"}[rng.IntN(5)] + name
	if strings.HasPrefix(path, "/std/flush/") {
		path += "/flush"
	}
	body := make([]byte, []int{0, 1, 100, 3000}[rng.IntN(4)])
	for i := range body {
		body[i] = byte(rng.Uint32())
	}
	method := "POST"
	if len(body) == 0 {
		method = []string{"GET", "HEAD", "BREW"}[rng.IntN(3)]
	}
	fmt.Fprintf(&s.sent, "%s %s HTTP/1.1\r\nHost: sim\r\n", method, path)
	switch {
	case len(body) == 0:
		s.sent.WriteString("\r\n")
	case rng.IntN(2) == 0:
		fmt.Fprintf(&s.sent, "Content-Length: %d\r\n\r\n%s", len(body), body)
	default:
		k := rng.IntN(len(body))
		fmt.Fprintf(&s.sent, "Transfer-Encoding: chunked\r\n\r\n")
		for _, chunk := range [][]byte{body[:k], body[k:]} {
			if len(chunk) > 0 {
				fmt.Fprintf(&s.sent, "%x\r\n%s\r\n", len(chunk), chunk)
			}
		}
		s.sent.WriteString("0\r\n\r\n")
	}
	want := describe(method, path, body)
	if method == "HEAD" {
		want = ""
	}
	s.wants = append(s.wants, want)
	s.method = append(s.method, method)
}

// verify compares what the peer has received with what it is owed. Where the
// network may break a connection, less is right too, but never anything else.
func (s *script) verify(t *testing.T, mayBreak bool) {
	in := bufio.NewReader(bytes.NewReader(s.peer.Received()))
	for i, want := range s.wants {
		resp, err := http.ReadResponse(in, &http.Request{Method: s.method[i]})
		var got []byte
		if err == nil {
			got, err = io.ReadAll(resp.Body)
		}
		if err != nil {
			if !mayBreak {
				t.Errorf("answer %d of %d: %v", i+1, len(s.wants), err)
			}
			return
		}
		if resp.StatusCode != 200 || string(got) != want {
			t.Errorf("answer %d: status %d, %d bytes %.60q, want %d bytes %.60q", i+1, resp.StatusCode, len(got), got, len(want), want)
			return
		}
	}
	if s.bad {
		resp, err := http.ReadResponse(in, nil)
		if err != nil && !mayBreak {
			t.Errorf("no answer to the malformed request: %v", err)
		}
		if err != nil {
			return
		}
		if resp.StatusCode != 400 {
			t.Errorf("status %d for the malformed request, want 400", resp.StatusCode)
		}
		io.Copy(io.Discard, resp.Body)
	}
	if rest, _ := io.ReadAll(in); len(rest) > 0 {
		t.Errorf("%d bytes nobody asked for: %.60q", len(rest), rest)
	}
}

// Whatever the kernel and the network do, each peer gets the answers to its own
// requests, in their order, and nothing is left behind.
func TestSeedsServer(t *testing.T) {
	seeds(t, 2000, func(t *testing.T, seed uint64) {
		s := simulate(t, seed, &Server{Handler: simulatedHandler(), parking: time.Duration(seed%4) * 5 * time.Millisecond})
		faults := s.sim.Faults()
		faults.Exhaust = 0 // its back-off is conn's to test
		s.sim.SetFaults(faults)
		scripts := make([]*script, 1+s.rng.IntN(5))
		for i := range scripts {
			scripts[i] = s.begin(i)
		}
		s.sim.Until(s.w.loop.Turn, func() bool {
			for _, sc := range scripts {
				if !sc.peer.Over() {
					return false
				}
			}
			return true
		})
		for _, sc := range scripts {
			sc.verify(t, faults.Reset > 0 || faults.AbortAccept > 0)
		}
		s.finish()
	})
}

// begin has a peer send its script in pieces and then end its side.
func (s *simulation) begin(number int) *script {
	sc := newScript(s.rng, number)
	sc.peer = s.sim.Dial(s.fd)
	if s.rng.IntN(3) == 0 {
		sc.peer.ReadSlowly(500+s.rng.IntN(50_000), time.Duration(s.rng.IntN(int(20*time.Millisecond))))
	}
	data, at := sc.sent.Bytes(), time.Duration(0)
	for len(data) > 0 {
		n := 1 + s.rng.IntN(len(data))
		piece := data[:n]
		s.sim.After(at, func() { sc.peer.Write(piece) })
		data = data[n:]
		at += time.Duration(s.rng.IntN(int(20 * time.Millisecond)))
	}
	s.sim.After(at, sc.peer.CloseWrite)
	return sc
}

// Time passes virtually: every timeout of a server is met to the tick, in order.
func TestTimeoutsOnTime(t *testing.T) {
	srv := &Server{Handler: simulatedHandler()}
	s := simulate(t, 1, srv, simring.WithFaults(simring.Faults{}))
	const slack = 50 * time.Millisecond
	for _, c := range []struct {
		name, sent string
		after      time.Duration
		status     int // 0: closed without an answer
	}{
		{"nothing sent", "", DefaultReadHeaderTimeout, 0},
		{"head not finished", "GET / HTTP/1.1\r\nHost: x\r\n", DefaultReadHeaderTimeout, 408},
		{"body not finished", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", DefaultReadTimeout, 408},
		{"idle after an answer", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", DefaultIdleTimeout, 200},
	} {
		p := s.sim.Dial(s.fd)
		p.WriteString(c.sent)
		s.sim.Sleep(c.after-slack, s.w.loop.Turn)
		if p.SawEOF() {
			t.Errorf("%s: closed before %v", c.name, c.after)
		}
		s.sim.Sleep(2*slack, s.w.loop.Turn)
		if !p.SawEOF() {
			t.Errorf("%s: still open after %v", c.name, c.after)
		}
		got := 0
		if len(p.Received()) > 0 {
			fmt.Sscanf(string(p.Received()), "HTTP/1.1 %d", &got)
		}
		if got != c.status {
			t.Errorf("%s: status %d, want %d", c.name, got, c.status)
		}
		p.Close()
		s.sim.Settle(s.w.loop.Turn)
	}
	s.finish()
}
