package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/bench/internal/subject"
)

// serverProgram is peers/ringkit, built once.
var serverProgram string

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == holdCommand {
		main()
		return
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "million-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		b, err := subject.NewBuilder(context.Background(), dir, os.Stderr)
		if err == nil {
			serverProgram, err = b.Program(context.Background(), serverSource)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// million runs the program and returns its result.
func million(t *testing.T, ctx context.Context, args ...string) (r result, code int, said string) {
	t.Helper()
	var out, progress bytes.Buffer
	code = run(ctx, append([]string{"-server", serverProgram, "-json", "-", "-settle", "0", "-idle", "100ms"}, args...), &out, &progress)
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatalf("%v in %s", err, &out)
		}
	}
	return r, code, progress.String()
}

func TestSmall(t *testing.T) {
	for _, engine := range []string{"io_uring", "epoll"} {
		for name, more := range map[string]string{
			"HTTP keep-alive": "", "WebSocket": "-ws", "WebSocket with compression": "-ws -deflate",
		} {
			t.Run(engine+"/"+name, func(t *testing.T) {
				if testing.Short() && (engine == "epoll") == (more == "") {
					t.Skip("takes seconds")
				}
				args := append(strings.Fields(more), "-n", "200", "-engine", engine, "-rate", "500", "-d", "1s", "-clients", "3")
				small(t, engine, name, args...)
			})
		}
	}
	t.Run("standard handler", func(t *testing.T) {
		small(t, "", "HTTP keep-alive", "-n", "200", "-handler", "std", "-rate", "500", "-d", "1s")
	})
}

func small(t *testing.T, engine, protocol string, args ...string) {
	r, code, said := million(t, t.Context(), args...)
	if strings.Contains(said, "io_uring") && code != 0 && engine == "io_uring" {
		t.Skip(said) // there is none
	}
	if code != 0 || !r.Valid || r.Asked != 200 || r.Held != 200 || r.Protocol != protocol || r.Left != 0 {
		t.Fatalf("%d, %+v\n%s", code, r, said)
	}
	if engine != "" && r.Machine.Engine != engine {
		t.Errorf("engine %q, want %q", r.Machine.Engine, engine)
	}
	if len(r.Ramp) == 0 || r.Ramp[len(r.Ramp)-1].Connections != 200 || r.Memory.RSS <= 0 || r.Memory.ServerRSS <= 0 {
		t.Errorf("%+v, %+v", r.Ramp, r.Memory)
	}
	l := r.Load
	if l == nil || l.Answered != 500 || l.Rate > 500 || l.Latency.P50 < 1 || l.Latency.Max < l.Latency.P99 || l.CPUMicros <= 0 || l.ClientMicros <= 0 {
		t.Errorf("%+v", l)
	}
	if text := r.text(); !strings.Contains(text, "200 connections, "+protocol) || strings.Contains(text, "INVALID") {
		t.Error(text)
	}
}

func TestDirect(t *testing.T) {
	s, err := readSystem()
	if err != nil {
		t.Fatal(err)
	}
	if s.noDirect != nil {
		t.Skip(s.noDirect)
	}
	r, code, said := million(t, t.Context(), "-n", "200", "-descriptors", "direct", "-rate", "500", "-d", "1s")
	if code != 0 || r.Held != 200 || !r.Machine.Direct {
		t.Errorf("%d, %+v\n%s", code, r, said)
	}
}

// What the limits do not allow is said first, and the rest is held.
func TestHoldsWhatCanBeHeld(t *testing.T) {
	s, err := readSystem()
	if err != nil {
		t.Fatal(err)
	}
	reserve := s.available>>20 - serverBytes>>20 - 10 // MiB, so that there are 10 for connections
	r, code, said := million(t, t.Context(), "-n", "5000", "-rate", "0", "-reserve", fmt.Sprint(reserve))
	if r.Held > 0 && (code != 0 || r.Held >= 5000 || len(r.Limits) == 0 || r.Limits[0].Name != "memory") {
		t.Errorf("%d, %d held, limits %+v", code, r.Held, r.Limits)
	}
	if !strings.Contains(said, "memory allows") || !strings.Contains(said, "-reserve") {
		t.Error(said)
	}
}

// An interrupt ends everything.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(2*time.Second, cancel)
	start := time.Now()
	_, code, said := million(t, ctx, "-n", "200", "-rate", "100", "-d", "1m")
	if code != 1 || time.Since(start) > 30*time.Second || !strings.Contains(said, "interrupted") {
		t.Errorf("%d after %v: %s", code, time.Since(start), said)
	}
	if left := children(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// children returns the processes that this one has started and that are there.
func children(t *testing.T) (left []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && len(bytes.TrimSpace(text)) > 0 {
			left = append(left, string(text))
		}
	}
	return left
}

func TestServerFails(t *testing.T) {
	var out, progress bytes.Buffer
	if code := run(t.Context(), []string{"-server", "/bin/false", "-n", "10"}, &out, &progress); code != 1 || out.Len() > 0 {
		t.Errorf("%d, %s%s", code, &out, &progress)
	}
}

func TestInvalid(t *testing.T) {
	for want, r := range map[string]result{
		"3 connections failed":     {Failed: 3},
		"2 idle connections ended": {Lost: 2},
		"4 requests were not ans":  {Missing: 4},
		"5 requests were not sent": {Unsent: 5},
		"did not come to its end":  {},
	} {
		if r.Valid = r.wrong() == nil && r.Held > 0; r.Valid || r.err() == nil || !strings.Contains(r.err().Error(), want) {
			t.Errorf("%+v: %v", r, r.err())
		}
		if text := r.text(); !strings.Contains(text, "INVALID") {
			t.Error(text)
		}
	}
}
