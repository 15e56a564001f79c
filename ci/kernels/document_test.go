package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDocument(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	results := []*bootResult{
		{
			Kernel: kernel{Name: "6.12"}, Release: "6.12.1-cloud", Row: "normal",
			Suites: []*suiteResult{
				{Name: "root", Tests: []*test{
					{Name: "TestA", Status: passed, parent: true},
					{Name: "TestA/uring", Status: passed},
					{Name: "TestA/uring_with_little", Status: passed},
					{Name: "TestA/epoll", Status: failed},
					{Name: "TestB", Status: skipped},
				}},
				{Name: "fallback", Tests: []*test{{Name: "TestF", Status: passed}}},
			},
		},
		{Kernel: kernel{Name: "5.10"}, Row: "disabled", Skipped: "needs kernel 6.6"},
	}
	o := options{kernels: []string{"5.10", "6.12"}, quick: true}
	about := aboutRun(o, time.Date(2026, 11, 22, 17, 5, 0, 0, time.UTC), false)
	write("above\n" + tableBegins + "\nold\n" + tableEnds + "\nbelow\n")
	if err := updateDocument(file, results, about); err != nil {
		t.Fatal(err)
	}
	want := "above\n" + tableBegins + `
` + "`go run ./ci/kernels -kernels 5.10,6.12 -quick` on 2026-11-22, 17:05 UTC, with an emulated processor." + ` A cell has the numbers of tests that passed, failed and were skipped.

| kernel | row | io_uring | its lower tiers | epoll | either |
|---|---|---|---|---|---|
| 6.12.1-cloud | normal | 1/0/0 | 1/0/0 | 1/1/0 | 0/0/1 |
| 5.10 | disabled | not booted: needs kernel 6.6 | | | |
` + tableEnds + "\nbelow\n"
	if got, err := os.ReadFile(file); err != nil || string(got) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	write("no table here\n")
	if err := updateDocument(file, results, about); err == nil || !strings.Contains(err.Error(), tableBegins) {
		t.Errorf("a page without the lines: %v", err)
	}
}
