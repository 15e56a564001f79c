package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/ringkit/ringkit/bench/internal/proc"
	"github.com/ringkit/ringkit/bench/internal/server"
	"github.com/ringkit/ringkit/bench/internal/stats"
	"github.com/ringkit/ringkit/bench/internal/subject"
	"github.com/ringkit/ringkit/bench/internal/table"
	"github.com/ringkit/ringkit/bench/internal/wrk"
)

const aboutProxy = `Proxy measures reverse proxies: the processor time of examples/proxy for each request,
on each engine, beside nginx (proxy_pass with keep-alive, one process). The proxies run on
-server-cpu; wrk and the server behind them on -load-cpu. It needs wrk and nginx.
`

// proxyOptions are the flags of a run with proxies.
type proxyOptions struct {
	rounds, connections int
	duration            time.Duration
	serverCPU, loadCPU  int
}

func proxyCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o proxyOptions
	flags := newFlags()
	flags.IntVar(&o.rounds, "rounds", 5, "`number` of rounds, in each of which every proxy is measured once")
	flags.IntVar(&o.connections, "c", 64, "`number` of connections")
	flags.DurationVar(&o.duration, "duration", 2*time.Second, "`time` of each measurement, in whole seconds")
	flags.IntVar(&o.serverCPU, "server-cpu", 0, "`processor` of the proxies, -1 for any")
	flags.IntVar(&o.loadCPU, "load-cpu", 1, "`processor` of wrk and the server behind the proxies, -1 for any")
	if err := parseFlags(flags, args, aboutProxy, stdout); err != nil {
		return err
	}
	switch {
	case o.rounds < 1 || o.connections < 1:
		return usagef("-rounds %d, -c %d: want 1 or more", o.rounds, o.connections)
	case o.duration < time.Second || o.duration%time.Second != 0:
		return usagef("-duration %v: want whole seconds", o.duration)
	}
	for _, cpu := range []int{o.serverCPU, o.loadCPU} {
		if err := proc.CheckCPU(cpu); err != nil {
			return usagef("-server-cpu, -load-cpu: %w", err)
		}
	}
	for _, program := range []string{"wrk", "nginx"} {
		if _, err := subject.Installed(program); err != nil {
			return fmt.Errorf("%w: apt-get install wrk nginx", err)
		}
	}
	return withTempDir(func(dir string) error { return compareProxies(ctx, o, dir, stdout, stderr) })
}

// proxied is a proxy under measurement.
type proxied struct {
	name string
	*server.Server
	cpu, rate []float64
}

func compareProxies(ctx context.Context, o proxyOptions, dir string, stdout, stderr io.Writer) error {
	builder, err := subject.NewBuilder(ctx, dir, stderr)
	if err != nil {
		return err
	}
	proxy, err := builder.Program(ctx, "github.com/ringkit/ringkit/examples/proxy")
	if err != nil {
		return err
	}
	behind, err := builder.Build(ctx, subject.Ringkit)
	if err != nil {
		return err
	}
	origin, err := server.Start(ctx, server.Command{Path: behind.Path, Args: behind.Args(1), Env: behind.Env, CPU: o.loadCPU, GoMaxProcs: 1})
	if err != nil {
		return err
	}
	defer origin.Stop()

	var all []*proxied
	start := func(name string, command server.Command) error {
		command.CPU = o.serverCPU
		srv, err := server.Start(ctx, command)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, &proxied{name: name, Server: srv})
		return srv.Explain(probeSoon(ctx, srv.Port, behind))
	}
	defer func() {
		for _, p := range all {
			p.Stop()
		}
	}()
	for _, engine := range []string{"io_uring", "epoll"} {
		args := []string{"-listen", "127.0.0.1:0", "-to", origin.URL(""), "-loops", "1", "-engine", engine}
		if err := start("ringkit "+engine, server.Command{Path: proxy, Args: args, GoMaxProcs: 2}); err != nil {
			return err
		}
	}
	nginx, err := builder.Build(ctx, subject.Nginx)
	if err != nil {
		return err
	}
	to := fmt.Sprintf("127.0.0.1:%d", origin.Port)
	if err := start("nginx", server.Command{Path: nginx.Path, Args: append(nginx.Args(1), "-to", to), Env: nginx.Env}); err != nil {
		return err
	}
	for round := range o.rounds {
		for _, p := range all {
			load := wrk.Load{URL: p.URL(behind.Route), Connections: o.connections, Threads: 1, Duration: o.duration, CPU: o.loadCPU}
			s, err := measureLoad(ctx, p.PID, load)
			if err != nil {
				return p.Explain(fmt.Errorf("%s: %w", p.name, err))
			}
			fmt.Fprintf(stderr, "round %d of %d: %s\n", round+1, o.rounds, progressLine(p.name, scenario{}, s))
			p.cpu, p.rate = append(p.cpu, s.CPUMicros), append(p.rate, s.Rate)
		}
	}
	return proxyTable(o, all, stdout)
}

func proxyTable(o proxyOptions, all []*proxied, w io.Writer) error {
	nginx := stats.Median(all[len(all)-1].cpu)
	fmt.Fprintf(w, "\nreverse proxies, %d connections, medians of %d rounds of %v\n\n", o.connections, o.rounds, o.duration)
	tab := table.New("proxy", "CPU us/request", "range", "throughput per CPU second / nginx", "requests/s")
	for _, p := range all {
		cpu := stats.Median(p.cpu)
		least, greatest := stats.Spread(p.cpu)
		tab.Add(p.name, fmt.Sprintf("%.2f", cpu), fmt.Sprintf("%.2f-%.2f", least, greatest), fmt.Sprintf("%.2f", nginx/cpu),
			fmt.Sprintf("%.0f", stats.Median(p.rate)))
	}
	_, err := tab.WriteTo(w)
	return err
}
