package load

import (
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringkit/ringkit/bench/internal/client"
)

func TestSteps(t *testing.T) {
	for _, d := range []time.Duration{0, 1, 31, 32, 63, 64, 65, 127, 128, 1000, 12345, time.Millisecond, time.Hour, 1<<63 - 1} {
		i := step(d)
		if upper(i) < d || float64(upper(i)) > float64(d)*(1+1.0/steps) {
			t.Errorf("%d is in the step up to %d", d, upper(i))
		}
		if i > 0 && upper(i-1) >= d {
			t.Errorf("%d belongs into a lower step: that ends at %d", d, upper(i-1))
		}
	}
}

func TestQuantiles(t *testing.T) {
	var h histogram
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Microsecond)
	}
	got := h.latencies()
	near := func(got, want time.Duration) bool { return got >= want && got <= want+want/steps }
	if got.Requests != 1000 || got.Max != time.Millisecond ||
		!near(got.P50, 500*time.Microsecond) || !near(got.P99, 990*time.Microsecond) {
		t.Errorf("got %+v", got)
	}
	if got := new(histogram).latencies(); got != (Latencies{}) {
		t.Errorf("of none: %+v", got)
	}
	var one histogram
	one.add(-1)
	one.add(time.Second)
	if got := one.quantile(1); got != time.Second {
		t.Errorf("got %v, more than the greatest", got)
	}
}

// serve runs h and returns a short load for it.
func serve(t *testing.T, h http.HandlerFunc) Config {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return Config{
		Port:        server.Listener.Addr().(*net.TCPAddr).Port,
		Connections: 4,
		Duration:    300 * time.Millisecond,
		Path:        "/",
		Seed:        1,
	}
}

func answer(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", client.ContentType)
	io.WriteString(w, body)
}

const pause = 5 * time.Millisecond

// slowly answers late on /slow, and every tenth time on /same.
func slowly() http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" || r.URL.Path == "/same" && n.Add(1)%10 == 0 {
			time.Sleep(pause)
			answer(w, client.SlowBody)
			return
		}
		answer(w, client.Body)
	}
}

func TestRun(t *testing.T) {
	for name, set := range map[string]func(*Config){
		"route of its own": func(c *Config) { c.Slow, c.Share = "/slow", 0.1 },
		"same route":       func(c *Config) { c.Path = "/same" },
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, slowly())
			set(&c)
			r, err := Run(c)
			if err != nil {
				t.Fatal(err)
			}
			if r.Fast.Requests == 0 || r.Slow.Requests == 0 || r.Fast.Requests < 2*r.Slow.Requests {
				t.Errorf("%d fast and %d slow requests", r.Fast.Requests, r.Slow.Requests)
			}
			if r.Slow.P50 < pause || r.Fast.P50 > r.Fast.P99 || r.Fast.P99 > r.Fast.Max {
				t.Errorf("fast %+v, slow %+v", r.Fast, r.Slow)
			}
			if r.Answered > r.Requests() || r.Requests() > r.Answered+int64(c.Connections) || r.Unanswered != 0 {
				t.Errorf("%d answered in time, %d in all, %d never", r.Answered, r.Requests(), r.Unanswered)
			}
			if r.Elapsed < c.Duration || r.Rate() <= 0 {
				t.Errorf("%v, %v requests per second", r.Elapsed, r.Rate())
			}
		})
	}
}

func TestRunCountsTheUnanswered(t *testing.T) {
	stop := make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-stop
		}
		answer(w, client.Body)
	})
	t.Cleanup(func() { close(stop) }) // before the server is closed, which waits for handlers
	c.Slow, c.Share = "/slow", 1
	r, err := Run(c)
	if err != nil || r.Requests() != 0 || r.Unanswered != int64(c.Connections) {
		t.Fatalf("got %+v, %v", r, err)
	}
	if r.Slow.Max < c.Duration+drainTime || r.Fast.Max != 0 {
		t.Errorf("fast %+v, slow %+v", r.Fast, r.Slow)
	}
}

func TestRunNoticesWrongAnswers(t *testing.T) {
	for want, h := range map[string]http.HandlerFunc{
		"status 404":            func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) },
		"closed the connection": func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
		"says it was":           func(w http.ResponseWriter, r *http.Request) { answer(w, client.Body) },
		"body \"Wrong":          func(w http.ResponseWriter, r *http.Request) { answer(w, "Wrong, World!") },
	} {
		c := serve(t, h)
		c.Slow, c.Share = "/slow", 1
		if _, err := Run(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func TestRunRejects(t *testing.T) {
	for name, spoil := range map[string]func(*Config){
		"port":        func(c *Config) { c.Port = 0 },
		"connections": func(c *Config) { c.Connections = maxConnections + 1 },
		"duration":    func(c *Config) { c.Duration = maxDuration + 1 },
		"path":        func(c *Config) { c.Path = "x" },
		"slow path":   func(c *Config) { c.Slow = "x" },
		"share":       func(c *Config) { c.Share = 0.1 },
	} {
		c := Config{Port: 1, Connections: 1, Duration: time.Second, Path: "/"}
		spoil(&c)
		if _, err := Run(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestArgs(t *testing.T) {
	want := Config{Port: 80, Connections: 7, Duration: time.Minute, Path: "/a", Slow: "/b", Share: 0.001, Seed: 9}
	var got Config
	flags := flag.NewFlagSet("x", flag.ContinueOnError)
	got.AddFlags(flags)
	if err := flags.Parse(want.args()); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}
