// Migrate is a program written for net/http that has moved over: what is different is
// one line in newServer. With -server nethttp it runs as it did before.
//
//	GET  /hello/{name}  a pattern of the mux
//	GET  /files/        a file server
//	GET  /ticks         a stream, flushed bit by bit
//	POST /count         the length of the body, read as it arrives
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

const drainTime = 10 * time.Second

// server is what both servers are.
type server interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
	Close() error
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "TCP `address` to listen on; port 0 chooses a free one")
	kind := flag.String("server", "ringkit", "`server`: ringkit or nethttp")
	dir := flag.String("files", ".", "`directory` to serve below /files/")
	flag.Parse()
	srv, err := newServer(*kind, logged(routes(*dir)))
	if flag.NArg() > 0 || err != nil {
		fmt.Fprintln(flag.CommandLine.Output(), "migrate: takes flags only, and -server is ringkit or nethttp")
		os.Exit(2)
	}
	if err := run(srv, *addr); err != nil {
		log.Fatal("migrate: ", err)
	}
}

// newServer has the line that changes.
func newServer(kind string, handler http.Handler) (server, error) {
	switch kind {
	case "nethttp":
		return &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}, nil
	case "ringkit":
		return &ringkit.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}, nil
	}
	return nil, errors.New("no such server")
}

// run serves until it is interrupted, and answers what has begun by then.
func run(srv server, addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("listening on http://%v\n", l.Addr())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		return errors.Join(err, srv.Close())
	}
	return nil
}

func routes(dir string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello, %s!\n", r.PathValue("name"))
	})
	mux.Handle("GET /files/", http.StripPrefix("/files", http.FileServer(http.Dir(dir))))
	mux.HandleFunc("GET /ticks", func(w http.ResponseWriter, r *http.Request) {
		for i := range 3 {
			fmt.Fprintf(w, "tick %d\n", i)
			http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return // the client is gone
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	mux.HandleFunc("POST /count", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, "the body is too long, or was cut short", http.StatusRequestEntityTooLarge)
			return
		}
		fmt.Fprintln(w, n)
	})
	return mux
}

// logged is middleware like any other.
func logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		next.ServeHTTP(w, r)
		log.Printf("%s %s %s %v", r.RemoteAddr, r.Method, r.URL.Path, time.Since(begin).Round(time.Microsecond))
	})
}
