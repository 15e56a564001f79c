package ringkit

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/ringtest"
	"github.com/ringkit/ringkit/uring"
)

// refusals are the ways in which a kernel says no to io_uring, and the words with
// which a server has to pass that on: what the kernel said, why, what to do.
var refusals = []struct {
	errno syscall.Errno
	words []string
}{
	{syscall.EPERM, []string{"operation not permitted", "seccomp", "allow io_uring_setup"}},
	{syscall.EACCES, []string{"permission denied", "security module", "allow io_uring"}},
	{syscall.ENOSYS, []string{"function not implemented", "built without io_uring", "older than 5.1", "gVisor"}},
	{syscall.EINVAL, []string{"invalid argument", "older than 6.0"}},
	{syscall.ENOMEM, []string{"cannot allocate memory", "RLIMIT_MEMLOCK", "control group"}},
	{syscall.EMFILE, []string{"too many open files", "RLIMIT_NOFILE"}},
}

func lacks(s string, words []string) (missing []string) {
	for _, w := range words {
		if !strings.Contains(s, w) {
			missing = append(missing, w)
		}
	}
	return missing
}

// onEpoll checks that a server runs on epoll, answers, and has said why in one line.
func onEpoll(t *testing.T, s *site, words []string) {
	t.Helper()
	checkAnswers(t, s)
	info := s.EngineInfo()
	for i, what := range info {
		if !strings.HasPrefix(what, "engine epoll: io_uring is not available: ") || lacks(what, words) != nil {
			t.Errorf("loop %d: %q, want engine epoll and %q", i+1, what, words)
		}
	}
	if got, want := s.log.String(), "ringkit: "+info[0]+"\n"; got != want {
		t.Errorf("the log says\n%s\nwant\n%s", got, want)
	}
}

// checkAnswers has every loop of a server answer a request.
func checkAnswers(t *testing.T, s *site) {
	t.Helper()
	for range len(loopsOf(s)) {
		p := connectPeer(t, s.network, s.addr, 0) // goes to the loop with the fewest
		defer p.Close()
		if a := p.get("/"); a.status != 200 || a.body != "Hello, World!" {
			t.Errorf("answered with %d %q", a.status, a.body)
		}
	}
	for i, w := range loopsOf(s) {
		if n := w.loop.Conns(); n != 1 {
			t.Errorf("loop %d has %d connections, want 1", i+1, n)
		}
	}
}

func loopsOf(s *site) []*worker {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.workers
}

// serving is serve for a server that chooses its engine itself.
func serving(t *testing.T, srv *Server) *site {
	t.Helper()
	return servingWith(t, "", srv)
}

func servingWith(t *testing.T, variable string, srv *Server) *site {
	t.Helper()
	t.Setenv(EngineVariable, variable)
	srv.Handler, srv.Loops = HandlerFunc(helloNative), 2
	s := serve(t, engine{}, srv)
	s.listening(1)
	return s
}

// fails checks that a server does not start, for reasons with the given words.
func fails(t *testing.T, srv *Server, words ...string) error {
	t.Helper()
	return failsWith(t, "", srv, words...)
}

func failsWith(t *testing.T, variable string, srv *Server, words ...string) error {
	t.Helper()
	t.Setenv(EngineVariable, variable)
	srv.Handler, srv.Loops = HandlerFunc(helloNative), 2
	srv.ErrorLog = log.New(io.Discard, "", 0)
	var err error
	within(t, "Serve", func() { err = srv.Serve(listenTCP(t)) })
	if err == nil || lacks(err.Error(), words) != nil {
		t.Errorf("Serve: %v\nwant an error with %q", err, words)
	}
	return err
}

// refusing makes rings of epoll only: io_uring is refused with an errno.
func refusing(errno syscall.Errno, hint string) *conn.Engines {
	return &conn.Engines{
		IOUring: func() (conn.Ring, string, error) {
			return nil, "", &uring.Error{Step: "io_uring_setup", Err: errno, Cause: hint}
		},
		Epoll: conn.KernelEngines.Epoll,
	}
}

// Whatever the kernel refuses io_uring with, Auto gives a server that works, and
// one line that says why it does not work better; IOUring gives an error with the
// same reason.
func TestEngineRefused(t *testing.T) {
	for _, r := range refusals {
		t.Run(r.errno.Error(), func(t *testing.T) {
			expectNoLeaks(t)
			const cause = "a cause: and its cure"
			words := []string{"io_uring_setup", r.words[0], cause}
			onEpoll(t, serving(t, &Server{engines: refusing(r.errno, cause)}), words)
			err := fails(t, &Server{engines: refusing(r.errno, cause), Engine: IOUring}, append(words, "engine auto")...)
			if !errors.Is(err, uring.ErrUnavailable) || !errors.Is(err, r.errno) {
				t.Errorf("%v does not match uring.ErrUnavailable and %v", err, r.errno)
			}
		})
	}
}

