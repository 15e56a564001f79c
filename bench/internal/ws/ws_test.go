package ws

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// serve opens WebSockets on Echo and has each used by use; it returns the port.
func serve(t *testing.T, use func(*websocket.Conn)) (port int) {
	t.Helper()
	upgrader := websocket.Upgrader{EnableCompression: true}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != Echo {
			http.NotFound(w, r)
			return
		}
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		use(conn)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().(*net.TCPAddr).Port
}

func echo(conn *websocket.Conn) {
	for {
		kind, data, err := conn.ReadMessage()
		if err != nil || conn.WriteMessage(kind, data) != nil {
			return
		}
	}
}

func TestExchange(t *testing.T) {
	port := serve(t, echo)
	for _, size := range []int{1, 125, 126, 300, 16 << 10, 0xFFFF} {
		s, err := Dial(port, Echo, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := Exchange(s, ClientFrame(Payload(size)), make([]byte, 70_000)); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		s.Close()
	}
}

func TestExchangeFails(t *testing.T) {
	for want, use := range map[string]func(*websocket.Conn){
		"begins with 0x82": func(conn *websocket.Conn) {
			conn.ReadMessage()
			conn.WriteMessage(websocket.BinaryMessage, Payload(9))
			conn.ReadMessage()
		},
		"EOF": func(conn *websocket.Conn) { conn.ReadMessage() },
	} {
		s, err := Dial(serve(t, use), Echo, false)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := Exchange(s, ClientFrame(Payload(9)), make([]byte, 100)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	if _, err := Dial(serve(t, echo), Room, false); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("no WebSocket: got %v", err)
	}
}

func TestDeflated(t *testing.T) {
	read := make(chan string, 1)
	port := serve(t, func(conn *websocket.Conn) {
		kind, data, err := conn.ReadMessage()
		if err != nil {
			read <- err.Error()
			return
		}
		read <- string(data)
		conn.WriteMessage(kind, data)
		conn.ReadMessage()
	})
	s, err := Dial(port, Echo, true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	payload := Payload(1000)
	frame := DeflatedFrame(payload)
	if len(frame) > 500 {
		t.Errorf("a frame of %d bytes", len(frame))
	}
	if err := Exchange(s, frame, make([]byte, 2000)); err != nil {
		t.Error(err)
	}
	if got := <-read; got != string(payload) {
		t.Errorf("the server has read %.50q", got)
	}
}
