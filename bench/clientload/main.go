// Command clientload keeps requests or messages in flight with one client. It prints "ready" when
// that is warm, waits for a line, and prints what it has counted as JSON; it closes the
// connections when its input ends.
package main

import (
	"encoding/json"
	"flag"
	"io"
	"log"
	"os"

	"github.com/ringkit/ringkit/conn"

	"github.com/ringkit/ringkit/bench/internal/clients"
)

func main() {
	log.SetFlags(0)
	var c clients.Config
	c.AddFlags(flag.CommandLine)
	name := flag.String("client", clients.Call, "`client` to use: "+clients.Describe())
	engineName := flag.String("engine", "auto", "`engine` of ringkit's: auto, io_uring or epoll")
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("unexpected argument %q", flag.Arg(0))
	}
	engine, err := conn.ParseEngine(*engineName)
	if err != nil {
		log.Fatal(err)
	}
	client, err := clients.New(*name, c, engine)
	if err != nil {
		log.Fatal(err)
	}
	err = clients.Run(c, client, os.Stdin, os.Stdout, func(r clients.Result) error {
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
}
