package load

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/ringkit/ringkit/bench/internal/proc"
)

// AddFlags has flags set c.
func (c *Config) AddFlags(flags *flag.FlagSet) {
	flags.IntVar(&c.Port, "port", 0, "`port` on 127.0.0.1")
	flags.IntVar(&c.Connections, "connections", 64, "`number` of connections")
	flags.DurationVar(&c.Duration, "duration", 5*time.Second, "`time` to send requests for")
	flags.StringVar(&c.Path, "path", "/", "`path` most requests go to")
	flags.StringVar(&c.Slow, "slow", "", "`path` of a slow route that a share of the requests go to")
	flags.Float64Var(&c.Share, "share", 0, "`share` of the requests that go there, 0 to 1")
	flags.Uint64Var(&c.Seed, "seed", 1, "`seed` of the random choices")
}

// args returns the flags that set c.
func (c Config) args() []string {
	return []string{
		"-port", fmt.Sprint(c.Port),
		"-connections", fmt.Sprint(c.Connections),
		"-duration", c.Duration.String(),
		"-path", c.Path,
		"-slow", c.Slow,
		"-share", fmt.Sprint(c.Share),
		"-seed", fmt.Sprint(c.Seed),
	}
}

// Start has a program do Run in a process of its own, on a processor of its own, and
// returns the Result that it prints.
func Start(ctx context.Context, program string, c Config, cpu int) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Duration+drainTime+20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, c.args()...)
	var output, said strings.Builder
	cmd.Stdout = &output
	cmd.Stderr = &said
	if err := proc.Start(cmd, cpu); err != nil {
		return Result{}, err
	}
	if err := cmd.Wait(); err != nil {
		return Result{}, fmt.Errorf("load: %w: %s", cmp.Or(ctx.Err(), err), strings.TrimSpace(said.String()))
	}
	var result Result
	if err := json.Unmarshal([]byte(output.String()), &result); err != nil {
		return Result{}, fmt.Errorf("load: %w in %q", err, output.String())
	}
	if result.Requests() == 0 {
		return result, fmt.Errorf("load: none of %d requests answered", result.Unanswered)
	}
	return result, nil
}
