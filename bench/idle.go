package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/procfs"
	"github.com/ringkit/ringkit/bench/internal/table"
	"github.com/ringkit/ringkit/bench/internal/ws"
)

const aboutIdle = `Idle measures the memory a server holds per idle keep-alive connection: it opens
connections, does one request on each, waits, and divides what the server has grown by
their number. With -ws they are WebSockets, and the request is an echo; with -deflate
its message is compressed. Kernel memory for sockets is not part of it. The exit status is 1 if the
server drops a connection, or does not close its descriptors once the client has.
`

// reservedFDs are the descriptors that client and server need besides connections.
const reservedFDs = 128

func idleCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var t target
	flags := newFlags()
	n := flags.Int("n", 10000, "`number` of connections")
	sockets := flags.Bool("ws", false, "open WebSockets")
	deflate := flags.Bool("deflate", false, "have them negotiate compression, and send a message that uses it")
	wait := flags.Duration("wait", 3*time.Second, "`time` between the last request and measuring")
	t.addFlags(flags)
	if err := parseFlags(flags, args, aboutIdle, stdout); err != nil {
		return err
	}
	limit, err := maxOpenConnections()
	if err != nil {
		return err
	}
	switch {
	case *n < 1 || *n > limit:
		return usagef("-n %d: want 1 to %d, which the descriptor limit allows", *n, limit)
	case *deflate && !*sockets:
		return usagef("-deflate is for -ws")
	case *wait < 0 || *wait > time.Minute:
		return usagef("-wait %v: want at most 1m", *wait)
	}
	if err := t.check(); err != nil {
		return err
	}
	return withTempDir(func(dir string) error {
		srv, err := t.start(ctx, dir, stderr)
		if err != nil {
			return err
		}
		defer srv.Stop()
		use := httpClient(srv)
		if *sockets {
			use = socketClient(srv, *deflate)
		}
		return srv.Explain(measureIdle(ctx, srv, use, *n, *wait, stdout))
	})
}

// maxOpenConnections returns how many connections this process can hold. The Go
// runtime has raised the soft limit to the hard one.
func maxOpenConnections() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("descriptor limit: %w", err)
	}
	return int(min(limit.Cur, 1<<20)) - reservedFDs, nil
}

// idleClient is what is done with connections before they are idle.
type idleClient struct {
	what     string
	dial     func() (client.Socket, error)
	exchange func(client.Socket) error
}

func httpClient(srv *running) idleClient {
	request, scratch := client.Request(srv.route), make([]byte, 8192)
	return idleClient{
		"request",
		func() (client.Socket, error) { return client.DialSocket(srv.Port) },
		func(s client.Socket) error { return s.Exchange(request, scratch) },
	}
}

// echoBytes is the size of the message that is echoed: some servers compress only what
// is long.
const echoBytes = 1 << 10

func socketClient(srv *running, deflate bool) idleClient {
	frame, scratch := ws.ClientFrame(ws.Payload(64)), make([]byte, 8192)
	what := "echo"
	if deflate {
		frame, what = ws.DeflatedFrame(ws.Payload(echoBytes)), "compressed echo"
	}
	return idleClient{
		what,
		func() (client.Socket, error) { return ws.Dial(srv.Port, ws.Echo, deflate) },
		func(s client.Socket) error { return ws.Exchange(s, frame, scratch) },
	}
}

func measureIdle(ctx context.Context, srv *running, use idleClient, n int, wait time.Duration, w io.Writer) error {
	sockets, err := openConnections(ctx, use, n)
	defer func() { closeAll(sockets) }()
	if err != nil {
		return err
	}
	if err := sleep(ctx, wait); err != nil {
		return err
	}
	memory, err := procfs.ReadMemory(srv.PID)
	if err != nil {
		return err
	}
	fds, err := procfs.CountFDs(srv.PID)
	if err != nil {
		return err
	}
	stillOpen := checkSome(sockets, use)

	closeAll(sockets)
	sockets = nil
	fdsLeft, err := srv.waitForFDs(ctx)
	if err != nil {
		return err
	}
	if err := sleep(ctx, settle); err != nil {
		return err
	}
	memoryLeft, err := procfs.ReadMemory(srv.PID)
	if err != nil {
		return err
	}

	fmt.Fprintf(w, "\n%s: %d connections, one %s each, then idle for %v\n\n", srv.name, n, use.what, wait)
	tab := table.New("", "RSS KiB", "PSS KiB", "descriptors")
	for _, row := range []struct {
		name   string
		memory procfs.Memory
		fds    int
	}{
		{"at start", srv.memory, srv.fds},
		{"with connections", memory, fds},
		{"after closing", memoryLeft, fdsLeft},
	} {
		tab.Add(row.name, fmt.Sprint(row.memory.RSS/1024), fmt.Sprint(row.memory.PSS/1024), fmt.Sprint(row.fds))
	}
	if _, err := tab.WriteTo(w); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nper connection: %d bytes of RSS, %d bytes of PSS\n",
		(memory.RSS-srv.memory.RSS)/int64(n), (memory.PSS-srv.memory.PSS)/int64(n))

	switch {
	case stillOpen != nil:
		return fmt.Errorf("an idle connection no longer answers: %w", stillOpen)
	case fds < srv.fds+n:
		return fmt.Errorf("the server holds %d descriptors, want %d for the connections and %d from the start", fds, n, srv.fds)
	case fdsLeft > srv.fds:
		return fmt.Errorf("%d descriptors are still open %v after all connections were closed", fdsLeft-srv.fds, fdTimeout)
	}
	return nil
}

// openConnections opens n connections and does one exchange on each. Those opened
// so far are returned even if it fails.
func openConnections(ctx context.Context, use idleClient, n int) ([]client.Socket, error) {
	sockets := make([]client.Socket, 0, n)
	for len(sockets) < n {
		if ctx.Err() != nil {
			return sockets, ctx.Err()
		}
		s, err := use.dial()
		if err != nil {
			return sockets, fmt.Errorf("connection %d: %w", len(sockets)+1, err)
		}
		sockets = append(sockets, s)
		if err := use.exchange(s); err != nil {
			return sockets, fmt.Errorf("%s on connection %d: %w", use.what, len(sockets), err)
		}
	}
	return sockets, nil
}

// checkSome does one more exchange on about a hundred of the connections.
func checkSome(sockets []client.Socket, use idleClient) error {
	step := max(1, len(sockets)/100)
	for i := 0; i < len(sockets); i += step {
		if err := use.exchange(sockets[i]); err != nil {
			return err
		}
	}
	return nil
}

func closeAll(sockets []client.Socket) {
	for _, s := range sockets {
		s.Close()
	}
}
