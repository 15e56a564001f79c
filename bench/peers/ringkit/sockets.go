package main

import (
	"net/http"

	"github.com/ringkit/ringkit"
	"github.com/ringkit/ringkit/wsock"

	"github.com/ringkit/ringkit/bench/internal/ws"
)

// echo sends back what it is sent.
var echo = ringkit.Events{
	Message: func(ch *ringkit.Channel, m wsock.Message) { ch.Send(m) },
}

// newRoom sends what it is sent to all that are in it.
func newRoom() ringkit.Events {
	members := new(ringkit.Group)
	return ringkit.Events{
		Open: func(ch *ringkit.Channel) {
			members.Join(ch)
			ch.Send(ringkit.Text(ws.Joined))
		},
		Message: func(_ *ringkit.Channel, m wsock.Message) { members.Broadcast(m) },
	}
}

// newStreams returns what a stream of events is opened with, and a function that sends an
// event to all streams.
func newStreams() (events ringkit.Events, publish func()) {
	streams, event := new(ringkit.Group), ringkit.ServerEvent{Data: ws.EventData()}
	open := func(ch *ringkit.Channel) {
		streams.Join(ch)
		ch.StartEvents()
	}
	return ringkit.Events{Open: open}, func() { streams.BroadcastEvent(event) }
}

// withSockets opens WebSockets, and streams of events, besides what the handler does, which
// stays native if it is.
func withSockets(h http.Handler, options *ringkit.ChannelOptions) http.Handler {
	room := newRoom()
	stream, publish := newStreams()
	if native, ok := h.(ringkit.HandlerFunc); ok {
		return ringkit.HandlerFunc(func(x *ringkit.Exchange) {
			switch x.Path() {
			case ws.Echo:
				options.OpenExchange(x, echo)
			case ws.Room:
				options.OpenExchange(x, room)
			case ws.Events:
				options.OpenExchange(x, stream)
			case ws.Publish:
				publish()
				native(x)
			default:
				native(x)
			}
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case ws.Echo:
			options.Open(w, r, echo)
		case ws.Room:
			options.Open(w, r, room)
		case ws.Events:
			options.Open(w, r, stream)
		case ws.Publish:
			publish()
			h.ServeHTTP(w, r)
		default:
			h.ServeHTTP(w, r)
		}
	})
}
