// Command gws serves WebSockets with github.com/lxzan/gws on net/http, as its
// documentation shows; see package ws.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"

	"github.com/lxzan/gws"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/ws"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "`address` to listen on; port 0 lets the kernel choose")
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("unexpected argument %q", flag.Arg(0))
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", client.ContentType)
		io.WriteString(w, client.Body)
	})
	http.HandleFunc(ws.Echo, serve(echo{}))
	http.HandleFunc(ws.Room, serve(&room{members: make(map[*gws.Conn]struct{})}))
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", l.Addr())
	log.Fatal(http.Serve(l, nil))
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
