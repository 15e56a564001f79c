// Command fasthttp answers with github.com/valyala/fasthttp, as a program with no special
// tuning would; see package peer.
package main

import (
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/mix"
	"github.com/ringkit/ringkit/bench/internal/peer"
	"github.com/ringkit/ringkit/bench/internal/static"
)

func main() {
	o := peer.Parse()
	handler := answer
	if o.Files != "" {
		handler = withFiles(o.Files)
	}
	o.Serve(&fasthttp.Server{Handler: handler})
}

func answer(ctx *fasthttp.RequestCtx) {
	switch path := string(ctx.Path()); path {
	case peer.JSON:
		ctx.SetContentType(peer.JSONType)
		ctx.Write(peer.Message())
	case peer.Upload:
		ctx.SetContentType(client.ContentType)
		ctx.WriteString(peer.Received(int64(len(ctx.PostBody()))))
	default:
		ctx.SetContentType(client.ContentType)
		ctx.WriteString(mix.Answer(path))
	}
}

func withFiles(dir string) fasthttp.RequestHandler {
	files := fasthttp.FSHandler(dir, 1)
	return func(ctx *fasthttp.RequestCtx) {
		if strings.HasPrefix(string(ctx.Path()), static.Prefix) {
			files(ctx)
			return
		}
		answer(ctx)
	}
}
