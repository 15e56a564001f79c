// Systemd is a service: it serves on the sockets that systemd listens on for it, says when
// it is ready, and answers what has begun before it ends. Since the sockets are systemd's,
// clients that come while it is restarted wait instead of being refused.
//
//	systemd-socket-activate -l 8080 ./systemd          # to try it
//	ringkit-example.service, ringkit-example.socket  # to install it
//
// Without sockets it listens on -addr.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ringkit/ringkit"
)

// drainTime is less than TimeoutStopSec of the unit, after which systemd kills.
const drainTime = 20 * time.Second

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on without systemd, as ringkit.Server.Addr has it")
	flag.Parse()
	if err := run(*addr); err != nil {
		log.Fatal("systemd: ", err)
	}
}

func run(addr string) error {
	log.SetFlags(0) // the journal has the time
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listeners, names, err := ringkit.SystemdListeners()
	if err != nil {
		return err
	}
	srv := &ringkit.Server{Addr: addr, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello from process %d!\n", os.Getpid())
	})}
	served := make(chan error, len(listeners)+1)
	for i, l := range listeners {
		log.Printf("serving on %v (%s)", l.Addr(), names[i])
		go func() { served <- srv.Serve(l) }()
	}
	if len(listeners) == 0 {
		go func() { served <- srv.ListenAndServe() }()
	}
	select {
	case err := <-served:
		return errors.Join(err, srv.Close())
	case <-srv.Ready():
		notify("READY=1")
	}
	select {
	case err := <-served:
		return errors.Join(err, srv.Close())
	case <-ctx.Done():
	}
	notify("STOPPING=1")
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		return errors.Join(err, srv.Close())
	}
	return nil
}

// notify tells systemd how the service is, if it wants to know: see sd_notify(3).
func notify(state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	c, err := net.Dial("unixgram", name) // "@name" is an abstract one
	if err != nil {
		log.Print("systemd is not told: ", err)
		return
	}
	defer c.Close()
	io.WriteString(c, state)
}
