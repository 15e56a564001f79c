// Command million holds very many connections to one ringkit server, sends requests at
// random on them, and says what that takes. See README.md of the module.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/ringkit/ringkit/bench/internal/hold"
)

// holdCommand is the first argument of the client processes, which are this program, too.
const holdCommand = "hold"

func main() {
	if len(os.Args) == 2 && os.Args[1] == holdCommand {
		if err := hold.Run(0, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	// A signal ends the context, and that ends every child process.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run does what args say and returns the exit status: 0 if nothing failed, 1 otherwise, 2
// for wrong arguments.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "million: %v\nmillion: -h shows the flags\n", err)
		return 2
	}
	r, err := measure(ctx, o, stderr)
	if r != nil {
		err = errors.Join(err, r.report(o, stdout))
	}
	if err == nil {
		err = r.err()
	}
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "million: interrupted")
		return 1
	case err != nil:
		fmt.Fprintf(stderr, "million: %v\n", err)
		return 1
	}
	return 0
}
