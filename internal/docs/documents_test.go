// Package docs keeps the documents true: it is nothing but tests of README.md, docs/ and
// the other pages. Snippets are parts of programs that are tested, commands are run,
// links lead somewhere, and figures that the code has are those of the code.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the module's directory.
const root = "../.."

// documents are the paths of all pages, below root.
func documents(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"*.md", "docs/*.md", "bench/*.md", "ci/*.md", "examples/*/*.md"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			found = append(found, strings.TrimPrefix(name, root+"/"))
		}
	}
	if !slices.Contains(found, "README.md") || !slices.Contains(found, "docs/operations.md") {
		t.Fatalf("the documents are %q", found)
	}
	return found
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fence is a piece of a page between two lines of three backquotes.
type fence struct {
	page  string
	line  int
	lang  string
	lines []string
}

func fences(page, text string) (found []fence) {
	var open *fence
	for i, line := range strings.Split(text, "\n") {
		switch lang, is := strings.CutPrefix(strings.TrimSpace(line), "```"); {
		case is && open == nil:
			open = &fence{page: page, line: i + 1, lang: lang}
		case is:
			found = append(found, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, line)
		}
	}
	return found
}

// TestSnippets finds Go code on pages that is in no file which is compiled and tested: an
// example of a package, or a program of examples/. Spaces at the beginning of lines do not
// matter.
func TestSnippets(t *testing.T) {
	var sources []string
	for _, pattern := range []string{"example*_test.go", "*/example*_test.go", "examples/*/*.go", "examples/*/*/*.go"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			sources = append(sources, trimmed(strings.Split(string(text), "\n")))
		}
	}
	n := 0
	for _, page := range documents(t) {
		for _, f := range fences(page, read(t, page)) {
			if f.lang != "go" {
				continue
			}
			n++
			snippet := trimmed(f.lines)
			if !slices.ContainsFunc(sources, func(s string) bool { return strings.Contains(s, snippet) }) {
				t.Errorf("%s:%d: this is not, line by line, in an example_test.go or in a program of examples/:\n%s",
					f.page, f.line, strings.Join(f.lines, "\n"))
			}
		}
	}
	if n == 0 {
		t.Error("no page has Go code")
	}
}

// trimmed joins lines without their indentation, and without empty ones.
func trimmed(lines []string) string {
	var b strings.Builder
	b.WriteByte('\n')
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// TestLinks follows the links within the repository, to the headings, too.
func TestLinks(t *testing.T) {
	for _, page := range documents(t) {
		text := read(t, page)
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			where, there := page, text
			if target != "" {
				where = filepath.Join(filepath.Dir(page), target)
				info, err := os.Stat(filepath.Join(root, where))
				if err != nil {
					t.Errorf("%s: the link to %s leads nowhere", page, m[1])
					continue
				}
				if anchor == "" || info.IsDir() {
					continue
				}
				there = read(t, where)
			}
			if anchor != "" && !slices.Contains(anchors(there), anchor) {
				t.Errorf("%s: there is no heading for %s in %s", page, m[1], where)
			}
		}
	}
}

// anchors are what forges make of the headings of a page.
func anchors(text string) (found []string) {
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		var b strings.Builder
		for _, r := range strings.ToLower(m[1]) {
			switch {
			case r == ' ' || r == '-':
				b.WriteByte('-')
			case r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r > 127:
				b.WriteRune(r)
			}
		}
		found = append(found, b.String())
	}
	return found
}

// TestInternal finds internal packages that the architecture does not name.
func TestInternal(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join(root, "internal"))
	if err != nil {
		t.Fatal(err)
	}
	page := read(t, "docs/architecture.md")
	for _, e := range entries {
		if !strings.Contains(page, "`"+e.Name()+"`") {
			t.Errorf("docs/architecture.md does not say what internal/%s is", e.Name())
		}
	}
}
