// Command bench measures ringkit beside a floor written in C and beside other Go
// servers, for HTTP and for WebSockets. README.md says what the figures mean.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/ringkit/ringkit/bench/internal/report"
)

const overview = `Bench measures servers on loopback, in this directory:

  go run . [flags]          compare processor time, rate, latency and memory; write a report
  go run . idle [flags]     memory per idle connection
  go run . churn [flags]    soak: many connections come and go; memory must not grow
  go run . slow [flags]     processor time that slow clients take
  go run . proxy [flags]    examples/proxy beside nginx
  go run . generators       the load generator beside wrk, with the same server
  go run . report FILE      the report of a results.json again, beside it

"go run . idle -h" and so on explain their flags.
`

func main() {
	// A signal ends the context, and that ends every child process.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run does what args ask for and returns the exit status: 0 for success, 1 if
// something failed or a check did not pass, 2 for wrong arguments.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := dispatch(ctx, args, stdout, stderr)
	var usage usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "bench: %v\nbench: -h shows the flags\n", err)
		return 2
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "bench: interrupted")
		return 1
	default:
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return 1
	}
}

func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case "idle":
			return idleCommand(ctx, args[1:], stdout, stderr)
		case "churn":
			return churnCommand(ctx, args[1:], stdout, stderr)
		case "proxy":
			return proxyCommand(ctx, args[1:], stdout, stderr)
		case "generators":
			return generatorsCommand(ctx, args[1:], stdout, stderr)
		case "report":
			return reportCommand(args[1:], stdout)
		case "slow":
			return slowCommand(ctx, args[1:], stdout, stderr)
		}
	}
	return compareCommand(ctx, args, stdout, stderr)
}

// reportCommand makes the report of a run again from its results.
func reportCommand(args []string, stdout io.Writer) error {
	if len(args) != 1 {
		return usagef("report: want the name of a results.json")
	}
	r, err := report.Read(args[0])
	if err != nil {
		return err
	}
	dir := filepath.Dir(args[0])
	fmt.Fprintln(stdout, filepath.Join(dir, report.HTMLFile))
	return r.Write(dir)
}
