package docs

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The figures of docs/performance.md come out of a report of bench:
//
//	go test ./internal/docs -run TestBlocks -report results/report.md
var reportFlag = flag.String("report", "", "a `report.md` of bench, whose figures to put into the pages; the path is seen from the module's directory")

var (
	date    = regexp.MustCompile(`\b20\d\d-\d\d-\d\d\b|\b\d{1,2} [A-Z][a-z]+ 20\d\d\b`)
	machine = regexp.MustCompile(`(?m)^\| (?:Processor|Kernel) *\| (.*?) *\|`)
)

// figures takes from a report what docs/performance.md has: when and where, the goals and
// the tables. The method is there already.
func figures(report string) (string, error) {
	_, rest, ok := strings.Cut("\n"+report, "\n# ")
	_, rest, ok2 := strings.Cut(rest, "\n\n")
	head, rest, ok3 := strings.Cut(rest, "\n## ")
	goals, tables, ok4 := strings.Cut(rest, "\n## ")
	tables, end, ok5 := strings.Cut(tables, "\n## Method")
	if !(ok && ok2 && ok3 && ok4 && ok5) {
		return "", errors.New("it is no report of bench: a title, a summary, the goals, tables, and the method")
	}
	if !date.MatchString(head) {
		return "", errors.New("its summary has no date")
	}
	_, goals, _ = strings.Cut(goals, "\n") // without the heading
	where := ""
	for _, m := range machine.FindAllStringSubmatch(end, -1) {
		where += m[1] + ". "
	}
	if where == "" {
		return "", errors.New("it does not say on which machine")
	}
	head = strings.TrimSpace(where) + " " + strings.TrimSpace(head)
	made := ""
	if i := strings.LastIndex(end, "\nMade by "); i >= 0 {
		made = "\n" + strings.TrimSpace(end[i:]) + "\n"
	}
	goals = strings.TrimSpace(goals)
	// The page has the tables below a heading of its own.
	lower := regexp.MustCompile(`(?m)^#`).ReplaceAllString(strings.TrimSpace("## "+tables), "##")
	return fmt.Sprintf("%s\n\n%s\n\n%s\n%s", head, goals, lower, made), nil
}

// filled puts a block into its place on a page.
func filled(page, name, block string) (string, error) {
	begin, end := "<!-- "+name+":begin -->\n", "<!-- "+name+":end -->\n"
	before, rest, ok := strings.Cut(page, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", fmt.Errorf("there is no place for %s", name)
	}
	return before + begin + block + end + after, nil
}

func TestFigures(t *testing.T) {
	got, err := figures(`# ringkit beside others

23 November 2026, 01:30 UTC. 1 scenario.

> **busy**

## Beside the goals

| goal | measured |
|---|---|
| one | 1 |
| two | 2 |

## HTTP

### plain

words

| a | b |
|---|---|

## Method

* with care

## Machine and versions

| | |
|---|---|
| Processor | fast, 2 of them |
| Memory    | some   |
| Kernel    | Linux 6.18 |

Made by ` + "`go run .`.\n")
	if err != nil {
		t.Fatal(err)
	}
	head := "fast, 2 of them. Linux 6.18. 23 November 2026, 01:30 UTC. 1 scenario.\n\n> **busy**\n\n| goal | measured |\n|---|---|\n| one | 1 |\n"
	if want := head + "| two | 2 |\n\n### HTTP\n\n#### plain\n\nwords\n\n| a | b |\n|---|---|\n\nMade by `go run .`.\n"; got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	page, err := filled("a\n<!-- results:begin -->\nold\n<!-- results:end -->\nb\n", "results", "new\n")
	if want := "a\n<!-- results:begin -->\nnew\n<!-- results:end -->\nb\n"; err != nil || page != want {
		t.Errorf("%v\n%s", err, page)
	}
	for _, wrong := range []string{"", "# title\n\nno date\n\n## Goals\n\n## HTTP\n\n## Method\n", "# title\n\n2026-11-23\n", "# title\n\n2026-11-23\n\n## Goals\n\n## HTTP\n\n## Method\n"} {
		if _, err := figures(wrong); err == nil {
			t.Errorf("%q passes for a report", wrong)
		}
	}
	if _, err := filled("a page", "results", ""); err == nil {
		t.Error("a page without a place is filled")
	}
}

// TestBlocks looks for the places where tools put tables, and for the dates of these. With
// -report it fills that for the figures.
func TestBlocks(t *testing.T) {
	if *reportFlag != "" {
		fill(t, *reportFlag)
	}
	for page, name := range map[string]string{"README.md": "results", "docs/performance.md": "results", "docs/kernel-matrix.md": "matrix"} {
		text := read(t, page)
		if _, err := filled(text, name, ""); err != nil {
			t.Errorf("%s: %v", page, err)
			continue
		}
		_, rest, _ := strings.Cut(text, "<!-- "+name+":begin -->\n")
		block, _, _ := strings.Cut(rest, "<!-- "+name+":end -->\n")
		if !date.MatchString(block) {
			t.Errorf("the %s of %s have no date", name, page)
		}
	}
}

func fill(t *testing.T, path string) {
	t.Helper()
	if !filepath.IsAbs(path) {
		path = filepath.Join(root, path)
	}
	report, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, err := figures(string(report))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	const page = "docs/performance.md"
	text, err := filled(read(t, page), "results", block)
	if err != nil {
		t.Fatalf("%s: %v", page, err)
	}
	if err := os.WriteFile(filepath.Join(root, page), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
