package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ringkit/ringkit/bench/internal/own"
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

// generator returns the source of the program that makes the load, "" for wrk.
func (s scenario) generator() string {
	switch {
	case s.isSockets():
		return own.Source
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
	load := own.Load{URL: srv.URL(l.sockets.path), Connections: l.sockets.connections, WarmUp: warmUp(l.duration), Duration: l.duration, CPU: l.cpu}
	if l.sockets.path == ws.Events {
		load.Publish, load.Expect = srv.URL(ws.Publish), ws.EventData()
	} else {
		load.URL = "ws" + strings.TrimPrefix(load.URL, "http")
		load.Room, load.Size = l.sockets.path == ws.Room, l.sockets.size
	}
	return measureOwn(ctx, srv.PID, l.program, load)
}
