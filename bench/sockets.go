package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ringkit/ringkit/bench/internal/procfs"
	"github.com/ringkit/ringkit/bench/internal/server"
	"github.com/ringkit/ringkit/bench/internal/stats"
	"github.com/ringkit/ringkit/bench/internal/subject"
	"github.com/ringkit/ringkit/bench/internal/table"
	"github.com/ringkit/ringkit/bench/internal/ws"
)

// sockets says what is done with WebSockets.
type sockets struct {
	path        string
	connections int
	size        int // bytes of a message
}

// isSockets reports whether the scenario is about WebSockets.
func (s scenario) isSockets() bool { return s.sockets.path != "" }

func (s sockets) describe() string {
	size := fmt.Sprintf("%d bytes", s.size)
	if s.size >= 1<<10 {
		size = fmt.Sprintf("%d KiB", s.size>>10)
	}
	if s.path == ws.Room {
		return fmt.Sprintf("messages of %s to all of them, one at a time", size)
	}
	return fmt.Sprintf("an echo of %s at a time on each", size)
}

// socketSource is the program that sends messages.
const socketSource = "./wsload"

// generator returns the source of the program that makes the load, "" for wrk.
func (s scenario) generator() string {
	switch {
	case s.isSockets():
		return socketSource
	case s.mixed():
		return generatorSource
	}
	return ""
}

// unit is what a sample counts.
func (s scenario) unit() string {
	if s.isSockets() || s.asksSockets() {
		return "message"
	}
	return "request"
}

// socketLoad sends messages.
type socketLoad struct {
	program  string
	cpu      int
	sockets  sockets
	duration time.Duration
}

// measure opens the connections, warms the server up with messages and measures it with
// them.
func (l socketLoad) measure(ctx context.Context, srv *server.Server, _ string) (sample, error) {
	c := ws.Config{Port: srv.Port, Path: l.sockets.path, Connections: l.sockets.connections,
		Size: l.sockets.size, WarmUp: warmUp, Duration: l.duration}
	var cpu procfs.CPU
	var memory procfs.Memory
	result, err := ws.Start(ctx, l.program, c, l.cpu, func(run func() error) (err error) {
		cpu, memory, err = during(srv.PID, run)
		return err
	})
	if err != nil {
		return sample{}, err
	}
	used, threadsEnded := cpu.Used()
	return sample{
		Requests:     result.Messages,
		CPUMicros:    micros(used) / float64(max(1, result.Messages)),
		Rate:         float64(result.Messages) / result.Elapsed.Seconds(),
		Busy:         used.Seconds() / result.Elapsed.Seconds(),
		Waited:       cpu.Waited.Seconds() / result.Elapsed.Seconds(),
		ThreadsEnded: threadsEnded,
		Memory:       memory,
	}, nil
}

// socketSummary is the table of a scenario with WebSockets.
func socketSummary(outcomes []outcome) *table.Table {
	tab := table.New("subject", "engine", "CPU µs/msg", "min–max", "÷ "+subject.Gorilla, "÷ best peer",
		"msg per CPU s", "msg/s", "busy", "RSS MiB")
	gorilla, best := find(outcomes, subject.Gorilla), bestPeer(outcomes)
	for _, o := range outcomes {
		if len(o.valid()) == 0 {
			tab.Add(o.subject, "-", "invalid")
			continue
		}
		least, greatest := stats.Spread(o.values(cpuMicros))
		tab.Add(
			o.subject,
			o.valid()[0].Engine,
			fmt.Sprintf("%.2f", o.median(cpuMicros)),
			fmt.Sprintf("%.2f–%.2f", least, greatest),
			ratio(o, gorilla),
			ratio(o, best),
			fmt.Sprintf("%.0f", 1e6/o.median(cpuMicros)),
			fmt.Sprintf("%.0f", o.median(rate)),
			fmt.Sprintf("%.0f %%", 100*o.median(busy)),
			fmt.Sprintf("%.1f", o.median(rss)/(1<<20)),
		)
	}
	return tab
}

// bestPeer returns the cheapest of the subjects that are not this project.
func bestPeer(outcomes []outcome) (best outcome) {
	for _, o := range outcomes {
		if !subject.IsPeer(o.subject) || len(o.valid()) == 0 {
			continue
		}
		if best.subject == "" || o.median(cpuMicros) < best.median(cpuMicros) {
			best = o
		}
	}
	return best
}
