// Kernels runs the project's tests on several Linux kernels: it builds them as
// static binaries, boots each kernel in a virtual machine that runs them, and
// prints a table.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ringkit/ringkit/ci/kernels/plan"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parseOptions(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "kernels:", err)
		os.Exit(2)
	}
	ok, err := run(ctx, o)
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

var began = time.Now()

// say tells on standard error how far the work is.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%5.0fs  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
}

// run does everything and says whether all tests passed.
func run(ctx context.Context, o options) (ok bool, err error) {
	factor, err := parseScale(os.Getenv(timeScale))
	if err != nil {
		return false, err
	}
	r := &runner{opts: o, progress: say, logs: filepath.Join(o.cache, "logs")}
	r.machine.memory = o.memory
	if r.machine.qemu, err = findEmulator(); err != nil {
		return false, err
	}
	root, all, err := module(ctx)
	if err != nil {
		return false, err
	}
	if len(o.exec) == 0 {
		if r.suites, err = chooseSuites(all, o.suites); err != nil {
			return false, err
		}
	}
	if err := os.MkdirAll(r.logs, 0o755); err != nil {
		return false, err
	}
	kernels, err := openCache(o.cache).get(ctx, o.kernels, say)
	if err != nil {
		return false, err
	}
	if r.work, err = os.MkdirTemp("", "ringkit-kernels-"); err != nil {
		return false, err
	}
	if o.keep {
		defer say("kept: %s", r.work)
	} else {
		defer os.RemoveAll(r.work)
	}
	if err := build(ctx, root, r.work, r.suites, say); err != nil {
		return false, err
	}
	r.base = filepath.Join(r.work, "base.img.gz")
	if err := writeImage(r.base, root, filepath.Join(r.work, "init"), r.suites, o.put); err != nil {
		return false, err
	}
	if err := r.accelerate(ctx, kernels[0], factor); err != nil {
		return false, err
	}
	if len(o.exec) > 0 {
		return r.programs(ctx, kernels)
	}
	results, err := r.matrix(ctx, kernels)
	if err != nil {
		return false, err
	}
	fmt.Println()
	writeTable(os.Stdout, results)
	writeNotes(os.Stdout, results, o.quick, r.logs)
	if err := writeResults(o.json, results); err != nil {
		return false, err
	}
	say("results in full: %s", o.json)
	if o.doc != "" {
		if err := updateDocument(o.doc, results, aboutRun(o, began, r.machine.kvm)); err != nil {
			return false, err
		}
	}
	return summary(results), ctx.Err()
}

// emulated is how much slower a machine is without KVM.
const emulated = 5

// accelerate finds out whether KVM can be used.
func (r *runner) accelerate(ctx context.Context, k kernel, factor float64) error {
	r.scale = factor * emulated
	if r.opts.accel == "tcg" {
		return nil
	}
	m := r.machine
	m.kernel, m.cpus = k.Image, 1
	m.image = filepath.Join(r.work, "canary.img")
	m.console = filepath.Join(r.logs, "canary.console")
	more, err := planImage(plan.Plan{}, "")
	if err != nil {
		return err
	}
	if err := joinImages(m.image, r.base, more); err != nil {
		return err
	}
	err = canUseKVM(ctx, m)
	switch {
	case err == nil:
		r.machine.kvm, r.scale = true, factor
		say("with KVM")
	case ctx.Err() != nil:
		return ctx.Err()
	case r.opts.accel == "kvm":
		return fmt.Errorf("KVM does not work here: %w", err)
	default:
		first, _, _ := strings.Cut(err.Error(), "\n")
		say("without KVM, thus slowly: %s", first)
	}
	return nil
}

// matrix boots every kernel in every row.
func (r *runner) matrix(ctx context.Context, kernels []kernel) ([]*bootResult, error) {
	chosen, err := chooseRows(r.opts.rows)
	if err != nil {
		return nil, err
	}
	var results []*bootResult
	var wait sync.WaitGroup
	slots := make(chan struct{}, r.opts.jobs)
	restricted := restrictedOn(kernels)
	for i, k := range kernels {
		for _, w := range chosen {
			if w.name != rows[0].name && i != restricted {
				continue
			}
			b := &bootResult{Kernel: k, Row: w.name, Skipped: "interrupted"}
			results = append(results, b)
			slots <- struct{}{}
			wait.Go(func() {
				defer func() { <-slots }()
				if ctx.Err() == nil {
					*b = *r.boot(ctx, k, w)
				}
			})
		}
	}
	wait.Wait()
	return results, nil
}

func writeResults(file string, results []*bootResult) error {
	text, err := json.MarshalIndent(results, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// summary says whether all is well.
func summary(results []*bootResult) bool {
	var bad []string
	var c counts
	for _, b := range results {
		for _, s := range b.Suites {
			n := count(s.Tests)
			c = counts{c.passed + n.passed, c.failed + n.failed, c.skipped + n.skipped}
		}
		if b.failed() {
			bad = append(bad, b.Kernel.Name+" "+b.Row)
		}
	}
	fmt.Printf("\n%d passed, %d failed, %d skipped\n", c.passed, c.failed, c.skipped)
	if len(bad) > 0 {
		fmt.Println("failed:", strings.Join(bad, ", "))
	}
	return len(bad) == 0
}
