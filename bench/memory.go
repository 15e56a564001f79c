package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/procfs"
	"github.com/ringkit/ringkit/bench/internal/report"
	"github.com/ringkit/ringkit/bench/internal/server"
	"github.com/ringkit/ringkit/bench/internal/subject"
)

// Kinds of connections that do nothing.
const (
	idleHTTP    = "keep-alive connections"
	idleSockets = "WebSockets"
)

// isIdle reports whether the scenario measures memory.
func (s scenario) isIdle() bool { return s.idle != "" }

func (s scenario) describeIdle() string {
	use := "request"
	if s.idle == idleSockets {
		use = "echo"
	}
	return fmt.Sprintf("%s that do nothing after one %s each", s.idle, use)
}

// idleWait is the time between the last request and a look at the memory.
func idleWait(quick bool) time.Duration {
	if quick {
		return time.Second
	}
	return 2 * time.Second
}

// idleSizes are the numbers of connections at which memory is read, as far as the limit on
// descriptors allows.
func idleSizes(quick bool) ([]int, error) {
	limit, err := maxOpenConnections()
	if err != nil {
		return nil, err
	}
	var sizes []int
	for _, n := range []int{1000, 5000, 15_000} {
		if n <= limit && (!quick || n <= 5000) {
			sizes = append(sizes, n)
		}
	}
	if sizes == nil {
		return nil, fmt.Errorf("the limit on descriptors allows %d connections only", limit)
	}
	return sizes, nil
}

// measureMemory starts the subject, opens more and more connections, and reads at each size
// what it has grown by. What goes wrong makes the sample invalid; only an interruption is
// an error.
func measureMemory(ctx context.Context, at place, sc scenario, sizes []int, wait time.Duration, s subject.Subject) (sample, error) {
	result, err := growMemory(ctx, at, sc, sizes, wait, s)
	if ctx.Err() != nil {
		return sample{}, ctx.Err()
	}
	if err != nil {
		result.Invalid = err.Error()
	}
	return result, nil
}

func growMemory(ctx context.Context, at place, sc scenario, sizes []int, wait time.Duration, s subject.Subject) (result sample, err error) {
	srv, err := startMeasured(ctx, s, server.Command{Path: s.Path, Args: s.Args(at.loops), Env: s.Env, CPU: at.serverCPU, GoMaxProcs: at.goMaxProcs})
	if err != nil {
		return result, err
	}
	defer srv.Stop()
	if result.Engine, err = procfs.Engine(srv.PID); err != nil {
		return result, srv.Explain(err)
	}
	use := httpClient(srv)
	if sc.idle == idleSockets {
		use = socketClient(srv, false)
	}
	var growth []report.IdleFigure
	var sockets []client.Socket
	defer func() { closeAll(sockets) }()
	for _, n := range sizes {
		more, err := openConnections(ctx, use, n-len(sockets))
		if sockets = append(sockets, more...); err != nil {
			return result, srv.Explain(err)
		}
		if err := sleep(ctx, wait); err != nil {
			return result, err
		}
		memory, err := procfs.ReadMemory(srv.PID)
		if err != nil {
			return result, srv.Explain(err)
		}
		result.Memory = memory
		growth = append(growth, report.IdleFigure{Connections: n, Memory: procfs.Memory{RSS: memory.RSS - srv.memory.RSS, PSS: memory.PSS - srv.memory.PSS}})
	}
	if err := checkSome(sockets, use); err != nil {
		return result, srv.Explain(fmt.Errorf("an idle connection no longer answers: %w", err))
	}
	result.Idle = growth
	return result, nil
}

// idleEstimate is about how long one subject takes.
func idleEstimate(sizes []int, wait time.Duration) time.Duration {
	most := sizes[len(sizes)-1]
	return settle + time.Duration(len(sizes))*wait + time.Duration(most)*200*time.Microsecond
}
