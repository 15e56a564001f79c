package server

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ringkit/ringkit/bench/internal/proc"
)

func TestFindPort(t *testing.T) {
	for text, want := range map[string]int{
		"":                                    0,
		"starting\n":                          0,
		"listening on 127.0.0.1:80":           0, // perhaps 8080
		"listening on 127.0.0.1:8080\n":       8080,
		"engine epoll\nhttp://127.0.0.1:1/\n": 1,
		"-addr 127.0.0.1:0\nhttp://127.0.0.1:4242\n": 4242,
		"127.0.0.1:99999\n":                          0,
		"0.0.0.0:80\n":                               0,
	} {
		if got := findPort([]byte(text)); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}

func TestOutputFindsPortAcrossWrites(t *testing.T) {
	out := newOutput()
	for _, part := range []string{"listening on 127.0", ".0.1:12", "34\nmore\n", "127.0.0.1:5\n"} {
		out.Write([]byte(part))
	}
	if port := <-out.port; port != 1234 {
		t.Errorf("got %d", port)
	}
	out.Write(make([]byte, 2*keptOutput))
	if len(out.data) > keptOutput {
		t.Errorf("keeps %d bytes", len(out.data))
	}
}

func TestEnvironment(t *testing.T) {
	base := []string{"HOME=/", "GOMAXPROCS=7"}
	got := environment(base, Command{Env: []string{"A=b"}})
	if want := []string{"HOME=/", "A=b"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	got = environment(base, Command{GoMaxProcs: 2})
	if want := []string{"HOME=/", "GOMAXPROCS=2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func shell(script string) Command {
	return Command{Path: "/bin/sh", Args: []string{"-c", script}, CPU: proc.AnyCPU}
}

func TestStartAndStop(t *testing.T) {
	s, err := Start(context.Background(), shell("echo listening on 127.0.0.1:4242; exec sleep 60"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Port != 4242 || s.URL("/x") != "http://127.0.0.1:4242/x" {
		t.Errorf("port %d, url %s", s.Port, s.URL("/x"))
	}
	if s.Err() != nil {
		t.Errorf("running server: %v", s.Err())
	}
	if err := errors.New("x"); s.Explain(err) != err || s.Explain(nil) != nil {
		t.Error("Explain blames a running server")
	}
	start := time.Now()
	s.Stop()
	if took := time.Since(start); took > stopTimeout {
		t.Errorf("stopping took %v", took)
	}
	if s.Err() == nil {
		t.Error("ended server: no error")
	}
	if got := s.Explain(errors.New("x")); got.Error() != s.Err().Error() {
		t.Errorf("explained as %v", got)
	}
	s.Stop() // a second time does nothing
}

func TestStartFails(t *testing.T) {
	_, err := Start(context.Background(), shell("echo no luck >&2; echo at all; exit 1"))
	if err == nil || err.Error() != "server has ended: exit status 1; it printed: no luck; at all" {
		t.Errorf("got %v", err)
	}
	if _, err := Start(context.Background(), Command{Path: "/nonexistent/server", CPU: proc.AnyCPU}); err == nil {
		t.Error("missing program: no error")
	}
}

func TestStartEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := Start(ctx, shell("exec sleep 60")); err == nil {
		t.Error("no error")
	}
}
