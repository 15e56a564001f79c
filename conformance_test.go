package ringkit

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/fallback"
	"github.com/ringkit/ringkit/http1"
	"github.com/ringkit/ringkit/uring"
)

// The conformance suite talks to servers over real sockets, once on each of the
// engines below.

// engine is a way to make the rings of a server.
type engine struct {
	name     string
	newRing  func() (conn.Ring, error)
	blocking bool // handlers block at random points
	secure   bool // over TLS
	kernel   bool // that is the kernel's, as far as sending goes
	parking  bool // connections are parked as soon as nothing happens
}

var engines = []engine{
	{name: "uring", newRing: uringWith(uring.Config{})},
	{name: "uring without multishot receive", newRing: uringWith(uring.Config{Without: uring.MultishotRecv})},
	{name: "uring without buffer ring", newRing: uringWith(uring.Config{Without: uring.BufferRing})},
	{name: "uring with a tiny completion queue", newRing: uringWith(uring.Config{Entries: 8, CQEntries: 16})},
	{name: "uring with two receive buffers and parking", newRing: uringWith(uring.Config{Buffers: 2}), parking: true},
	{name: "uring with direct descriptors", newRing: directWith(uring.Config{})},
	{name: "epoll", newRing: epollWith(fallback.Config{})},
	{name: "uring over TLS", newRing: uringWith(uring.Config{}), secure: true},
	{name: "epoll over TLS", newRing: epollWith(fallback.Config{}), secure: true},
	{name: "uring over kernel TLS", newRing: uringWith(uring.Config{}), secure: true, kernel: true},
	{name: "epoll over kernel TLS", newRing: epollWith(fallback.Config{}), secure: true, kernel: true},
	{name: "uring with handlers that block", newRing: uringWith(uring.Config{}), blocking: true},
	{name: "epoll with handlers that block and parking", newRing: epollWith(fallback.Config{}), blocking: true, parking: true},
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

// directWith is uringWith for connections without descriptors.
func directWith(cfg uring.Config) func() (conn.Ring, error) {
	return func() (conn.Ring, error) {
		r, err := uring.New(cfg)
		if err != nil {
			return nil, err
		}
		if err := r.OpenFiles(0); err != nil {
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

// patience is how long something may take that should happen at once.
var patience = 30 * time.Second * timeScale()

// eachEngine runs a test on every engine, and looks for what it leaves behind.
func eachEngine(t *testing.T, test func(*testing.T, engine)) { onEngines(t, engines, test) }

// eachKind runs a test on io_uring and on epoll only.
func eachKind(t *testing.T, test func(*testing.T, engine)) {
	onEngines(t, []engine{*engineNamed("uring"), *engineNamed("epoll")}, test)
}

// eachTransport runs a test on io_uring and on epoll, with and without TLS: one about
// time or about what is said, to which the features of a ring make no difference.
func eachTransport(t *testing.T, test func(*testing.T, engine)) {
	onEngines(t, []engine{
		*engineNamed("uring"), *engineNamed("epoll"),
		*engineNamed("uring over TLS"), *engineNamed("epoll over TLS"),
		*engineNamed("uring over kernel TLS"), *engineNamed("epoll over kernel TLS"),
	}, test)
}

func onEngines(t *testing.T, engines []engine, test func(*testing.T, engine)) {
	for _, e := range engines {
		if e.blocking && testing.Short() && !checksEnabled {
			continue // it takes a while, and looks for races of this package, not at the kernel
		}
		t.Run(e.name, func(t *testing.T) {
			if err := KernelTLS(); e.kernel && err != nil {
				t.Skip(err)
			}
			r, err := e.newRing()
			if errors.Is(err, uring.ErrUnavailable) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Close(0); err != nil {
				t.Fatal(err)
			}
			expectNoLeaks(t)
			test(t, e)
		})
	}
}

// expectNoLeaks fails the test if goroutines or descriptors are left when all its
// cleanups have run.
func expectNoLeaks(t testing.TB) {
	t.Helper()
	listenTCP(t).Close() // the net package keeps descriptors of its own from its first use on
	goroutines, descriptors := runtime.NumGoroutine(), len(openFiles(t))
	t.Cleanup(func() {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		if !eventually(func() bool { return runtime.NumGoroutine() <= goroutines }) {
			var stacks strings.Builder
			pprof.Lookup("goroutine").WriteTo(&stacks, 1)
			t.Errorf("%d goroutines were left:\n%s", runtime.NumGoroutine()-goroutines, stacks.String())
		}
		if !eventually(func() bool { return len(openFiles(t)) <= descriptors }) {
			t.Errorf("%d descriptors were left: %q", len(openFiles(t))-descriptors, openFiles(t))
		}
	})
}

// openFiles returns what the descriptors of the process refer to.
func openFiles(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			files = append(files, target)
		}
	}
	return files
}

// memoryOf returns the resident memory of the process in bytes.
func memoryOf(t testing.TB) int {
	t.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var pages, resident int
	if _, err := fmt.Sscan(string(statm), &pages, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * os.Getpagesize()
}

// eventually waits for a condition.
func eventually(condition func() bool) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if condition() {
			return true
		}
	}
	return condition()
}

// within fails the test when f takes longer than it ever should.
func within(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	expect(t, what, done)
}

// expect waits for something to happen, and returns what was received.
func expect[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("waited %v for: %s", patience, what)
	}
	return v
}

