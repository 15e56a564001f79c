package room

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/ringkit/ringkit"
)

// drainTime is how long a server waits at its end for connections to close.
const drainTime = 5 * time.Second

// Flags are those of a chat program.
type Flags struct {
	Addr   string
	Engine string
}

// Add defines the flags in fs.
func (f *Flags) Add(fs *flag.FlagSet) {
	fs.StringVar(&f.Addr, "addr", "127.0.0.1:8080", "TCP `address` to listen on; port 0 chooses a free one")
	fs.StringVar(&f.Engine, "engine", "auto", "`engine`: auto, io_uring or epoll; the environment variable "+ringkit.EngineVariable+" overrides it")
}

// Serve serves a room until ctx ends; then all channels are closed, WebSockets with the
// code 1001. bus connects the room with those of other servers, and may be nil.
func Serve(ctx context.Context, f Flags, bus ringkit.Bus) error {
	engine, err := ringkit.ParseEngine(f.Engine)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", f.Addr)
	if err != nil {
		return err
	}
	r, err := New(bus)
	if err != nil {
		l.Close()
		return err
	}
	defer r.Close()
	srv := &ringkit.Server{
		Handler: r.Handler(),
		Engine:  engine,
		// The server says in its log which engine runs and why.
		ErrorLog: log.New(os.Stdout, "", 0),
		// It is called once the loops run.
		BaseContext: func(l net.Listener) context.Context {
			fmt.Printf("chat on http://%v\n", l.Addr())
			return context.Background()
		},
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := srv.Shutdown(drain); errors.Is(err, context.DeadlineExceeded) {
		return srv.Close()
	} else if err != nil {
		return err
	}
	if err := <-served; err != http.ErrServerClosed {
		return err
	}
	return nil
}
