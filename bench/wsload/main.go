// Command wsload sends messages on WebSockets. It prints "ready" when it is, waits for a
// line, and prints what it has counted as JSON; it closes the connections when its input
// ends.
package main

import (
	"encoding/json"
	"flag"
	"io"
	"log"
	"os"

	"github.com/ringkit/ringkit/bench/internal/ws"
)

func main() {
	log.SetFlags(0)
	var c ws.Config
	c.AddFlags(flag.CommandLine)
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("unexpected argument %q", flag.Arg(0))
	}
	err := ws.Run(c, os.Stdin, os.Stdout, func(r ws.Result) error {
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
