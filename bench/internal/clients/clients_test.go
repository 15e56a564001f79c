package clients

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/ringkit/ringkit/conn"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/ws"
)

// serve starts a server that says body, or sends messages back followed by what is added, and
// counts.
func serve(t *testing.T, body, added string) (c Config, served *atomic.Int64) {
	served = new(atomic.Int64)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == ws.Echo {
			echoAll(t, w, r, added, served)
			return
		}
		served.Add(1)
		io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	port := srv.Listener.Addr().(*net.TCPAddr).Port
	return Config{Port: port, Path: "/", InFlight: 3, Size: 300, WarmUp: 20 * time.Millisecond, Duration: 50 * time.Millisecond}, served
}

// echoAll serves one WebSocket.
func echoAll(t *testing.T, w http.ResponseWriter, r *http.Request, added string, served *atomic.Int64) {
	if offer := r.Header.Get("Sec-WebSocket-Extensions"); offer != "" {
		t.Errorf("a client offers %s", offer)
	}
	c, err := new(gorilla.Upgrader).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.Close()
	for {
		kind, data, err := c.ReadMessage()
		if err != nil {
			return
		}
		served.Add(1)
		if added == "end" || c.WriteMessage(kind, append(data, added...)) != nil {
			return
		}
	}
}

// suit has c fit the client with a name.
func (c Config) suit(name string) Config {
	if HasSockets(name) {
		c.Path = ws.Echo
	}
	return c
}

func TestRun(t *testing.T) {
	for _, name := range names {
		for _, engine := range []conn.Engine{0, conn.Epoll} {
			c, served := serve(t, client.Body, "")
			c = c.suit(name)
			cl, err := New(name, c, engine)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			warm := int64(0)
			in := io.MultiReader(readFunc(func() { warm = served.Load() }), strings.NewReader("\n"))
			var result Result
			err = Run(c, cl, in, &out, func(r Result) error { result = r; return nil })
			if err != nil || result.Err() != nil || out.String() != Ready+"\n" {
				t.Errorf("%s on %v: %v, %v, %q", name, engine, err, result.Err(), &out)
			}
			if warm < int64(c.InFlight) || result.Requests != served.Load()-warm || result.Elapsed < c.Duration {
				t.Errorf("%s on %v: %d requests in %v, the server has had %d and %d before", name, engine, result.Requests, result.Elapsed, served.Load()-warm, warm)
			}
		}
	}
}

// readFunc is called by a Read, which reads nothing.
type readFunc func()

func (f readFunc) Read([]byte) (int, error) { f(); return 0, io.EOF }

func TestRunFails(t *testing.T) {
	for _, name := range names {
		wrong := []string{"", "Hello, Wurld!", strings.Repeat("Hello, World!", 9)}
		if HasSockets(name) {
			wrong = []string{"!", "end"}
		}
		for _, body := range wrong {
			c, served := serve(t, body, body)
			c = c.suit(name)
			cl, err := New(name, c, 0)
			if err != nil {
				t.Fatal(err)
			}
			err = Run(c, cl, strings.NewReader("\n"), io.Discard, func(Result) error { return nil })
			if err == nil || !strings.Contains(err.Error(), "3 exchanges have failed") || served.Load() != 3 {
				t.Errorf("%s, body %q: %v after %d requests", name, body, err, served.Load())
			}
		}
	}
}

// A server without WebSockets is noticed before anything is sent.
func TestNewFails(t *testing.T) {
	for _, name := range socketNames {
		c, _ := serve(t, client.Body, "")
		if _, err := New(name, c, 0); err == nil || !strings.Contains(err.Error(), "WebSocket 1: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNewChecks(t *testing.T) {
	good := Config{Port: 1, Path: "/", InFlight: 1, WarmUp: 1, Duration: 1}
	if _, err := New("curl", good, 0); err == nil || !strings.Contains(err.Error(), Describe()) {
		t.Errorf("curl: %v", err)
	}
	for _, bad := range []Config{
		{Path: "/", InFlight: 1, WarmUp: 1, Duration: 1},
		{Port: 1, InFlight: 1, WarmUp: 1, Duration: 1},
		{Port: 1, Path: "/", WarmUp: 1, Duration: 1},
		{Port: 1, Path: "/", InFlight: 1, Duration: 1},
		{Port: 1, Path: "/", InFlight: 1, Size: maxSize + 1, WarmUp: 1, Duration: 1},
		{Port: 1, Path: "/", InFlight: 1, WarmUp: 1, Duration: time.Hour},
	} {
		if _, err := New(Do, bad, 0); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
}
