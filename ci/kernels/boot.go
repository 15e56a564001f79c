package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ringkit/ringkit/ci/kernels/plan"
)

// bootResult is what came of one kernel in one row.
type bootResult struct {
	Kernel   kernel
	Row      string
	Release  string  `json:",omitempty"` // as the guest says
	Seconds  float64 // from switching on to the end
	Up       float64 // from switching on to the first process, in seconds
	Suites   []*suiteResult
	Messages []string `json:",omitempty"` // of the kernel that are no good sign
	Problem  string   `json:",omitempty"` // why the boot did not end as it should
	Skipped  string   `json:",omitempty"` // why it was not tried

	lastWords []string // of the guest, for a boot with a problem
}

// suiteResult is what came of one test binary.
type suiteResult struct {
	Name    string
	Exit    int
	Seconds float64
	Problem string `json:",omitempty"` // why it did not run to its end
	Tests   []*test
	Output  []string `json:",omitempty"` // outside of tests, if it failed

	log testLog
}

func (b *bootResult) failed() bool {
	return b.Problem != "" || len(b.Messages) > 0 || slices.ContainsFunc(b.Suites, (*suiteResult).failed)
}

func (s *suiteResult) failed() bool {
	return s.Problem != "" || s.Exit != 0 || slices.ContainsFunc(s.Tests, func(t *test) bool {
		return t.Status == failed || t.Status == unended
	})
}

// alarming are kernel messages that mean a bug in the kernel.
var alarming = regexp.MustCompile(`\bWARNING:|\bBUG:|\bBUG\b.*\bat\b|\bOops\b|general protection fault|Kernel panic|` +
	`refcount_t:|UBSAN:|blocked for more than|use-after-free|page allocation failure`)

// runner boots kernels.
type runner struct {
	opts     options
	machine  machine // without kernel and image
	base     string  // path of the image's common part
	work     string  // directory
	logs     string  // directory that stays
	suites   []suite
	scale    float64
	output   io.Writer // of a program, which is no test
	progress func(string, ...any)
}

// timeScale is the environment variable that says how much slower than usual a
// machine is. The runner sets it for the tests, too.
const timeScale = "RINGKIT_TIME_SCALE"

const (
	upLimit    = 20 * time.Second // to come up, for a machine as fast as usual
	suiteLimit = 3 * time.Minute
)

func (r *runner) scaled(d time.Duration) time.Duration { return time.Duration(float64(d) * r.scale) }

// plan returns what one boot has to do.
func (r *runner) plan(k kernel, w row) plan.Plan {
	p := plan.Plan{Sysctl: w.sysctl, Limit: r.opts.timeout}
	for _, s := range r.suites {
		tests, ok := w.runs(s.name, r.opts.quick)
		if !ok {
			continue
		}
		dir := filepath.Join("/", guestSources, s.name)
		if s.name == "root" {
			dir = "/" + guestSources
		}
		step := plan.Step{
			Suite: s.name,
			Path:  filepath.Join("/", guestTests, filepath.Base(s.binary)),
			Dir:   dir,
			Args:  []string{"-test.v=test2json"},
			Env: []string{
				fmt.Sprintf("%s=%g", timeScale, r.scale),
				"RINGKIT_EXPECT_ENGINE=" + w.expected(k),
			},
			Limit: r.scaled(suiteLimit),
			Under: w.under,
		}
		if r.opts.long {
			step.Limit = p.Limit
		} else {
			step.Args = append(step.Args, "-test.short")
		}
		if s.name != smoke && r.opts.run != "" {
			tests = r.opts.run
		}
		if s.name != smoke && r.opts.count > 1 {
			step.Args = append(step.Args, fmt.Sprint("-test.count=", r.opts.count))
		}
		if tests != "" {
			step.Args = append(step.Args, "-test.run="+tests)
		}
		if left := skipPattern(s.name, r.opts.quick); left != "" {
			step.Args = append(step.Args, "-test.skip="+left)
		}
		p.Steps = append(p.Steps, step)
	}
	return p
}

// boot runs one kernel in one row.
func (r *runner) boot(ctx context.Context, k kernel, w row) *bootResult {
	b := &bootResult{Kernel: k, Row: w.name}
	if !w.possible(k) {
		b.Skipped = fmt.Sprintf("needs kernel %d.%d", w.since.major, w.since.minor)
		return b
	}
	p := r.plan(k, w)
	if len(p.Steps) == 0 {
		b.Skipped = "none of the chosen suites is run in this row"
		return b
	}
	name := k.Name + "-" + w.name
	if err := r.boot1(ctx, b, p, w, name); err != nil {
		b.Problem = err.Error()
	}
	return b
}