// The same with a kernel that really refuses: system calls are filtered, as
// containers do it.
func TestEngineRefusedByTheKernel(t *testing.T) {
	for _, r := range refusals {
		t.Run(r.errno.Error(), func(t *testing.T) {
			if !ringtest.InChild(t) {
				return
			}
			if r.errno == syscall.EPERM && disabledSysctl() != "" {
				t.Skip("the sysctl kernel.io_uring_disabled is set, and is named as the cause")
			}
			ringtest.Refuse(t, ringtest.RingCalls, r.errno)
			expectNoLeaks(t)
			onEpoll(t, serving(t, &Server{}), r.words)
			err := fails(t, &Server{Engine: IOUring}, r.words...)
			if !errors.Is(err, uring.ErrUnavailable) || !errors.Is(err, r.errno) {
				t.Errorf("%v does not match uring.ErrUnavailable and %v", err, r.errno)
			}
		})
	}
}

// disabledSysctl returns what keeps processes from io_uring, "" for nothing.
func disabledSysctl() string {
	b, err := os.ReadFile("/proc/sys/kernel/io_uring_disabled")
	if v := strings.TrimSpace(string(b)); err == nil && v != "0" {
		return v
	}
	return ""
}

// A filter that lets io_uring be set up and forbids the rest is noticed in time:
// before a listener depends on it.
func TestEngineRefusedInPart(t *testing.T) {
	for i, name := range []string{"io_uring_enter", "io_uring_register"} {
		t.Run(name, func(t *testing.T) {
			if !ringtest.InChild(t) {
				return
			}
			ringtest.Refuse(t, ringtest.RingCalls[1+i:2+i], syscall.EPERM)
			s := serving(t, &Server{})
			checkAnswers(t, s)
			if info := s.EngineInfo()[0]; !strings.HasPrefix(info, "engine epoll: io_uring is not available: ") {
				t.Errorf("%q", info)
			}
		})
	}
}

// Where nothing is left for epoll either, the error says what is wrong with both.
func TestEngineWithoutDescriptors(t *testing.T) {
	if !ringtest.InChild(t) {
		return
	}
	t.Setenv(EngineVariable, "")
	l := listenTCP(t)
	uring.Probe() // works
	ringtest.LimitDescriptors(t, 200)
	fillers := ringtest.UseAllDescriptors(t)
	srv := &Server{Handler: HandlerFunc(helloNative), Loops: 2, Engine: Auto}
	err := srv.Serve(l)
	words := []string{"event loop 1 of 2", "io_uring", "epoll_create1", "too many open files", "RLIMIT_NOFILE"}
	if !errors.Is(err, syscall.EMFILE) || lacks(err.Error(), words) != nil {
		t.Errorf("Serve: %v\nwant EMFILE and %q", err, words)
	}
	// With room for one loop's ring, and not for the other's.
	for _, fd := range fillers[:4] {
		syscall.Close(fd)
	}
	l = listenTCP(t)
	srv = &Server{Handler: HandlerFunc(helloNative), Loops: 9, Engine: Epoll}
	err = srv.Serve(l)
	words = []string{"of 9", "engine epoll", "too many open files", "RLIMIT_NOFILE"}
	if !errors.Is(err, syscall.EMFILE) || lacks(err.Error(), words) != nil {
		t.Errorf("Serve: %v\nwant EMFILE and %q", err, words)
	}
	for _, fd := range fillers[4:] {
		syscall.Close(fd)
	}
	checkAnswers(t, serving(t, &Server{})) // it passes
}

// A loop that finds no memory for io_uring runs on epoll beside one that did.
func TestEngineOfALaterLoop(t *testing.T) {
	if err := uring.Probe().Err; err != nil {
		t.Skip(err)
	}
	expectNoLeaks(t)
	m := refusing(syscall.ENOMEM, "no memory for the rings: raise RLIMIT_MEMLOCK")
	refused, rings := m.IOUring, 0
	m.IOUring = func() (conn.Ring, string, error) {
		if rings++; rings > 1 {
			return refused()
		}
		return conn.KernelEngines.IOUring()
	}
	s := serving(t, &Server{engines: m})
	checkAnswers(t, s)
	info := s.EngineInfo()
	if !strings.HasPrefix(info[0], "engine io_uring, tier ") || !strings.HasPrefix(info[1], "engine epoll: io_uring is not available") {
		t.Errorf("%q", info)
	}
	want := fmt.Sprintf("ringkit: %s\nringkit: event loop 2: %s\n", info[0], info[1])
	if got := s.log.String(); got != want {
		t.Errorf("the log says\n%s\nwant\n%s", got, want)
	}

	rings = 0
	err := fails(t, &Server{engines: m, Engine: IOUring}, "event loop 2 of 2", "cannot allocate memory", "RLIMIT_MEMLOCK")
	if !errors.Is(err, uring.ErrUnavailable) || !errors.Is(err, syscall.ENOMEM) {
		t.Errorf("%v does not match uring.ErrUnavailable and ENOMEM", err)
	}
}

