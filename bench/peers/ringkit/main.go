// Command ringkit answers every request with the benchmark's response through this
// project's server; late on the slow routes of package mix. It opens WebSockets, see
// package ws, and tells of itself, see package inside. With -files it serves files, too; with -tls
// it speaks TLS.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"

	"github.com/ringkit/ringkit"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/inside"
	"github.com/ringkit/ringkit/bench/internal/mix"
	"github.com/ringkit/ringkit/bench/internal/secure"
	"github.com/ringkit/ringkit/bench/internal/static"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "`address` to listen on; port 0 lets the kernel choose")
	engine := flag.String("engine", "auto", "auto, io_uring or epoll")
	mode := flag.String("mode", "auto", "how handlers run: auto, inline or goroutine")
	loops := flag.Int("loops", 0, "`number` of event loops; 0 means one for each CPU")
	kind := flag.String("handler", "native", "native or std, an http.Handler")
	secured := flag.String("tls", "", "`directory` with a certificate, to speak TLS, see package secure")
	files := flag.String("files", "", "`directory` to serve files of, see package static")
	headerTimeout := flag.Duration("header-timeout", 0, "`time` a request head may take; 0 means the server's default")
	direct := flag.Bool("direct", false, "have connections in the rings' tables of files instead of descriptors")
	idleTimeout := flag.Duration("idle-timeout", 0, "`time` a connection may wait for its next request; 0 means the server's default")
	ping := flag.Duration("ping", 0, "`time` after which a silent WebSocket gets a Ping; 0 means the default")
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("unexpected argument %q", flag.Arg(0))
	}

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
	if *files != "" {
		srv.Handler = withFiles(*files, srv.Handler)
	}

	mix.Calibrate()
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", l.Addr())
	if *secured != "" {
		cert, key := secure.Files(*secured)
		log.Fatal(srv.ServeTLS(l, cert, key))
	}
	log.Fatal(srv.Serve(l))
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
		switch x.Path() {
		case mix.Stats:
			x.Write(counters(srv))
			return
		case inside.Path:
			x.Write(inside.JSON(srv))
			return
		}
		x.SetHeader("Content-Type", client.ContentType)
		x.WriteString(mix.Answer(x.Path()))
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
		w.Header().Set("Content-Type", client.ContentType)
		io.WriteString(w, mix.Answer(r.URL.Path))
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
