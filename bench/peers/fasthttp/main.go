// Command fasthttp answers with github.com/valyala/fasthttp, as a program with no special
// tuning would; see package peer.
package main

import (
	"bufio"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/mix"
	"github.com/ringkit/ringkit/bench/internal/peer"
	"github.com/ringkit/ringkit/bench/internal/static"
	"github.com/ringkit/ringkit/bench/internal/ws"
)

func main() {
	o := peer.Parse()
	handler := answer
	if o.Files != "" {
		handler = withFiles(o.Files)
	}
	o.Serve(&fasthttp.Server{Handler: withEvents(handler)})
}

// withEvents serves streams of events, too. A stream that its client has left is noticed with
// the next event.
func withEvents(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	hub := new(peer.Hub)
	return func(ctx *fasthttp.RequestCtx) {
		switch string(ctx.Path()) {
		case ws.Events:
			events, leave := hub.Join()
			ctx.SetContentType("text/event-stream")
			ctx.Response.Header.Set("Cache-Control", "no-store")
			ctx.SetBodyStreamWriter(func(w *bufio.Writer) {
				defer leave()
				w.WriteString(":\n\n") // or the head waits for the first event
				for w.Flush() == nil {
					w.Write(<-events)
				}
			})
		case ws.Publish:
			hub.Publish()
			ctx.SetContentType(client.ContentType)
			ctx.WriteString(client.Body)
		default:
			next(ctx)
		}
	}
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
