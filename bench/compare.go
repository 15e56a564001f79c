package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/peer"
	"github.com/ringkit/ringkit/bench/internal/report"
	"github.com/ringkit/ringkit/bench/internal/secure"
	"github.com/ringkit/ringkit/bench/internal/server"
	"github.com/ringkit/ringkit/bench/internal/static"
	"github.com/ringkit/ringkit/bench/internal/subject"
	"github.com/ringkit/ringkit/bench/internal/wrk"
)

func compareCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	started := time.Now()
	o, err := parseOptions(args, stdout)
	if err != nil {
		return err
	}
	return withTempDir(func(dir string) error {
		c := &comparison{options: o, dir: dir, started: started, progress: stderr}
		if err := c.prepare(ctx); err != nil {
			return err
		}
		c.report.Arguments = args
		interrupted := c.run(ctx)
		if len(c.report.Scenarios) == 0 {
			return errors.Join(interrupted, errors.New("nothing was measured"))
		}
		return errors.Join(c.finish(stdout, interrupted != nil), interrupted, c.useless())
	})
}

// comparison is a run with all that it needs.
type comparison struct {
	options
	dir      string // for what is needed meanwhile
	started  time.Time
	progress io.Writer

	builder *subject.Builder
	sizes   []int // of memory
	jobs    []*job
	plan    plan
	report  *report.Report
}

// prepare builds what is to be measured and plans it. What cannot be measured here is left
// out, and why is in the report.
func (c *comparison) prepare(ctx context.Context) (err error) {
	if c.builder, err = subject.NewBuilder(ctx, c.dir, c.progress); err != nil {
		return err
	}
	c.report = &report.Report{Time: c.started.UTC().Truncate(time.Second), Host: report.ReadHost(), Quick: c.quick, Generator: c.generator,
		ServerCPU: c.serverCPU, LoadCPU: c.loadCPU, GoMaxProcs: c.goMaxProcs}
	absent := lookForTools()
	for _, t := range absent {
		c.skip("%s is not installed, so there are no %s", t.program, t.use)
	}
	if text := advice(absent); text != "" {
		fmt.Fprintln(c.progress, text)
	}
	subjects, err := c.buildSubjects(ctx)
	if err != nil {
		return err
	}
	for _, sc := range c.scenarios {
		j, err := c.job(ctx, sc, subjects)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			c.skip("%s: %v", sc.name, err)
			continue
		}
		if len(j.subjects) > 0 {
			c.jobs = append(c.jobs, j)
		}
	}
	if len(c.jobs) == 0 {
		return errors.New("nothing to measure")
	}
	// However long building has taken, most of the budget is for measuring.
	left := max(c.budget-time.Since(c.started), c.budget*2/3)
	idle := time.Duration(0)
	if c.sizes != nil {
		idle = idleEstimate(c.sizes, idleWait(c.quick))
	}
	c.plan = newPlan(c.options, c.jobs, left, idle)
	c.report.Seconds = c.plan.duration.Seconds()
	fmt.Fprintf(c.progress, "measurements of %v; a round takes about %v, all about %v\n", c.plan.duration,
		c.plan.estimate(c.jobs, 1).Round(time.Second), c.plan.left(c.jobs, 1, 0, 0).Round(time.Second))
	c.report.Versions = versions(ctx, subjects)
	return nil
}

// skip notes that something is not measured.
func (c *comparison) skip(format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	fmt.Fprintln(c.progress, "not measured:", note)
	c.report.NotMeasured = append(c.report.NotMeasured, note)
}

