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

// withSockets opens WebSockets besides what the handler does, which stays native if it is.
func withSockets(h http.Handler, options *ringkit.ChannelOptions) http.Handler {
	room := newRoom()
	if native, ok := h.(ringkit.HandlerFunc); ok {
		return ringkit.HandlerFunc(func(x *ringkit.Exchange) {
			switch x.Path() {
			case ws.Echo:
				options.OpenExchange(x, echo)
			case ws.Room:
				options.OpenExchange(x, room)
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
		default:
			h.ServeHTTP(w, r)
		}
	})
}
