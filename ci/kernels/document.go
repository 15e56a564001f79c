package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// A page has the table between these lines.
const (
	tableBegins = "<!-- matrix:begin -->"
	tableEnds   = "<!-- matrix:end -->"
)

// updateDocument puts a short table of the results into a page, in the place of the last.
func updateDocument(file string, results []*bootResult, about string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), tableBegins)
	_, after, ok2 := strings.Cut(rest, tableEnds)
	if !ok || !ok2 {
		return fmt.Errorf("%s does not have the lines %q and %q", file, tableBegins, tableEnds)
	}
	page := before + tableBegins + "\n" + about + "\n\n" + shortTable(results) + tableEnds + after
	return os.WriteFile(file, []byte(page), 0o644)
}

// aboutRun says when and how results were made.
func aboutRun(o options, when time.Time, kvm bool) string {
	how := "go run ./ci/kernels -kernels " + strings.Join(o.kernels, ",")
	for _, f := range []struct {
		name string
		set  bool
	}{{"-quick", o.quick}, {"-long", o.long}, {"-run " + o.run, o.run != ""}, {"-suites " + strings.Join(o.suites, ","), len(o.suites) > 0}, {"-rows " + strings.Join(o.rows, ","), len(o.rows) > 0}} {
		if f.set {
			how += " " + f.name
		}
	}
	processor := "an emulated processor"
	if kvm {
		processor = "KVM"
	}
	return fmt.Sprintf("`%s` on %s, with %s. A cell has the numbers of tests that passed, failed and were skipped.",
		how, when.UTC().Format("2006-01-02, 15:04 UTC"), processor)
}

// shortTable is the table of a page: what has run on each kernel, by engine, with the tiers
// of io_uring below the best, and other variants, in a column of their own.
func shortTable(results []*bootResult) string {
	var b strings.Builder
	b.WriteString("| kernel | row | io_uring | its lower tiers | epoll | either |\n|---|---|---|---|---|---|\n")
	for _, r := range results {
		name := r.Release
		if name == "" {
			name = r.Kernel.Name
		}
		if r.Skipped != "" || len(r.Suites) == 0 {
			why := r.Skipped
			if why == "" {
				why = r.Problem
			}
			fmt.Fprintf(&b, "| %s | %s | not booted: %s | | | |\n", name, r.Row, why)
			continue
		}
		var of [4]counts
		for _, s := range r.Suites {
			for _, t := range counted(s.Tests) {
				c := count([]*test{t})
				sum := &of[columnOf(engineOf(s.Name, t.Name))]
				*sum = counts{sum.passed + c.passed, sum.failed + c.failed, sum.skipped + c.skipped}
			}
		}
		fmt.Fprintf(&b, "| %s | %s |", name, r.Row)
		for _, c := range of {
			if c == (counts{}) {
				b.WriteString(" |")
			} else {
				fmt.Fprintf(&b, " %d/%d/%d |", c.passed, c.failed, c.skipped)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func columnOf(engine string) int {
	switch {
	case engine == ioUring:
		return 0
	case strings.HasPrefix(engine, ioUring):
		return 1
	case strings.HasPrefix(engine, epoll):
		return 2
	}
	return 3
}
