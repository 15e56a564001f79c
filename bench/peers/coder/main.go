// Command coder serves WebSockets with github.com/coder/websocket on net/http, as a
// program with no special tuning would; see package ws.
package main

import (
	"context"
	"net/http"
	"sync"

	"github.com/coder/websocket"

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

var options = websocket.AcceptOptions{CompressionMode: websocket.CompressionNoContextTakeover}

func accept(w http.ResponseWriter, r *http.Request) (*websocket.Conn, error) {
	conn, err := websocket.Accept(w, r, &options)
	if err == nil {
		conn.SetReadLimit(4 << 20) // as much as the others take
	}
	return conn, err
}

func echo(w http.ResponseWriter, r *http.Request) {
	conn, err := accept(w, r)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for {
		kind, data, err := conn.Read(context.Background())
		if err != nil || conn.Write(context.Background(), kind, data) != nil {
			return
		}
	}
}

// room has whoever has read a message write it to all. There are no prepared messages.
type room struct {
	mu      sync.Mutex
	members map[*websocket.Conn]struct{}
}

func (r *room) serve(w http.ResponseWriter, req *http.Request) {
	conn, err := accept(w, req)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	if r.join(conn) != nil {
		return
	}
	defer r.leave(conn)
	for {
		kind, data, err := conn.Read(context.Background())
		if err != nil {
			return
		}
		r.broadcast(kind, data)
	}
}

func (r *room) join(conn *websocket.Conn) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.members == nil {
		r.members = make(map[*websocket.Conn]struct{})
	}
	r.members[conn] = struct{}{}
	return conn.Write(context.Background(), websocket.MessageText, []byte(ws.Joined))
}

func (r *room) leave(conn *websocket.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, conn)
}

func (r *room) broadcast(kind websocket.MessageType, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.members {
		if conn.Write(context.Background(), kind, data) != nil {
			conn.CloseNow() // its reader notices
		}
	}
}
