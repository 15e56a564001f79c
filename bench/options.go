package main

import (
	"cmp"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ringkit/ringkit/bench/internal/proc"
	"github.com/ringkit/ringkit/bench/internal/subject"
)

// options are the flags of the comparison.
type options struct {
	rounds      int           // 0 for as many as fit into the budget
	duration    time.Duration // of one measurement, 0 for one that fits
	budget      time.Duration // of all
	quick       bool
	connections int
	scenarios   []scenario
	subjects    []string // those of all scenarios
	named       bool     // and not chosen by scenario
	extras      []extra
	serverCPU   int
	loadCPU     int
	goMaxProcs  int
	generator   string // of requests that all take the same
	out         string // directory of the report, "" for one named after the time
}

// Budgets, if none is given.
const (
	wholeBudget = 15 * time.Minute
	quickBudget = 2 * time.Minute
)

// extra is a program that takes -addr and -loops, and arguments for it.
type extra struct{ name, command string }

// Bounds of a comparison, so that a slip of the finger does not run for a week.
const (
	maxRounds      = 100
	minDuration    = 100 * time.Millisecond
	maxDuration    = 5 * time.Minute
	minBudget      = time.Second
	maxBudget      = 24 * time.Hour
	maxConnections = 10000
)

func parseOptions(args []string, help io.Writer) (options, error) {
	var o options
	flags := newFlags()
	flags.DurationVar(&o.budget, "budget", wholeBudget, "`time` that all may take, building included; with -rounds it only bounds the duration that is chosen")
	flags.IntVar(&o.rounds, "rounds", 0, "`number` of rounds, each of which measures every subject once; 0 for as many as fit into the budget")
	flags.DurationVar(&o.duration, "duration", 0, "`time` of one measurement; 0 for one with which several rounds fit into the budget")
	flags.IntVar(&o.connections, "connections", 64, "`number` of connections, where the scenario leaves it open")
	scenarioList := flags.String("scenario", "all", "comma `list` of "+scenarioNames(scenarios)+"; or all, but for "+scenarioNames(otherScenarios(false)))
	subjectList := flags.String("subjects", "", "comma `list` of subjects (default depends on the scenario; plain has \""+strings.Join(subject.Default(), ",")+"\")")
	flags.Func("extra", "`name=program` with the flags -addr and -loops, measured too, and more flags for it separated by blanks; may be repeated", func(text string) error {
		name, command, ok := strings.Cut(text, "=")
		if !ok || name == "" || strings.TrimSpace(command) == "" {
			return usagef("want name=program")
		}
		o.extras = append(o.extras, extra{name, command})
		return nil
	})
	flags.IntVar(&o.serverCPU, "server-cpu", 0, "`processor` the servers are pinned to, -1 for any (default 0)")
	flags.IntVar(&o.loadCPU, "load-cpu", 1, "`processor` the load is pinned to, -1 for any")
	flags.IntVar(&o.goMaxProcs, "gomaxprocs", 0, "`number` of GOMAXPROCS for the Go servers; by default Go chooses for the processors it finds")
	flags.StringVar(&o.generator, "generator", "", "`program` that sends requests which all take the same: wrk, or own, which is ./load (default wrk if it is installed)")
	flags.StringVar(&o.out, "o", "", "`directory` for report.html, report.md and results.json (default results/ and the time)")
	flags.BoolVar(&o.quick, "quick", false, "a budget of "+quickBudget.String()+", fewer subjects and connections, without "+scenarioNames(otherScenarios(true))+": to try things out, too short to quote")
	about := overview + "\nSubjects:\n" + subject.Describe()
	if err := parseFlags(flags, args, about, help); err != nil {
		return options{}, err
	}

	if o.quick && !wasSet(flags, "budget") {
		o.budget = quickBudget
	}
	var err error
	if o.scenarios, err = findScenarios(splitList(*scenarioList), o.quick); err != nil {
		return options{}, usageError{err}
	}
	if o.generator, err = chooseGenerator(o.generator); err != nil {
		return options{}, err
	}
	o.named = wasSet(flags, "subjects")
	o.subjects = splitList(*subjectList)
	if !o.named {
		if o.subjects = defaultSubjects(o.scenarios); o.quick {
			o.subjects = subject.Quick(o.subjects)
		}
	}
	return o, o.check()
}

// defaultSubjects returns the subjects that the scenarios have by themselves.
func defaultSubjects(scenarios []scenario) []string {
	var names []string
	for _, sc := range scenarios {
		names = append(names, sc.subjects()...)
	}
	return subject.InOrder(names)
}

// includes reports whether a subject is measured in a scenario.
func (o options) includes(sc scenario, s subject.Subject) bool {
	isExtra := slices.ContainsFunc(o.extras, func(e extra) bool { return e.name == s.Name })
	return sc.suits(s) && (o.named || isExtra || slices.Contains(sc.subjects(), s.Name))
}

// place is where server and load run, and on how much of it.
type place struct {
	serverCPU, loadCPU int
	goMaxProcs         int // 0 leaves the choice to the Go runtime
	loops              int // of ringkit's server
	threads            int // of the load
}

// place returns the place of a scenario: one processor for the server and another
// for the load, unless they share two.
func (o options) place(sc scenario) place {
	if sc.two {
		return place{proc.AnyCPU, proc.AnyCPU, cmp.Or(o.goMaxProcs, 2), 2, 2}
	}
	return place{o.serverCPU, o.loadCPU, o.goMaxProcs, 1, 1}
}

func (o options) check() error {
	switch {
	case o.rounds < 0 || o.rounds > maxRounds:
		return usagef("-rounds %d: want 1 to %d", o.rounds, maxRounds)
	case o.duration != 0 && (o.duration < minDuration || o.duration > maxDuration):
		return usagef("-duration %v: want %v to %v", o.duration, minDuration, maxDuration)
	case o.budget < minBudget || o.budget > maxBudget:
		return usagef("-budget %v: want %v to %v", o.budget, minBudget, maxBudget)
	case o.connections < 1 || o.connections > maxConnections:
		return usagef("-connections %d: want 1 to %d", o.connections, maxConnections)
	case o.goMaxProcs < 0:
		return usagef("-gomaxprocs %d: want 0 or more", o.goMaxProcs)
	case o.serverCPU == o.loadCPU && o.serverCPU != proc.AnyCPU:
		return usagef("-server-cpu and -load-cpu are both %d: the load would take the server's time", o.serverCPU)
	case len(o.subjects)+len(o.extras) == 0:
		return usagef("-subjects: none named")
	}
	for name, cpu := range map[string]int{"server-cpu": o.serverCPU, "load-cpu": o.loadCPU} {
		if err := proc.CheckCPU(cpu); err != nil {
			return usagef("-%s: %w", name, err)
		}
	}
	names := slices.Clone(o.subjects)
	for _, name := range o.subjects {
		if err := subject.Check(name); err != nil {
			return usagef("-subjects: %w", err)
		}
	}
	for _, e := range o.extras {
		if subject.Check(e.name) == nil {
			return usagef("-extra %s: that is the name of a subject", e.name)
		}
		names = append(names, e.name)
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		return usagef("a subject is named twice: %s", strings.Join(names, ", "))
	}
	return nil
}
