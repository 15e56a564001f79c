// Clock tells the time: a page that shows it, and the stream of server-sent events that
// the page reads.
//
//	/      the page
//	/time  an event each second
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/ringkit/ringkit"
)

//go:embed clock.html
var page string

const drainTime = 5 * time.Second

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "TCP `address` to listen on; port 0 chooses a free one")
	name := flag.String("engine", "auto", "`engine`: auto, io_uring or epoll; the environment variable "+ringkit.EngineVariable+" overrides it")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "Usage: clock [flags]\n\nServes the time, on a page and as events, until interrupted.\n\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	engine, err := ringkit.ParseEngine(*name)
	if flag.NArg() > 0 || err != nil {
		fmt.Fprintf(flag.CommandLine.Output(), "clock: takes no arguments, and -engine is one of those below\n\n")
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*addr, engine); err != nil {
		log.Fatal("clock: ", err)
	}
}

func run(addr string, engine ringkit.Engine) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	var watching ringkit.Group
	go tick(ctx, &watching)
	srv := &ringkit.Server{
		Handler:  handler(&watching),
		Engine:   engine,
		ErrorLog: log.New(os.Stdout, "", 0),
		BaseContext: func(l net.Listener) context.Context {
			fmt.Printf("clock on http://%v\n", l.Addr())
			return context.Background()
		},
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stop() // a second interrupt ends the program at once
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := srv.Shutdown(drain); errors.Is(err, context.DeadlineExceeded) {
		return srv.Close()
	} else if err != nil {
		return err
	}
	return nil
}

// tick tells all who watch what time it is, at the beginning of each second.
func tick(ctx context.Context, watching *ringkit.Group) {
	for {
		now := time.Now()
		select {
		case <-ctx.Done():
			return
		case <-time.After(now.Truncate(time.Second).Add(time.Second).Sub(now)):
		}
		watching.BroadcastEvent(eventAt(time.Now()))
	}
}

// eventAt is the event for a time, with Unix seconds as its ID.
func eventAt(t time.Time) ringkit.ServerEvent {
	return ringkit.ServerEvent{Name: "time", ID: strconv.FormatInt(t.Unix(), 10), Data: t.UTC().Format(time.RFC3339)}
}

func handler(watching *ringkit.Group) http.Handler {
	// Who does not read misses the time that has passed.
	options := &ringkit.ChannelOptions{HighWater: 4 << 10, Overflow: ringkit.OverflowDropOldest}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, page)
	})
	mux.HandleFunc("GET /time", func(w http.ResponseWriter, r *http.Request) {
		options.Open(w, r, ringkit.Events{Open: func(ch *ringkit.Channel) {
			ch.SendEvent(eventAt(time.Now()))
			watching.Join(ch)
		}})
	})
	return mux
}
