package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/ringkit/ringkit/bench/internal/own"
	"github.com/ringkit/ringkit/bench/internal/procfs"
	"github.com/ringkit/ringkit/bench/internal/server"
	"github.com/ringkit/ringkit/bench/internal/stats"
	"github.com/ringkit/ringkit/bench/internal/subject"
	"github.com/ringkit/ringkit/bench/internal/table"
	"github.com/ringkit/ringkit/bench/internal/wrk"
)

const aboutGenerators = `Generators measures one server with two load generators, wrk and bench/load, in turn:
what the server is found to do, and what either of them takes for it. They should find
the same. It needs wrk.
`

// generatorsOptions are the flags of a run.
type generatorsOptions struct {
	target              target
	rounds, connections int
	duration            time.Duration
	loadCPU             int
}

func generatorsCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o generatorsOptions
	flags := newFlags()
	o.target.addFlags(flags)
	flags.IntVar(&o.rounds, "rounds", 5, "`number` of rounds, in each of which either is used once for each kind of load")
	flags.IntVar(&o.connections, "c", 64, "`number` of connections")
	flags.DurationVar(&o.duration, "duration", 2*time.Second, "`time` of each measurement, in whole seconds")
	flags.IntVar(&o.loadCPU, "load-cpu", 1, "`processor` of the generators, -1 for any")
	if err := parseFlags(flags, args, aboutGenerators, stdout); err != nil {
		return err
	}
	if !wasSet(flags, "server-cpu") {
		o.target.serverCPU = 0
	}
	if !wasSet(flags, "loops") {
		o.target.loops = 1
	}
	switch {
	case o.rounds < 1 || o.rounds > maxRounds || o.connections < 1 || o.connections > maxConnections:
		return usagef("-rounds %d, -c %d: want 1 to %d, and to %d", o.rounds, o.connections, maxRounds, maxConnections)
	case o.duration < time.Second || o.duration > maxDuration || o.duration%time.Second != 0:
		return usagef("-duration %v: want whole seconds, 1s to %v", o.duration, maxDuration)
	}
	if err := o.target.check(); err != nil {
		return err
	}
	if _, err := subject.Installed("wrk"); err != nil {
		return fmt.Errorf("%w: apt-get install wrk", err)
	}
	return withTempDir(func(dir string) error { return compareGenerators(ctx, o, dir, stdout, stderr) })
}

// found is what a generator has found, or what several runs of it have.
type found struct {
	cpu, rate, p50, p99 []float64 // of the server, in µs where it is time
	took                []float64 // processor time of the generator for a request, in µs
}

func (f *found) add(cpu, took time.Duration, requests int64, rate float64, p50, p99 time.Duration) {
	n := float64(max(1, requests))
	f.cpu, f.took = append(f.cpu, micros(cpu)/n), append(f.took, micros(took)/n)
	f.rate = append(f.rate, rate)
	f.p50, f.p99 = append(f.p50, micros(p50)), append(f.p99, micros(p99))
}

// both are the generators, for one kind of load.
type both struct {
	scenario
	wrk, own found
}

func compareGenerators(ctx context.Context, o generatorsOptions, dir string, stdout, stderr io.Writer) error {
	kinds, err := findScenarios([]string{"plain", "pipeline", "close"}, false)
	if err != nil {
		return err
	}
	builder, err := subject.NewBuilder(ctx, dir, stderr)
	if err != nil {
		return err
	}
	program, err := builder.Program(ctx, own.Source)
	if err != nil {
		return err
	}
	s, err := o.target.build(ctx, dir, stderr)
	if err != nil {
		return err
	}
	all := make([]both, len(kinds))
	for round := range o.rounds {
		for i, kind := range kinds {
			all[i].scenario = kind
			if err := o.withServer(ctx, s, func(srv *server.Server) error { return o.useWrk(ctx, dir, srv, s.Route, &all[i]) }); err != nil {
				return fmt.Errorf("%s, wrk: %w", kind.name, err)
			}
			if err := o.withServer(ctx, s, func(srv *server.Server) error { return o.useOwn(ctx, program, srv, s.Route, &all[i]) }); err != nil {
				return fmt.Errorf("%s, load: %w", kind.name, err)
			}
		}
		fmt.Fprintf(stderr, "round %d of %d\n", round+1, o.rounds)
	}
	fmt.Fprintf(stdout, "\n%s on %d connections; %d rounds of %v\n\n", s.Name, o.connections, o.rounds, o.duration)
	_, err = generatorsTable(all).WriteTo(stdout)
	return err
}

