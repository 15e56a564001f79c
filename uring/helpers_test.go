package uring

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/mapped"
	"github.com/ringkit/ringkit/internal/ring"
)

// patience bounds every wait that is expected to end. It is generous: nothing
// here measures speed.
const patience = 20 * time.Second

// tier is one way to make a ring.
type tier struct {
	name     string
	without  Feature
	deferred bool
}

var tiers = []tier{
	{name: "full"},
	{name: "single-shot receive", without: MultishotRecv},
	{name: "polled receive", without: BufferRing},
	{name: "no cooperative task running", without: CoopTaskrun},
	{name: "index array", without: NoSQArray},
	{name: "iowait", without: NoIowait},
	{name: "least", without: allFeatures},
	{name: "deferred task running", deferred: true},
}

func (tr tier) config(c Config) Config {
	c.Without |= tr.without
	c.DeferTaskrun = tr.deferred
	return c
}

// eachTier runs a test on a ring of every tier.
func eachTier(t *testing.T, c Config, test func(*testing.T, *testRing)) {
	t.Helper()
	for _, tr := range tiers {
		t.Run(tr.name, func(t *testing.T) { test(t, open(t, tr.config(c))) })
	}
}

// testRing is a ring whose completions are collected by token.
type testRing struct {
	*Ring
	t   testing.TB
	got map[ring.Token][]ring.Completion
}

// open makes a ring that is closed with the test, on the test's own thread, and
// with nothing left behind.
func open(t testing.TB, c Config) *testRing {
	t.Helper()
	needRing(t)
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	noLeaks(t)
	r, err := New(c)
	if err != nil {
		t.Fatalf("New(%+v): %v", c, err)
	}
	t.Cleanup(func() {
		if err := r.Close(patience); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return &testRing{Ring: r, t: t, got: map[ring.Token][]ring.Completion{}}
}

// needRing skips the test where the kernel has no io_uring for us. TestProbe
// notices when that is wrong.
func needRing(t testing.TB) {
	t.Helper()
	if err := Probe().Err; err != nil {
		t.Skip(err)
	}
}

func need(t testing.TB, f Feature) {
	t.Helper()
	needRing(t)
	if missing := f &^ Probe().Features; missing != 0 {
		t.Skipf("the kernel has no %v", missing)
	}
}

// turn enters, and fails the test on an error.
func (r *testRing) turn(timeout time.Duration) {
	r.t.Helper()
	if err := r.Enter(timeout); err != nil {
		r.t.Fatal(err)
	}
}

// reap collects the completions that are there.
func (r *testRing) reap() {
	var c ring.Completion
	for r.Next(&c) {
		r.got[c.Token] = append(r.got[c.Token], c)
	}
}

// until turns the ring until done says so.
func (r *testRing) until(what string, done func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !done(); {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited %v for %s", patience, what)
		}
		r.turn(50 * time.Millisecond)
		r.reap()
	}
}

// take waits for the first completion of an operation not yet taken.
func (r *testRing) take(tok ring.Token) ring.Completion {
	r.t.Helper()
	r.until(tok.String(), func() bool { return len(r.got[tok]) > 0 })
	c := r.got[tok][0]
	r.got[tok] = r.got[tok][1:]
	return c
}

// expect takes a completion with the given result and no flag More.
func (r *testRing) expect(tok ring.Token, res int32) {
	r.t.Helper()
	c := r.take(tok)
	if c.Res != res || c.More() {
		r.t.Fatalf("%v completed with %s (more %v), want %s at last", tok, resultName(c.Res), c.More(), resultName(res))
	}
}

// quiet fails the test if something completes within a short while.
func (r *testRing) quiet() {
	r.t.Helper()
	r.turn(10 * time.Millisecond)
	r.reap()
	for tok, cs := range r.got {
		if len(cs) > 0 {
			r.t.Fatalf("%v completed with %s, want nothing", tok, resultName(cs[0].Res))
		}
	}
}

func resultName(res int32) string {
	if res < 0 {
		return unix.ErrnoName(unix.Errno(-res))
	}
	return strconv.Itoa(int(res))
}

func errno(e unix.Errno) int32 { return -int32(e) }

func token(op ring.Op, slot uint32) ring.Token { return ring.MakeToken(op, 1, slot) }

// mem returns mapped memory that is freed with the test, after the ring when it
// is called before open.
func mem(t testing.TB, n int) []byte {
	t.Helper()
	b, err := mapped.Alloc(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mapped.Free(b); err != nil {
			t.Error(err)
		}
	})
	return b[:n]
}

// socketPair returns two connected unix sockets, closed with the test.
func socketPair(t testing.TB) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	return closing(t, fds[0]), closing(t, fds[1])
}

