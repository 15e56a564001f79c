// Command nethttp answers with net/http, as a program with no special tuning would; see
// package peer.
package main

import (
	"net/http"

	"github.com/ringkit/ringkit/bench/internal/peer"
)

func main() {
	o := peer.Parse()
	o.Serve(&http.Server{Handler: o.Handler(peer.WithEvents(peer.Standard))})
}
