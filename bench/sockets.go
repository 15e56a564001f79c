package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ringkit/ringkit/bench/internal/procfs"
	"github.com/ringkit/ringkit/bench/internal/server"
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
	size := bytesText(s.size)
	switch s.path {
	case ws.Events:
		return fmt.Sprintf("server-sent events of %s to all of them, one at a time", size)
	case ws.Room:
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
		Size: l.sockets.size, WarmUp: warmUp(l.duration), Duration: l.duration}
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
