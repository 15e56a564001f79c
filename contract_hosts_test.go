package ringkit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/ringkit/ringkit/uring"
)

// The contract suite is about what a program written for net/http relies on. The
// same program, an http.Server, runs on net/http and on this package, and a client
// on the wire expects the same of both. Where they differ on purpose the test asks
// host.own and says why.

// host is what a program runs on. What a Server can be told beyond the fields of
// http.Server is one more field here, for runOwn to pass on, and rows of hosts.
type host struct {
	name   string
	engine *engine // nil: net/http's own server
	mode   Mode
}

var hosts = []host{
	{name: "net-http"},
	{name: "uring", engine: engineNamed("uring")},
	{name: "epoll", engine: engineNamed("epoll")},
	{name: "uring, goroutine", engine: engineNamed("uring"), mode: Goroutine},
	{name: "epoll, goroutine", engine: engineNamed("epoll"), mode: Goroutine},
	{name: "uring, inline", engine: engineNamed("uring"), mode: Inline},
	{name: "uring over TLS", engine: engineNamed("uring over TLS")},
	{name: "epoll over TLS", engine: engineNamed("epoll over TLS")},
	{name: "uring over kernel TLS", engine: engineNamed("uring over kernel TLS")},
	{name: "epoll over kernel TLS", engine: engineNamed("epoll over kernel TLS")},
}

// notInline skips a test whose handler waits for something that only the loop it
// runs on could bring about.
func (h host) notInline(t *testing.T, what string) {
	t.Helper()
	if h.mode == Inline {
		t.Skip("inline, a handler does not wait for " + what)
	}
}

func engineNamed(name string) *engine {
	for i, e := range engines {
		if e.name == name {
			return &engines[i]
		}
	}
	panic("no engine " + name)
}

// own reports whether the host is this package's server.
func (h host) own() bool { return h.engine != nil }

// eachHost runs a test on every host, and looks for what it leaves behind.
func eachHost(t *testing.T, test func(*testing.T, host)) {
	for _, h := range hosts {
		if h.mode != Auto && testing.Short() && !checksEnabled {
			continue // to which the kernel makes no difference
		}
		t.Run(h.name, func(t *testing.T) {
			if h.own() {
				if err := KernelTLS(); h.engine.kernel && err != nil {
					t.Skip(err)
				}
				r, err := h.engine.newRing()
				if errors.Is(err, uring.ErrUnavailable) {
					t.Skip(err)
				}
				if err != nil {
					t.Fatal(err)
				}
				r.Close(0)
			}
			expectNoLeaks(t)
			test(t, h)
		})
	}
}

// stage is a program that runs on a host.
type stage struct {
	testing.TB
	host
	network   string // "tcp" or "tls"
	addr      string
	log       *logBook
	server    any // *http.Server or *Server
	serverKey any // of the server in request contexts
	shutdown  func(context.Context) error
}

// run starts a program, which ends with the test.
func (h host) run(t testing.TB, program *http.Server) *stage {
	t.Helper()
	if h.own() {
		return h.runOwn(t, program)
	}
	l := listenTCP(t)
	s := &stage{TB: t, host: h, network: "tcp", addr: l.Addr().String(), log: &logBook{}}
	s.server, s.serverKey, s.shutdown = program, http.ServerContextKey, program.Shutdown
	program.ErrorLog = log.New(s.log, "", 0)
	served := make(chan error, 1)
	go func() { served <- program.Serve(l) }()
	t.Cleanup(func() {
		program.Close()
		expect(t, "Serve returning", served)
	})
	return s
}

// runOwn moves the program over, as its author would.
func (h host) runOwn(t testing.TB, p *http.Server) *stage {
	t.Helper()
	own := serve(t, *h.engine, &Server{
		Handler:           p.Handler,
		Mode:              h.mode,
		BaseContext:       p.BaseContext,
		ConnContext:       p.ConnContext,
		ConnState:         p.ConnState,
		ReadHeaderTimeout: p.ReadHeaderTimeout,
		ReadTimeout:       p.ReadTimeout,
		WriteTimeout:      p.WriteTimeout,
		IdleTimeout:       p.IdleTimeout,
		MaxBodyBytes:      -1, // net/http has no limit
	})
	return &stage{
		TB: t, host: h, network: own.network, addr: own.addr, log: &own.log,
		server: own.Server, serverKey: ServerContextKey, shutdown: own.Shutdown,
	}
}

// act is a handler that reports to the test of the host it runs on.
type act func(t testing.TB, w http.ResponseWriter, r *http.Request)

// with makes an act of a handler that has nothing to report.
func with(h http.Handler) act {
	return func(_ testing.TB, w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r) }
}

// play runs a handler on every host.
func play(t *testing.T, handler act, test func(*testing.T, *stage)) {
	eachHost(t, func(t *testing.T, h host) {
		program := &http.Server{Handler: std(func(w http.ResponseWriter, r *http.Request) { handler(t, w, r) })}
		test(t, h.run(t, program))
	})
}

// dial connects to the program; the connection ends with the test.
func (s *stage) dial() *peer {
	s.Helper()
	return connectPeer(s.TB, s.network, s.addr, 0)
}

// works checks that a new connection is served. The program has to have the
// handler ok at /ok.
func (s *stage) works() {
	s.Helper()
	p := s.dial()
	defer p.Close()
	p.send(ask("GET", "/ok"))
	p.expectAnswer(200, "ok")
}

func ok(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }

// ask returns the head of a request.
func ask(method, target string, fields ...string) string {
	head := method + " " + target + " HTTP/1.1\r\nHost: test\r\n"
	if len(fields) > 0 {
		head += strings.Join(fields, "\r\n") + "\r\n"
	}
	return head + "\r\n"
}

// ask10 is ask for HTTP/1.0.
func ask10(method, target string, fields ...string) string {
	return strings.Replace(ask(method, target, fields...), "HTTP/1.1", "HTTP/1.0", 1)
}

// withLength is the field of a request body of n bytes.
func withLength(n int) string { return fmt.Sprintf("Content-Length: %d", n) }

const withChunks = "Transfer-Encoding: chunked"

// chunk is one chunk of a body.
func chunk(data string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(data), data) }

// answer10 reads an answer to a request of HTTP/1.0. net/http answers with that
// version, ringkit with its own, as RFC 9110, section 6.2, has it.
func (p *peer) answer10(method string) *answer {
	p.Helper()
	const theirs = "HTTP/1.0 "
	if start, err := p.r.Peek(len(theirs)); err == nil && string(start) == theirs {
		p.r.Discard(len(theirs))
		p.r = bufio.NewReader(io.MultiReader(strings.NewReader("HTTP/1.1 "), p.r))
	}
	return p.answer(method)
}

// rest reads until the connection ends, be it in good order or not.
func (p *peer) rest() string {
	p.Helper()
	b, err := io.ReadAll(p.r)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.Errorf("the connection does not end; after %q", short(string(b)))
	}
	return string(b)
}

// expectData reads what is not HTTP.
func (p *peer) expectData(want string) {
	p.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(p.r, got); string(got) != want {
		p.Fatalf("got %q, %v; want %q", short(string(got[:n])), err, short(want))
	}
}
