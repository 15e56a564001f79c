package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"

	"github.com/ringkit/ringkit/bench/internal/secure"
	"github.com/ringkit/ringkit/bench/internal/server"
	"github.com/ringkit/ringkit/bench/internal/static"
	"github.com/ringkit/ringkit/bench/internal/subject"
	"github.com/ringkit/ringkit/bench/internal/wrk"
)

// outcome is everything measured of one subject in one scenario.
type outcome struct {
	subject string
	samples []sample // one per round
}

func compareCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, stdout)
	if err != nil {
		return err
	}
	if _, err := exec.LookPath("wrk"); err != nil {
		return fmt.Errorf("the load generator is missing (Debian package wrk): %w", err)
	}
	return withTempDir(func(dir string) error {
		return compare(ctx, o, dir, stdout, stderr)
	})
}

func compare(ctx context.Context, o options, dir string, stdout, stderr io.Writer) error {
	builder, err := subject.NewBuilder(ctx, dir, stderr)
	if err != nil {
		return err
	}
	subjects, skipped, err := buildSubjects(ctx, o, builder, stderr)
	if err != nil {
		return err
	}
	results := newReport(o, skipped)
	var useless []string
	for _, sc := range o.scenarios {
		generator := ""
		if source := sc.generator(); source != "" {
			if generator, err = builder.Program(ctx, source); err != nil {
				return err
			}
		}
		load, err := newLoad(o, sc, dir, generator)
		if err != nil {
			return err
		}
		atHand := subjects
		if sc.static {
			if atHand, err = withFiles(subjects, dir); err != nil {
				return err
			}
		}
		if sc.tls {
			if atHand, err = withTLS(subjects, dir); err != nil {
				return err
			}
		}
		one := func(s subject.Subject) (sample, error) { return measure(ctx, o.place(sc), s, load) }
		if sc.isClients() {
			serves, err := builder.Build(ctx, subject.Ringkit)
			if err != nil {
				return err
			}
			one = func(s subject.Subject) (sample, error) { return measureClient(ctx, o, sc, s, serves) }
		}
		outcomes, err := compareScenario(o, sc, atHand, one, stderr)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "\n%s; %d rounds of %v\n\n", sc.describe(o.connections), o.rounds, o.duration)
		if err := sc.writeSummary(stdout, outcomes); err != nil {
			return err
		}
		results.add(sc, outcomes)
		for _, out := range outcomes {
			if len(out.valid()) == 0 {
				useless = append(useless, sc.name+"/"+out.subject)
			}
		}
	}
	for _, note := range skipped {
		fmt.Fprintf(stdout, "\nnot measured: %s\n", note)
	}
	if o.jsonFile != "" {
		if err := results.write(o.jsonFile); err != nil {
			return err
		}
	}
	if useless != nil {
		return fmt.Errorf("no valid measurement of %s", strings.Join(useless, ", "))
	}
	return nil
}

// buildSubjects makes the subjects ready. One that cannot be built is left out,
// and why is in skipped.
func buildSubjects(ctx context.Context, o options, builder *subject.Builder, progress io.Writer) (subjects []subject.Subject, skipped []string, err error) {
	add := func(s subject.Subject, err error) {
		if err != nil {
			fmt.Fprintln(progress, err)
			skipped = append(skipped, err.Error())
			return
		}
		subjects = append(subjects, s)
	}
	for _, name := range o.subjects {
		add(builder.Build(ctx, name))
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
	}
	for _, e := range o.extras {
		command := strings.Fields(e.command)
		add(subject.Binary(e.name, command[0], command[1:]...))
	}
	if len(subjects) == 0 {
		return nil, nil, errors.New("nothing to measure")
	}
	return subjects, skipped, nil
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

// newLoad returns what puts the load of a scenario on a server: wrk, or the program
// generator if the scenario has one of its own.
func newLoad(o options, sc scenario, dir, generator string) (loadFunc, error) {
	at := o.place(sc)
	if sc.isSockets() {
		return socketLoad{generator, at.loadCPU, sc.sockets, o.duration}.measure, nil
	}
	if sc.mixed() {
		l := mixLoad{program: generator, cpu: at.loadCPU, mixture: sc.mix,
			connections: sc.connections(o.connections), duration: o.duration}
		return l.measure, nil
	}
	script, err := sc.script(dir)
	if err != nil {
		return nil, err
	}
	l := wrk.Load{Connections: o.connections, Threads: at.threads, Duration: o.duration, Script: script, CPU: at.loadCPU}
	return func(ctx context.Context, srv *server.Server, route string) (sample, error) {
		if sc.static {
			route = static.Path
			if err := static.Probe(srv.URL(route)); err != nil {
				return sample{}, err
			}
		}
		if l.URL = srv.URL(route); sc.tls {
			l.URL = srv.SecureURL(route)
		}
		return measureLoad(ctx, srv.PID, l)
	}, nil
}

// compareScenario measures the subjects in turn, round after round, so that what
// the machine does besides meets all of them alike.
func compareScenario(o options, sc scenario, subjects []subject.Subject, one func(subject.Subject) (sample, error), progress io.Writer) ([]outcome, error) {
	subjects = slices.DeleteFunc(slices.Clone(subjects), func(s subject.Subject) bool { return !o.includes(sc, s) })
	outcomes := make([]outcome, len(subjects))
	for round := 1; round <= o.rounds; round++ {
		for i, s := range subjects {
			result, err := one(s)
			if err != nil {
				return nil, err
			}
			result.Round = round
			outcomes[i].subject = s.Name
			outcomes[i].samples = append(outcomes[i].samples, result)
			fmt.Fprintf(progress, "%s, round %d of %d: %s\n", sc.name, round, o.rounds, progressLine(s.Name, sc.unit(), result))
		}
	}
	return outcomes, nil
}

func progressLine(name, unit string, s sample) string {
	if s.Invalid != "" {
		return fmt.Sprintf("%-21s invalid: %s", name, s.Invalid)
	}
	return fmt.Sprintf("%-21s %6.2f µs/%s, %7.0f %ss/s", name, s.CPUMicros, unit, s.Rate, unit)
}
