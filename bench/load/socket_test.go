package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// serveSockets has each WebSocket used by use, and returns their URL.
func serveSockets(t *testing.T, compress bool, use func(*websocket.Conn)) (url string) {
	upgrader := websocket.Upgrader{EnableCompression: compress}
	return "ws" + strings.TrimPrefix(serve(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		use(c)
	}), "http")
}

func TestSockets(t *testing.T) {
	for _, test := range []struct {
		args []string
		kind int
		size int
	}{
		{nil, websocket.TextMessage, 64},
		{[]string{"-binary", "-size", "70000", "-engine", "epoll"}, websocket.BinaryMessage, 70_000},
		{[]string{"-compress", "-size", "2000", "-p", "5"}, websocket.TextMessage, 2000},
		{[]string{"-body", "äöü", "-rate", "100"}, websocket.TextMessage, 6},
	} {
		var echoed, conns atomic.Int64
		url := serveSockets(t, true, func(c *websocket.Conn) {
			conns.Add(1)
			for {
				kind, data, err := c.ReadMessage()
				if err != nil {
					return
				}
				if kind != test.kind || len(data) != test.size {
					t.Errorf("%v: %d bytes of kind %d", test.args, len(data), kind)
				}
				echoed.Add(1)
				if c.WriteMessage(kind, data) != nil {
					return
				}
			}
		})
		r, code, said := load(t, t.Context(), append(test.args, "-c", "3", "-d", "200ms", url)...)
		if code != 0 || said != "" || r.Unit != "messages" || conns.Load() != 3 {
			t.Errorf("%v on %d connections: %d, %+v, %s", test.args, conns.Load(), code, r, said)
		}
		// 3 have connected, and those in flight at the end do not count.
		if most := echoed.Load() - 3; r.Requests < 1 || r.Requests > most || r.Requests < most-15 || r.Bytes != r.Requests*int64(test.size) || r.Statuses != nil {
			t.Errorf("%v: %d messages of %d, %+v", test.args, r.Requests, most, r)
		}
		if r.Latency.P50 < 1 || r.Latency.Max < r.Latency.P50 {
			t.Errorf("%v: %+v", test.args, r.Latency)
		}
	}
}

func TestSocketsFail(t *testing.T) {
	if testing.Short() {
		t.Skip("takes five seconds")
	}
	echoBut := func(use func(c *websocket.Conn, n int64, kind int, data []byte) error) func(*websocket.Conn) {
		var n atomic.Int64
		return func(c *websocket.Conn) {
			for {
				kind, data, err := c.ReadMessage()
				if err != nil || use(c, n.Add(1), kind, data) != nil {
					return
				}
			}
		}
	}
	for want, use := range map[string]func(c *websocket.Conn, n int64, kind int, data []byte) error{
		"the server has closed the WebSocket with code 1001": func(c *websocket.Conn, n int64, kind int, data []byte) error {
			if n%10 == 0 {
				return c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, "bye"))
			}
			return c.WriteMessage(kind, data)
		},
		"the WebSocket has ended": func(c *websocket.Conn, n int64, kind int, data []byte) error {
			if n%10 == 0 {
				return c.NetConn().Close()
			}
			return c.WriteMessage(kind, data)
		},
		errOther.Error(): func(c *websocket.Conn, n int64, kind int, data []byte) error {
			if n%10 == 0 {
				data[0]++
			}
			return c.WriteMessage(kind, data)
		},
		errUnasked.Error(): func(c *websocket.Conn, n int64, kind int, data []byte) error {
			if n == 10 {
				c.WriteMessage(kind, data)
			}
			return c.WriteMessage(kind, data)
		},
		errTooLate.Error(): func(c *websocket.Conn, n int64, kind int, data []byte) error {
			if n == 10 {
				return nil
			}
			return c.WriteMessage(kind, data)
		},
	} {
		url := serveSockets(t, false, echoBut(use))
		timeout := "10s"
		if want == errTooLate.Error() {
			timeout = "300ms"
		}
		r, code, said := load(t, t.Context(), "-c", "1", "-rate", "50", "-d", "1s", "-timeout", timeout, url)
		var got []string
		for kind := range r.Errors {
			got = append(got, kind)
		}
		if code != 1 || len(got) != 1 || !strings.HasPrefix(got[0], want) || r.Failed < 1 || !strings.Contains(said, "failures") {
			t.Errorf("%s: %d, %q, %d failures, %s", want, code, got, r.Failed, said)
		}
		if r.Requests < 11 { // it has gone on
			t.Errorf("%s: %d messages", want, r.Requests)
		}
	}
}

func TestSocketsRefused(t *testing.T) {
	refused := "ws" + strings.TrimPrefix(serve(t, http.NotFound), "http")
	deaf := serveSockets(t, false, func(c *websocket.Conn) { c.ReadMessage() })
	for _, test := range []struct {
		want string
		args []string
	}{
		{"404", []string{refused}},
		{"404", []string{"-receive", refused}},
		{errNoAccord.Error(), []string{"-compress", deaf}},
	} {
		if _, code, said := load(t, t.Context(), append([]string{"-c", "2", "-d", "10s"}, test.args...)...); code != 1 || !strings.Contains(said, test.want) {
			t.Errorf("%s: %d, %s", test.want, code, said)
		}
	}
}

