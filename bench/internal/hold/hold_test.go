package hold

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringkit/ringkit"
	"github.com/ringkit/ringkit/wsock"

	"github.com/ringkit/ringkit/bench/internal/client"
)

// holding is a holder that runs in this process.
type holding struct {
	t     *testing.T
	in    *os.File
	lines *bufio.Reader
	ended chan error
}

func startHolding(t *testing.T, c Config) *holding {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, said := io.Pipe()
	h := &holding{t, write, bufio.NewReader(out), make(chan error, 1)}
	go func() {
		err := Run(int(read.Fd()), said)
		read.Close()
		said.CloseWithError(io.EOF)
		h.ended <- err
	}()
	t.Cleanup(func() { write.Close() })
	h.send(c)
	return h
}

func (h *holding) send(what any) {
	h.t.Helper()
	if err := json.NewEncoder(h.in).Encode(what); err != nil {
		h.t.Fatal(err)
	}
}

// do has an order carried out.
func (h *holding) do(o Order) (r Report) {
	h.t.Helper()
	h.send(o)
	for {
		line, err := h.lines.ReadBytes('\n')
		if err != nil {
			h.t.Fatalf("%v, %v", err, <-h.ended)
		}
		r = Report{}
		if err := json.Unmarshal(line, &r); err != nil {
			h.t.Fatal(err)
		}
		if r.Done {
			return r
		}
	}
}

// end ends it and returns why it ended.
func (h *holding) end() error {
	h.in.Close()
	return <-h.ended
}

func config(l net.Listener, n int) Config {
	return Config{Port: l.Addr().(*net.TCPAddr).Port, Path: "/", Room: n, PerAddress: 3, Window: 4, Timeout: 10 * time.Second}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func serve(t *testing.T, h http.Handler) net.Listener {
	l := listen(t)
	srv := &ringkit.Server{Handler: h, Loops: 1}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		<-ended
	})
	return l
}

func hello(x *ringkit.Exchange) {
	x.SetHeader("Content-Type", client.ContentType)
	x.WriteString(client.Body)
}

func TestHolds(t *testing.T) {
	addresses := make(chan string, 1000)
	l := serve(t, ringkit.HandlerFunc(func(x *ringkit.Exchange) {
		host, _, _ := net.SplitHostPort(x.RemoteAddr())
		addresses <- host
		hello(x)
	}))
	h := startHolding(t, config(l, 10))
	if r := h.do(Order{Open: 4}); r.Held != 4 || r.Failed != 0 {
		t.Fatalf("%+v", r)
	}
	if r := h.do(Order{Open: 10}); r.Held != 10 || r.Failed != 0 {
		t.Fatalf("%+v", r)
	}
	seen := map[string]int{}
	for range 10 {
		seen[<-addresses]++
	}
	for host, n := range map[string]int{"127.0.0.2": 3, "127.0.0.3": 3, "127.0.0.4": 3, "127.0.0.5": 1} {
		if seen[host] != n {
			t.Errorf("%d from %s, want %d", seen[host], host, n)
		}
	}
	r := h.do(Order{Load: &Load{Rate: 200, Turn: 10, Every: 100 * time.Millisecond, Duration: 500 * time.Millisecond, Seed: 1}})
	latency, err := Decode(r.Latency)
	if err != nil || r.Answered != 50 || latency.TotalCount() != 50 || r.Unsent != 0 || r.Held != 10 {
		t.Fatalf("%+v, %v", r, err)
	}
	if r := h.do(Order{Close: true}); r.Held != 0 || r.Lost != 0 {
		t.Errorf("%+v", r)
	}
	if err := h.end(); err != nil {
		t.Error(err)
	}
}

func TestHoldsWebSockets(t *testing.T) {
	for _, deflate := range []bool{false, true} {
		var options ringkit.ChannelOptions
		options.PingInterval = 100 * time.Millisecond // which has to be answered
		l := serve(t, ringkit.HandlerFunc(func(x *ringkit.Exchange) {
			options.OpenExchange(x, ringkit.Events{Message: func(ch *ringkit.Channel, m wsock.Message) { ch.Send(m) }})
		}))
		c := config(l, 5)
		c.Socket, c.Deflate = true, deflate
		h := startHolding(t, c)
		if r := h.do(Order{Open: 5}); r.Held != 5 || r.Failed != 0 {
			t.Fatalf("deflate %v: %+v", deflate, r)
		}
		r := h.do(Order{Load: &Load{Rate: 50, Turn: 1, Every: 20 * time.Millisecond, Duration: time.Second, Seed: 1}})
		if r.Answered != 50 || r.Failed+r.Lost+r.Missing+r.Unsent != 0 {
			t.Errorf("deflate %v: %+v", deflate, r)
		}
		if err := h.end(); err != nil {
			t.Error(err)
		}
	}
}

// answers has each connection served by f, with its number.
func answers(t *testing.T, f func(i int64, c net.Conn)) net.Listener {
	l := listen(t)
	var count atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f(count.Add(1), c)
		}
	}()
	return l
}

const response200 = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\n" + client.Body

// answer reads a request and answers it.
func answer(c net.Conn, with string) {
	buf := make([]byte, 4096)
	c.Read(buf)
	io.WriteString(c, with)
}

