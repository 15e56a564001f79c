// Package smoke serves with the engine chosen automatically, wherever its tests
// are run: it is what a kernel or a restriction has to let work in any case.
package smoke

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
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringkit/ringkit"
	"github.com/ringkit/ringkit/uring"
)

// expectEngine names the environment variable with the engine that has to be
// chosen, "io_uring" or "epoll"; any will do if it is empty.
const expectEngine = "RINGKIT_EXPECT_ENGINE"

// patience is how long something may take that should happen at once, on a machine
// that is not slow.
var patience = 10 * time.Second * scale()

func scale() time.Duration {
	f, err := strconv.ParseFloat(os.Getenv("RINGKIT_TIME_SCALE"), 64)
	if err != nil || f < 1 {
		return 1
	}
	return time.Duration(f)
}

type site struct {
	*ringkit.Server
	addr   string
	served chan error
	log    *bytes.Buffer
}

// serve starts a server on the given engine, which ends with the test.
func serve(t *testing.T, e ringkit.Engine, loops int) *site {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{addr: l.Addr().String(), served: make(chan error, 1), log: new(bytes.Buffer)}
	up := make(chan struct{})
	s.Server = &ringkit.Server{
		Engine:   e,
		Loops:    loops,
		Handler:  handler(),
		ErrorLog: log.New(s.log, "", 0),
		// It is called once the loops run.
		BaseContext: func(net.Listener) context.Context { close(up); return context.Background() },
	}
	go func() { s.served <- s.Serve(l) }()
	select {
	case <-up:
	case err := <-s.served:
		t.Fatalf("Serve: %v", err)
	case <-time.After(patience):
		t.Fatal("the server does not start")
	}
	t.Cleanup(func() { s.stop(t) })
	return s
}

func (s *site) stop(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := <-s.served; err != http.ErrServerClosed {
		t.Errorf("Serve: %v", err)
	}
	if t.Failed() {
		t.Logf("the server's log:\n%s", s.log)
	}
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/standard", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "standard") })
	mux.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 1<<20)) })
	return ringkit.HandlerFunc(func(x *ringkit.Exchange) {
		switch x.Path() {
		case "/":
			x.WriteString("native")
		case "/echo":
			x.Write(x.Body())
		default:
			x.Delegate(mux)
		}
	})
}

func (s *site) client(t *testing.T) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// ask sends a request and checks the answer.
func (s *site) ask(c *http.Client, path, body, want string) error {
	method := "GET"
	if body != "" {
		method = "POST"
	}
	req, err := http.NewRequest(method, "http://"+s.addr+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if resp.StatusCode != 200 || string(got) != want {
		return fmt.Errorf("%s: %s, %d bytes, want %d", path, resp.Status, len(got), len(want))
	}
	return nil
}

func (s *site) askAll(c *http.Client) error {
	body := strings.Repeat("0123456789abcdef", 16<<10)
	return errors.Join(
		s.ask(c, "/", "", "native"),
		s.ask(c, "/standard", "", "standard"),
		s.ask(c, "/echo", "some body", "some body"),
		s.ask(c, "/echo", body, body),
		s.ask(c, "/large", "", string(make([]byte, 1<<20))),
	)
}

// What is found on a kernel is shown with the results of the matrix.
func TestReport(t *testing.T) {
	s := serve(t, ringkit.Auto, 1)
	for line := range strings.Lines(uring.Probe().String()) {
		fmt.Print(line)
	}
	for _, info := range s.EngineInfo() {
		fmt.Println(info)
	}
	if err := ringkit.KernelTLS(); err != nil {
		fmt.Println(err)
	} else {
		fmt.Println("kernel TLS")
	}
}

func TestAutomaticEngine(t *testing.T) {
	s := serve(t, ringkit.Auto, 2)
	info := s.EngineInfo()
	if len(info) != 2 {
		t.Fatalf("engines: %q", info)
	}
	for _, what := range info {
		if want := os.Getenv(expectEngine); !strings.HasPrefix(what, "engine "+want) {
			t.Errorf("%s, want %s", what, want)
		}
	}
	if err := s.askAll(s.client(t)); err != nil {
		t.Error(err)
	}
}

// An engine asked for is used, or the error says why there is none.
func TestEngineAskedFor(t *testing.T) {
	for _, e := range []ringkit.Engine{ringkit.IOUring, ringkit.Epoll} {
		t.Run(e.String(), func(t *testing.T) {
			if e == ringkit.IOUring && uring.Probe().Err != nil {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				err = (&ringkit.Server{Engine: e, Handler: handler()}).Serve(l)
				if !errors.Is(err, uring.ErrUnavailable) {
					t.Errorf("Serve: %v, want one that matches %v", err, uring.ErrUnavailable)
				}
				t.Skip(err)
			}
			s := serve(t, e, 1)
			for _, what := range s.EngineInfo() {
				if !strings.HasPrefix(what, "engine "+e.String()) {
					t.Errorf("%s, want %s", what, e)
				}
			}
			if err := s.askAll(s.client(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSeveralAtATime(t *testing.T) {
	s := serve(t, ringkit.Auto, 2)
	var wait sync.WaitGroup
	for range 8 {
		c := s.client(t)
		wait.Go(func() {
			for range 4 {
				if err := s.askAll(c); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
}

// Connections beyond the limit of descriptors keep nobody from being served
// afterwards.
func TestOutOfDescriptors(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur > 1024 {
		t.Skipf("the limit is %d", limit.Cur)
	}
	s := serve(t, ringkit.Auto, 1)
	var open []net.Conn
	for range limit.Cur {
		c, err := net.DialTimeout("tcp", s.addr, patience)
		if err != nil {
			break
		}
		open = append(open, c)
	}
	if uint64(len(open)) == limit.Cur {
		t.Errorf("%d connections with a limit of %d descriptors", len(open), limit.Cur)
	}
	for _, c := range open {
		c.Close()
	}
	if err := s.askAll(s.client(t)); err != nil {
		t.Errorf("after %d connections: %v", len(open), err)
	}
}
