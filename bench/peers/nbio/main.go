// Command nbio answers, and serves WebSockets, with github.com/lesismal/nbio, whose pollers
// read without a goroutine for each connection, as its examples show; see packages peer and ws.
package main

import (
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"

	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"

	"github.com/ringkit/ringkit/bench/internal/peer"
	"github.com/ringkit/ringkit/bench/internal/ws"
)

func main() {
	o := peer.Parse()
	o.Refuse("nbio")
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { peer.Standard(sized{w}, r) })
	mux.HandleFunc(ws.Echo, serve(newEcho()))
	mux.HandleFunc(ws.Room, serve(newRoom()))
	engine := nbhttp.NewEngine(nbhttp.Config{
		Network:                 "tcp",
		Addrs:                   []string{o.Addr},
		Handler:                 mux,
		ReleaseWebsocketPayload: true,
		Listen: func(network, addr string) (net.Listener, error) {
			l, err := net.Listen(network, addr)
			if err == nil {
				peer.Listening(l.Addr())
			}
			return l, err
		},
	})
	if err := engine.Start(); err != nil {
		log.Fatal(err)
	}
	select {}
}

// sized gives an answer that is written in one piece its length, without which nbio sends
// it in chunks.
type sized struct{ http.ResponseWriter }

func (s sized) Write(p []byte) (int, error) {
	s.Header().Set("Content-Length", strconv.Itoa(len(p)))
	return s.ResponseWriter.Write(p)
}

func serve(u *websocket.Upgrader) http.HandlerFunc {
	u.EnableCompression(true)
	return func(w http.ResponseWriter, r *http.Request) {
		u.Upgrade(w, r, nil) // it has told the client why it cannot
	}
}

func newEcho() *websocket.Upgrader {
	u := websocket.NewUpgrader()
	u.OnMessage(func(conn *websocket.Conn, kind websocket.MessageType, data []byte) {
		conn.WriteMessage(kind, data)
	})
	return u
}

// newRoom has whoever has read a message write it to all. There are no prepared messages.
func newRoom() *websocket.Upgrader {
	var mu sync.Mutex
	members := make(map[*websocket.Conn]struct{})
	u := websocket.NewUpgrader()
	u.OnOpen(func(conn *websocket.Conn) {
		mu.Lock()
		defer mu.Unlock()
		members[conn] = struct{}{}
		conn.WriteMessage(websocket.TextMessage, []byte(ws.Joined))
	})
	u.OnClose(func(conn *websocket.Conn, _ error) {
		mu.Lock()
		defer mu.Unlock()
		delete(members, conn)
	})
	u.OnMessage(func(_ *websocket.Conn, kind websocket.MessageType, data []byte) {
		mu.Lock()
		defer mu.Unlock()
		for conn := range members {
			conn.WriteMessage(kind, data)
		}
	})
	return u
}
