package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

const aboutChurn = `Churn soaks a server: workers open connections, send 1 to 200 requests on each, some
pipelined, and close, some in the middle of a request or without reading the answers.
Every response read is checked. The exit status is 1 if a response is wrong, if the
server's memory grows by more than -max-growth between 20 % and 100 % of the run, or if
it does not close its descriptors once all connections are closed.
`

// churnOptions are the flags of a soak.
type churnOptions struct {
	target      target
	requests    int64
	workers     int
	seed        uint64
	maxTime     time.Duration
	maxGrowth   float64 // MiB
	maxFDs      int
	reportEvery time.Duration
}

// Bounds of a soak.
const (
	maxRequests = 1e10
	maxWorkers  = 4096
)

func churnCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o churnOptions
	flags := newFlags()
	flags.Int64Var(&o.requests, "requests", 1_000_000, "total `number` of requests")
	flags.IntVar(&o.workers, "workers", 32, "`number` of connections open at a time")
	flags.Uint64Var(&o.seed, "seed", 1, "`seed` of the random choices")
	flags.DurationVar(&o.maxTime, "max-time", 15*time.Minute, "`time` after which the run fails")
	flags.Float64Var(&o.maxGrowth, "max-growth", 8, "`MiB` of RSS the server may grow between 20 % and 100 % of the run")
	flags.IntVar(&o.maxFDs, "max-fds", 0, "`number` of descriptors that may stay open in the end beyond those at start")
	flags.DurationVar(&o.reportEvery, "report-every", 10*time.Second, "`time` between progress lines")
	o.target.addFlags(flags)
	if err := parseFlags(flags, args, aboutChurn, stdout); err != nil {
		return err
	}
	switch {
	case o.requests < 1 || o.requests > maxRequests:
		return usagef("-requests %d: want 1 to %.0f", o.requests, maxRequests)
	case o.workers < 1 || o.workers > maxWorkers:
		return usagef("-workers %d: want 1 to %d", o.workers, maxWorkers)
	case o.maxTime <= 0:
		return usagef("-max-time %v: want more than 0", o.maxTime)
	case o.maxGrowth < 0:
		return usagef("-max-growth %v: want 0 or more", o.maxGrowth)
	case o.maxFDs < 0:
		return usagef("-max-fds %d: want 0 or more", o.maxFDs)
	case o.reportEvery < time.Second:
		return usagef("-report-every %v: want 1s or more", o.reportEvery)
	}
	if err := o.target.check(); err != nil {
		return err
	}
	return withTempDir(func(dir string) error {
		srv, err := o.target.start(ctx, dir, stderr)
		if err != nil {
			return err
		}
		defer srv.Stop()
		return srv.Explain(soak(ctx, o, srv, stdout))
	})
}

// soak runs the load, watches the server meanwhile, and judges.
func soak(ctx context.Context, o churnOptions, srv *running, w io.Writer) error {
	loadCtx, cancel := context.WithTimeout(ctx, o.maxTime)
	defer cancel()
	go func() {
		// Without a server the workers would only collect refusals.
		select {
		case <-srv.Ended():
			cancel()
		case <-loadCtx.Done():
		}
	}()

	load := newChurnLoad(srv.Port, srv.route, o.requests)
	finished := make(chan struct{})
	go func() {
		load.run(loadCtx, o.workers, o.seed)
		close(finished)
	}()
	fmt.Fprintf(w, "%s: %d requests by %d workers; at start RSS %s, %d descriptors\n",
		srv.name, o.requests, o.workers, mib(srv.memory.RSS), srv.fds)
	watcher := watcher{srv: srv, load: load, every: o.reportEvery, w: w}
	watchErr := watcher.run(finished)
	if watchErr != nil {
		cancel()
	}
	<-finished
	if err := errors.Join(ctx.Err(), watchErr); err != nil {
		return err
	}

	fds, err := srv.waitForFDs(ctx)
	if err != nil {
		return err
	}
	return o.judge(watcher.points, load, fds, srv.fds, w)
}

// judge prints what came out and returns what is wrong with it.
func (o churnOptions) judge(points []rssPoint, load *churnLoad, fds, fdsAtStart int, w io.Writer) error {
	var problems []error
	if n := load.failed.Load(); n > 0 {
		problems = append(problems, fmt.Errorf("%d connections failed, for example:\n%w", n, errors.Join(load.examples()...)))
	}
	if done := load.done(); done < o.requests && len(problems) == 0 {
		problems = append(problems, fmt.Errorf("only %d of %d requests done", done, o.requests))
	}
	fmt.Fprintf(w, "\n%d responses checked, %d requests abandoned, %d connections\n",
		load.checked.Load(), load.abandoned.Load(), load.connections.Load())

	early, late, ok := growth(points, o.requests)
	switch {
	case ok:
		grown := float64(late-early) / (1 << 20)
		fmt.Fprintf(w, "RSS %s at 20 %% of the run, %s at its end: grown by %.1f MiB (limit %.1f)\n",
			mib(early), mib(late), grown, o.maxGrowth)
		if grown > o.maxGrowth {
			problems = append(problems, fmt.Errorf("RSS grew by %.1f MiB, limit %.1f", grown, o.maxGrowth))
		}
	case len(problems) == 0:
		problems = append(problems, errors.New("too short a run to tell whether RSS grows"))
	}

	fmt.Fprintf(w, "descriptors: %d at start, %d after all connections were closed\n", fdsAtStart, fds)
	if left := fds - fdsAtStart; left > o.maxFDs {
		problems = append(problems, fmt.Errorf("%d descriptors are still open, limit %d", left, o.maxFDs))
	}
	return errors.Join(problems...)
}

func mib(bytes int64) string {
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
}