// closing closes fd with the test unless the test has done so.
func closing(t testing.TB, fd int) int {
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// listen returns a listening socket and its address.
func listen(t testing.TB, family int) (fd int, addr unix.Sockaddr) {
	t.Helper()
	bindTo := map[int]unix.Sockaddr{
		unix.AF_UNIX:  &unix.SockaddrUnix{},
		unix.AF_INET:  &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}},
		unix.AF_INET6: &unix.SockaddrInet6{Addr: [16]byte(net.IPv6loopback)},
	}[family]
	fd = socket(t, family)
	if err := unix.Bind(fd, bindTo); err != nil {
		if family == unix.AF_INET6 {
			t.Skipf("no IPv6 loopback: %v", err)
		}
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 1024); err != nil {
		t.Fatal(err)
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fd, addr
}

func socket(t testing.TB, family int) int {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return closing(t, fd)
}

// dial connects a new blocking socket to addr.
func dial(t testing.TB, family int, addr unix.Sockaddr) int {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, addr); err != nil {
		t.Fatal(err)
	}
	return closing(t, fd)
}

// tcpPair returns the two ends of a TCP connection, both non-blocking.
func tcpPair(t testing.TB) (a, b int) {
	t.Helper()
	l, addr := listen(t, unix.AF_INET)
	a = dial(t, unix.AF_INET, addr)
	if err := unix.SetNonblock(a, true); err != nil {
		t.Fatal(err)
	}
	var err error
	// The listener does not block; the peer is in its queue since connect.
	if b, _, err = unix.Accept4(l, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	return a, closing(t, b)
}

// reset closes fd in a way that makes its peer see ECONNRESET.
func reset(t testing.TB, fd int) {
	t.Helper()
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, fd int, p []byte) {
	t.Helper()
	if n, err := unix.Write(fd, p); n != len(p) || err != nil {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(p), err)
	}
}

// rawSockaddr stores addr in b in the kernel's format.
func rawSockaddr(t testing.TB, b []byte, addr unix.Sockaddr) []byte {
	t.Helper()
	switch a := addr.(type) {
	case *unix.SockaddrInet4:
		s := (*unix.RawSockaddrInet4)(unsafe.Pointer(&b[0]))
		*s = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: a.Addr}
		s.Port = networkOrder(a.Port)
		return b[:unix.SizeofSockaddrInet4]
	case *unix.SockaddrInet6:
		s := (*unix.RawSockaddrInet6)(unsafe.Pointer(&b[0]))
		*s = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: a.Addr}
		s.Port = networkOrder(a.Port)
		return b[:unix.SizeofSockaddrInet6]
	case *unix.SockaddrUnix:
		s := (*unix.RawSockaddrUnix)(unsafe.Pointer(&b[0]))
		*s = unix.RawSockaddrUnix{Family: unix.AF_UNIX}
		copy(b[2:], a.Name)
		if a.Name[0] == '@' {
			b[2] = 0 // an abstract name
		}
		return b[:2+len(a.Name)]
	}
	t.Fatalf("no raw form of %T", addr)
	return nil
}

func networkOrder(port int) (p uint16) {
	b := (*[2]byte)(unsafe.Pointer(&p))
	b[0], b[1] = byte(port>>8), byte(port)
	return p
}

// noLeaks fails the test if at its end, after everything registered later is
// cleaned up, more descriptors, ring mappings or goroutines exist than now.
func noLeaks(t testing.TB) {
	t.Helper()
	time.Sleep(time.Microsecond) // the runtime's poller makes its descriptors with the first timer
	fds, maps, goroutines := countFDs(t), countRingMaps(t), runtime.NumGoroutine()
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		if n := countFDs(t); n > fds {
			t.Errorf("%d descriptors before, %d after", fds, n)
		}
		if n := countRingMaps(t); n > maps {
			t.Errorf("%d mappings of rings before, %d after", maps, n)
		}
		deadline := time.Now().Add(patience)
		for runtime.NumGoroutine() > goroutines {
			if time.Sleep(time.Millisecond); time.Now().After(deadline) {
				t.Errorf("%d goroutines before, %d after", goroutines, runtime.NumGoroutine())
				return
			}
		}
	})
}

func countFDs(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func countRingMaps(t testing.TB) int {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(maps), "[io_uring]")
}

const childEnv = "URING_TEST_CHILD"

// inChild runs the rest of the test in a process of its own, because it spoils
// the process it runs in. It returns true in that process and false in the
// parent, after the child has ended.
func inChild(t *testing.T) bool {
	t.Helper()
	if os.Getenv(childEnv) == t.Name() {
		return true
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	pattern := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	cmd := exec.Command(exe, "-test.run="+pattern, "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), childEnv+"="+t.Name())
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	case !strings.Contains(string(out), "--- PASS"):
		t.Fatalf("the test did not run:\n%s", out)
	}
	return false
}
