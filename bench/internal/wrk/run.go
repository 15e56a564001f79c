package wrk

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/ringkit/ringkit/bench/internal/proc"
)

// Load describes one run, which ends after Duration, or at most a tenth of a second later
// if that is not in whole seconds, the only ones that wrk knows: it is interrupted then.
//
// With a Script that pipelines, the latencies of the result mean nothing: wrk
// corrects them for coordinated omission by the mean time between requests, where
// it should take that between batches, and prints 0 for what it then cannot find.
type Load struct {
	URL         string
	Connections int
	Threads     int
	Duration    time.Duration
	Script      string // path of a Lua script, or empty
	CPU         int    // processor to run on, or proc.AnyCPU
}

// Run runs wrk.
func Run(ctx context.Context, load Load) (Result, error) {
	args := []string{
		"-t" + strconv.Itoa(load.Threads),
		"-c" + strconv.Itoa(load.Connections),
		fmt.Sprintf("-d%ds", int(math.Ceil(load.Duration.Seconds()))),
		"--latency",
	}
	if load.Script != "" {
		args = append(args, "-s", load.Script)
	}
	args = append(args, load.URL)

	ctx, cancel := context.WithTimeout(ctx, load.Duration+20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "wrk", args...)
	var output strings.Builder
	cmd.Stdout = &output
	cmd.Stderr = &output
	if err := proc.Start(cmd, load.CPU); err != nil {
		return Result{}, err
	}
	if load.Duration%time.Second != 0 {
		timer := time.AfterFunc(load.Duration, func() { cmd.Process.Signal(os.Interrupt) })
		defer timer.Stop()
	}
	if err := cmd.Wait(); err != nil {
		said := strings.ReplaceAll(strings.TrimSpace(output.String()), "\n", "; ")
		return Result{}, fmt.Errorf("wrk: %w; it printed: %s", cmp.Or(ctx.Err(), err), said)
	}
	result, err := Parse(output.String())
	result.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return result, err
}

// PipelineScript returns a Lua script that writes depth requests at once.
func PipelineScript(depth int) string {
	return fmt.Sprintf(`-- %[1]d requests in one write; wrk counts each of them.
local batch

init = function(args)
	batch = string.rep(wrk.format(), %[1]d)
end

request = function()
	return batch
end
`, depth)
}

// CloseScript is a Lua script whose requests ask for the end of their connection.
const CloseScript = `-- A new connection for each request.
wrk.headers["Connection"] = "close"
`

// BodyScript returns a Lua script whose requests have a body of size bytes.
func BodyScript(method string, size int) string {
	return fmt.Sprintf(`-- A body for each request, which is made once.
wrk.method = %q
wrk.headers["Content-Type"] = "application/octet-stream"
wrk.body = string.rep("x", %d)
`, method, size)
}