func TestFailures(t *testing.T) {
	for what, f := range map[string]func(c net.Conn){
		"status line":          func(c net.Conn) { answer(c, strings.Replace(response200, "200", "500", 1)) },
		"ended it":             func(c net.Conn) { answer(c, ""); c.Close() },
		"nothing has happened": func(c net.Conn) { answer(c, response200[:20]) },
		"nobody asked":         func(c net.Conn) { answer(c, response200+response200) },
	} {
		l := answers(t, func(i int64, c net.Conn) {
			if i == 2 {
				f(c)
				return
			}
			answer(c, response200)
		})
		c := config(l, 3)
		c.Timeout = 300 * time.Millisecond
		h := startHolding(t, c)
		r := h.do(Order{Open: 3})
		if what == "nobody asked" { // it was idle by then
			r = h.do(Order{})
			if r.Lost+r.Failed != 1 || r.Held != 2 {
				t.Errorf("%s: %+v", what, r)
			}
		} else if r.Held != 2 || r.Failed != 1 {
			t.Errorf("%s: %+v", what, r)
		}
		for why := range r.Errors {
			if !strings.Contains(why, what) {
				t.Errorf("%s: %v", what, r.Errors)
			}
		}
		if err := h.end(); err != nil {
			t.Error(err)
		}
	}
}

func TestIdleConnectionIsLost(t *testing.T) {
	drop := make(chan bool)
	dropped := make(chan bool, 2)
	l := answers(t, func(i int64, c net.Conn) {
		answer(c, response200)
		<-drop
		c.Close()
		dropped <- true
	})
	h := startHolding(t, config(l, 2))
	if r := h.do(Order{Open: 2}); r.Held != 2 {
		t.Fatalf("%+v", r)
	}
	drop <- true
	<-dropped
	for deadline := time.Now().Add(10 * time.Second); ; {
		r := h.do(Order{})
		if r.Held == 1 && r.Lost == 1 && len(r.Errors) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", r)
		}
	}
}

// What is due while no connection is free waits, and what nobody answers is missing.
func TestOpenLoopWaits(t *testing.T) {
	l := answers(t, func(i int64, c net.Conn) {
		answer(c, response200)
		answer(c, "")
		time.Sleep(300 * time.Millisecond)
		io.WriteString(c, response200)
		for range 3 {
			answer(c, response200)
		}
		answer(c, "") // and no more
	})
	c := config(l, 1)
	c.Timeout = time.Second
	h := startHolding(t, c)
	if r := h.do(Order{Open: 1}); r.Held != 1 {
		t.Fatalf("%+v", r)
	}
	r := h.do(Order{Load: &Load{Rate: 50, Turn: 4, Every: 80 * time.Millisecond, Duration: 80 * time.Millisecond}})
	latency, err := Decode(r.Latency)
	if err != nil || r.Answered != 4 || r.Unsent != 0 || latency.Min() < 200_000 {
		t.Errorf("%+v, at least %d µs, %v", r, latency.Min(), err)
	}
	r = h.do(Order{Load: &Load{Rate: 50, Turn: 4, Every: 80 * time.Millisecond, Duration: 80 * time.Millisecond}})
	if r.Answered != 4 || r.Missing != 1 || r.Unsent != 3 || r.Held != 0 {
		t.Errorf("%+v", r)
	}
}

func TestTurns(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		load Load
		want int64
		last time.Duration
	}{
		{Load{Rate: 100, Turn: 10, Every: 100 * ms, Duration: time.Second}, 100, 990 * ms},
		{Load{Rate: 100, Turn: 10, Every: 300 * ms, Duration: time.Second}, 40, 990 * ms},
		{Load{Rate: 100, Turn: 10, Every: 300 * ms, Duration: 950 * ms}, 35, 940 * ms},
		{Load{Rate: 100, Turn: 10, Every: 300 * ms, Offset: 500 * ms, Duration: time.Second}, 20, 890 * ms},
		{Load{Rate: 100, Turn: 10, Every: 300 * ms, Offset: 995 * ms, Duration: time.Second}, 1, 995 * ms},
		{Load{Rate: 100, Turn: 10, Every: 300 * ms, Offset: 2 * time.Second, Duration: time.Second}, 0, 0},
	} {
		if err := c.load.check(); err != nil {
			t.Error(err)
		}
		n := c.load.count()
		if n != c.want || n > 0 && c.load.due(n-1) != c.last || c.load.due(n) < c.load.Duration {
			t.Errorf("%+v: %d, the last after %v, the next after %v", c.load, n, c.load.due(n-1), c.load.due(n))
		}
	}
}

func TestRefused(t *testing.T) {
	good := Config{Port: 1, Room: 1, PerAddress: 1, Window: 1, Timeout: time.Second}
	for _, change := range []func(*Config){
		func(c *Config) { c.Port = 0 }, func(c *Config) { c.Room = 0 }, func(c *Config) { c.Room = MaxRoom + 1 },
		func(c *Config) { c.PerAddress = 0 }, func(c *Config) { c.First = MaxAddresses }, func(c *Config) { c.Window = 0 },
		func(c *Config) { c.Timeout = 0 }, func(c *Config) { c.Deflate = true },
	} {
		c := good
		change(&c)
		h := startHolding(t, c)
		if err := <-h.ended; err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	for _, o := range []Order{
		{Open: 2}, {Load: &Load{}}, {Load: &Load{Rate: 10, Turn: 10, Every: time.Second / 2, Duration: time.Second}},
		{Load: &Load{Rate: 10, Turn: 10, Every: time.Second, Duration: 2 * MaxDuration}},
	} {
		h := startHolding(t, good)
		h.send(o)
		if err := <-h.ended; err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

func TestSource(t *testing.T) {
	for i, want := range map[int][4]byte{0: {127, 0, 0, 2}, 253: {127, 0, 0, 255}, 254: {127, 0, 1, 0}, MaxAddresses - 1: {127, 0, 255, 255}} {
		if got := source(i); got != want {
			t.Errorf("%d: %v, want %v", i, got, want)
		}
	}
}