func listenTCP(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// logBook is where a server under test logs to.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// site is a server under test, listening on a port of the loopback interface.
type site struct {
	testing.TB
	*Server
	network string // "tcp" or "tls"
	addr    string
	log     logBook
	served  chan error
}

// serve starts a server, which ends with the test.
func serve(t testing.TB, e engine, srv *Server) *site {
	t.Helper()
	l := listenTCP(t)
	s := &site{TB: t, Server: srv, network: "tcp", addr: l.Addr().String(), served: make(chan error, 1)}
	srv.newRing = e.newRing
	if e.parking {
		srv.parking = 1
	}
	srv.ErrorLog = log.New(&s.log, "", 0)
	if e.blocking {
		block(t, srv)
	}
	if e.secure {
		s.network = "tls"
		srv.KernelTLS = e.kernel
		if srv.TLSConfig == nil {
			srv.TLSConfig = serverConfig()
		}
		go func() { s.served <- srv.ServeTLS(l, "", "") }()
	} else {
		go func() { s.served <- srv.Serve(l) }()
	}
	t.Cleanup(func() {
		within(t, "Close", func() {
			if err := srv.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		if err := expect(t, "Serve returning", s.served); err != http.ErrServerClosed {
			t.Errorf("Serve = %v, want %v", err, http.ErrServerClosed)
		}
		if text := s.log.String(); t.Failed() && text != "" {
			t.Logf("the server's log:\n%s", text)
		}
	})
	return s
}

// conns returns how many connections the server has.
func (s *site) conns() (n int) {
	for _, each := range s.spread() {
		n += each
	}
	return n
}

// spread returns how many connections each loop has.
func (s *site) spread() (counts []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.workers {
		counts = append(counts, w.loop.Conns())
	}
	return counts
}

// url returns the address of a path on the server.
func (s *site) url(path string) string {
	if s.network == "tls" {
		return "https://" + s.addr + path
	}
	return "http://" + s.addr + path
}

// peer is a client that sends what it is told to and reads answers strictly.
type peer struct {
	testing.TB
	net.Conn
	r *bufio.Reader
}

// dial connects to the server; the connection ends with the test.
func (s *site) dial() *peer {
	s.Helper()
	return connectPeer(s.TB, s.network, s.addr, 0)
}

// notSecure skips a test that TLS makes no difference to, or that speaks without it.
func (e engine) notSecure(t *testing.T, why string) {
	t.Helper()
	if e.secure {
		t.Skip(why)
	}
}

// connectPeer connects to an address with a receive buffer of the given size, 0
// for what the system has. The network "tls" is TLS over TCP.
func connectPeer(t testing.TB, network, addr string, window int) *peer {
	t.Helper()
	p, err := dialPeer(t, network, addr, window)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// dialPeer is connectPeer for goroutines of a test, which close what they get.
func dialPeer(t testing.TB, network, addr string, window int) (*peer, error) {
	d := net.Dialer{Timeout: patience}
	if window > 0 {
		d.Control = func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) {
				_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, window)
			})
		}
	}
	secure := network == "tls"
	if secure {
		network = "tcp"
	}
	c, err := d.Dial(network, addr)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(patience))
	if secure {
		c = secured(t, c)
	}
	return newPeer(t, c), nil
}

func newPeer(t testing.TB, c net.Conn) *peer { return &peer{t, c, bufio.NewReaderSize(c, 64<<10)} }

// send writes the pieces, each in a system call of its own.
func (p *peer) send(pieces ...string) {
	p.Helper()
	for _, s := range pieces {
		if _, err := io.WriteString(p, s); err != nil {
			p.Fatalf("send: %v", err)
		}
	}
}

// sendAside sends while answers are read. That it could is seen by the answers.
func (p *peer) sendAside(s string) { go io.WriteString(p, s) }

// halfClose ends the sending side.
func (p *peer) halfClose() {
	p.Helper()
	if err := p.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		p.Fatal(err)
	}
}

