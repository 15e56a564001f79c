package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ringkit/ringkit/bench/internal/clients"
	"github.com/ringkit/ringkit/bench/internal/procfs"
	"github.com/ringkit/ringkit/bench/internal/server"
	"github.com/ringkit/ringkit/bench/internal/subject"
	"github.com/ringkit/ringkit/bench/internal/ws"
)

// isClients reports whether the scenario measures clients, with a server that is the same
// for all.
func (s scenario) isClients() bool { return s.inFlight > 0 }

// asksSockets reports whether they are clients of WebSockets.
func (s scenario) asksSockets() bool { return s.isClients() && s.message > 0 }

// measureClient has a client keep requests in flight to a server, and measures it once.
// What goes wrong makes the sample invalid; only an interruption is an error.
func measureClient(ctx context.Context, at place, sc scenario, d time.Duration, s, serves subject.Subject) (sample, error) {
	result, err := askServer(ctx, at, sc, d, s, serves)
	if ctx.Err() != nil {
		return sample{}, ctx.Err()
	}
	if err != nil {
		result.Invalid = err.Error()
	}
	return result, nil
}

func askServer(ctx context.Context, at place, sc scenario, d time.Duration, s, serves subject.Subject) (result sample, err error) {
	srv, err := server.Start(ctx, server.Command{Path: serves.Path, Args: serves.Args(at.loops), CPU: at.serverCPU, GoMaxProcs: at.goMaxProcs})
	if err != nil {
		return result, err
	}
	defer srv.Stop()
	if err := probe(srv.Port, serves); err != nil {
		return result, srv.Explain(fmt.Errorf("probing %s: %w", serves.Route, err))
	}
	c := clients.Config{Port: srv.Port, Path: serves.Route, InFlight: sc.inFlight, Size: sc.message, WarmUp: warmUp(d), Duration: d}
	if sc.asksSockets() {
		c.Path = ws.Echo
	}
	var cpu procfs.CPU
	found, err := clients.Start(ctx, s.Path, s.More(), c, at.loadCPU, func(pid int, run func() error) (err error) {
		if result.Engine, err = procfs.Engine(pid); err != nil {
			return err
		}
		if s.Engine != "" && result.Engine != s.Engine {
			return fmt.Errorf("runs on %s, not on %s", result.Engine, s.Engine)
		}
		cpu, result.Memory, err = during(pid, run)
		return err
	})
	if err != nil {
		return result, srv.Explain(err)
	}
	used, threadsEnded := cpu.Used()
	result.Requests = found.Requests
	result.Errors = found.Errors
	result.CPUMicros = micros(used) / float64(max(1, found.Requests))
	result.Rate = float64(found.Requests) / found.Elapsed.Seconds()
	result.Busy = used.Seconds() / found.Elapsed.Seconds()
	result.Waited = cpu.Waited.Seconds() / found.Elapsed.Seconds()
	result.ThreadsEnded = threadsEnded
	return result, found.Err()
}