// serveRoom has what comes on one WebSocket sent to all, and returns their URL.
func serveRoom(t *testing.T, greeting string, change func(data []byte, n int) []byte) (url string) {
	var mu sync.Mutex
	var members []*websocket.Conn
	n := 0
	send := func(data []byte, to ...*websocket.Conn) {
		for _, c := range to {
			c.WriteMessage(websocket.TextMessage, data)
		}
	}
	return serveSockets(t, false, func(c *websocket.Conn) {
		mu.Lock()
		members = append(members, c)
		if greeting != "" {
			send([]byte(greeting), c)
		}
		mu.Unlock()
		for {
			_, data, err := c.ReadMessage()
			if err != nil {
				return
			}
			mu.Lock()
			if n++; change != nil {
				data = change(data, n)
			}
			if data != nil {
				send(data, members...)
			}
			mu.Unlock()
		}
	})
}

func TestRoom(t *testing.T) {
	url := serveRoom(t, "hello", nil)
	r, code, said := load(t, t.Context(), "-room", "-c", "5", "-size", "300", "-warm-up", "20ms", "-d", "100ms", url)
	if code != 0 || said != "" || r.Answered == 0 || r.Answered%5 != 0 || r.Answered-r.Requests > 5 || r.Bytes != 300*r.Requests || r.Latency.Min < 1 {
		t.Errorf("%d, %+v, %s", code, r, said)
	}
}

func TestRoomFails(t *testing.T) {
	for want, url := range map[string]string{
		errNoGreeting.Error(): serveRoom(t, "", nil),
		"1 failures": serveRoom(t, "hello", func(data []byte, n int) []byte {
			if n == 5 {
				data[0]++
			}
			return data
		}),
		"were not answered": serveRoom(t, "hello", func(data []byte, n int) []byte {
			if n == 5 {
				return nil
			}
			return data
		}),
		"404": "ws" + strings.TrimPrefix(serve(t, http.NotFound), "http"),
	} {
		_, code, said := load(t, t.Context(), "-room", "-c", "1", "-d", "100ms", "-timeout", "300ms", url)
		if code != 1 || !strings.Contains(said, want) {
			t.Errorf("%s: %d, %s", want, code, said)
		}
	}
}

// sendTimes sends the time of now and then, until that fails.
func sendTimes(send func(text string) error) {
	for n := 0; ; n++ {
		text := fmt.Sprintf("%d and more", time.Now().Add(-50*time.Millisecond).UnixMicro())
		if send(text) != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func TestReceive(t *testing.T) {
	events := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if accept := r.Header.Get("Accept"); accept != "text/event-stream" {
			t.Errorf("Accept: %s", accept)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		sendTimes(func(text string) error {
			fmt.Fprintf(w, "data: %s\n\n", text)
			if err := http.NewResponseController(w).Flush(); err != nil {
				return err
			}
			return r.Context().Err()
		})
	})
	messages := serveSockets(t, false, func(c *websocket.Conn) {
		sendTimes(func(text string) error { return c.WriteMessage(websocket.TextMessage, []byte(text)) })
	})
	for url, unit := range map[string]string{events: "events", messages: "messages"} {
		r, code, said := load(t, t.Context(), "-receive", "-c", "3", "-d", "300ms", url)
		if code != 0 || said != "" || r.Unit != unit || !r.Receive || r.Requests < 10 || r.Bytes < 25*r.Requests {
			t.Errorf("%s: %d, %+v, %s", unit, code, r, said)
		}
		if r.Latency.Min < 49_000 || r.Latency.P50 > 1_000_000 {
			t.Errorf("%s: %+v", unit, r.Latency)
		}
	}
}

// A stream that ends is opened again, and counts as a failure.
func TestReceiveAgain(t *testing.T) {
	events := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: hello\n\n")
	})
	messages := serveSockets(t, false, func(c *websocket.Conn) { c.WriteMessage(websocket.TextMessage, []byte("hello")) })
	plain := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })
	for url, want := range map[string]string{events: errStreamEnded.Error(), messages: "the WebSocket has ended", plain: "text/plain"} {
		r, code, _ := load(t, t.Context(), "-receive", "-c", "1", "-d", "300ms", url)
		if code != 1 || r.Failed < 2 || len(r.Errors) != 1 {
			t.Errorf("%s: %d, %+v", want, code, r)
		}
		for kind := range r.Errors {
			if !strings.Contains(kind, want) {
				t.Errorf("%q, want %q in it", kind, want)
			}
		}
		if received := r.Requests; url == plain && received != 0 || url != plain && (received < 2 || r.Bytes != 5*received || r.Latency != latencies{}) {
			t.Errorf("%s: %+v", want, r)
		}
		if text := r.text(); !strings.Contains(text, "no latencies") {
			t.Errorf("%s", text)
		}
	}
}

func TestStamp(t *testing.T) {
	now := time.Now()
	for text, want := range map[string]time.Time{
		fmt.Sprint(now.UnixMilli()):      now.Truncate(time.Millisecond),
		fmt.Sprint(now.UnixMicro(), ","): now.Truncate(time.Microsecond),
		fmt.Sprint(now.UnixNano(), "x"):  now,
	} {
		if got, ok := stamp(text); !ok || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "x", fmt.Sprint(now.Unix()), "9999999999999999999", "17000000000000000000", "x1700000000000"} {
		if got, ok := stamp(text); ok {
			t.Errorf("%q: %v", text, got)
		}
	}
}