// withServer starts the server afresh for one measurement.
func (o generatorsOptions) withServer(ctx context.Context, s subject.Subject, use func(*server.Server) error) error {
	srv, err := server.Start(ctx, server.Command{Path: s.Path, Args: s.Args(o.target.loops), Env: s.Env, CPU: o.target.serverCPU, GoMaxProcs: o.target.goMaxProcs})
	if err != nil {
		return err
	}
	defer srv.Stop()
	if err := probe(srv.Port, s); err != nil {
		return srv.Explain(err)
	}
	return srv.Explain(use(srv))
}

func (o generatorsOptions) useWrk(ctx context.Context, dir string, srv *server.Server, route string, b *both) error {
	script, err := b.script(dir)
	if err != nil {
		return err
	}
	load := wrk.Load{URL: srv.URL(route), Connections: o.connections, Threads: 1, Duration: time.Second, Script: script, CPU: o.loadCPU}
	if _, err := wrk.Run(ctx, load); err != nil { // warms the server up
		return err
	}
	load.Duration = o.duration
	var r wrk.Result
	cpu, _, err := during(srv.PID, func() (err error) {
		r, err = wrk.Run(ctx, load)
		return err
	})
	if err != nil {
		return err
	}
	used, _ := cpu.Used()
	b.wrk.add(used, r.CPU, r.Requests, r.Rate(), r.P50, r.P99)
	return r.Err()
}

func (o generatorsOptions) useOwn(ctx context.Context, program string, srv *server.Server, route string, b *both) error {
	load := own.Load{URL: srv.URL(route), Connections: o.connections, Pipeline: b.pipeline, Close: b.close, WarmUp: time.Second, Duration: o.duration, CPU: o.loadCPU}
	var used, took procfs.CPU
	r, err := own.Run(ctx, program, load, func(pid int, run func() error) (err error) {
		took, _, err = during(pid, func() (err error) {
			used, _, err = during(srv.PID, run)
			return err
		})
		return err
	})
	if err != nil {
		return err
	}
	server, _ := used.Used()
	generator, _ := took.Used()
	b.own.add(server, generator, r.Requests, r.Rate(), r.P50(), r.P99())
	return nil
}

func generatorsTable(all []both) *table.Table {
	tab := table.New("load", "generator", "req/s", "server µs/req", "generator µs/req", "p50 ms", "p99 ms", "req/s ÷ wrk", "server ÷ wrk", "generator ÷ wrk")
	for _, b := range all {
		for _, one := range []struct {
			name string
			found
		}{{"wrk", b.wrk}, {"load", b.own}} {
			ratio := func(of func(found) []float64) string {
				return fmt.Sprintf("%.2f", stats.Median(of(one.found))/stats.Median(of(b.wrk)))
			}
			late := func(values []float64) string {
				if b.pipeline > 1 {
					return "-" // wrk's are wrong, see wrk.Load
				}
				return fmt.Sprintf("%.3f", stats.Median(values)/1000)
			}
			tab.Add(b.name, one.name,
				fmt.Sprintf("%.0f", stats.Median(one.rate)),
				fmt.Sprintf("%.2f", stats.Median(one.cpu)),
				fmt.Sprintf("%.2f", stats.Median(one.took)),
				late(one.p50), late(one.p99),
				ratio(func(f found) []float64 { return f.rate }),
				ratio(func(f found) []float64 { return f.cpu }),
				ratio(func(f found) []float64 { return f.took }),
			)
		}
	}
	return tab
}
