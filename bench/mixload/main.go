// Command mixload sends requests of which some take longer than others, and prints
// the rate and the latencies of both kinds as JSON.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"os"

	"github.com/ringkit/ringkit/bench/internal/load"
)

func main() {
	log.SetFlags(0)
	var c load.Config
	c.AddFlags(flag.CommandLine)
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("unexpected argument %q", flag.Arg(0))
	}
	result, err := load.Run(c)
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		log.Fatal(err)
	}
}
