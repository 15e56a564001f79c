// Command ringkit answers every request with the benchmark's response through this
// project's server; late on the slow routes of package mix. It opens WebSockets, see
// package ws, and tells of itself, see package inside. With -files it serves files, too; with -tls
// it speaks TLS.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"strings"

	"github.com/ringkit/ringkit"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/inside"
	"github.com/ringkit/ringkit/bench/internal/mix"
	"github.com/ringkit/ringkit/bench/internal/peer"
	"github.com/ringkit/ringkit/bench/internal/static"
)

func main() {
	engine := flag.String("engine", "auto", "auto, io_uring or epoll")
	mode := flag.String("mode", "auto", "how handlers run: auto, inline or goroutine")
	loops := flag.Int("loops", 0, "`number` of event loops; 0 means one for each CPU")
	kind := flag.String("handler", "native", "native or std, an http.Handler")
	headerTimeout := flag.Duration("header-timeout", 0, "`time` a request head may take; 0 means the server's default")
	direct := flag.Bool("direct", false, "have connections in the rings' tables of files instead of descriptors")
	idleTimeout := flag.Duration("idle-timeout", 0, "`time` a connection may wait for its next request; 0 means the server's default")
	ping := flag.Duration("ping", 0, "`time` after which a silent WebSocket gets a Ping; 0 means the default")
	o := peer.Parse()

	srv := &ringkit.Server{
		Loops: *loops, Name: "ringkit", ReadHeaderTimeout: *headerTimeout, IdleTimeout: *idleTimeout, DirectDescriptors: *direct,
	}
	var err error
	if srv.Engine, err = ringkit.ParseEngine(*engine); err != nil {
		log.Fatal(err)
	}
	if srv.Mode, err = ringkit.ParseMode(*mode); err != nil {
		log.Fatal(err)
	}
	if srv.Handler, err = handler(*kind, srv); err != nil {
		log.Fatal(err)
	}

	srv.Handler = withSockets(srv.Handler, &ringkit.ChannelOptions{PingInterval: *ping})
	if o.Files != "" {
		srv.Handler = withFiles(o.Files, srv.Handler)
	}
	o.Serve(srv)
}

func handler(kind string, srv *ringkit.Server) (http.Handler, error) {
	switch kind {
	case "native":
		return native(srv), nil
	case "std":
		return standard(srv), nil
	}
	return nil, fmt.Errorf("-handler %q: want native or std", kind)
}

func native(srv *ringkit.Server) ringkit.HandlerFunc {
	return func(x *ringkit.Exchange) {
		switch path := x.Path(); path {
		case mix.Stats:
			x.Write(counters(srv))
		case inside.Path:
			x.Write(inside.JSON(srv))
		case peer.JSON:
			x.SetHeader("Content-Type", peer.JSONType)
			x.Write(peer.Message())
		case peer.Upload:
			x.SetHeader("Content-Type", client.ContentType)
			x.WriteString(peer.Received(int64(len(x.Body()))))
		default:
			x.SetHeader("Content-Type", client.ContentType)
			x.WriteString(mix.Answer(path))
		}
	}
}

func standard(srv *ringkit.Server) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case mix.Stats:
			w.Write(counters(srv))
			return
		case inside.Path:
			w.Write(inside.JSON(srv))
			return
		}
		peer.Standard(w, r)
	}
}

// counters returns what the server has counted so far, as JSON.
func counters(srv *ringkit.Server) []byte {
	s := srv.Stats()
	data, err := json.Marshal(mix.Counters{
		Takeovers: s.Takeovers,
		Released:  s.Released,
		Predicted: s.Predicted,
		Spawned:   s.Spawned,
	})
	if err != nil {
		panic(err) // numbers only
	}
	return data
}

// withFiles serves files besides what the handler does, which stays native if it is.
func withFiles(dir string, h http.Handler) http.Handler {
	files := static.Handler(dir, h)
	native, ok := h.(ringkit.HandlerFunc)
	if !ok {
		return files
	}
	return ringkit.HandlerFunc(func(x *ringkit.Exchange) {
		if strings.HasPrefix(x.Path(), static.Prefix) {
			x.Delegate(files)
			return
		}
		native(x)
	})
}