func (r *runner) boot1(ctx context.Context, b *bootResult, p plan.Plan, w row, name string) error {
	more, err := planImage(p, b.Kernel.Modules)
	if err != nil {
		return err
	}
	m := r.machine
	m.kernel, m.cpus = b.Kernel.Image, w.cpus
	m.image = filepath.Join(r.work, name+".img")
	m.console = filepath.Join(r.logs, name+".console")
	if err := joinImages(m.image, r.base, more); err != nil {
		return err
	}
	if !r.opts.keep {
		defer os.Remove(m.image)
	}
	log, err := os.Create(filepath.Join(r.logs, name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()

	limit := r.scaled(upLimit)
	whole := limit + p.Limit + time.Minute
	ctx, stop := context.WithTimeoutCause(ctx, whole, fmt.Errorf("the guest was not done in %v", whole))
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := time.Now()
	l := &listener{boot: b, began: began, output: r.output, progress: func(format string, args ...any) {
		r.progress("%s %s: %s", b.Kernel.Name, w.name, fmt.Sprintf(format, args...))
	}}
	l.alarm = time.AfterFunc(limit, func() { cancel(fmt.Errorf("the kernel was not up in %v", limit)) })
	defer l.alarm.Stop()
	err = m.run(ctx, io.MultiWriter(log, &records{record: l.record, rest: l}))
	b.Seconds = time.Since(began).Seconds()
	l.end()

	console, readErr := os.ReadFile(m.console)
	b.Messages = append(b.Messages, consoleMessages(console, b.Messages)...)
	switch {
	case err != nil:
	case readErr != nil:
		err = readErr
	case l.broken != "":
		err = fmt.Errorf("the guest gave up: %s", l.broken)
	case !l.done:
		err = fmt.Errorf("the machine ended before the guest was done, after %.0f s", b.Seconds)
	}
	if err != nil {
		b.lastWords = lastLines(console, 40)
	}
	return err
}

// listener takes down what a guest says.
type listener struct {
	boot     *bootResult
	began    time.Time
	current  *suiteResult
	output   io.Writer   // of a program, which is no test
	alarm    *time.Timer // for not coming up
	done     bool
	broken   string
	progress func(string, ...any)
}

func (l *listener) Write(p []byte) (int, error) {
	switch {
	case l.current != nil && l.output != nil:
		return l.output.Write(p)
	case l.current != nil:
		return l.current.log.Write(p)
	}
	return len(p), nil
}

func (l *listener) record(r plan.Record) {
	switch r.Kind {
	case plan.Hello:
		l.alarm.Stop()
		l.boot.Release, l.boot.Up = r.Text, time.Since(l.began).Seconds()
		l.progress("kernel %s is up after %.1f s", r.Text, l.boot.Up)
	case plan.Begin:
		l.end()
		l.current = &suiteResult{Name: r.Suite, Problem: "it did not end"}
		if r.Suite == smoke {
			l.current.log.keep = reportTest
		}
		l.boot.Suites = append(l.boot.Suites, l.current)
	case plan.End:
		if s := l.current; s != nil {
			s.Exit, s.Seconds, s.Problem = r.Exit, r.Seconds, r.Text
			l.end()
			if l.output != nil {
				l.progress("the program ended with status %d after %.0f s", s.Exit, s.Seconds)
				return
			}
			c := count(s.Tests)
			l.progress("%s: %d passed, %d failed, %d skipped in %.0f s", s.Name, c.passed, c.failed, c.skipped, s.Seconds)
		}
	case plan.Kernel:
		if alarming.MatchString(r.Text) {
			l.boot.Messages = append(l.boot.Messages, r.Text)
		}
	case plan.Broken:
		l.broken = r.Text
	case plan.Done:
		l.done = true
	}
}

// end closes the suite that runs.
func (l *listener) end() {
	if s := l.current; s != nil {
		s.Tests = s.log.close()
		if s.failed() {
			s.Output = s.log.outside.lines()
		}
		l.current = nil
	}
}

// stamp is the time before a message on the console.
var stamp = regexp.MustCompile(`^\[ *\d+\.\d+\](\[ *\w+\])? `)

// consoleMessages finds alarming messages on the console that are not known yet: a
// kernel that panics has nobody left to send them.
func consoleMessages(console []byte, known []string) (found []string) {
	for line := range strings.Lines(string(console)) {
		line = strings.TrimRight(stamp.ReplaceAllString(line, ""), "\r\n")
		if alarming.MatchString(line) && !slices.Contains(known, line) && !slices.Contains(found, line) {
			found = append(found, line)
		}
	}
	return found
}

func lastLines(text []byte, n int) []string {
	lines := strings.Split(string(bytes.TrimRight(text, "\r\n")), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], "\r")
	}
	return lines[max(0, len(lines)-n):]
}

// counts are how the tests of a group ended.
type counts struct{ passed, failed, skipped int }

// count counts tests without subtests, and those with subtests that failed though
// none of them did.
func count(tests []*test) (c counts) {
	for _, t := range counted(tests) {
		switch t.Status {
		case passed:
			c.passed++
		case skipped:
			c.skipped++
		default:
			c.failed++
		}
	}
	return c
}

func counted(tests []*test) (all []*test) {
	below := map[string]bool{} // has a subtest that failed
	for _, t := range tests {
		if t.Status == passed || t.Status == skipped {
			continue
		}
		for i, c := range t.Name {
			if c == '/' {
				below[t.Name[:i]] = true
			}
		}
	}
	for _, t := range tests {
		ownFault := (t.Status == failed || t.Status == unended) && !below[t.Name]
		if !t.parent || ownFault {
			all = append(all, t)
		}
	}
	return all
}
