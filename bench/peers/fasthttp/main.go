// Command fasthttp answers every request with the benchmark's response through
// github.com/valyala/fasthttp, as a program with no special tuning would; late on
// the slow routes of package mix.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"

	"github.com/valyala/fasthttp"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/mix"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "`address` to listen on; port 0 lets the kernel choose")
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
	log.Fatal(fasthttp.Serve(l, hello))
}

func hello(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType(client.ContentType)
	ctx.WriteString(mix.Answer(string(ctx.Path())))
}
