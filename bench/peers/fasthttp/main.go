// Command fasthttp answers every request with the benchmark's response through
// github.com/valyala/fasthttp, as a program with no special tuning would; late on
// the slow routes of package mix. With -files it serves files, too; with -tls it
// speaks TLS.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"strings"

	"github.com/valyala/fasthttp"

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
	handler := hello
	if *files != "" {
		handler = withFiles(*files)
	}
	if *secured != "" {
		cert, key := secure.Files(*secured)
		log.Fatal(fasthttp.ServeTLS(l, cert, key, handler))
	}
	log.Fatal(fasthttp.Serve(l, handler))
}

func hello(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType(client.ContentType)
	ctx.WriteString(mix.Answer(string(ctx.Path())))
}

func withFiles(dir string) fasthttp.RequestHandler {
	files := fasthttp.FSHandler(dir, 1)
	return func(ctx *fasthttp.RequestCtx) {
		if strings.HasPrefix(string(ctx.Path()), static.Prefix) {
			files(ctx)
			return
		}
		hello(ctx)
	}
}
