package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/ringkit/ringkit/bench/internal/proc"
	"github.com/ringkit/ringkit/bench/internal/procfs"
	"github.com/ringkit/ringkit/bench/internal/server"
	"github.com/ringkit/ringkit/bench/internal/subject"
)

// target is the one server of an idle, churn or slow run.
type target struct {
	name       string
	binary     string
	loops      int
	serverCPU  int
	goMaxProcs int
	more       []string // arguments
}

func (t *target) addFlags(flags *flag.FlagSet) {
	flags.StringVar(&t.name, "subject", subject.Ringkit, "`name` of the server to run")
	flags.StringVar(&t.binary, "binary", "", "`program` to run instead, which takes the flags -addr and -loops")
	flags.IntVar(&t.loops, "loops", 0, "`number` of event loops of ringkit's server, 0 for its default")
	flags.IntVar(&t.serverCPU, "server-cpu", proc.AnyCPU, "`processor` the server is pinned to, -1 for any")
	flags.IntVar(&t.goMaxProcs, "gomaxprocs", 0, "`number` of GOMAXPROCS for a Go server; by default Go chooses")
}

func (t *target) check() error {
	if t.loops < 0 {
		return usagef("-loops %d: want 0 or more", t.loops)
	}
	if t.goMaxProcs < 0 {
		return usagef("-gomaxprocs %d: want 0 or more", t.goMaxProcs)
	}
	if err := subject.Check(t.name); err != nil {
		return usagef("-subject: %w", err)
	}
	if subject.IsClient(t.name) {
		return usagef("-subject %s: that is a client, not a server", t.name)
	}
	if err := proc.CheckCPU(t.serverCPU); err != nil {
		return usagef("-server-cpu: %w", err)
	}
	return nil
}

// running is a target's server with the figures it started with.
type running struct {
	*server.Server
	name   string
	route  string
	memory procfs.Memory
	fds    int
}

// start builds the server in dir and starts it.
func (t *target) start(ctx context.Context, dir string, progress io.Writer) (*running, error) {
	s, err := t.build(ctx, dir, progress)
	if err != nil {
		return nil, err
	}
	return startMeasured(ctx, s, server.Command{
		Path:       s.Path,
		Args:       append(s.Args(t.loops), t.more...),
		Env:        s.Env,
		CPU:        t.serverCPU,
		GoMaxProcs: t.goMaxProcs,
	})
}

// startMeasured starts a subject, sends it one request so that what it sets up lazily is
// there, and reads its first figures.
func startMeasured(ctx context.Context, s subject.Subject, command server.Command) (*running, error) {
	srv, err := server.Start(ctx, command)
	if err != nil {
		return nil, err
	}
	r := &running{Server: srv, name: s.Name, route: s.Route}
	if err := r.readFirst(ctx); err != nil {
		err = srv.Explain(err)
		srv.Stop()
		return nil, err
	}
	return r, nil
}

func (t *target) build(ctx context.Context, dir string, progress io.Writer) (subject.Subject, error) {
	if t.binary != "" {
		return subject.Binary(t.binary, t.binary)
	}
	builder, err := subject.NewBuilder(ctx, dir, progress)
	if err != nil {
		return subject.Subject{}, err
	}
	return builder.Build(ctx, t.name)
}

func (r *running) readFirst(ctx context.Context) error {
	if err := probeSoon(ctx, r.Port, subject.Subject{Route: r.route}); err != nil {
		return fmt.Errorf("probing %s: %w", r.route, err)
	}
	if err := sleep(ctx, settle); err != nil {
		return err
	}
	var err error
	if r.memory, err = procfs.ReadMemory(r.PID); err != nil {
		return err
	}
	r.fds, err = procfs.CountFDs(r.PID)
	return err
}

// waitForFDs waits until the server has no more descriptors than at the start, or
// until fdTimeout. It returns how many there are in the end.
func (r *running) waitForFDs(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, fdTimeout)
	defer cancel()
	for {
		n, err := procfs.CountFDs(r.PID)
		if err != nil || n <= r.fds {
			return n, err
		}
		if sleep(ctx, pollInterval) != nil {
			return n, nil
		}
	}
}

// withTempDir calls do with a directory that exists until it returns.
func withTempDir(do func(dir string) error) error {
	dir, err := os.MkdirTemp("", "ringkit-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return do(dir)
}
