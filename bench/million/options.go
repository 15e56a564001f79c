package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/ringkit/ringkit"

	"github.com/ringkit/ringkit/bench/internal/hold"
)

const usage = `Usage: million [flags]

Starts a server of this project and holds -n connections to it, from several client
processes and many addresses 127.0.x.y: each is answered once, and then idle. It says what
a connection takes of the server and of the kernel, sends requests at random on them at a
fixed rate, and says how long they took and what they cost.

What stops it from holding so many is said before it starts, with what to do about it;
then it holds as many as it can. It raises the limit of descriptors where it may, system-wide
limits with -raise only. It goes on with less when the memory that is left falls to -reserve.

The exit status is 1 if a connection or a request failed.

Flags:
`

// Bounds of a run.
const (
	maxN        = 10_000_000
	maxLoops    = 1024
	maxSettle   = 10 * time.Minute
	leastMemory = 64 // MiB of -reserve
)

// Kinds of descriptors.
const (
	filesAuto   = "auto"
	filesReal   = "real"
	filesDirect = "direct"
)

// options are the arguments.
type options struct {
	n        int
	sockets  bool
	deflate  bool
	engine   string
	loops    int
	files    string // where the server has its connections
	handler  string
	rate     float64
	duration time.Duration
	settle   time.Duration
	idle     time.Duration
	timeout  time.Duration
	reserve  int64 // MiB
	holders  int
	raise    bool
	server   string
	json     string
}

func parse(args []string, help io.Writer) (*options, error) {
	o := new(options)
	flags := flag.NewFlagSet("million", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.IntVar(&o.n, "n", 1_000_000, "`number` of connections")
	flags.BoolVar(&o.sockets, "ws", false, "WebSockets, whose requests are echoes of 64 bytes, instead of HTTP")
	flags.BoolVar(&o.deflate, "deflate", false, "have them negotiate compression; the echoes are of 1 KiB then")
	flags.StringVar(&o.engine, "engine", "auto", "`engine` of the server: auto, io_uring or epoll")
	flags.IntVar(&o.loops, "loops", 0, "`number` of event loops of the server; by default one for each processor, or as many as have places for all connections")
	flags.StringVar(&o.files, "descriptors", filesAuto, "`kind` of the server's descriptors: real; direct, which are places in tables of its rings, beyond the limit of descriptors; or auto: direct if there are not enough real ones")
	flags.StringVar(&o.handler, "handler", "native", "`handler` of the server: native, or std for an http.Handler")
	flags.Float64Var(&o.rate, "rate", 20_000, "`requests` per second on all connections; 0 for none")
	flags.DurationVar(&o.duration, "d", time.Minute, "`time` to send requests for")
	flags.DurationVar(&o.settle, "settle", 15*time.Second, "`time` between the last connection and looking at memory")
	flags.DurationVar(&o.idle, "idle", 10*time.Second, "`time` to watch the server do nothing for")
	flags.DurationVar(&o.timeout, "timeout", 30*time.Second, "`time` that a connection or a request may take")
	flags.Int64Var(&o.reserve, "reserve", 1024, "`MiB` of memory to leave to others")
	flags.IntVar(&o.holders, "clients", 0, "`number` of client processes; by default as many as have enough descriptors, and 2 at least")
	flags.BoolVar(&o.raise, "raise", false, "raise system-wide limits, too, and put them back at the end")
	flags.StringVar(&o.server, "server", "", "`program` to run instead of building peers/ringkit")
	flags.StringVar(&o.json, "json", "", "`file` for the result as JSON, - for standard output instead of the text")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(help, usage)
			flags.SetOutput(help)
			flags.PrintDefaults()
		}
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return o, o.check()
}

func (o *options) check() error {
	_, err := ringkit.ParseEngine(o.engine)
	switch {
	case err != nil:
		return fmt.Errorf("-engine: %w", err)
	case o.n < 1 || o.n > maxN:
		return fmt.Errorf("-n %d: want 1 to %d", o.n, maxN)
	case o.deflate && !o.sockets:
		return errors.New("-deflate is for -ws")
	case o.loops < 0 || o.loops > maxLoops:
		return fmt.Errorf("-loops %d: want 0 to %d", o.loops, maxLoops)
	case o.files != filesAuto && o.files != filesReal && o.files != filesDirect:
		return fmt.Errorf("-descriptors %q: want auto, real or direct", o.files)
	case o.files == filesDirect && o.engine == "epoll":
		return errors.New("-descriptors direct: epoll has none")
	case o.handler != "native" && o.handler != "std":
		return fmt.Errorf("-handler %q: want native or std", o.handler)
	case !(o.rate >= 0) || o.rate > hold.MaxRate:
		return fmt.Errorf("-rate %g: want up to %d", o.rate, hold.MaxRate)
	case o.duration <= 0 || o.duration > hold.MaxDuration:
		return fmt.Errorf("-d %v: want up to %v", o.duration, hold.MaxDuration)
	case o.settle < 0 || o.settle > maxSettle:
		return fmt.Errorf("-settle %v: want up to %v", o.settle, maxSettle)
	case o.idle < 0 || o.idle > maxSettle:
		return fmt.Errorf("-idle %v: want up to %v", o.idle, maxSettle)
	case o.timeout <= 0 || o.timeout > hold.MaxTimeout:
		return fmt.Errorf("-timeout %v: want up to %v", o.timeout, hold.MaxTimeout)
	case o.reserve < leastMemory:
		return fmt.Errorf("-reserve %d: want %d or more", o.reserve, leastMemory)
	case o.holders < 0 || o.holders > maxHolders:
		return fmt.Errorf("-clients %d: want 0 to %d", o.holders, maxHolders)
	}
	return nil
}
