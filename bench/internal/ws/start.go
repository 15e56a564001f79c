package ws

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/ringkit/ringkit/bench/internal/proc"
)

// connectTime is what opening all connections may take.
const connectTime = time.Minute

// AddFlags has flags set c.
func (c *Config) AddFlags(flags *flag.FlagSet) {
	flags.IntVar(&c.Port, "port", 0, "`port` on 127.0.0.1")
	flags.StringVar(&c.Path, "path", Echo, "`path` to open, "+Echo+", "+Room+" or "+Events)
	flags.IntVar(&c.Connections, "connections", 64, "`number` of connections")
	flags.IntVar(&c.Size, "size", 64, "`bytes` of a message")
	flags.DurationVar(&c.WarmUp, "warm-up", time.Second, "`time` to send messages before")
	flags.DurationVar(&c.Duration, "duration", 5*time.Second, "`time` to send messages for")
}

// args returns the flags that set c.
func (c Config) args() []string {
	return []string{
		"-port", fmt.Sprint(c.Port),
		"-path", c.Path,
		"-connections", fmt.Sprint(c.Connections),
		"-size", fmt.Sprint(c.Size),
		"-warm-up", c.WarmUp.String(),
		"-duration", c.Duration.String(),
	}
}

// Start has a program do Run in a process of its own, on a processor of its own. around is
// called when it is ready, and has to call the function it gets: that goes on, and returns
// when the messages have been sent and the connections are still there.
func Start(ctx context.Context, program string, c Config, cpu int, around func(run func() error) error) (result Result, err error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime+c.WarmUp+c.Duration+2*stallTime)
	defer cancel()
	err = proc.Measured(ctx, program, c.args(), cpu, &result, func(_ int, run func() error) error { return around(run) })
	return result, err
}
