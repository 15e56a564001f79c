package consumers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringkit/ringkit"
	"github.com/ringkit/ringkit/uring"
)

// patience is how long something may take that should happen at once.
const patience = 6 * time.Second

// httpServer is what http.Server and ringkit.Server have in common.
type httpServer interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
	Close() error
	RegisterOnShutdown(func())
}

// server is a way to serve a handler. The first of servers is the reference.
type server struct {
	name string
	make func(h http.Handler, l *log.Logger) httpServer
}

var servers = []server{
	standard,
	{"ringkit/io_uring", on(ringkit.IOUring)},
	{"ringkit/epoll", on(ringkit.Epoll)},
}

var standard = server{"net/http", func(h http.Handler, l *log.Logger) httpServer {
	return &http.Server{Handler: h, ErrorLog: l}
}}

func on(e ringkit.Engine) func(http.Handler, *log.Logger) httpServer {
	return func(h http.Handler, l *log.Logger) httpServer {
		return &ringkit.Server{Handler: h, ErrorLog: l, Engine: e}
	}
}

func TestMain(m *testing.M) {
	os.Unsetenv("RINGKIT_ENGINE") // the tests name the engine
	os.Exit(m.Run())
}

// eachServer runs a test on every server, and looks for what it leaves behind.
func eachServer(t *testing.T, test func(*testing.T, server)) {
	t.Helper()
	onServers(t, servers, test)
}

func onServers(t *testing.T, servers []server, test func(*testing.T, server)) {
	t.Helper()
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			if s.name == "ringkit/io_uring" {
				needIOUring(t)
			}
			expectNoLeaks(t)
			test(t, s)
		})
	}
}

func needIOUring(t *testing.T) {
	t.Helper()
	r, err := uring.New(uring.Config{})
	if errors.Is(err, uring.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(0); err != nil {
		t.Fatal(err)
	}
}

// expectNoLeaks fails the test if goroutines or descriptors are left when all its
// cleanups have run.
func expectNoLeaks(t *testing.T) {
	t.Helper()
	listen(t).Close() // the net package keeps descriptors of its own from its first use on
	goroutines, descriptors := runtime.NumGoroutine(), openFiles(t)
	t.Cleanup(func() {
		if !eventually(func() bool { return runtime.NumGoroutine() <= goroutines }) {
			var stacks strings.Builder
			pprof.Lookup("goroutine").WriteTo(&stacks, 1)
			t.Errorf("%d goroutines were left:\n%s", runtime.NumGoroutine()-goroutines, stacks.String())
		}
		if !eventually(func() bool { return openFiles(t) <= descriptors }) {
			t.Errorf("%d descriptors were left", openFiles(t)-descriptors)
		}
	})
}

// openFiles counts the descriptors of the process, without pipes: the net package
// keeps those through which it splices.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && !strings.HasPrefix(target, "pipe:") {
			n++
		}
	}
	return n
}

// eventually waits until ok holds, and reports whether it did in time.
func eventually(ok func() bool) bool {
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// running is a server that serves.
type running struct {
	httpServer
	addr string // host:port
	url  string // http://host:port
	ws   string // ws://host:port
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serve serves h until the test ends.
func (s server) serve(t testing.TB, h http.Handler) *running {
	t.Helper()
	var errorLog syncBuffer
	l := listen(t)
	srv := s.make(h, log.New(&errorLog, "", 0))
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
			srv.Close()
		}
		if err := receive(t, served); err != http.ErrServerClosed {
			t.Errorf("Serve returned %v", err)
		}
		if log := errorLog.String(); t.Failed() && log != "" {
			t.Logf("the server's log:\n%s", log)
		}
	})
	addr := l.Addr().String()
	return &running{srv, addr, "http://" + addr, "ws://" + addr}
}

// syncBuffer is a buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// receive takes what comes next from a channel.
func receive[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Errorf("nothing came from a channel of %T in %v", *new(T), patience)
		return *new(T)
	}
}

// client is net/http's, for one test.
type client struct {
	t    testing.TB
	http *http.Client
}

func newClient(t testing.TB) *client {
	transport := &http.Transport{DisableCompression: true, ExpectContinueTimeout: patience}
	t.Cleanup(transport.CloseIdleConnections)
	noRedirects := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{t, &http.Client{Transport: transport, Timeout: patience, CheckRedirect: noRedirects}}
}

// answer is a response with its whole body.
type answer struct {
	*http.Response
	body string
}

// do sends a request; fields are names and values in turn.
func (c *client) do(method, url string, body io.Reader, fields ...string) answer {
	c.t.Helper()
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == "Host" {
			req.Host = fields[i+1]
		}
		req.Header.Set(fields[i], fields[i+1])
	}
	return c.send(req)
}

func (c *client) get(url string, fields ...string) answer {
	c.t.Helper()
	return c.do("GET", url, nil, fields...)
}

func (c *client) send(req *http.Request) answer {
	c.t.Helper()
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Errorf("%s %s: body: %v", req.Method, req.URL, err)
	}
	return answer{resp, string(body)}
}

// want checks status and body.
func (a answer) want(t testing.TB, status int, body string) {
	t.Helper()
	if a.StatusCode != status || a.body != body {
		t.Errorf("%s %s: %d %.200q (%d bytes); want %d %.200q (%d bytes)",
			a.Request.Method, a.Request.URL, a.StatusCode, a.body, len(a.body), status, body, len(body))
	}
}

// wantField checks a field of the header.
func (a answer) wantField(t testing.TB, name, value string) {
	t.Helper()
	if got := a.Header.Get(name); got != value {
		t.Errorf("%s %s: %s is %q; want %q", a.Request.Method, a.Request.URL, name, got, value)
	}
}

// open sends a request and leaves the body to the caller.
func (c *client) open(ctx context.Context, method, url string, body io.Reader, fields ...string) *http.Response {
	c.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// dialTCP opens a bare connection with a deadline.
func dialTCP(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// pattern is n bytes that show when a part is missing, repeated or elsewhere.
func pattern(n int) string {
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "%x,", b.Len())
	}
	return b.String()[:n]
}
