package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/ringkit/ringkit/ci/kernels/plan"
)

func TestRecordsAreSplitFromOutput(t *testing.T) {
	var text bytes.Buffer
	text.WriteString("before\nnot ended")
	text.Write(plan.Record{Kind: plan.Begin, Suite: "conn"}.Line())
	text.WriteString("inside\n")
	text.Write(plan.Record{Kind: plan.End, Suite: "conn", Exit: 2}.Line())
	text.WriteString("\x1e{no record}\nafter")
	for _, size := range []int{1, 5, text.Len()} {
		var got []plan.Record
		var rest bytes.Buffer
		r := &records{rest: &rest, record: func(p plan.Record) { got = append(got, p) }}
		for piece := range slices.Chunk(text.Bytes(), size) {
			r.Write(piece)
		}
		want := []plan.Record{{Kind: plan.Begin, Suite: "conn"}, {Kind: plan.End, Suite: "conn", Exit: 2}}
		if !slices.Equal(got, want) {
			t.Errorf("in pieces of %d: %+v", size, got)
		}
		if rest.String() != "before\nnot endedinside\n{no record}\nafter" {
			t.Errorf("in pieces of %d: %q", size, rest.String())
		}
	}
}

func TestConsoleMessages(t *testing.T) {
	console := "[    0.000000] Linux version 6.12\r\n" +
		"[    1.5] WARNING: CPU: 0 PID: 7 at io_uring/io_uring.c:1\r\n" +
		"[    1.6] WARNING: CPU: 0 PID: 7 at io_uring/io_uring.c:1\r\n" +
		"[    2.0][    T1] BUG: kernel NULL pointer dereference\r\n" +
		"[    2.1] Kernel panic - not syncing: Fatal exception\r\n" +
		"[    2.2] debug: a warning: all is well\r\n"
	got := consoleMessages([]byte(console), []string{"Kernel panic - not syncing: Fatal exception"})
	want := []string{"WARNING: CPU: 0 PID: 7 at io_uring/io_uring.c:1", "BUG: kernel NULL pointer dereference"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestCount(t *testing.T) {
	var l testLog
	for _, line := range []string{
		"=== RUN   TestA", "=== RUN   TestA/x", "=== RUN   TestA/y",
		"--- PASS: TestA/x (0.00s)", "--- FAIL: TestA/y (0.00s)", "--- FAIL: TestA (0.00s)",
		"=== RUN   TestB", "=== RUN   TestB/x", "--- PASS: TestB/x (0.00s)", "--- FAIL: TestB (0.00s)", // fails by itself
		"=== RUN   TestC", "=== RUN   TestC/x", "--- SKIP: TestC/x (0.00s)", "--- PASS: TestC (0.00s)",
		"=== RUN   TestD", "=== RUN   TestD/x", // does not end
	} {
		l.Write([]byte(string(marker) + line + "\n"))
	}
	if c := count(l.close()); c != (counts{passed: 2, failed: 3, skipped: 1}) {
		t.Errorf("%+v", c)
	}
}

func TestEngineOf(t *testing.T) {
	for _, c := range []struct{ suite, name, want string }{
		{"root", "TestGet/uring", "io_uring"},
		{"root", "TestGet/uring_without_buffer_ring/deep", "io_uring without buffer ring"},
		{"root", "TestGet/epoll", "epoll"},
		{"root", "TestGet/deep/io_uring,_small", "io_uring, small"},
		{"root", "TestFloors", "any"},
		{"root", "TestEpoll/epollish", "any"},
		{"root", "TestRefused/io_uring_setup", "any"},
		{"uring", "TestProbe", "io_uring"},
		{"fallback", "TestAccept", "epoll"},
		{"conn", "TestEcho/epoll/2_loops", "epoll"},
	} {
		if got := engineOf(c.suite, c.name); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.suite, c.name, got, c.want)
		}
	}
	names := []string{"epoll", "io_uring with two buffers", "any", "io_uring", "epoll, small"}
	sortEngines(names)
	if got := strings.Join(names, "|"); got != "any|io_uring|io_uring with two buffers|epoll|epoll, small" {
		t.Error(got)
	}
}

func TestRowsFitKernels(t *testing.T) {
	old, mid := kernel{Name: "5.10", Release: release{5, 10}}, kernel{Name: "6.1", Release: release{6, 1}}
	lts, last := kernel{Name: "6.12", Release: release{6, 12}}, kernel{Name: "7", Release: release{7, 3}}
	if got := restrictedOn([]kernel{old, lts, last}); got != 1 {
		t.Error(got)
	}
	if got := restrictedOn([]kernel{old, last, mid}); got != 1 {
		t.Error(got)
	}
	byName := func(name string) row {
		r, err := chooseRows([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		return r[0]
	}
	for _, c := range []struct {
		row      string
		kernel   kernel
		possible bool
		engine   string
	}{
		{"normal", old, true, epoll},
		{"normal", mid, true, ioUring},
		{"normal", kernel{Name: "file"}, true, ""},
		{"disabled", mid, false, epoll},
		{"disabled", lts, true, epoll},
		{"seccomp", last, true, epoll},
	} {
		r := byName(c.row)
		if r.possible(c.kernel) != c.possible || r.expected(c.kernel) != c.engine {
			t.Errorf("%s on %s: %v %q", c.row, c.kernel.Name, r.possible(c.kernel), r.expected(c.kernel))
		}
	}
	if _, ok := byName("seccomp").runs("conn", false); ok {
		t.Error("conn runs without io_uring's system calls")
	}
	if _, ok := byName("one-cpu").runs("conn", true); ok {
		t.Error("conn runs quickly")
	}
	if _, ok := byName("normal").runs("conn", true); !ok {
		t.Error("conn does not run in the normal row")
	}
}
