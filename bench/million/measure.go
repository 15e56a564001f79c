package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/inside"
	"github.com/ringkit/ringkit/bench/internal/proc"
	"github.com/ringkit/ringkit/bench/internal/procfs"
	"github.com/ringkit/ringkit/bench/internal/server"
	"github.com/ringkit/ringkit/bench/internal/subject"
)

// serverSource is the server.
const serverSource = "./peers/ringkit"

// farAway is a time that no run takes: what the server does when it is over would be more
// than the load.
const farAway = 24 * time.Hour

// trial is one run.
type trial struct {
	*options
	out    io.Writer
	system *system
	plan   plan
	server *server.Server
	crew   *crew
	result *result
}

// measure does all. There is a result if connections were held, also with an error.
func measure(ctx context.Context, o *options, out io.Writer) (r *result, err error) {
	t := &trial{options: o, out: out, result: &result{Asked: o.n, Protocol: o.protocol(), Target: o.rate}}
	if t.system, err = readSystem(); err != nil {
		return nil, err
	}
	// Whether it worked shows in the limits.
	_ = t.system.raiseNoFile(o.n + serverFiles)
	if o.raise {
		raised := t.system.raiseSystem(o.n)
		_ = t.system.raiseNoFile(o.n + serverFiles)
		defer func() {
			for _, r := range raised {
				err = errors.Join(err, r.putBack())
			}
		}()
	}
	if err := t.makePlan(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "ringkit-million-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := t.startServer(ctx, dir); err != nil {
		return nil, err
	}
	defer t.server.Stop()
	if t.crew, err = startCrew(ctx, o, t.system, t.plan.n, t.server.Port); err != nil {
		return nil, t.server.Explain(err)
	}
	defer func() {
		// After an interrupt they were killed.
		if ended := t.crew.end(); err == nil && ctx.Err() == nil {
			err = ended
		}
	}()
	t.result.Processes = len(t.crew.members)
	return t.result, t.server.Explain(t.phases(ctx))
}

// protocol is what the connections speak.
func (o *options) protocol() string {
	switch {
	case o.deflate:
		return "WebSocket with compression"
	case o.sockets:
		return "WebSocket"
	}
	return "HTTP keep-alive"
}

// fewAtATime is how many connections opened at a time are worth a word.
const fewAtATime = 64

// makePlan finds out how many connections can be held, and says what stops more.
func (t *trial) makePlan() (err error) {
	if t.plan, err = t.system.plan(t.options); err != nil {
		return err
	}
	t.result.Limits = t.plan.limits
	if w := t.system.window(); w < fewAtATime {
		t.say("connections are opened %d at a time, since no more than %d may wait to be accepted (net.core.somaxconn)", w, t.system.backlog)
	}
	if len(t.plan.limits) == 0 {
		return nil
	}
	fmt.Fprintf(t.out, "%d of %d connections can be held here:\n", t.plan.n, t.n)
	for _, l := range t.plan.limits {
		fmt.Fprintln(t.out, " ", l)
	}
	if t.plan.n == 0 {
		return errors.New("no connection can be held")
	}
	return nil
}

// startServer starts the server and looks whether it answers.
func (t *trial) startServer(ctx context.Context, dir string) error {
	program := t.options.server
	if program == "" {
		b, err := subject.NewBuilder(ctx, dir, t.out)
		if err != nil {
			return err
		}
		if program, err = b.Program(ctx, serverSource); err != nil {
			return err
		}
	}
	args := []string{
		"-addr", "127.0.0.1:0", "-engine", t.engine, "-handler", t.handler,
		"-idle-timeout", farAway.String(), "-ping", farAway.String(),
		"-header-timeout", t.timeout.String(), // a slow machine takes longer than the default to send the first request
	}
	if t.plan.loops > 0 {
		args = append(args, "-loops", fmt.Sprint(t.plan.loops))
	}
	if t.plan.direct {
		args = append(args, "-direct")
	}
	var err error
	if t.server, err = server.Start(ctx, server.Command{Path: program, Args: args, CPU: proc.AnyCPU}); err != nil {
		return err
	}
	if err = client.Probe(t.server.Port, "/"); err == nil {
		var f inside.Figures
		f, err = inside.Ask(t.server.Port)
		if err == nil && t.plan.direct && f.Direct == 0 {
			err = errors.New("the server has no direct descriptors")
		}
	}
	if err != nil {
		err = t.server.Explain(err)
		t.server.Stop()
	}
	return err
}

// phases are what is done once the processes run.
func (t *trial) phases(ctx context.Context) error {
	if err := wait(ctx, settleFirst); err != nil {
		return err
	}
	before, err := t.look()
	if err != nil {
		return err
	}
	t.result.Machine = describe(before)
	if err := t.ramp(ctx); err != nil {
		return err
	}
	if t.result.Held == 0 {
		return errors.New("no connection was established")
	}
	if err := wait(ctx, t.settle); err != nil {
		return err
	}
	after, err := t.look()
	if err != nil {
		return err
	}
	t.result.Memory = perConnection(before, after, t.result.Held)
	t.say("%d connections: %s", t.result.Held, t.result.Memory.line())
	if t.idle > 0 {
		if t.result.Idle, err = t.watch(ctx); err != nil {
			return err
		}
	}
	if t.rate > 0 {
		if err := t.request(ctx); err != nil {
			return err
		}
		if after, err = t.look(); err != nil {
			return err
		}
		loaded := perConnection(before, after, t.result.Held)
		t.result.MemoryLoaded = &loaded
	}
	return t.finish(ctx)
}

// settleFirst is how long the processes have before they are looked at first.
const settleFirst = time.Second

// view is what there is to see at a moment.
type view struct {
	memory procfs.Memory // of the server
	kernel procfs.Kernel
	inside inside.Figures
}

func (t *trial) look() (v view, err error) {
	if v.inside, err = inside.Ask(t.server.Port); err != nil {
		return v, err
	}
	if v.memory, err = procfs.ReadMemory(t.server.PID); err != nil {
		return v, err
	}
	v.kernel, err = procfs.ReadKernel()
	return v, err
}

// describe says where and on what it runs.
func describe(v view) machine {
	var u unix.Utsname
	_ = unix.Uname(&u) // without it, there is no release to say
	return machine{
		Kernel: unix.ByteSliceToString(u.Release[:]), CPUs: runtime.NumCPU(), Go: runtime.Version(),
		Engine: v.inside.Engine, Loops: v.inside.Loops, Direct: v.inside.Direct > 0,
	}
}

// begin times the run.
var began = time.Now()

// say says how it goes.
func (t *trial) say(format string, args ...any) {
	fmt.Fprintf(t.out, "%5.0f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
}
