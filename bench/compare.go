package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"

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
	subjects, skipped, err := buildSubjects(ctx, o, dir, stderr)
	if err != nil {
		return err
	}
	results := newReport(o, skipped)
	var useless []string
	for _, sc := range o.scenarios {
		outcomes, err := compareScenario(ctx, o, sc, subjects, dir, stderr)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "\n%s; %d rounds of %v\n\n", sc.describe(o.connections), o.rounds, o.duration)
		if err := writeSummary(stdout, outcomes); err != nil {
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
func buildSubjects(ctx context.Context, o options, dir string, progress io.Writer) (subjects []subject.Subject, skipped []string, err error) {
	const loops = 1 // one loop for the one processor it is pinned to
	builder, err := subject.NewBuilder(ctx, dir, progress)
	if err != nil {
		return nil, nil, err
	}
	add := func(s subject.Subject, err error) {
		if err != nil {
			fmt.Fprintln(progress, err)
			skipped = append(skipped, err.Error())
			return
		}
		subjects = append(subjects, s)
	}
	for _, name := range o.subjects {
		add(builder.Build(ctx, name, loops))
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
	}
	for _, e := range o.extras {
		add(subject.Binary(e.name, e.path, loops))
	}
	if len(subjects) == 0 {
		return nil, nil, errors.New("nothing to measure")
	}
	return subjects, skipped, nil
}

// compareScenario measures the subjects in turn, round after round, so that what
// the machine does besides meets all of them alike.
func compareScenario(ctx context.Context, o options, sc scenario, subjects []subject.Subject, dir string, progress io.Writer) ([]outcome, error) {
	script, err := sc.script(dir)
	if err != nil {
		return nil, err
	}
	subjects = slices.DeleteFunc(slices.Clone(subjects), func(s subject.Subject) bool { return !sc.includes(s) })
	load := wrk.Load{Connections: o.connections, Duration: o.duration, Script: script, CPU: o.loadCPU}
	outcomes := make([]outcome, len(subjects))
	for round := 1; round <= o.rounds; round++ {
		for i, s := range subjects {
			result, err := measure(ctx, o, s, load)
			if err != nil {
				return nil, err
			}
			result.Round = round
			outcomes[i].subject = s.Name
			outcomes[i].samples = append(outcomes[i].samples, result)
			fmt.Fprintf(progress, "%s, round %d of %d: %s\n", sc.name, round, o.rounds, progressLine(s.Name, result))
		}
	}
	return outcomes, nil
}

func progressLine(name string, s sample) string {
	if s.Invalid != "" {
		return fmt.Sprintf("%-13s invalid: %s", name, s.Invalid)
	}
	return fmt.Sprintf("%-13s %6.2f µs/request, %7.0f requests/s", name, s.CPUMicros, s.Rate)
}
