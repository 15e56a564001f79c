// Command gws serves WebSockets with github.com/lxzan/gws on net/http, as its
// documentation shows; see package ws.
package main

import (
	"net/http"
	"sync"

	"github.com/lxzan/gws"

	"github.com/ringkit/ringkit/bench/internal/peer"
	"github.com/ringkit/ringkit/bench/internal/ws"
)

func main() {
	o := peer.Parse()
	http.HandleFunc("/", peer.Standard)
	http.HandleFunc(ws.Echo, serve(echo{}))
	http.HandleFunc(ws.Room, serve(&room{members: make(map[*gws.Conn]struct{})}))
	o.Serve(new(http.Server))
}

func serve(events gws.Event) http.HandlerFunc {
	upgrader := gws.NewUpgrader(events, &gws.ServerOption{PermessageDeflate: gws.PermessageDeflate{Enabled: true}})
	return func(w http.ResponseWriter, r *http.Request) {
		if conn, err := upgrader.Upgrade(w, r); err == nil {
			go conn.ReadLoop() // without what net/http has on the stack
		}
	}
}

type echo struct{ gws.BuiltinEventHandler }

func (echo) OnMessage(conn *gws.Conn, m *gws.Message) {
	defer m.Close()
	conn.WriteMessage(m.Opcode, m.Bytes())
}

type room struct {
	gws.BuiltinEventHandler
	mu      sync.Mutex
	members map[*gws.Conn]struct{}
}

func (r *room) OnOpen(conn *gws.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members[conn] = struct{}{}
	conn.WriteString(ws.Joined)
}

func (r *room) OnClose(conn *gws.Conn, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, conn)
}

func (r *room) OnMessage(conn *gws.Conn, m *gws.Message) {
	defer m.Close()
	b := gws.NewBroadcaster(m.Opcode, m.Bytes())
	defer b.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.members {
		b.Broadcast(conn)
	}
}
