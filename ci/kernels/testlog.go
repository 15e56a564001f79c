package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// status is how a test ended.
type status string

const (
	passed  status = "pass"
	failed  status = "fail"
	skipped status = "skip"
	unended status = "unended" // its process ended before it did
)

// test is the result of one test or subtest.
type test struct {
	Name    string
	Status  status
	Seconds float64
	Reason  string   `json:",omitempty"` // for a skip
	Output  []string `json:",omitempty"` // of what failed

	parent bool // has subtests
	output excerpt
}

// testLog reads the output of a test binary that runs with -test.v=test2json, the
// way "go tool test2json" does. Lines about tests begin with a marker there, so
// that what tests write is not taken for them.
type testLog struct {
	tests   []*test
	byName  map[string]*test
	current *test
	partial strings.Builder
	outside excerpt // written by no test
	keep    string  // the test whose output is kept though it passes
}

// excerpt keeps the beginning and the end of what is added: a panic says first
// what happened, and a test says last why it fails.
type excerpt struct {
	head, tail []string
	dropped    int
}

// keepLines is how much an excerpt keeps of either end.
const keepLines = 40

func (e *excerpt) add(line string) {
	switch {
	case len(e.head) < keepLines:
		e.head = append(e.head, line)
	case len(e.tail) < keepLines:
		e.tail = append(e.tail, line)
	default:
		e.dropped++
		e.tail = append(e.tail[1:], line)
	}
}

func (e *excerpt) lines() []string {
	if e.dropped == 0 {
		return slices.Concat(e.head, e.tail)
	}
	return slices.Concat(e.head, []string{fmt.Sprintf("… %d lines left out …", e.dropped)}, e.tail)
}

const marker = '\x16'

// Write takes output in pieces of any size.
func (l *testLog) Write(p []byte) (int, error) {
	for _, c := range p {
		switch {
		case c == '\n':
			l.line(l.partial.String())
			l.partial.Reset()
		case c == marker && l.partial.Len() > 0:
			// What stands before a marker is a line that was not ended.
			l.line(l.partial.String())
			l.partial.Reset()
			fallthrough
		default:
			l.partial.WriteByte(c)
		}
	}
	return len(p), nil
}

// close takes what is left of a line and returns the tests, those that did not
// end included.
func (l *testLog) close() []*test {
	if l.partial.Len() > 0 {
		l.line(l.partial.String())
		l.partial.Reset()
	}
	for _, t := range l.tests {
		for i, r := range t.Name {
			if p := l.byName[t.Name[:i]]; r == '/' && p != nil {
				p.parent = true
			}
		}
		switch t.Status {
		case skipped:
			t.Reason = reason(t.output.lines())
		case failed, unended:
			t.Output = t.output.lines()
		case passed:
			if t.Name == l.keep {
				t.Output = t.output.lines()
			}
		}
		t.output = excerpt{}
	}
	return l.tests
}

var (
	actions = regexp.MustCompile(`^=== (RUN|PAUSE|CONT|NAME|ATTR) +(.*)$`)
	results = regexp.MustCompile(`^--- (PASS|FAIL|SKIP|BENCH): (.+) \((\d+(?:\.\d+)?)s\)$`)
)

func (l *testLog) line(s string) {
	framed, ok := strings.CutPrefix(s, string(marker))
	if !ok {
		l.output(s)
		return
	}
	if m := actions.FindStringSubmatch(framed); m != nil {
		if m[1] != "ATTR" {
			l.current = l.test(m[2])
		}
		return
	}
	if m := results.FindStringSubmatch(framed); m != nil {
		t := l.test(m[2])
		if t.Status != failed { // of a test that runs several times, one failure counts
			t.Status = status(strings.ToLower(m[1]))
		}
		t.Seconds, _ = strconv.ParseFloat(m[3], 64)
		l.current = t
		return
	}
	l.output(framed)
}

func (l *testLog) output(s string) {
	if l.current == nil {
		l.outside.add(s)
		return
	}
	l.current.output.add(s)
	if l.current.Status != unended {
		l.outside.add(s) // the end of the run, or a panic in a goroutine left behind
	}
}

// test returns the test with the name, nil for none.
func (l *testLog) test(name string) *test {
	if name == "" {
		return nil
	}
	t := l.byName[name]
	if t == nil {
		t = &test{Name: name, Status: unended}
		if l.byName == nil {
			l.byName = map[string]*test{}
		}
		l.byName[name] = t
		l.tests = append(l.tests, t)
	}
	return t
}

// place is how the testing package begins a line of a log.
var place = regexp.MustCompile(`^ *[\w.-]+\.go:\d+: `)

// reason finds why a test was skipped: what it logged last, without the lines that
// continue it.
func reason(output []string) string {
	for _, line := range slices.Backward(output) {
		if at := place.FindStringIndex(line); at != nil {
			return line[at[1]:]
		}
	}
	if len(output) > 0 {
		return strings.TrimSpace(output[0])
	}
	return ""
}
