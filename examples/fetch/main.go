// Fetch gets URLs, several at a time, with the client of ringkit: a small curl.
//
// A body goes to standard output, or to a file: it is written to FILE.part, which becomes
// FILE when it is complete. When the transfer fails or is interrupted, FILE.part is
// removed and FILE is as it was. A FILE that is no ordinary file, such as /dev/null, is
// written to directly.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/ringkit/ringkit/client"
)

// What the program ends with.
const (
	allFetched = 0
	someFailed = 1
	wrongUsage = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run does what args say and returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parse(args, stdin, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return allFetched
	case err != nil:
		fmt.Fprintf(stderr, "fetch: %v\nfetch: -h shows the flags\n", err)
		return wrongUsage
	}
	t := o.transport()
	defer t.Close()
	f := &fetcher{
		options: o,
		client:  &client.Client{Transport: t, MaxRedirects: o.redirects(), Timeout: o.timeout},
		stdout:  stdout,
		shown:   newProgress(stdout, stderr, o),
	}
	f.shown.begin()
	failed := f.all(ctx)
	f.shown.end()
	if ctx.Err() != nil {
		fmt.Fprintf(stderr, "fetch: interrupted: %d of %d not fetched\n", failed, len(o.urls))
	}
	if failed > 0 {
		return someFailed
	}
	return allFetched
}

// fetcher fetches what the options say.
type fetcher struct {
	*options
	client *client.Client
	shown  *progress

	mu     sync.Mutex // held by whose body goes to stdout
	stdout io.Writer
}

// all fetches all URLs and returns how many of them failed, or were not begun.
func (f *fetcher) all(ctx context.Context) (failed int) {
	next := make(chan string)
	failures := make(chan int)
	workers := min(f.parallel, len(f.urls))
	for range workers {
		go func() {
			n := 0
			for url := range next {
				if !f.one(ctx, url) {
					n++
				}
			}
			failures <- n
		}()
	}
feed:
	for i, url := range f.urls {
		select {
		case next <- url:
		case <-ctx.Done():
			failed = len(f.urls) - i
			break feed
		}
	}
	close(next)
	for range workers {
		failed += <-failures
	}
	return failed
}
