// Hello is the smallest ringkit server that shows both kinds of handlers:
//
//	/      a native handler
//	/std   an http.Handler
//	/echo  returns the body of the request
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
	"github.com/ringkit/ringkit/uring"
)

const drainTime = 10 * time.Second

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "TCP address to listen on; port 0 chooses a free one")
	loops := flag.Int("loops", 0, "number of event loops; 0 means one for each CPU")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "Usage: hello [flags]\n\nServes / (native), /std (net/http handler) and /echo until interrupted.\n\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 || *loops < 0 {
		fmt.Fprintf(flag.CommandLine.Output(), "hello: takes no arguments, and -loops is not negative\n\n")
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*addr, *loops); err != nil {
		log.Fatal("hello: ", err)
	}
}

func run(addr string, loops int) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	srv := &ringkit.Server{
		Handler: handler(),
		Loops:   loops,
		Name:    "ringkit",
		// The server says in its log which engine runs and why.
		ErrorLog: log.New(os.Stdout, "", 0),
		// It is called once the loops run.
		BaseContext: func(l net.Listener) context.Context {
			fmt.Printf("listening on http://%v, kernel %s\n", l.Addr(), uring.Probe().Kernel)
			fmt.Println("kernel TLS:", kernelTLS())
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
	fmt.Println("draining")
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := srv.Shutdown(drain); errors.Is(err, context.DeadlineExceeded) {
		fmt.Printf("requests still running after %v are cut off\n", drainTime)
		return srv.Close()
	} else if err != nil {
		return err
	}
	return nil
}

// kernelTLS says whether a server with TLS could leave sending to the kernel.
func kernelTLS() string {
	if err := ringkit.KernelTLS(); err != nil {
		return err.Error()
	}
	return "available"
}

// handler answers / itself and leaves the rest to a mux of standard handlers.
func handler() ringkit.HandlerFunc {
	mux := http.NewServeMux()
	mux.HandleFunc("/std", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "Hello, World!")
	})
	return func(x *ringkit.Exchange) {
		switch x.Path() {
		case "/":
			x.SetHeader("Content-Type", "text/plain")
			x.WriteString("Hello, World!")
		case "/echo":
			if kind := x.Header("Content-Type"); kind != "" {
				x.SetHeader("Content-Type", kind)
			}
			x.Write(x.Body())
		default:
			x.Delegate(mux)
		}
	}
}