// buildSubjects makes the subjects ready. One that cannot be built is left out.
func (c *comparison) buildSubjects(ctx context.Context) (subjects []subject.Subject, err error) {
	add := func(s subject.Subject, err error) {
		if err != nil {
			c.skip("%v", err)
			return
		}
		subjects = append(subjects, s)
	}
	for _, name := range c.subjects {
		add(c.builder.Build(ctx, name))
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	for _, e := range c.extras {
		command := strings.Fields(e.command)
		add(subject.Binary(e.name, command[0], command[1:]...))
	}
	if len(subjects) == 0 {
		return nil, errors.New("nothing to measure")
	}
	return subjects, nil
}

// job makes a scenario ready.
func (c *comparison) job(ctx context.Context, sc scenario, subjects []subject.Subject) (*job, error) {
	j := &job{scenario: sc}
	for _, s := range subjects {
		if c.includes(sc, s) {
			j.subjects = append(j.subjects, s)
		}
	}
	var err error
	switch {
	case sc.static:
		j.subjects, err = withFiles(j.subjects, c.dir)
	case sc.tls:
		j.subjects, err = withTLS(j.subjects, c.dir)
	}
	if err != nil {
		return nil, err
	}
	j.measure, err = c.measuring(ctx, sc)
	return j, err
}

// measuring returns what measures a subject once. It looks at the plan only when it is called.
func (c *comparison) measuring(ctx context.Context, sc scenario) (func(subject.Subject) (sample, error), error) {
	at := c.place(sc)
	switch {
	case sc.isIdle():
		sizes, err := idleSizes(c.quick)
		c.sizes = sizes
		return func(s subject.Subject) (sample, error) {
			return measureMemory(ctx, at, sc, sizes, idleWait(c.quick), s)
		}, err
	case sc.isClients():
		serves, err := c.builder.Build(ctx, subject.Ringkit)
		return func(s subject.Subject) (sample, error) {
			return measureClient(ctx, at, sc, sc.stretch(c.plan.duration), s, serves)
		}, err
	}
	load, err := c.newLoad(ctx, sc, at)
	return func(s subject.Subject) (sample, error) { return measure(ctx, at, s, load) }, err
}

// withFiles has the subjects serve the files in dir, and makes the one there is.
func withFiles(subjects []subject.Subject, dir string) ([]subject.Subject, error) {
	var with []subject.Subject
	for _, s := range subjects {
		with = append(with, s.With("-files", dir))
	}
	return with, static.Write(dir)
}

// withTLS has the subjects speak TLS with one certificate.
func withTLS(subjects []subject.Subject, dir string) ([]subject.Subject, error) {
	var with []subject.Subject
	for _, s := range subjects {
		s = s.With("-tls", dir)
		s.Secure = true
		with = append(with, s)
	}
	return with, secure.Write(dir)
}

// newLoad returns what puts the load of a scenario on a server: wrk, or the program that
// the scenario has of its own.
func (c *comparison) newLoad(ctx context.Context, sc scenario, at place) (loadFunc, error) {
	connections := sc.connections(c.connections)
	if source := sc.generator(); source != "" {
		program, err := c.builder.Program(ctx, source)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, srv *server.Server, route string) (sample, error) {
			base, d := c.plan.duration, sc.stretch(c.plan.duration)
			if sc.isSockets() {
				return socketLoad{program, at.loadCPU, sc.sockets, d}.measure(ctx, srv, route)
			}
			return mixLoad{program, at.loadCPU, sc.mix, connections, base, d}.measure(ctx, srv, route)
		}, nil
	}
	if c.generator == generatorOwn {
		return c.newOwnLoad(ctx, sc, at)
	}
	script, err := sc.script(c.dir)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, srv *server.Server, route string) (sample, error) {
		url, err := sc.checkedURL(srv, route)
		if err != nil {
			return sample{}, err
		}
		s, err := measureLoad(ctx, srv.PID, wrk.Load{URL: url, Connections: connections, Threads: at.threads, Duration: sc.stretch(c.plan.duration), Script: script, CPU: at.loadCPU})
		if sc.pipeline > 1 {
			s.P50Micros, s.P75Micros, s.P90Micros, s.P99Micros = 0, 0, 0, 0 // see wrk.Load
		}
		return s, err
	}, nil
}

// checkedURL returns what is asked for, after it has been asked for and found right.
func (s scenario) checkedURL(srv *server.Server, route string) (string, error) {
	switch {
	case s.tls:
		return srv.SecureURL(route), nil // it was probed
	case s.static:
		url := srv.URL(static.Path)
		return url, static.Probe(url)
	case s.ask.path == peer.JSON:
		url := srv.URL(s.ask.path)
		return url, client.Check(s.ask.method, url, 0, peer.JSONType, peer.Message())
	case s.ask.path == peer.Upload:
		url := srv.URL(s.ask.path)
		return url, client.Check(s.ask.method, url, s.ask.size, client.ContentType, []byte(peer.Received(int64(s.ask.size))))
	}
	return srv.URL(route), nil
}

