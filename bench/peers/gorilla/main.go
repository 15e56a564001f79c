// Command gorilla serves WebSockets with github.com/gorilla/websocket on net/http, as a
// program with no special tuning would; see package ws.
package main

import (
	"net/http"
	"sync"

	"github.com/gorilla/websocket"

	"github.com/ringkit/ringkit/bench/internal/peer"
	"github.com/ringkit/ringkit/bench/internal/ws"
)

func main() {
	o := peer.Parse()
	http.HandleFunc("/", peer.Standard)
	http.HandleFunc(ws.Echo, echo)
	http.HandleFunc(ws.Room, new(room).serve)
	o.Serve(new(http.Server))
}

var upgrader = websocket.Upgrader{EnableCompression: true}

func echo(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		kind, data, err := conn.ReadMessage()
		if err != nil || conn.WriteMessage(kind, data) != nil {
			return
		}
	}
}

// room has whoever has read a message write it to all.
type room struct {
	mu      sync.Mutex
	members map[*websocket.Conn]struct{}
}

func (r *room) serve(w http.ResponseWriter, req *http.Request) {
	conn, err := upgrader.Upgrade(w, req, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	if r.join(conn) != nil {
		return
	}
	defer r.leave(conn)
	for {
		kind, data, err := conn.ReadMessage()
		if err != nil || r.broadcast(kind, data) != nil {
			return
		}
	}
}

func (r *room) join(conn *websocket.Conn) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.members == nil {
		r.members = make(map[*websocket.Conn]struct{})
	}
	r.members[conn] = struct{}{}
	return conn.WriteMessage(websocket.TextMessage, []byte(ws.Joined))
}

func (r *room) leave(conn *websocket.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, conn)
}

func (r *room) broadcast(kind int, data []byte) error {
	m, err := websocket.NewPreparedMessage(kind, data)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.members {
		if conn.WritePreparedMessage(m) != nil {
			conn.Close() // its reader notices
		}
	}
	return nil
}
