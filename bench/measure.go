package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/procfs"
	"github.com/ringkit/ringkit/bench/internal/report"
	"github.com/ringkit/ringkit/bench/internal/secure"
	"github.com/ringkit/ringkit/bench/internal/server"
	"github.com/ringkit/ringkit/bench/internal/subject"
	"github.com/ringkit/ringkit/bench/internal/wrk"
)

// warmUp is the time before a measurement of d for which a server is given the same load,
// to grow its heap, its buffers and its threads.
func warmUp(d time.Duration) time.Duration {
	return min(max(d/2, 300*time.Millisecond), time.Second)
}

// sample is one measurement of one subject.
type sample = report.Sample

// loadFunc puts a load on a server, warms it up with it and measures it once.
type loadFunc func(ctx context.Context, srv *server.Server, route string) (sample, error)

// measure starts the subject afresh, warms it up and measures it once. What goes
// wrong with the subject makes the sample invalid; only an interruption is an error.
func measure(ctx context.Context, at place, s subject.Subject, load loadFunc) (sample, error) {
	result, err := measureServer(ctx, at, s, load)
	if ctx.Err() != nil {
		return sample{}, ctx.Err()
	}
	if err != nil {
		result.Invalid = err.Error()
	}
	return result, nil
}

func measureServer(ctx context.Context, at place, s subject.Subject, load loadFunc) (sample, error) {
	srv, err := server.Start(ctx, server.Command{
		Path:       s.Path,
		Args:       s.Args(at.loops),
		Env:        s.Env,
		CPU:        at.serverCPU,
		GoMaxProcs: at.goMaxProcs,
	})
	if err != nil {
		return sample{}, err
	}
	defer srv.Stop()
	if err := probeSoon(ctx, srv.Port, s); err != nil {
		return sample{}, srv.Explain(fmt.Errorf("probing %s: %w", s.Route, err))
	}
	engine, err := procfs.Engine(srv.PID)
	if err != nil {
		return sample{}, srv.Explain(err)
	}
	if s.Engine != "" && engine != s.Engine {
		return sample{}, fmt.Errorf("runs on %s, not on %s", engine, s.Engine)
	}
	result, err := load(ctx, srv, s.Route)
	result.Engine = engine
	// A load without answers is the server's fault only if it still gives none.
	if err := probe(srv.Port, s); err != nil {
		return result, srv.Explain(fmt.Errorf("probing %s after the load: %w", s.Route, err))
	}
	return result, srv.Explain(err)
}

// probe does one exchange with a subject on a connection of its own.
func probe(port int, s subject.Subject) error {
	if s.Secure {
		return secure.Probe(port, s.Route)
	}
	return client.Probe(port, s.Route)
}

// startTime is how long a server may say where it listens before it does, as nginx has to.
const startTime = 3 * time.Second

// probeSoon is probe for a server that may not listen yet.
func probeSoon(ctx context.Context, port int, s subject.Subject) error {
	for began := time.Now(); ; {
		err := probe(port, s)
		if !errors.Is(err, unix.ECONNREFUSED) || time.Since(began) > startTime {
			return err
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

func measureLoad(ctx context.Context, pid int, load wrk.Load) (sample, error) {
	warm := load
	warm.Duration = warmUp(load.Duration)
	if _, err := wrk.Run(ctx, warm); err != nil {
		return sample{}, err
	}

	var result wrk.Result
	var elapsed time.Duration
	cpu, memory, err := during(pid, func() (err error) {
		start := time.Now()
		result, err = wrk.Run(ctx, load)
		elapsed = time.Since(start)
		return err
	})
	if err != nil {
		return sample{}, err
	}
	s := newSample(result, cpu, elapsed, memory)
	return s, result.Err()
}

// during applies a load, and returns the processor time that a process takes
// meanwhile and the memory that it has then.
func during(pid int, load func() error) (cpu procfs.CPU, memory procfs.Memory, err error) {
	before, err := procfs.ReadCPU(pid)
	if err != nil {
		return cpu, memory, err
	}
	if err := load(); err != nil {
		return cpu, memory, err
	}
	after, err := procfs.ReadCPU(pid)
	if err != nil {
		return cpu, memory, err
	}
	memory, err = procfs.ReadMemory(pid)
	return after.Sub(before), memory, err
}

func newSample(result wrk.Result, cpu procfs.CPU, elapsed time.Duration, memory procfs.Memory) sample {
	used, threadsEnded := cpu.Used()
	s := sample{
		Requests:     result.Requests,
		Rate:         result.Rate(),
		Errors:       result.Errors(),
		P50Micros:    micros(result.P50),
		P75Micros:    micros(result.P75),
		P90Micros:    micros(result.P90),
		P99Micros:    micros(result.P99),
		Busy:         used.Seconds() / elapsed.Seconds(),
		Waited:       cpu.Waited.Seconds() / elapsed.Seconds(),
		ThreadsEnded: threadsEnded,
		Memory:       memory,
	}
	if result.Requests > 0 {
		s.CPUMicros = micros(used) / float64(result.Requests)
	}
	return s
}

func micros(d time.Duration) float64 {
	return float64(d) / float64(time.Microsecond)
}
