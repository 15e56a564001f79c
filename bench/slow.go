package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/procfs"
	"github.com/ringkit/ringkit/bench/internal/subject"
	"github.com/ringkit/ringkit/bench/internal/table"
)

const aboutSlow = `Slow measures the processor time that slow clients take: it opens connections that
send nothing, measures, then has each send one byte of a request's head every -interval,
and measures again. A ringkit server is told to be that patient, others have to be. The
exit status is 1 if connections that send nothing take more than -max-cpu of one
processor, if one is lost, or if the server does not answer others in the end.
`

// slowOptions are the flags of a run with slow clients.
type slowOptions struct {
	target   target
	n        int
	interval time.Duration
	duration time.Duration
	maxCPU   float64 // percent of one processor
}

func slowCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o slowOptions
	flags := newFlags()
	o.target.addFlags(flags)
	flags.IntVar(&o.n, "n", 10000, "`number` of connections")
	flags.DurationVar(&o.interval, "interval", 10*time.Second, "`time` between two bytes of a connection")
	flags.DurationVar(&o.duration, "for", 30*time.Second, "`time` of each measurement")
	flags.Float64Var(&o.maxCPU, "max-cpu", 1, "`percent` of one processor that connections may take which send nothing")
	if err := parseFlags(flags, args, aboutSlow, stdout); err != nil {
		return err
	}
	limit, err := maxOpenConnections()
	if err != nil {
		return err
	}
	switch {
	case o.n < 1 || o.n > limit:
		return usagef("-n %d: want 1 to %d, which the descriptor limit allows", o.n, limit)
	case o.interval < 10*time.Millisecond:
		return usagef("-interval %v: want 10ms or more", o.interval)
	case o.duration < time.Second:
		return usagef("-for %v: want 1s or more", o.duration)
	}
	if o.target.binary == "" && strings.HasPrefix(o.target.name, subject.Ringkit) {
		o.target.more = []string{"-header-timeout", "1h"}
	}
	if err := o.target.check(); err != nil {
		return err
	}
	return withTempDir(func(dir string) error {
		srv, err := o.target.start(ctx, dir, stderr)
		if err != nil {
			return err
		}
		defer srv.Stop()
		return srv.Explain(measureSlow(ctx, o, srv, stdout))
	})
}

func measureSlow(ctx context.Context, o slowOptions, srv *running, w io.Writer) error {
	sockets, err := dialAll(ctx, srv, o.n)
	defer func() { closeAll(sockets) }()
	if err != nil {
		return err
	}
	if err := sleep(ctx, settle); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s: %d connections for %v\n\n", srv.name, o.n, o.duration)
	tab := table.New("each sends", "percent of a processor", "us per byte", "RSS KiB")
	var problems []error
	for _, load := range []struct {
		name string
		do   func() (bytes int, err error)
	}{
		{"nothing", func() (int, error) { return 0, sleep(ctx, o.duration) }},
		{fmt.Sprintf("a byte every %v", o.interval), func() (int, error) { return drip(ctx, sockets, srv.route, o.interval, o.duration) }},
	} {
		began, bytes := time.Now(), 0
		cpu, memory, err := during(srv.PID, func() (err error) {
			bytes, err = load.do()
			return err
		})
		if err != nil {
			return err
		}
		used, _ := cpu.Used()
		percent := 100 * used.Seconds() / time.Since(began).Seconds()
		each := ""
		if bytes > 0 {
			each = fmt.Sprintf("%.1f", micros(used)/float64(bytes))
		}
		tab.Add(load.name, fmt.Sprintf("%.2f", percent), each, fmt.Sprint(memory.RSS/1024))
		if bytes == 0 && percent > o.maxCPU {
			problems = append(problems, fmt.Errorf("connections that send nothing take %.2f %% of a processor, limit %.2f", percent, o.maxCPU))
		}
	}
	if _, err := tab.WriteTo(w); err != nil {
		return err
	}
	if err := client.Probe(srv.Port, srv.route); err != nil {
		problems = append(problems, fmt.Errorf("the server does not answer: %w", err))
	}
	if fds, err := procfs.CountFDs(srv.PID); err != nil || fds < srv.fds+o.n {
		problems = append(problems, fmt.Errorf("the server holds %d descriptors, want %d for the connections and %d from the start (%v)", fds, o.n, srv.fds, err))
	}
	return errors.Join(problems...)
}

func dialAll(ctx context.Context, srv *running, n int) ([]client.Socket, error) {
	sockets := make([]client.Socket, 0, n)
	for len(sockets) < n {
		if ctx.Err() != nil {
			return sockets, ctx.Err()
		}
		s, err := client.DialSocket(srv.Port)
		if err != nil {
			return sockets, fmt.Errorf("connection %d: %w", len(sockets)+1, err)
		}
		sockets = append(sockets, s)
	}
	return sockets, nil
}

// drip sends the bytes of a request that never ends, in turn on all connections and
// evenly spread over the interval.
func drip(ctx context.Context, sockets []client.Socket, route string, interval, duration time.Duration) (bytes int, err error) {
	request := client.Request(route)
	head := string(request[:len(request)-2]) + "X: "
	began := time.Now()
	for time.Since(began) < duration {
		due := int(float64(len(sockets)) * float64(time.Since(began)) / float64(interval))
		for ; bytes < due; bytes++ {
			at := bytes / len(sockets)
			c := byte('a')
			if at < len(head) {
				c = head[at]
			}
			if _, err := unix.Write(int(sockets[bytes%len(sockets)]), []byte{c}); err != nil {
				return bytes, fmt.Errorf("connection %d: %w", bytes%len(sockets), err)
			}
		}
		next := time.Duration(float64(bytes+1) / float64(len(sockets)) * float64(interval))
		if err := sleep(ctx, time.Until(began.Add(next))); err != nil {
			return bytes, err
		}
	}
	return bytes, nil
}
