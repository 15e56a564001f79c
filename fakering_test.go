package ringkit

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/ring"
)

// fakeRing is a ring with one connection which receives the same bytes in every
// turn and whose sends succeed at once: what remains is ringkit's own work.
type fakeRing struct {
	input  []byte
	recv   ring.Token
	queue  []ring.Completion
	at     int
	output bytes.Buffer
	keep   bool // collect output
	idle   bool // give no input
}

func (f *fakeRing) complete(t ring.Token, res int, flags uint8) {
	f.queue = append(f.queue, ring.Completion{Token: t, Res: int32(res), Flags: flags})
}

func (f *fakeRing) Accept(ring.Token, int)          {}
func (f *fakeRing) Recv(t ring.Token, _ int)        { f.recv = t }
func (f *fakeRing) Connect(ring.Token, int, []byte) {}
func (f *fakeRing) Poll(ring.Token, int, uint32)    {}
func (f *fakeRing) Cancel(ring.Token, ring.Token)   {}
func (f *fakeRing) Shutdown(int, int)               {}
func (f *fakeRing) Reset(int)                       {}
func (f *fakeRing) CloseFD(int)                     {}
func (f *fakeRing) Forget(int)                      {}
func (f *fakeRing) Release(uint16)                  {}
func (f *fakeRing) Wake()                           {}
func (f *fakeRing) Close(time.Duration) error       { return nil }

func (f *fakeRing) SendSome(t ring.Token, fd int, p []byte) { f.Send(t, fd, p) }

func (f *fakeRing) Send(t ring.Token, _ int, p []byte) {
	if f.keep {
		f.output.Write(p)
	}
	f.complete(t, len(p), 0)
}

func (f *fakeRing) Enter(time.Duration) error {
	if f.recv != 0 && !f.idle {
		f.queue = append(f.queue, ring.Completion{Token: f.recv, Res: int32(len(f.input)),
			Flags: ring.More | ring.HasBuffer, Buf: f.input})
	}
	return nil
}

func (f *fakeRing) Next(c *ring.Completion) bool {
	if f.at == len(f.queue) {
		f.queue, f.at = f.queue[:0], 0
		return false
	}
	*c = f.queue[f.at]
	f.at++
	return true
}

// turning returns a loop that serves h to one connection on a fake ring.
func turning(t testing.TB, h http.Handler, input string) (*fakeRing, *conn.Loop) {
	t.Helper()
	f := &fakeRing{input: []byte(input)}
	srv := &Server{Handler: h, Name: "ringkit", newRing: func() (conn.Ring, error) { return f, nil }}
	srv.resolve()
	w, err := newWorker(srv)
	if err != nil {
		t.Fatal(err)
	}
	w.loop.Adopt(-1, &origin{worker: w, ctx: t.Context()})
	return f, w.loop
}

const smallRequest = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"

func helloNative(x *Exchange) {
	if x.Path() != "/" {
		x.Error(404, "not found")
		return
	}
	x.SetHeader("Content-Type", "text/plain")
	x.WriteString("Hello, World!")
}

func turn(t testing.TB, l *conn.Loop) {
	if err := l.Turn(); err != nil {
		t.Fatal(err)
	}
}

// A request answered by a native handler costs no allocation.
func TestNativeRequestDoesNotAllocate(t *testing.T) {
	if checksEnabled {
		t.Skip("checked builds allocate in their checks")
	}
	for _, c := range []struct{ name, input string }{
		{"small", smallRequest},
		{"16 pipelined", strings.Repeat(smallRequest, 16)},
		{"with fields", "GET /path?a=b HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\nCookie: a=b; c=d\r\n\r\n"},
		{"with body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"},
		{"with chunked body", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
	} {
		_, loop := turning(t, HandlerFunc(func(x *Exchange) {
			if x.Header("User-Agent") == "none" || x.Method() == "BREW" || len(x.Body()) > 5 {
				t.Error("unexpected request")
			}
			helloNative(x)
		}), c.input)
		for range 10 {
			turn(t, loop)
		}
		// The Date line is made anew once a second, which is not of the request.
		if n := testing.AllocsPerRun(1000, func() { turn(t, loop) }); n >= 1 {
			t.Errorf("%s: %v allocations per turn, want 0", c.name, n)
		}
	}
}

// A request answered by a standard handler costs few: the call with its context, URL
// and response, the request, one copy of its head, the header with its values; and
// the header of the answer with what the handler puts into it.
func TestStandardRequestAllocations(t *testing.T) {
	if checksEnabled {
		t.Skip("checked builds allocate in their checks")
	}
	for _, c := range []struct {
		name  string
		h     http.HandlerFunc
		input string
		most  float64
	}{
		{"nothing used", func(http.ResponseWriter, *http.Request) {}, smallRequest, 3},
		{"hello", helloStandard, smallRequest, 6},
		{"with fields", helloStandard, "GET /path?a=b HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\nCookie: a=b; c=d\r\n\r\n", 8},
	} {
		_, loop := turning(t, c.h, c.input)
		for range 10 {
			turn(t, loop)
		}
		if n := testing.AllocsPerRun(1000, func() { turn(t, loop) }); n > c.most {
			t.Errorf("%s: %v allocations per turn, want %v at most", c.name, n, c.most)
		} else {
			t.Logf("%s: %v", c.name, n)
		}
	}
}

func helloStandard(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, "Hello, World!")
}

func BenchmarkStandard(b *testing.B) {
	_, loop := turning(b, http.HandlerFunc(helloStandard), smallRequest)
	b.ReportAllocs()
	for b.Loop() {
		turn(b, loop)
	}
}

func BenchmarkNative(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int
	}{{"1", 1}, {"16 pipelined", 16}} {
		b.Run(c.name, func(b *testing.B) {
			_, loop := turning(b, HandlerFunc(helloNative), strings.Repeat(smallRequest, c.n))
			b.ReportAllocs()
			for b.Loop() {
				turn(b, loop)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*c.n), "ns/request")
		})
	}
}
