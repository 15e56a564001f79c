package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/ringkit/ringkit/client"
	"github.com/ringkit/ringkit/wsock"
)

// dialer opens WebSockets.
type dialer struct {
	opts     *client.WebSocketOptions
	url      string
	compress bool
	turns    chan struct{} // a place for each that is being opened
}

// maxDials is how many WebSockets are opened at a time: more would find the backlog of
// their server full.
const maxDials = 128

// pieceCost is more than what the client counts for a message beside its bytes.
const pieceCost = 128

func newDialer(o *options, c *client.Client) *dialer {
	header := o.header.Clone()
	if o.host != "" {
		header.Set("Host", o.host)
	}
	return &dialer{
		opts: &client.WebSocketOptions{
			Client:          c,
			Header:          header,
			NoCompression:   !o.compress,
			MaxMessageBytes: max(client.DefaultMaxMessageBytes, len(o.body)),
			HighWater:       max(client.DefaultHighWater, o.pipeline*(len(o.body)+pieceCost)),
		},
		url:      o.url,
		compress: o.compress,
		turns:    make(chan struct{}, maxDials),
	}
}

var errNoAccord = errors.New("the server does not compress")

func (d *dialer) dial(ctx context.Context, events client.Events) (*client.WebSocket, error) {
	select {
	case d.turns <- struct{}{}:
		defer func() { <-d.turns }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	ws, err := d.opts.Dial(ctx, d.url, events)
	if err == nil && d.compress && ws.Response().Header.Get("Sec-WebSocket-Extensions") == "" {
		ws.Abort()
		return nil, errNoAccord
	}
	return ws, err
}

// closeError is what the end of a WebSocket is to who waits for a message.
func closeError(why wsock.CloseInfo) error {
	if why.Err != nil {
		return fmt.Errorf("the WebSocket has ended: %w", why.Err)
	}
	return fmt.Errorf("the server has closed the WebSocket with code %d, reason %q", why.Code, why.Reason)
}
