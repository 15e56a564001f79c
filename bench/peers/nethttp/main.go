// Command nethttp answers every request with the benchmark's response through
// net/http, as a program with no special tuning would; late on
// the slow routes of package mix. With -files it serves files, too; with -tls it
// speaks TLS.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/mix"
	"github.com/ringkit/ringkit/bench/internal/secure"
	"github.com/ringkit/ringkit/bench/internal/static"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "`address` to listen on; port 0 lets the kernel choose")
	secured := flag.String("tls", "", "`directory` with a certificate, to speak TLS, see package secure")
	files := flag.String("files", "", "`directory` to serve files of, see package static")
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("unexpected argument %q", flag.Arg(0))
	}

	mix.Calibrate()
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", l.Addr())
	var handler http.Handler = http.HandlerFunc(hello)
	if *files != "" {
		handler = static.Handler(*files, handler)
	}
	if *secured != "" {
		cert, key := secure.Files(*secured)
		log.Fatal(http.ServeTLS(l, handler, cert, key))
	}
	log.Fatal(http.Serve(l, handler))
}

func hello(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", client.ContentType)
	io.WriteString(w, mix.Answer(r.URL.Path))
}
