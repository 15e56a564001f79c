package main

import (
	"context"
	"os/exec"
	"time"

	"github.com/ringkit/ringkit/bench/internal/own"
	"github.com/ringkit/ringkit/bench/internal/procfs"
	"github.com/ringkit/ringkit/bench/internal/server"
)

// Generators of requests that all take the same.
const (
	generatorOwn = "own" // bench/load
	generatorWrk = "wrk"
)

// chooseGenerator returns the generator that is asked for, or wrk where it is installed,
// which is nobody's who is measured.
func chooseGenerator(asked string) (string, error) {
	_, err := exec.LookPath(generatorWrk)
	switch asked {
	case generatorOwn:
		return asked, nil
	case generatorWrk:
		if err != nil {
			return "", usagef("-generator wrk: %w (Debian package wrk)", err)
		}
		return asked, nil
	case "":
		if err != nil {
			return generatorOwn, nil
		}
		return generatorWrk, nil
	}
	return "", usagef("-generator %q: want %s or %s", asked, generatorOwn, generatorWrk)
}

// newOwnLoad is newLoad for requests that bench/load sends.
func (c *comparison) newOwnLoad(ctx context.Context, sc scenario, at place) (loadFunc, error) {
	program, err := c.builder.Program(ctx, own.Source)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, srv *server.Server, route string) (sample, error) {
		url, err := sc.checkedURL(srv, route)
		if err != nil {
			return sample{}, err
		}
		d := sc.stretch(c.plan.duration)
		return measureOwn(ctx, srv.PID, program, own.Load{URL: url, Connections: sc.connections(c.connections), Pipeline: sc.pipeline, Close: sc.close,
			Size: sc.ask.size, Loops: at.threads, WarmUp: warmUp(d), Duration: d, CPU: at.loadCPU})
	}, nil
}

// measureOwn has the connections opened and the server warmed up, and measures it then.
func measureOwn(ctx context.Context, pid int, program string, load own.Load) (sample, error) {
	var cpu procfs.CPU
	var memory procfs.Memory
	var elapsed time.Duration
	result, err := own.Run(ctx, program, load, func(_ int, run func() error) (err error) {
		start := time.Now()
		cpu, memory, err = during(pid, run)
		elapsed = time.Since(start)
		return err
	})
	if err != nil {
		return sample{}, err
	}
	used, threadsEnded := cpu.Used()
	return sample{
		Requests:     result.Requests,
		CPUMicros:    micros(used) / float64(max(1, result.Requests)),
		Rate:         result.Rate(),
		P50Micros:    micros(result.P50()),
		P75Micros:    micros(result.P75()),
		P90Micros:    micros(result.P90()),
		P99Micros:    micros(result.P99()),
		Busy:         used.Seconds() / elapsed.Seconds(),
		Waited:       cpu.Waited.Seconds() / elapsed.Seconds(),
		ThreadsEnded: threadsEnded,
		Memory:       memory,
	}, nil
}
