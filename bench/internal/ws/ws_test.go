package ws

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/ringkit/ringkit/bench/internal/client"
)

// serve opens WebSockets and has each used by use; it returns a short load for it.
func serve(t *testing.T, path string, use func(*websocket.Conn)) Config {
	t.Helper()
	upgrader := websocket.Upgrader{EnableCompression: true}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path {
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
	return Config{
		Port:        server.Listener.Addr().(*net.TCPAddr).Port,
		Path:        path,
		Connections: 5,
		Size:        300,
		WarmUp:      20 * time.Millisecond,
		Duration:    200 * time.Millisecond,
	}
}

func echo(conn *websocket.Conn) {
	for {
		kind, data, err := conn.ReadMessage()
		if err != nil || conn.WriteMessage(kind, data) != nil {
			return
		}
	}
}

// room sends to all what one of them sends.
func room() func(*websocket.Conn) {
	var mu sync.Mutex
	var members []*websocket.Conn
	return func(conn *websocket.Conn) {
		mu.Lock()
		members = append(members, conn)
		conn.WriteMessage(websocket.TextMessage, []byte(Joined))
		mu.Unlock()
		for {
			kind, data, err := conn.ReadMessage()
			if err != nil {
				return
			}
			mu.Lock()
			for _, member := range members {
				member.WriteMessage(kind, data)
			}
			mu.Unlock()
		}
	}
}

// run runs c, and lets it go on at once.
func run(c Config) (result Result, said string, err error) {
	var out bytes.Buffer
	err = Run(c, strings.NewReader("\n"), &out, func(r Result) error {
		result = r
		return nil
	})
	return result, out.String(), err
}

func TestRun(t *testing.T) {
	for _, size := range []int{1, 125, 126, 300, 16 << 10, maxSize} {
		c := serve(t, Echo, echo)
		c.Size = size
		r, said, err := run(c)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if r.Messages < int64(c.Connections) || r.Elapsed < c.Duration || said != Ready+"\n" {
			t.Errorf("%d bytes: %+v, said %q", size, r, said)
		}
	}
}

func TestRunInRoom(t *testing.T) {
	c := serve(t, Room, room())
	r, _, err := run(c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Messages == 0 || r.Messages%int64(c.Connections) != 0 {
		t.Errorf("%d messages to %d members: some are missing", r.Messages, c.Connections)
	}
}

func TestRunNoticesWrongMessages(t *testing.T) {
	for want, use := range map[string]func(*websocket.Conn){
		"something else": func(conn *websocket.Conn) {
			conn.ReadMessage()
			conn.WriteMessage(websocket.TextMessage, Payload(299))
			conn.ReadMessage()
		},
		"something else, 2 bytes": func(conn *websocket.Conn) {
			conn.ReadMessage()
			conn.UnderlyingConn().Write([]byte{0x82, 126}) // binary
			conn.ReadMessage()
		},
		"ended": func(conn *websocket.Conn) { conn.ReadMessage() },
	} {
		if _, _, err := run(serve(t, Echo, use)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	c := serve(t, "/other", echo)
	c.Path = Echo
	if _, _, err := run(c); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("no WebSocket: got %v", err)
	}
	c = serve(t, Room, func(conn *websocket.Conn) {
		conn.WriteMessage(websocket.TextMessage, []byte("away"))
		conn.ReadMessage()
	})
	if _, _, err := run(c); err == nil || !strings.Contains(err.Error(), "away") {
		t.Errorf("not let in: got %v", err)
	}
}

func TestRunWaitsForALine(t *testing.T) {
	err := Run(serve(t, Echo, echo), strings.NewReader(""), io.Discard, nil)
	if err == nil || !strings.Contains(err.Error(), "EOF") {
		t.Errorf("got %v", err)
	}
}

func TestDeflated(t *testing.T) {
	read := make(chan string, 1)
	c := serve(t, Echo, func(conn *websocket.Conn) {
		kind, data, err := conn.ReadMessage()
		if err != nil {
			read <- err.Error()
			return
		}
		read <- string(data)
		conn.WriteMessage(kind, data)
		conn.ReadMessage()
	})
	s, err := Dial(c.Port, c.Path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer Reset(s)
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

func TestRunRejects(t *testing.T) {
	for name, spoil := range map[string]func(*Config){
		"port":        func(c *Config) { c.Port = 0 },
		"connections": func(c *Config) { c.Connections = maxConnections + 1 },
		"duration":    func(c *Config) { c.Duration = maxDuration + 1 },
		"warm-up":     func(c *Config) { c.WarmUp = 0 },
		"path":        func(c *Config) { c.Path = "/" },
		"size":        func(c *Config) { c.Size = maxSize + 1 },
	} {
		c := Config{Port: 1, Path: Echo, Connections: 1, Size: 1, WarmUp: 1, Duration: 1}
		if err := c.check(); err != nil {
			t.Fatal(err)
		}
		spoil(&c)
		if _, _, err := run(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestArgs(t *testing.T) {
	want := Config{Port: 80, Path: Room, Connections: 7, Size: 9, WarmUp: time.Second, Duration: time.Minute}
	var got Config
	flags := flag.NewFlagSet("x", flag.ContinueOnError)
	got.AddFlags(flags)
	if err := flags.Parse(want.args()); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

// events serves streams of events, of which each has what break does to it.
func events(t *testing.T, breakUp func(w http.ResponseWriter)) Config {
	var mu sync.Mutex
	var streams []http.ResponseWriter
	stop := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc(Events, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, ": hello, dear data: \n\n")
		mu.Lock()
		w.(http.Flusher).Flush()
		streams = append(streams, w)
		mu.Unlock()
		<-stop
	})
	mux.HandleFunc(Publish, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		for _, s := range streams {
			breakUp(s)
			s.(http.Flusher).Flush()
		}
		mu.Unlock()
		w.Header().Set("Content-Type", client.ContentType)
		io.WriteString(w, client.Body)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(stop) })
	port := srv.Listener.Addr().(*net.TCPAddr).Port
	return Config{Port: port, Path: Events, Connections: 7, Size: EventSize, WarmUp: 10 * time.Millisecond, Duration: 50 * time.Millisecond}
}

func TestRunEvents(t *testing.T) {
	c := events(t, func(w http.ResponseWriter) { w.Write(Event()) })
	r, said, err := run(c)
	if err != nil || r.Messages == 0 || r.Messages%int64(c.Connections) != 0 || said != Ready+"\n" {
		t.Errorf("%+v, said %q, %v", r, said, err)
	}
	c = events(t, func(w http.ResponseWriter) { w.Write(append(Event(), Event()...)) })
	if _, _, err := run(c); !errors.Is(err, errManyEvents) {
		t.Errorf("two for one: %v", err)
	}
	c.Path = Echo
	if _, _, err := run(c); err == nil {
		t.Error("no WebSocket: no error")
	}
	c = serve(t, Echo, echo)
	c.Path, c.Size = Events, EventSize
	if _, _, err := run(c); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("no stream: %v", err)
	}
}

func TestFindEvent(t *testing.T) {
	want := Event()
	stream := "4d\r\n:dd data: no\n\n\r\n48\r\ndata: data: no, d" + string(want) + "\r\n"
	for size := 1; size < len(stream); size++ {
		have, found := 0, 0
		for piece := range slices.Chunk([]byte(stream), size) {
			var whole bool
			var err error
			if have, whole, err = findEvent(have, piece, want); err != nil {
				t.Fatal(err)
			}
			if whole {
				found++
			}
		}
		if found != 1 {
			t.Fatalf("in pieces of %d bytes: found %d times", size, found)
		}
	}
}
