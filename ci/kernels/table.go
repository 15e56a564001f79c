package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// writeTable writes kernel × row × engine × suite. A cell has how many tests
// passed, failed and were skipped.
func writeTable(w io.Writer, results []*bootResult) {
	suites := suitesOf(results)
	header := []string{"kernel", "row", "engine"}
	for _, s := range suites {
		header = append(header, filepath.Base(s))
	}
	table := [][]string{append(header, "time")}
	for _, b := range results {
		table = append(table, linesOf(b, suites)...)
	}
	writeColumns(w, table)
}

func suitesOf(results []*bootResult) (names []string) {
	for _, b := range results {
		for _, s := range b.Suites {
			if !slices.Contains(names, s.Name) {
				names = append(names, s.Name)
			}
		}
	}
	return names
}

// linesOf returns the lines of one boot, one for each engine.
func linesOf(b *bootResult, suites []string) [][]string {
	name := b.Release
	if name == "" {
		name = b.Kernel.Name
	}
	if b.Skipped != "" || len(b.Suites) == 0 {
		why := "not booted: " + b.Skipped
		if b.Skipped == "" {
			why = "failed: see below"
		}
		return [][]string{{name, b.Row, why}}
	}
	cells := map[string]map[string][]*test{} // by engine and suite
	var engines []string
	for _, s := range b.Suites {
		for _, t := range counted(s.Tests) {
			e := engineOf(s.Name, t.Name)
			if cells[e] == nil {
				cells[e] = map[string][]*test{}
				engines = append(engines, e)
			}
			cells[e][s.Name] = append(cells[e][s.Name], t)
		}
	}
	sortEngines(engines)
	var lines [][]string
	for i, e := range engines {
		line := []string{"", "", e}
		if i == 0 {
			line = []string{name, b.Row, e}
		}
		for _, s := range suites {
			line = append(line, cell(cells[e][s]))
		}
		if i == 0 {
			line = append(line, fmt.Sprintf("%.0f s", b.Seconds))
		}
		lines = append(lines, line)
	}
	return lines
}

func cell(tests []*test) string {
	if len(tests) == 0 {
		return ""
	}
	c := count(tests)
	return fmt.Sprintf("%d/%d/%d", c.passed, c.failed, c.skipped)
}

// writeColumns aligns columns by the number of characters.
func writeColumns(w io.Writer, table [][]string) {
	var widths []int
	for _, line := range table {
		for i, c := range line {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if i < 2 || len(line) > 3 { // why there are no cells may be long
				widths[i] = max(widths[i], len([]rune(c)))
			}
		}
	}
	for _, line := range table {
		var b strings.Builder
		for i, c := range line {
			fmt.Fprintf(&b, "%-*s  ", widths[i], c)
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// writeNotes writes what the table has no room for: what failed, and why tests were
// skipped.
func writeNotes(w io.Writer, results []*bootResult, quick bool, logs string) {
	for _, l := range leftOut {
		if quick || !l.quick {
			fmt.Fprintf(w, "\nleft out everywhere: %s %s: %s\n", l.suite, l.tests, l.why)
		}
	}
	for _, b := range results {
		title := fmt.Sprintf("%s %s", b.Kernel.Name, b.Row)
		if b.Kernel.Note != "" {
			fmt.Fprintf(w, "\n%s: kernel %s\n", title, b.Kernel.Note)
		}
		for _, s := range b.Suites {
			writeReport(w, title, s)
		}
		for _, s := range b.Suites {
			writeSkips(w, title, s)
		}
		if b.failed() {
			writeFailures(w, title, b)
			fmt.Fprintf(w, "  all of it: %s\n", filepath.Join(logs, b.Kernel.Name+"-"+b.Row+".{log,console}"))
		}
	}
}

// writeReport writes what was found on the kernel.
func writeReport(w io.Writer, title string, s *suiteResult) {
	for _, t := range s.Tests {
		if s.Name == smoke && t.Name == reportTest && t.Status == passed {
			fmt.Fprintf(w, "\n%s\n", title)
			for _, l := range t.Output {
				fmt.Fprintf(w, "  %s\n", clip(l, 300))
			}
		}
	}
}

// writeSkips writes the reasons for skips, each with how often it was given.
func writeSkips(w io.Writer, title string, s *suiteResult) {
	times := map[string]int{}
	var reasons []string
	for _, t := range counted(s.Tests) {
		if t.Status == skipped {
			r := engineOf(s.Name, t.Name) + ": " + clip(t.Reason, 160)
			if times[r] == 0 {
				reasons = append(reasons, r)
			}
			times[r]++
		}
	}
	if len(reasons) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s, %s skipped\n", title, s.Name)
	for _, r := range reasons {
		fmt.Fprintf(w, "  %3d × %s\n", times[r], r)
	}
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}

func writeFailures(w io.Writer, title string, b *bootResult) {
	fmt.Fprintf(w, "\n%s FAILED\n", title)
	if b.Problem != "" {
		fmt.Fprintf(w, "  %s\n", b.Problem)
		indent(w, b.lastWords)
	}
	for _, m := range b.Messages {
		fmt.Fprintf(w, "  kernel: %s\n", m)
	}
	for _, s := range b.Suites {
		if !s.failed() {
			continue
		}
		problem := s.Problem
		if problem == "" {
			problem = fmt.Sprintf("exit status %d", s.Exit)
		}
		fmt.Fprintf(w, "  %s: %s after %.0f s\n", s.Name, problem, s.Seconds)
		named := 0
		for _, t := range counted(s.Tests) {
			if t.Status == failed || t.Status == unended {
				fmt.Fprintf(w, "  %s %s (%.1f s)\n", strings.ToUpper(string(t.Status)), t.Name, t.Seconds)
				indent(w, t.Output)
				named++
			}
		}
		if named == 0 {
			indent(w, s.Output)
		}
	}
}

func indent(w io.Writer, lines []string) {
	for _, l := range lines {
		fmt.Fprintf(w, "      %s\n", clip(l, 300))
	}
}
