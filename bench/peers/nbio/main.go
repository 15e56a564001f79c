// Command nbio serves WebSockets with github.com/lesismal/nbio, whose pollers read without
// a goroutine for each connection, as its examples show; see package ws.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"

	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/ws"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "`address` to listen on; port 0 lets the kernel choose")
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("unexpected argument %q", flag.Arg(0))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", client.ContentType)
		w.Header().Set("Content-Length", strconv.Itoa(len(client.Body))) // or it is sent in chunks
		io.WriteString(w, client.Body)
	})
	mux.HandleFunc(ws.Echo, serve(newEcho()))
	mux.HandleFunc(ws.Room, serve(newRoom()))
	engine := nbhttp.NewEngine(nbhttp.Config{
		Network:                 "tcp",
		Addrs:                   []string{*addr},
		Handler:                 mux,
		ReleaseWebsocketPayload: true,
		Listen: func(network, addr string) (net.Listener, error) {
			l, err := net.Listen(network, addr)
			if err == nil {
				fmt.Println("listening on", l.Addr())
			}
			return l, err
		},
	})
	if err := engine.Start(); err != nil {
		log.Fatal(err)
	}
	select {}
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
