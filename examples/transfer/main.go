// Transfer keeps files for others: a page that sends one and shows how much of it the
// server has, and where it can be had again.
//
//	GET  /              the page
//	POST /files/{name}  takes a file, as it arrives
//	GET  /files/{name}  sends it, also in parts (Range)
//	GET  /progress      events that tell how much of which file has come
package main

import (
	"context"
	_ "embed"
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

//go:embed transfer.html
var page []byte

const drainTime = 10 * time.Second

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "TCP `address` to listen on; port 0 chooses a free one")
	dir := flag.String("dir", "", "`directory` for the files; one that is removed at the end if empty")
	name := flag.String("engine", "auto", "`engine`: auto, io_uring or epoll; the environment variable "+ringkit.EngineVariable+" overrides it")
	most := flag.Int64("max", 1<<30, "`bytes` that a file may have")
	flag.Parse()
	engine, err := ringkit.ParseEngine(*name)
	if flag.NArg() > 0 || *most <= 0 || err != nil {
		fmt.Fprintln(flag.CommandLine.Output(), "transfer: takes flags only, -max is above zero, and -engine is one of those -h names")
		os.Exit(2)
	}
	if err := run(*addr, *dir, *most, engine); err != nil {
		log.Fatal("transfer: ", err)
	}
}

func run(addr, dir string, most int64, engine ringkit.Engine) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "transfer"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	files, err := os.OpenRoot(dir) // no name leads out of it
	if err != nil {
		return err
	}
	defer files.Close()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	srv := newServer(files, most)
	srv.Engine = engine
	fmt.Printf("transfer on http://%v\n", l.Addr())
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

// newServer makes the server of a directory. MaxBodyBytes is what bounds a file.
func newServer(files *os.Root, most int64) *ringkit.Server {
	s := &store{files: files}
	return &ringkit.Server{Handler: s.handler(), MaxBodyBytes: most}
}
