// Proxy is a reverse proxy, from ringkit's server to its client, on the same event loops:
//
//	proxy -listen :8080 -to http://127.0.0.1:9000,http://127.0.0.1:9001
//
// Requests go to the servers in turn. Bodies are passed on as they arrive, in both
// directions, no faster than the slower side; protocol upgrades, such as WebSockets, become
// tunnels.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ringkit/ringkit"
)

const drainTime = 10 * time.Second

func main() {
	addr := flag.String("listen", "127.0.0.1:8080", "TCP `address` to listen on; port 0 chooses a free one")
	to := flag.String("to", "", "`URLs` of the servers behind it, without a path, separated by commas")
	loops := flag.Int("loops", 0, "number of event loops; 0 means one for each CPU")
	name := flag.String("engine", "auto", "`engine`: auto, io_uring or epoll; the environment variable "+ringkit.EngineVariable+" overrides it")
	p := &proxy{log: log.New(os.Stderr, "proxy: ", log.LstdFlags)}
	flag.BoolVar(&p.ownHost, "own-host", false, "send the servers the host of their URL, not the one that was asked for")
	flag.BoolVar(&p.trusts, "trust", false, "keep Forwarded and X-Forwarded-For of clients, which are proxies themselves, and add to them")
	flag.DurationVar(&p.timeout, "timeout", time.Minute, "how long a server may take to answer, or for the next part of its answer")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "Usage: proxy -to URL[,URL…] [flags]\n\nPasses requests on to servers, in turn, until interrupted.\n\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	engine, err := ringkit.ParseEngine(*name)
	if err == nil {
		p.servers, err = parseServers(*to)
	}
	if err == nil && (flag.NArg() > 0 || *loops < 0 || p.timeout <= 0) {
		err = errors.New("takes no arguments, -loops is not negative, and -timeout is positive")
	}
	if err != nil {
		fmt.Fprintf(flag.CommandLine.Output(), "proxy: %v\n\n", err)
		flag.Usage()
		os.Exit(2)
	}
	srv := &ringkit.Server{Engine: engine, Loops: *loops, ErrorLog: log.New(os.Stdout, "", 0)}
	if err := run(srv, p, *addr); err != nil {
		log.Fatal("proxy: ", err)
	}
}

func run(srv *ringkit.Server, p *proxy, addr string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p.serveOn(srv)
	defer p.close()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("listening on http://%v\n", l.Addr())
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
