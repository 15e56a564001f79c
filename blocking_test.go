package ringkit

import (
	"bufio"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// blocker makes handlers block at random points for random times: before and after
// they run, and around what they do with the answer and the body.
type blocker struct {
	seed   uint64
	most   time.Duration
	often  float64 // probability around a handler; a fourth of it within
	forget func()  // what has been learned about routes, so that they go on to be run inline

	mu  sync.Mutex
	rng *rand.Rand
}

func newBlocker(seed uint64) *blocker {
	return &blocker{
		seed:   seed,
		most:   5 * time.Millisecond,
		often:  0.2,
		forget: func() {},
		rng:    rand.New(rand.NewPCG(seed, 5)),
	}
}

// block wraps the handler of a server that has not been started. When the test fails
// it says which seed there was.
func block(t testing.TB, srv *Server) {
	seed := rand.Uint64N(1 << 32)
	if *oneSeed >= 0 {
		seed = uint64(*oneSeed)
	}
	b := newBlocker(seed)
	b.forget = srv.predict.forget
	srv.Handler = b.wrap(srv.Handler)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("handlers blocked with -seed %d", seed)
		}
	})
}

// forget makes the predictor what it was at first.
func (p *predictor) forget() {
	for i := range p.counters {
		c := &p.counters[i]
		c.strikes.Store(0)
		if c.left.Swap(0) > 0 {
			p.blocking.Add(-1)
		}
	}
}

func (b *blocker) draw() (p float64, kind int, d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rng.Float64(), b.rng.IntN(8), time.Duration(b.rng.Int64N(int64(b.most)))
}

// around blocks before or after a handler, within between two steps of it.
func (b *blocker) around() { b.pause(b.often) }
func (b *blocker) within() { b.pause(b.often / 4) }

func (b *blocker) pause(often float64) {
	p, kind, d := b.draw()
	if p >= often {
		return
	}
	switch kind {
	case 0, 1, 2:
		time.Sleep(d)
	case 3:
		runtime.Gosched()
	case 4:
		spin(min(d, 2*time.Millisecond))
	case 5, 6:
		blockInKernel(d)
	case 7:
		b.forget()
	}
}

// spin uses its processor.
func spin(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
	}
}

// blockInKernel blocks the thread, not just the goroutine.
func blockInKernel(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	for unix.Nanosleep(&ts, &ts) == unix.EINTR {
	}
}

// wrap returns a handler of the same kind.
func (b *blocker) wrap(h http.Handler) http.Handler {
	switch h := h.(type) {
	case nil:
		return nil
	case HandlerFunc:
		return HandlerFunc(func(x *Exchange) {
			b.around()
			h(x)
			if x.delegate != nil {
				x.delegate = b.wrap(x.delegate)
			}
			b.around()
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.around()
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &blockingBody{r.Body, b}
		}
		if rw, ok := w.(*responseWriter); ok {
			w = &blockingWriter{rw, b}
		}
		h.ServeHTTP(w, r)
		b.around()
	})
}

// blockingWriter has all the optional methods of the writer in it.
type blockingWriter struct {
	*responseWriter
	b *blocker
}

func (w *blockingWriter) Unwrap() http.ResponseWriter { return w.responseWriter }

func (w *blockingWriter) WriteHeader(status int) {
	w.b.within()
	w.responseWriter.WriteHeader(status)
}

func (w *blockingWriter) Write(p []byte) (int, error) {
	w.b.within()
	return w.responseWriter.Write(p)
}

func (w *blockingWriter) WriteString(s string) (int, error) {
	w.b.within()
	return w.responseWriter.WriteString(s)
}

func (w *blockingWriter) ReadFrom(r io.Reader) (int64, error) {
	w.b.within()
	return w.responseWriter.ReadFrom(r)
}

func (w *blockingWriter) Flush() { _ = w.FlushError() }

func (w *blockingWriter) FlushError() error {
	w.b.within()
	defer w.b.within()
	return w.responseWriter.FlushError()
}

func (w *blockingWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.b.within()
	defer w.b.within()
	return w.responseWriter.Hijack()
}

type blockingBody struct {
	io.ReadCloser
	b *blocker
}

func (r *blockingBody) Read(p []byte) (int, error) {
	r.b.within()
	defer r.b.within()
	return r.ReadCloser.Read(p)
}

// notBlocking skips a test that cannot have handlers which block.
func (e engine) notBlocking(t *testing.T, why string) {
	t.Helper()
	if e.blocking {
		t.Skip("not with handlers that block: " + why)
	}
}
