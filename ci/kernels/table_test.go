package main

import (
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	results := []*bootResult{
		{
			Kernel: kernel{Name: "6.12"}, Release: "6.12.1-cloud", Row: "normal", Seconds: 61.6,
			Suites: []*suiteResult{
				{Name: "root", Exit: 1, Tests: []*test{
					{Name: "TestA", Status: failed, parent: true},
					{Name: "TestA/uring", Status: passed},
					{Name: "TestA/epoll", Status: failed, Output: []string{"a_test.go:1: wrong"}},
					{Name: "TestB", Status: passed},
				}},
				{Name: "internal/wheel", Tests: []*test{{Name: "TestW", Status: skipped, Reason: "not today"}}},
			},
		},
		{Kernel: kernel{Name: "5.10"}, Row: "disabled", Skipped: "needs kernel 6.6"},
		{Kernel: kernel{Name: "7"}, Row: "normal", Problem: "the kernel was not up in 1m0s", lastWords: []string{"panic"}},
	}
	var b strings.Builder
	writeTable(&b, results)
	want := `kernel        row       engine    root   wheel  time
6.12.1-cloud  normal    any       1/0/0  0/0/1  62 s
                        io_uring  1/0/0
                        epoll     0/1/0
5.10          disabled  not booted: needs kernel 6.6
7             normal    failed: see below
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	writeNotes(&b, results, true, "/logs")
	for _, part := range []string{
		"6.12 normal, internal/wheel skipped\n    1 × any: not today\n",
		"6.12 normal FAILED\n  root: exit status 1 after 0 s\n  FAIL TestA/epoll (0.0 s)\n      a_test.go:1: wrong\n",
		"left out everywhere: root /uring_with: ",
		"7 normal FAILED\n  the kernel was not up in 1m0s\n      panic\n",
		"/logs/7-normal.{log,console}",
	} {
		if !strings.Contains(b.String(), part) {
			t.Errorf("missing:\n%s\nin:\n%s", part, b.String())
		}
	}
	if results[1].failed() || !results[2].failed() {
		t.Error("what failed is mistaken")
	}
}