// Which engine runs is said once, however many loops and servers run on it.
func TestEngineIsSaidOnce(t *testing.T) {
	expectNoLeaks(t)
	m := refusing(syscall.EPERM, "hint")
	var first, second *site
	first = serving(t, &Server{engines: m})
	second = serving(t, &Server{engines: m})
	if n := strings.Count(first.log.String()+second.log.String(), "engine"); n != 1 {
		t.Errorf("said %d times:\n%s%s", n, first.log.String(), second.log.String())
	}
}

// Without a reason there is none to give: io_uring that works is named with its
// tier, epoll that was asked for as that.
func TestEngineThatWorks(t *testing.T) {
	expectNoLeaks(t)
	m := &conn.Engines{IOUring: conn.KernelEngines.IOUring, Epoll: conn.KernelEngines.Epoll}
	s := serving(t, &Server{engines: m, Engine: Epoll})
	checkAnswers(t, s)
	if got := s.log.String(); got != "ringkit: engine epoll, as asked for\n" {
		t.Errorf("the log says %q", got)
	}
	if err := uring.Probe().Err; err != nil {
		t.Skip(err)
	}
	for _, e := range []Engine{Auto, IOUring} {
		m := &conn.Engines{IOUring: conn.KernelEngines.IOUring, Epoll: conn.KernelEngines.Epoll}
		s := serving(t, &Server{engines: m, Engine: e})
		checkAnswers(t, s)
		tier := uring.Probe().Tier()
		got := s.log.String()
		if want := "ringkit: engine io_uring, tier " + tier; !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%v: the log says %q, want %q", e, got, want)
		}
		if (tier == "base") != strings.Contains(got, ": without ") {
			t.Errorf("%v: the log says %q: want what a lower tier lacks, and nothing else", e, got)
		}
	}
}

// The tier is named with what it lacks.
func TestDescribeTier(t *testing.T) {
	if got := conn.DescribeTier("full").String(); got != "engine io_uring, tier full" {
		t.Errorf("%q", got)
	}
	got := conn.DescribeTier("base").String()
	for _, f := range uring.Probe().Findings {
		if !f.Available() && !strings.Contains(got, f.Name+" ("+f.Err.Error()) {
			t.Errorf("%q lacks %q", got, f.Name)
		}
	}
	if strings.HasSuffix(got, "without ") {
		t.Errorf("%q", got)
	}
}

// The operator has the last word.
func TestEngineVariable(t *testing.T) {
	for _, test := range []struct {
		variable string
		field    Engine
		want     string // of EngineInfo
	}{
		{"epoll", Auto, "engine epoll, as asked for"},
		{"epoll", IOUring, "engine epoll, as asked for"},
		{"auto", IOUring, "engine epoll: io_uring is not available"},
		{"auto", Epoll, "engine epoll: io_uring is not available"},
		{"", Epoll, "engine epoll, as asked for"},
		{"", Auto, "engine epoll: io_uring is not available"},
	} {
		t.Run(fmt.Sprintf("%q instead of %v", test.variable, test.field), func(t *testing.T) {
			s := servingWith(t, test.variable, &Server{engines: refusing(syscall.EPERM, "hint"), Engine: test.field})
			checkAnswers(t, s)
			for _, info := range s.EngineInfo() {
				if !strings.HasPrefix(info, test.want) {
					t.Errorf("%q, want %q", info, test.want)
				}
			}
		})
	}
	for _, field := range []Engine{Auto, Epoll, IOUring} {
		err := failsWith(t, "io_uring", &Server{engines: refusing(syscall.EPERM, "hint"), Engine: field}, "operation not permitted", "hint")
		if !errors.Is(err, uring.ErrUnavailable) {
			t.Errorf("%v does not match uring.ErrUnavailable", err)
		}
	}
	for _, bad := range []string{"iouring", "EPOLL", " epoll", "0", "kqueue"} {
		failsWith(t, bad, &Server{}, fmt.Sprintf("%q", bad), EngineVariable, "auto, io_uring, epoll")
	}
	fails(t, &Server{Engine: 7}, "Engine(7)")
}

func TestParseEngine(t *testing.T) {
	for _, e := range []Engine{Auto, IOUring, Epoll} {
		if got, err := ParseEngine(e.String()); got != e || err != nil {
			t.Errorf("ParseEngine(%q) = %v, %v", e, got, err)
		}
	}
	for _, name := range []string{"", "Auto", "uring", "Engine(1)"} {
		if e, err := ParseEngine(name); err == nil {
			t.Errorf("ParseEngine(%q) = %v", name, e)
		}
	}
	if Auto != 0 {
		t.Error("the zero value is not Auto")
	}
}

// A server that has not started runs on nothing.
func TestEngineInfoBeforeTheStart(t *testing.T) {
	if info := (&Server{}).EngineInfo(); len(info) != 0 {
		t.Errorf("%q", info)
	}
}