// reset closes the connection with a RST.
func (p *peer) reset() {
	p.Helper()
	c := p.Conn
	if tc, ok := c.(*tls.Conn); ok {
		c = tc.NetConn()
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// answer reads the answer to a request with the given method.
func (p *peer) answer(method string) *answer {
	p.Helper()
	a, err := readAnswer(p.r, method)
	if err != nil {
		p.Fatalf("reading the answer to %s: %v", method, err)
	}
	return a
}

// expectAnswer reads the answer to a GET and checks its status and body.
func (p *peer) expectAnswer(status int, body string) *answer {
	p.Helper()
	a := p.answer("GET")
	if a.status != status || a.body != body {
		p.Fatalf("answer %d %q, want %d %q", a.status, short(a.body), status, short(body))
	}
	return a
}

// expectEnd checks that nothing comes any more, in good order.
func (p *peer) expectEnd() {
	p.Helper()
	rest, err := io.ReadAll(p.r)
	if err != nil || len(rest) > 0 {
		p.Fatalf("at the end of the connection: %q, %v; want nothing and EOF", short(string(rest)), err)
	}
}

// expectSilence checks that nothing comes for a while, also no end.
func (p *peer) expectSilence(d time.Duration) {
	p.Helper()
	p.SetReadDeadline(time.Now().Add(d))
	if b, err := p.r.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		p.Fatalf("got %q, %v; want silence", b, err)
	}
	p.SetReadDeadline(time.Now().Add(patience))
}

// get is a whole exchange on the connection.
func (p *peer) get(path string) *answer {
	p.Helper()
	p.send("GET " + path + " HTTP/1.1\r\nHost: test\r\n\r\n")
	return p.answer("GET")
}

// answer is a response as it was on the wire.
type answer struct {
	status  int
	reason  string
	fields  [][2]string
	framing http1.Framing
	body    string
	trailer [][2]string
}

// get returns the values of a field, joined by ", ".
func (a *answer) get(name string) string { return valueIn(a.fields, name) }

func (a *answer) has(name string) bool {
	return slices.ContainsFunc(a.fields, func(f [2]string) bool { return strings.EqualFold(f[0], name) })
}

func valueIn(fields [][2]string, name string) string {
	var values []string
	for _, f := range fields {
		if strings.EqualFold(f[0], name) {
			values = append(values, f[1])
		}
	}
	return strings.Join(values, ", ")
}

// readAnswer reads a response and refuses whatever RFC 9112 does not have a
// server send. The error io.ErrUnexpectedEOF means that it was cut short.
func readAnswer(r *bufio.Reader, method string) (*answer, error) {
	line, err := readLine(r)
	if err != nil {
		return nil, err
	}
	a := &answer{}
	code, reason, ok := strings.Cut(strings.TrimPrefix(line, "HTTP/1.1 "), " ")
	if a.status, err = strconv.Atoi(code); err != nil || !ok || len(code) != 3 || !strings.HasPrefix(line, "HTTP/1.1 ") {
		return nil, fmt.Errorf("status line %q", line)
	}
	a.reason = reason
	if a.fields, err = readFields(r); err != nil {
		return nil, err
	}
	return a, a.readBody(r, method)
}

func (a *answer) readBody(r *bufio.Reader, method string) (err error) {
	length, chunked := a.get("Content-Length"), a.get("Transfer-Encoding")
	mayNot := a.status < 200 || a.status == 204 || method == "CONNECT" && a.status < 300
	switch {
	case length != "" && chunked != "":
		return errors.New("both Content-Length and Transfer-Encoding")
	case mayNot && (length != "" || chunked != ""):
		return fmt.Errorf("a %d with Content-Length or Transfer-Encoding", a.status)
	case mayNot, method == "HEAD", a.status == 304:
		a.framing = http1.NoBody
		return nil
	case chunked == "chunked":
		a.framing = http1.Chunked
		return a.readChunks(r)
	case chunked != "":
		return fmt.Errorf("Transfer-Encoding %q", chunked)
	case length != "":
		a.framing = http1.Length
		n, err := strconv.ParseUint(length, 10, 40)
		if err != nil {
			return fmt.Errorf("Content-Length %q", length)
		}
		a.body, err = readContent(r, int(n))
		return err
	}
	a.framing = http1.UntilClose
	b, err := io.ReadAll(r)
	a.body = string(b)
	return err
}

func readContent(r *bufio.Reader, n int) (string, error) {
	var b strings.Builder
	_, err := io.CopyN(&b, r, int64(n))
	return b.String(), unexpected(err)
}

func (a *answer) readChunks(r *bufio.Reader) error {
	var body strings.Builder
	defer func() { a.body = body.String() }()
	for {
		line, err := readLine(r)
		if err != nil {
			return unexpected(err)
		}
		n, err := strconv.ParseUint(line, 16, 31)
		if err != nil {
			return fmt.Errorf("chunk size %q", line)
		}
		if n == 0 {
			a.trailer, err = readFields(r)
			return unexpected(err)
		}
		data, err := readContent(r, int(n))
		body.WriteString(data)
		if err != nil {
			return err
		}
		if end, err := readLine(r); err != nil || end != "" {
			return fmt.Errorf("after a chunk: %q, %w", end, unexpected(err))
		}
	}
}

// unexpected is for an end of the stream where it should not be.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readLine reads up to CRLF, which it cuts off.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		if line != "" {
			err = unexpected(err)
		}
		return "", err
	}
	s, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsAny(s, "\r\x00") {
		return "", fmt.Errorf("line %q", line)
	}
	return s, nil
}

