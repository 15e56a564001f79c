package main

import (
	"fmt"
	"strings"
	"testing"
)

// recorded is as a test binary writes it, with ^ for the marker.
const recorded = `^=== RUN   TestPlain
--- FAIL: TestLooksLikeOne (0.00s)
=== RUN   TestNeither
^--- PASS: TestPlain (0.25s)
^=== RUN   TestEngines
^=== RUN   TestEngines/uring
    conformance_test.go:66: not here:
        a second line
^--- SKIP: TestEngines/uring (0.00s)
^=== RUN   TestEngines/epoll
no end of line^=== NAME  TestEngines/epoll
    some_test.go:1: wrong
^--- FAIL: TestEngines/epoll (1.50s)
^--- FAIL: TestEngines (1.50s)
^=== RUN   TestParallel
^=== PAUSE TestParallel
^=== RUN   TestHangs
^=== CONT  TestParallel
^--- PASS: TestParallel (0.00s)
^=== NAME  TestHangs
panic: test timed out after 1s
	goroutine 1
`

func TestLogIsRead(t *testing.T) {
	text := strings.ReplaceAll(recorded, "^", string(marker))
	for _, size := range []int{1, 7, len(text)} {
		var l testLog
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			l.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		var got []string
		for _, c := range l.close() {
			got = append(got, fmt.Sprintf("%s %s %v %v %q %q", c.Name, c.Status, c.Seconds, c.parent, c.Reason, strings.Join(c.Output, "|")))
		}
		want := []string{
			`TestPlain pass 0.25 false "" ""`,
			`TestEngines fail 1.5 true "" ""`,
			`TestEngines/uring skip 0 false "not here:" ""`,
			`TestEngines/epoll fail 1.5 false "" "no end of line|    some_test.go:1: wrong"`,
			`TestParallel pass 0 false "" ""`,
			`TestHangs unended 0 false "" "panic: test timed out after 1s|\tgoroutine 1"`,
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("in pieces of %d:\n%s\nwant:\n%s", size, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestFailureAmongSeveralRunsCounts(t *testing.T) {
	var l testLog
	for _, result := range []string{"PASS", "FAIL", "PASS"} {
		fmt.Fprintf(&l, "%[1]c=== RUN   TestOften\n%[1]c--- %[2]s: TestOften (0.00s)\n", marker, result)
	}
	if tests := l.close(); len(tests) != 1 || tests[0].Status != failed {
		t.Errorf("%+v", tests)
	}
}

func TestLogIsBounded(t *testing.T) {
	var l testLog
	fmt.Fprintf(&l, "%c=== RUN   TestTalks\n", marker)
	for i := range 10 * keepLines {
		fmt.Fprintln(&l, i)
	}
	fmt.Fprintf(&l, "%c--- FAIL: TestTalks (0.00s)\n", marker)
	out := l.close()[0].Output
	if len(out) != 2*keepLines+1 || out[0] != "0" || out[2*keepLines] != fmt.Sprint(10*keepLines-1) {
		t.Errorf("%d lines: %q", len(out), out)
	}
}
