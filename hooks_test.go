package ringkit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
)

// Hooks are called when what they are for happens, once, and with what is to be known.
func TestHooks(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		heard := make(chan string, 100)
		tell := func(what string, args ...any) { heard <- what + " " + strings.TrimSpace(fmt.Sprintln(args...)) }
		s := statsSite(t, e, &Server{Loops: 1, IdleTimeout: tick, Hooks: Hooks{
			EngineChosen: func(loop int, e LoopEngine) { tell("engine", loop, e) },
			Accepted:     func(remote net.Addr) { tell("accepted", remote) },
			Closed: func(remote net.Addr, why error) {
				rejected := new(http1.Error)
				tell("closed", remote, why == nil, errors.Is(why, os.ErrDeadlineExceeded), errors.Is(why, http.ErrServerClosed),
					errors.Is(why, http.ErrHijacked), errors.As(why, &rejected), errors.Is(why, syscall.ECONNRESET))
			},
			Takeover: func(route string, blocked time.Duration) {
				if strings.HasSuffix(route, "/slow") { // on a busy machine any handler may lose its loop
					tell("takeover", route, 10*time.Millisecond < blocked && blocked < patience)
				}
			},
			Rejected: func(remote net.Addr, status int, reason string) { tell("rejected", remote, status, reason) },
		}})
		hear := func(want string) {
			t.Helper()
			if got := expect(t, want, heard); got != want {
				t.Errorf("heard %q, want %q", got, want)
			}
		}
		hear("engine 0 engine auto: for a test")
		dial := func() *peer {
			p := s.dial()
			hear("accepted " + p.LocalAddr().String())
			return p
		}
		p := dial()
		p.get("/slow")
		hear("takeover /slow true")
		p.Close()
		hear("closed " + p.LocalAddr().String() + " true false false false false false")
		p = dial()
		p.get("/")
		hear("closed " + p.LocalAddr().String() + " false true false false false false")
		p = dial()
		p.send(ask("GET", "/hijack"))
		hear("closed " + p.LocalAddr().String() + " false false false true false false")
		p = dial()
		p.send("GET / HTTP/1.1\r\n\r\n")
		hear("rejected " + p.LocalAddr().String() + " 400 missing Host")
		p.answer("GET")
		p.Close()
		hear("closed " + p.LocalAddr().String() + " false false false false true false")
		p = dial()
		p.reset()
		hear("closed " + p.LocalAddr().String() + " false false false false false true")
		p = dial()
		s.Close()
		hear("closed " + p.LocalAddr().String() + " false false true false false false")
		if len(heard) > 0 {
			t.Errorf("heard %q besides", <-heard)
		}
	})
}

// AcceptWaits is called when there are no descriptors left.
func TestHookAcceptWaits(t *testing.T) {
	var why error
	srv := &Server{ErrorLog: log.New(io.Discard, "", 0), Hooks: Hooks{AcceptWaits: func(l net.Addr, err error) {
		why = fmt.Errorf("%v: %w", l, err)
	}}}
	ln := &listener{srv: srv, addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}}
	ln.waits(syscall.EMFILE)
	if !errors.Is(why, syscall.EMFILE) || !strings.HasPrefix(why.Error(), "127.0.0.1:80: ") {
		t.Errorf("told %v", why)
	}
	(&listener{srv: &Server{ErrorLog: srv.ErrorLog}, addr: ln.addr}).waits(syscall.EMFILE) // without the hook
}

// recordsOf returns a logger that writes records without their time, and what it wrote.
func recordsOf() (*slog.Logger, *logBook) {
	book := new(logBook)
	return slog.New(slog.NewTextHandler(book, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case slog.TimeKey:
			return slog.Attr{}
		case "stack":
			return slog.Bool("stack", strings.Contains(a.Value.String(), "goroutine"))
		}
		return a
	}})), book
}

// What goes wrong is logged as records with stable messages and keys.
func TestLogger(t *testing.T) {
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}
	srv := new(Server)
	logger, book := recordsOf()
	srv.Logger = logger
	srv.logEngine(LoopEngine{Name: IOUring, Tier: "full"}, 0)
	srv.logEngine(LoopEngine{Name: Epoll, Why: "a reason"}, 1)
	srv.logAcceptWaits(addr, syscall.EMFILE)
	srv.logPanic("1.2.3.4:5", "a value", []byte("goroutine 1"))
	srv.logPanic("1.2.3.4:5", nil, []byte("goroutine 1"))
	srv.logPanic("1.2.3.4:5", http.ErrAbortHandler, nil)
	for range 3 {
		srv.logTakeover("GET /slow") // said once in a while
	}
	srv.logMisuse("WriteHeader(%d) twice", 200)
	srv.logLoopEnd(errors.New("no memory"))
	want := `level=INFO msg="engine chosen" loop=0 engine=io_uring tier=full why=""
level=INFO msg="engine chosen" loop=1 engine=epoll tier="" why="a reason"
level=WARN msg="accept has to wait" listener=127.0.0.1:80 error="too many open files"
level=ERROR msg="handler panicked" panic="a value" remote=1.2.3.4:5 stack=true
level=ERROR msg="handler ended its goroutine" remote=1.2.3.4:5 stack=true
level=WARN msg="handler blocked its event loop" route="GET /slow"
level=WARN msg="handler misused the server" what="WriteHeader(200) twice"
level=ERROR msg="event loop ended" error="no memory"
`
	if got := book.String(); got != want {
		t.Errorf("logged\n%s\nwant\n%s", got, want)
	}
	if n := srv.Stats().Panics; n != 2 {
		t.Errorf("%d panics", n)
	}

	// ErrorLog comes first, and hears nothing of takeovers.
	var lines bytes.Buffer
	srv = &Server{Logger: logger, ErrorLog: log.New(&lines, "", 0)}
	srv.logTakeover("GET /slow")
	srv.logAcceptWaits(addr, syscall.EMFILE)
	if got, want := lines.String(), "ringkit: accept on 127.0.0.1:80 has to wait: too many open files\n"; got != want {
		t.Errorf("ErrorLog got %q, want %q", got, want)
	}
	if got := book.String(); got != want {
		t.Errorf("Logger got more:\n%s", strings.TrimPrefix(got, want))
	}
}

// With Logger a server says there what it would have said otherwise.
func TestLoggerOfServer(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		logger, book := recordsOf()
		s := statsSite(t, e, &Server{Loops: 1})
		s.Close()
		l := listenTCP(t)
		srv := &Server{Handler: s.Handler, Logger: logger, Loops: 1, newRing: e.newRing}
		var served sync.WaitGroup
		served.Go(func() { srv.Serve(l) })
		p := connectPeer(t, "tcp", l.Addr().String(), 0)
		p.get("/slow")
		p.get("/panic")
		for _, want := range []string{`level=ERROR msg="handler panicked" panic="a test" remote=127.0.0.1:`, `msg="handler blocked its event loop" route="GET /slow"`} {
			if !strings.Contains(book.String(), want) {
				t.Errorf("logged\n%s\nwithout %s", book.String(), want)
			}
		}
		srv.Close()
		served.Wait()
	})
}

// The reasons for which a connection ends match what is documented.
func TestHookReasons(t *testing.T) {
	for _, err := range []error{errIdleTimeout, errReadTimeout, errWriteTimeout} {
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v", err)
		}
	}
	if !errors.Is(errWriteTimeout, conn.ErrWriteTimeout) {
		t.Errorf("%v", errWriteTimeout)
	}
}
