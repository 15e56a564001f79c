// Package server starts and stops the servers under measurement.
package server

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ringkit/ringkit/bench/internal/proc"
)

const (
	startTimeout = 10 * time.Second
	stopTimeout  = 3 * time.Second
)

// Command is how to start a server.
type Command struct {
	Path       string
	Args       []string
	Env        []string // added to this process's environment
	CPU        int      // processor to run on, or proc.AnyCPU
	GoMaxProcs int      // 0 leaves the choice to the Go runtime
}

// Server is a running server.
type Server struct {
	PID  int
	Port int // on 127.0.0.1

	stop    context.CancelFunc
	ended   chan struct{} // closed when the process has ended
	outcome error         // how it ended, once ended is closed
	output  *output
}

// Start starts a server and waits until it says where it listens. The server
// ends with ctx, or by Stop.
func Start(ctx context.Context, command Command) (*Server, error) {
	own, stop := context.WithCancel(ctx)
	cmd := exec.CommandContext(own, command.Path, command.Args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout // then it is killed
	cmd.Env = environment(os.Environ(), command)
	out := newOutput()
	cmd.Stdout = out
	cmd.Stderr = out
	if err := proc.Start(cmd, command.CPU); err != nil {
		stop()
		return nil, fmt.Errorf("starting server: %w", err)
	}

	s := &Server{PID: cmd.Process.Pid, stop: stop, ended: make(chan struct{}), output: out}
	go func() {
		s.outcome = cmd.Wait()
		close(s.ended)
	}()

	timer := time.NewTimer(startTimeout)
	defer timer.Stop()
	select {
	case s.Port = <-out.port:
		return s, nil
	case <-timer.C:
		s.Stop()
		return nil, fmt.Errorf("server names no port of 127.0.0.1 within %v; it printed: %s", startTimeout, out)
	case <-s.ended:
		stop()
		return nil, cmp.Or(ctx.Err(), s.Err())
	}
}

// environment returns base with the command's own variables. GOMAXPROCS is never
// inherited: what a server gets must be in the command.
func environment(base []string, command Command) []string {
	var env []string
	for _, variable := range base {
		if !strings.HasPrefix(variable, "GOMAXPROCS=") {
			env = append(env, variable)
		}
	}
	if command.GoMaxProcs > 0 {
		env = append(env, "GOMAXPROCS="+strconv.Itoa(command.GoMaxProcs))
	}
	return append(env, command.Env...)
}

// Ended is closed when the server has ended.
func (s *Server) Ended() <-chan struct{} {
	return s.ended
}

// Err returns how the server ended and what it printed, nil while it runs.
func (s *Server) Err() error {
	select {
	case <-s.ended:
	default:
		return nil
	}
	how := "exit status 0"
	if s.outcome != nil {
		how = s.outcome.Error()
	}
	return fmt.Errorf("server has ended: %s; it printed: %s", how, s.output)
}

// Explain returns err, or instead that the server has ended if that is behind it:
// whoever works with a server notices its end by some other failure.
func (s *Server) Explain(err error) error {
	if err == nil {
		return nil
	}
	timer := time.NewTimer(100 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-s.ended:
		return s.Err()
	case <-timer.C:
		return err
	}
}

// URL returns the address of a route of the server.
func (s *Server) URL(route string) string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", s.Port, route)
}

// SecureURL is URL for a server that speaks TLS.
func (s *Server) SecureURL(route string) string {
	return fmt.Sprintf("https://127.0.0.1:%d%s", s.Port, route)
}

// Stop asks the server to end, kills it if it does not, and waits for its end.
func (s *Server) Stop() {
	s.stop()
	<-s.ended
}
