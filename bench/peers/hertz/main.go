// Command hertz answers with github.com/cloudwego/hertz on its own network library, as a
// program with no special tuning would; see package peer.
package main

import (
	"context"
	"net/http"

	"github.com/cloudwego/hertz/pkg/app"
	"github.com/cloudwego/hertz/pkg/app/server"
	"github.com/cloudwego/hertz/pkg/common/hlog"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/mix"
	"github.com/ringkit/ringkit/bench/internal/peer"
)

func main() {
	o := peer.Parse()
	o.Refuse("hertz")
	hlog.SetLevel(hlog.LevelWarn)
	h := server.New(server.WithListener(o.Listen()))
	h.GET(peer.JSON, func(_ context.Context, c *app.RequestContext) {
		c.Data(http.StatusOK, peer.JSONType, peer.Message())
	})
	h.POST(peer.Upload, func(_ context.Context, c *app.RequestContext) {
		c.SetContentType(client.ContentType)
		c.WriteString(peer.Received(int64(len(c.Request.Body()))))
	})
	h.GET("/*path", func(_ context.Context, c *app.RequestContext) {
		c.SetContentType(client.ContentType)
		c.WriteString(mix.Answer(string(c.Path())))
	})
	h.Spin()
}