func readFields(r *bufio.Reader) (fields [][2]string, err error) {
	for {
		line, err := readLine(r)
		if err != nil {
			return nil, unexpected(err)
		}
		if line == "" {
			return fields, nil
		}
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !ok || !http1.ValidFieldName(name) || !http1.ValidFieldValue(value) {
			return nil, fmt.Errorf("field line %q", line)
		}
		fields = append(fields, [2]string{name, value})
	}
}

// short makes a string fit for a message.
func short(s string) string {
	if len(s) > 200 {
		return fmt.Sprintf("%s… (%d bytes)", s[:200], len(s))
	}
	return s
}

// pattern returns n bytes in which every place looks different, as far as a MiB
// reaches.
func pattern(n int) string {
	mib := numberedLines()
	return strings.Repeat(mib, n/len(mib)+1)[:n]
}

var numberedLines = sync.OnceValue(func() string {
	var b strings.Builder
	for i := 0; b.Len() < 1<<20; i++ {
		fmt.Fprintf(&b, "%07x\n", i)
	}
	return b.String()
})

// The engines are what they are called: the small ones do run out of room, and
// features that are off are not used.
func TestEnginesAreAsNamed(t *testing.T) {
	var rings []*uring.Ring
	for _, e := range engines {
		if !strings.HasPrefix(e.name, "uring") || e.blocking {
			continue
		}
		t.Run(e.name, func(t *testing.T) {
			rings = rings[:0]
			open := e.newRing
			e.newRing = func() (conn.Ring, error) {
				r, err := open()
				if err == nil {
					rings = append(rings, r.(*uring.Ring))
				}
				return r, err
			}
			expectNoLeaks(t)
			if _, err := e.newRing(); errors.Is(err, uring.ErrUnavailable) {
				t.Skip(err)
			}
			rings[0].Close(0)
			rings = rings[:0]

			s := serve(t, e, &Server{Handler: HandlerFunc(helloNative), Loops: 1})
			flood(s, 64)
			s.Close()
			stats, features := rings[0].Stats(), rings[0].Features()
			for _, c := range []struct {
				name      string
				got, want bool
			}{
				{"overflow", stats.Overflow > 0, strings.Contains(e.name, "tiny completion queue")},
				{"starved, as told by the server", s.Stats().Starved > 0, stats.Starved > 0},
				// More than now and then, until there are more buffers.
				{"starved", stats.Starved > 30, strings.Contains(e.name, "two receive buffers")},
				{"no multishot", features&uring.MultishotRecv == 0, strings.Contains(e.name, "without")},
				{"no buffer ring", features&uring.BufferRing == 0, strings.Contains(e.name, "without buffer ring")},
			} {
				if c.got != c.want && (c.want || uring.Probe().Tier() == "full") {
					t.Errorf("%s = %v, want %v (%+v, features %v)", c.name, c.got, c.want, stats, features)
				}
			}
			if stats.Lost > 0 {
				t.Errorf("the kernel lost %d completions", stats.Lost)
			}
		})
	}
}

// flood has n connections send requests at the same time, until the loop has
// seen a good number of them together.
func flood(s *site, n int) {
	s.Helper()
	peers := make([]*peer, n)
	for i := range peers {
		peers[i] = s.dial()
	}
	for range 20 {
		var sent sync.WaitGroup
		for _, p := range peers {
			sent.Go(func() { io.WriteString(p, strings.Repeat(smallRequest, 3)) })
		}
		sent.Wait()
		for _, p := range peers {
			for range 3 {
				p.expectAnswer(200, "Hello, World!")
			}
		}
	}
	for _, p := range peers {
		p.Close()
	}
}
