package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ringkit/ringkit/ci/kernels/plan"
)

// row is a way in which each kernel is booted.
type row struct {
	name   string
	about  string
	sysctl map[string]string
	under  plan.Restriction
	cpus   int
	since  release // the kernel that can do this
	// noURing is set where the server has to do without io_uring.
	noURing bool
	// only limits the row to some suites, each with the tests to run there (all if
	// empty). With quick, only the smoke tests of a row with restrictions run.
	only map[string]string
}

const (
	// plenty is more descriptors than any test opens.
	plenty = 1 << 18
	// memlock is the usual limit of memory that is locked.
	memlock = 8 << 20
	// smoke is the suite of this program, which serves with the engine chosen
	// automatically and looks which one that is.
	smoke = "ci/kernels/smoke"
	// reportTest is the test of it that writes what the probe found.
	reportTest = "TestReport"
)

var unrestricted = plan.Restriction{NoFile: plenty, Memlock: memlock}

// rows are what the matrix has of each kernel: all of them on the one kernel for
// restrictions, and the first on the others.
var rows = []row{
	{name: "normal", about: "as it comes, two processors", under: unrestricted, cpus: 2},
	{
		name: "one-cpu", about: "one processor", under: unrestricted, cpus: 1,
		only: map[string]string{smoke: "", "uring": "", "conn": "", "fallback": ""},
	},
	{
		name: "disabled", about: "sysctl kernel.io_uring_disabled=2", under: unrestricted, cpus: 2,
		sysctl: map[string]string{"kernel/io_uring_disabled": "2"}, since: release{6, 6}, noURing: true,
		only: map[string]string{smoke: "", "uring": "", "root": "Engine"},
	},
	{
		name: "seccomp", about: "a seccomp filter answers io_uring's system calls with EPERM", cpus: 2,
		under: plan.Restriction{NoFile: plenty, Memlock: memlock, NoURing: true}, noURing: true,
		only: map[string]string{smoke: "", "uring": "", "root": "Engine"},
	},
	{
		name: "nofile-64", about: "RLIMIT_NOFILE of 64", cpus: 2,
		under: plan.Restriction{NoFile: 64, Memlock: memlock},
		only:  map[string]string{smoke: "", "uring": "^TestProbe$|^TestProbeIsKept$|Tier"}, // others need more
	},
	{
		name: "memlock-0", about: "RLIMIT_MEMLOCK of 0", cpus: 2,
		under: plan.Restriction{NoFile: plenty, Memlock: 0},
		only:  map[string]string{smoke: "", "uring": "", "conn": ""},
	},
}

// possible says whether a kernel can be booted this way.
func (r row) possible(k kernel) bool {
	return r.since == release{} || !k.Release.before(r.since)
}

func (r release) before(s release) bool {
	return r.major < s.major || r.major == s.major && r.minor < s.minor
}

// runs says whether a suite is run in this row, and which of its tests.
func (r row) runs(suite string, quick bool) (tests string, ok bool) {
	if r.only == nil {
		return "", true
	}
	if quick && suite != smoke {
		return "", false
	}
	tests, ok = r.only[suite]
	return tests, ok
}

// expected returns the engine that a server should choose by itself.
func (r row) expected(k kernel) string {
	switch {
	case k.Release == release{}:
		return "" // a file, of which nothing is known
	case r.noURing, k.Release.before(release{6, 0}):
		return epoll
	}
	return ioUring
}

// chooseRows returns the rows with the given names.
func chooseRows(names []string) ([]row, error) {
	if len(names) == 0 {
		return rows, nil
	}
	var chosen []row
	for _, name := range names {
		i := slices.IndexFunc(rows, func(r row) bool { return r.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no row is called %q: there are %s", name, rowNames())
		}
		chosen = append(chosen, rows[i])
	}
	return chosen, nil
}

func rowNames() string {
	var names []string
	for _, r := range rows {
		names = append(names, r.name)
	}
	return strings.Join(names, ", ")
}

// restrictedOn returns the kernel on which the restrictions are tried: 6.12 if it is
// there, which has all of them, otherwise the newest.
func restrictedOn(kernels []kernel) int {
	best := 0
	for i, k := range kernels {
		if k.Release == (release{6, 12}) {
			return i
		}
		if kernels[best].Release.before(k.Release) {
			best = i
		}
	}
	return best
}

// leftOut are tests that the matrix does not run, each with the reason. Where it is
// for the time they take, they are left out with -quick only.
var leftOut = []struct {
	suite, tests, why string
	quick             bool
}{
	{"root", "/uring_with", "variants of io_uring, each of which takes as long as an engine", true},
	{
		"root", "^Test(BlockedHandlerHoldsUpNobody|ThousandBlockedHandlers|TakeoversTakeNoThreads|SeedsBlocking|Predictor|SlowBody|ManyIdleConnections)$",
		"they are about time or the Go scheduler, of which an emulated processor has little", true,
	},
	{
		"uring", "/^(single-shot_receive|polled_receive|no_cooperative_task_running|index_array|iowait|deferred_task_running)$",
		"tiers between the full and the least one, each of which takes as long as these", true,
	},
}

// skipPattern returns the tests to leave out of a suite, empty for none.
func skipPattern(suite string, quick bool) string {
	var all []string
	for _, l := range leftOut {
		if l.suite == suite && (quick || !l.quick) {
			all = append(all, l.tests)
		}
	}
	return strings.Join(all, "|")
}
