// Package clients measures clients of HTTP and of WebSockets: each keeps a number of
// requests, or of messages that are sent back, in flight to one server, in a process of its
// own whose processor time can be read.
package clients

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/ringkit/ringkit/bench/internal/proc"
)

// Config is what to do.
type Config struct {
	Port     int // on 127.0.0.1
	Path     string
	InFlight int // requests or messages, each on a connection
	Size     int // of a message, in bytes; requests have none
	WarmUp   time.Duration
	Duration time.Duration
}

// Result is what a run found. An answer that is not the benchmark's is an error, too, as is
// a message that does not come back as it was.
type Result struct {
	Elapsed  time.Duration `json:"elapsed"`
	Requests int64         `json:"requests"` // answered; or messages that came back
	Errors   int64         `json:"errors"`
	First    string        `json:"first,omitempty"` // of the errors
}

// Err returns an error if there were errors, or no answers.
func (r Result) Err() error {
	switch {
	case r.Errors > 0:
		return fmt.Errorf("%d exchanges have failed, the first: %s", r.Errors, r.First)
	case r.Requests == 0:
		return errors.New("nothing was answered")
	}
	return nil
}

// Bounds of a run.
const (
	maxInFlight = 10_000
	maxSize     = 1 << 20
	maxDuration = 5 * time.Minute
	stallTime   = 10 * time.Second
)

func (c Config) check() error {
	switch {
	case c.Port < 1 || c.Port > 65535:
		return fmt.Errorf("port %d", c.Port)
	case !strings.HasPrefix(c.Path, "/"):
		return fmt.Errorf("path %q: want one that starts with a slash", c.Path)
	case c.InFlight < 1 || c.InFlight > maxInFlight:
		return fmt.Errorf("%d in flight: want 1 to %d", c.InFlight, maxInFlight)
	case c.Size < 0 || c.Size > maxSize:
		return fmt.Errorf("messages of %d bytes: want up to %d", c.Size, maxSize)
	case c.WarmUp <= 0 || c.WarmUp > maxDuration || c.Duration <= 0 || c.Duration > maxDuration:
		return fmt.Errorf("duration %v after %v: want up to %v", c.Duration, c.WarmUp, maxDuration)
	}
	return nil
}

func (c Config) url() string { return fmt.Sprintf("http://127.0.0.1:%d%s", c.Port, c.Path) }

// AddFlags has flags set c.
func (c *Config) AddFlags(flags *flag.FlagSet) {
	flags.IntVar(&c.Port, "port", 0, "`port` on 127.0.0.1")
	flags.StringVar(&c.Path, "path", "/", "`path` that requests go to")
	flags.IntVar(&c.InFlight, "in-flight", 64, "`number` of requests or messages in flight")
	flags.IntVar(&c.Size, "size", 64, "`bytes` of a message, for clients of WebSockets")
	flags.DurationVar(&c.WarmUp, "warm-up", time.Second, "`time` to send before")
	flags.DurationVar(&c.Duration, "duration", 5*time.Second, "`time` to send for")
}

// args returns the flags that set c.
func (c Config) args() []string {
	return []string{
		"-port", fmt.Sprint(c.Port),
		"-path", c.Path,
		"-in-flight", fmt.Sprint(c.InFlight),
		"-size", fmt.Sprint(c.Size),
		"-warm-up", c.WarmUp.String(),
		"-duration", c.Duration.String(),
	}
}

// Start has a program do Run in a process of its own, on a processor of its own; more are
// arguments that say with which client. around is called when it is warm, and has to call
// the function it gets: that goes on, and returns when the requests have been answered.
func Start(ctx context.Context, program string, more []string, c Config, cpu int, around func(pid int, run func() error) error) (result Result, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.WarmUp+c.Duration+4*stallTime)
	defer cancel()
	err = proc.Measured(ctx, program, append(c.args(), more...), cpu, &result, around)
	return result, err
}