// run measures rounds of all scenarios until the plan says that it is enough. Within a
// scenario it measures the subjects in turn, so that what the machine does besides meets
// all of them alike. An error is an interruption.
func (c *comparison) run(ctx context.Context) error {
	began := time.Now()
	for round := 1; round <= c.plan.rounds; round++ {
		for i, j := range c.jobs {
			if !c.plan.next(j, round, time.Since(began)) {
				continue
			}
			start := time.Now()
			end := start.Add(c.plan.left(c.jobs, round, i, start.Sub(began)))
			for _, s := range j.subjects {
				// One that fails in the first round, which may be the only one, gets another chance.
				for again := round == 1; ; again = false {
					result, err := j.measure(s)
					if err != nil {
						return err
					}
					result.Round = round
					c.add(j.scenario, s.Name, result)
					fmt.Fprintf(c.progress, "[%s left] round %d, %s: %s\n", roughly(time.Until(end)), round, j.name, progressLine(s.Name, j.scenario, result))
					if result.Invalid == "" || !again {
						break
					}
				}
			}
			j.took = time.Since(start)
		}
	}
	return nil
}

// roughly formats how long something is going to take.
func roughly(d time.Duration) string { return fmt.Sprintf("%6s", max(d, 0).Round(time.Second)) }

// add puts a sample into the report.
func (c *comparison) add(sc scenario, name string, one sample) {
	in := c.report.Scenario(sc.name)
	if in == nil {
		in = &report.Scenario{Name: sc.name, About: sc.describe(c.connections), Section: sc.section, Kind: sc.kind(), Unit: sc.unit(),
			Connections: sc.connections(c.connections), Pipeline: sc.pipeline, Shared: sc.two}
		c.report.Scenarios = append(c.report.Scenarios, in)
	}
	s := in.Find(name)
	if s == nil {
		s = &report.Subject{Name: name}
		in.Subjects = append(in.Subjects, s)
	}
	s.Samples = append(s.Samples, one)
}

func progressLine(name string, sc scenario, s sample) string {
	switch {
	case s.Invalid != "":
		return fmt.Sprintf("%-21s invalid: %s", name, s.Invalid)
	case sc.isIdle():
		last := s.Idle[len(s.Idle)-1]
		return fmt.Sprintf("%-21s %6.0f bytes for each of %d", name, last.PerConnection(), last.Connections)
	}
	return fmt.Sprintf("%-21s %6.2f µs/%s, %7.0f %ss/s", name, s.CPUMicros, sc.unit(), s.Rate, sc.unit())
}

// finish writes the report, and its tables to w.
func (c *comparison) finish(w io.Writer, interrupted bool) error {
	r := c.report
	r.Took, r.Interrupted = time.Since(c.started).Seconds(), interrupted
	r.Settle()
	for _, sc := range r.Scenarios {
		fmt.Fprintf(w, "\n%s: %s\n\n", sc.Name, sc.About)
		if _, err := sc.Table().WriteTo(w); err != nil {
			return err
		}
		for _, note := range sc.Notes() {
			fmt.Fprintln(w, note)
		}
	}
	for _, note := range r.NotMeasured {
		fmt.Fprintf(w, "\nnot measured: %s\n", note)
	}
	dir := c.out
	if dir == "" {
		dir = "results/" + c.started.Format("2006-01-02T150405")
	}
	if err := r.Write(dir); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%d rounds of %v in %s; report: %s/%s\n", r.Rounds(), c.plan.duration, roughly(time.Since(c.started)), dir, report.HTMLFile)
	return nil
}

// useless returns an error if there is no valid measurement of something.
func (c *comparison) useless() error {
	var names []string
	for _, sc := range c.report.Scenarios {
		for _, s := range sc.Subjects {
			if !slices.ContainsFunc(s.Samples, func(one sample) bool { return one.Invalid == "" }) {
				names = append(names, sc.Name+"/"+s.Name)
			}
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf("no valid measurement of %s", strings.Join(names, ", "))
}
