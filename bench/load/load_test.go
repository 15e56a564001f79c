package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringkit/ringkit"
	"github.com/ringkit/ringkit/client"
)

// load runs the program and returns its result.
func load(t *testing.T, ctx context.Context, args ...string) (r result, code int, said string) {
	t.Helper()
	var out, errors bytes.Buffer
	code = run(ctx, append([]string{"-json", "-"}, args...), strings.NewReader(""), &out, &errors)
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatalf("%v in %s", err, &out)
		}
	}
	return r, code, errors.String()
}

func serve(t *testing.T, h http.HandlerFunc) (url string) {
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestClosedLoop(t *testing.T) {
	var served, conns atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		body, _ := io.ReadAll(r.Body)
		if r.Method != "POST" || r.Host != "example.com" || r.Header.Get("X-Test") != "1" || string(body) != "some body" {
			w.WriteHeader(http.StatusBadRequest)
		}
		io.WriteString(w, "answer")
	}))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	r, code, said := load(t, t.Context(), "-c", "3", "-d", "200ms", "-H", "Host: example.com", "-H", "x-test: 1", "-body", "some body", srv.URL)
	if code != 0 || said != "" {
		t.Fatalf("%d, %s", code, said)
	}
	answered := r.Statuses[200]
	if answered != served.Load()-3 || len(r.Statuses) != 1 || conns.Load() != 3 { // 3 have connected
		t.Errorf("%v of %d on %d connections", r.Statuses, served.Load(), conns.Load())
	}
	if r.Requests == 0 || r.Requests > answered || answered-r.Requests > 3 || r.Bytes != 6*r.Requests || r.Seconds != 0.2 || r.Rate != float64(r.Requests)/0.2 {
		t.Errorf("%+v", r)
	}
	l := r.Latency
	if l.Min < 1 || l.P50 < l.Min || l.P99 < l.P50 || l.Max < l.P99 || l.Mean < float64(l.Min) || r.Service != nil {
		t.Errorf("%+v", l)
	}
}

// A server that stalls delays all requests that are due meanwhile, also those that could
// not be sent.
func TestOpenLoopCountsFromWhenDue(t *testing.T) {
	var n atomic.Int64
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 10 {
			time.Sleep(400 * time.Millisecond)
		}
	})
	r, code, said := load(t, t.Context(), "-c", "1", "-d", "1s", "-rate", "100", url)
	if code != 0 || r.Statuses[200] != 100 || r.Target != 100 {
		t.Fatalf("%d, %v, %s", code, r.Statuses, said)
	}
	// Of 100 requests, 40 were due during the stall, half of them in its first half.
	if r.Latency.Max < 390_000 || r.Latency.P90 < 200_000 {
		t.Errorf("since they were due: %+v", r.Latency)
	}
	if r.Service.Max < 390_000 || r.Service.P90 > 200_000 {
		t.Errorf("since they were sent: %+v", *r.Service)
	}
}

func TestOpenLoopTooFast(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { time.Sleep(50 * time.Millisecond) })
	r, code, said := load(t, t.Context(), "-c", "2", "-d", "300ms", "-rate", "1000", url)
	if code != 1 || r.Unsent == 0 || r.Unsent+r.Statuses[200] != 300 || !strings.Contains(said, "not sent in time") {
		t.Errorf("%d, %+v, %s", code, r, said)
	}
}

func TestPipeline(t *testing.T) {
	var conns sync.Map
	srv := &ringkit.Server{Handler: ringkit.HandlerFunc(func(x *ringkit.Exchange) {
		conns.Store(x.RemoteAddr(), true)
		x.WriteString("answer")
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	defer func() { srv.Close(); <-served }()
	url := "http://" + l.Addr().String()
	r, code, said := load(t, t.Context(), "-c", "2", "-p", "8", "-d", "200ms", "-engine", "epoll", url)
	if code != 0 || r.Requests == 0 || r.Pipeline != 8 {
		t.Errorf("%d, %+v, %s", code, r, said)
	}
	n := 0
	for range conns.Range {
		n++
	}
	if n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestStatusesAndErrors(t *testing.T) {
	var n atomic.Int64
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch n.Add(1) % 3 {
		case 0:
			panic(http.ErrAbortHandler)
		case 1:
			http.Error(w, "no", http.StatusTeapot)
		case 2:
			http.Redirect(w, r, "/", http.StatusFound)
		}
	})
	r, code, said := load(t, t.Context(), "-c", "2", "-method", "POST", "-d", "200ms", url)
	if code != 1 || r.Failed == 0 || r.Statuses[418] == 0 || r.Statuses[302] == 0 || len(r.Errors) == 0 || !strings.Contains(said, "failures") {
		t.Errorf("%d, %+v, %s", code, r, said)
	}
	// Nobody answers.
	closed := httptest.NewServer(nil)
	closed.Close()
	if _, code, said := load(t, t.Context(), "-d", "10s", closed.URL); code != 1 || !strings.Contains(said, "connection refused") {
		t.Errorf("%d, %s", code, said)
	}
}

func TestTimeout(t *testing.T) {
	over := make(chan struct{})
	var n atomic.Int64
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) > 1 {
			<-over
		}
	})
	defer close(over)
	r, code, _ := load(t, t.Context(), "-c", "1", "-d", "100ms", "-timeout", "150ms", url)
	if code != 1 || r.Failed != 1 || r.Unanswered != 0 {
		t.Errorf("%d, %+v", code, r)
	}
}

// What was measured until an interrupt is reported.
func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var n atomic.Int64
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 20 {
			cancel()
		}
	})
	for _, rate := range []string{"0", "500"} {
		n.Store(0)
		if r, _, said := load(t, ctx, "-c", "1", "-d", "1h", "-rate", rate, url); r.Requests < 10 || r.Seconds > 60 {
			t.Errorf("%+v, %s", r, said)
		}
		ctx, cancel = context.WithCancel(t.Context())
	}
	cancel()
}

func TestReport(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	file := filepath.Join(t.TempDir(), "result.json")
	var out, said bytes.Buffer
	if code := run(t.Context(), []string{"-c", "1", "-d", "50ms", "-rate", "200", "-json", file, url}, strings.NewReader(""), &out, &said); code != 0 {
		t.Fatalf("%d, %s", code, &said)
	}
	for _, want := range []string{url + ": 1 connections, 0.1 s\n", "/s of 200/s", "status 200: 10\n", "99.9 %"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, &out)
		}
	}
	data, err := os.ReadFile(file)
	var r result
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil || r.Statuses[200] != 10 {
		t.Errorf("%v in %s", err, data)
	}
}

func TestLine(t *testing.T) {
	c := newCounts("requests")
	start := time.Unix(0, 0)
	c.begin(start, time.Minute)
	for i := range 100 {
		sent := start.Add(time.Second)
		c.add(outcome{sent: sent, ended: sent.Add(time.Duration(i+1) * time.Millisecond), status: 200}, time.Duration(i+1)*time.Millisecond)
	}
	c.waiting.Store(7)
	if got, n := c.line(start.Add(3*time.Second), 40); got != "3 s  60 requests/s  p50 50.01 ms  p99 99.01 ms  waiting 7" || n != 100 {
		t.Errorf("%q, %d", got, n)
	}
	c.add(outcome{err: &client.Error{Op: "dial", Err: io.EOF}}, 0)
	if got, _ := c.line(start, 100); !strings.HasSuffix(got, "failed 1") || c.errors["dial: EOF"] != 1 {
		t.Errorf("%q, %v", got, c.errors)
	}
}

// A body that is made up has the size it should have, and is posted.
func TestSize(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err != nil || len(body) != 70_000 || r.Method != "POST" {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	if r, code, said := load(t, t.Context(), "-c", "2", "-d", "100ms", "-size", "70000", url); code != 0 || len(r.Statuses) != 1 || r.Statuses[200] == 0 {
		t.Errorf("%d, %+v, %s", code, r, said)
	}
}

// A program is told when the load is ready; what was sent before does not count, and the
// connections last until it ends.
func TestWait(t *testing.T) {
	var served, open atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { served.Add(1) }))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	srv.Start()
	defer srv.Close()
	in, toIn := io.Pipe()
	fromOut, out := io.Pipe()
	var said bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- run(t.Context(), []string{"-c", "3", "-warm-up", "100ms", "-d", "100ms", "-wait", srv.URL}, in, out, &said)
		out.Close()
	}()
	lines := bufio.NewReader(fromOut)
	if line, err := lines.ReadString('\n'); line != Ready+"\n" || err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	warm := served.Load()
	if warm < 6 || open.Load() != 3 {
		t.Errorf("%d requests on %d connections before", warm, open.Load())
	}
	io.WriteString(toIn, "\n")
	line, err := lines.ReadString('\n')
	var r result
	if err == nil {
		err = json.Unmarshal([]byte(line), &r)
	}
	if n := served.Load() - warm; err != nil || r.Statuses[200] != n || r.Answered != n || n == 0 || r.Seconds != 0.1 {
		t.Errorf("%d served, %+v, %v", n, r, err)
	}
	if open.Load() != 3 {
		t.Errorf("%d connections while it is waited for", open.Load())
	}
	toIn.Close()
	if got := <-code; got != 0 || said.Len() > 0 {
		t.Errorf("%d, %s", got, &said)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"http://127.0.0.1/", "http://127.0.0.1/"},
		{"127.0.0.1"},
		{"-c", "0", "http://127.0.0.1/"},
		{"-p", "0", "http://127.0.0.1/"},
		{"-c", "50000", "-p", "1000", "http://127.0.0.1/"},
		{"-p", "2", "-method", "POST", "http://127.0.0.1/"},
		{"-p", "2", "-method", "PUT", "-body", "x", "http://127.0.0.1/"},
		{"-d", "0s", "http://127.0.0.1/"},
		{"-rate", "-1", "http://127.0.0.1/"},
		{"-timeout", "2h", "http://127.0.0.1/"},
		{"-H", "x", "http://127.0.0.1/"},
		{"-engine", "kqueue", "http://127.0.0.1/"},
		{"-body", "@/nonexistent", "http://127.0.0.1/"},
		{"-size", "-1", "http://127.0.0.1/"},
		{"-size", "1", "-body", "x", "http://127.0.0.1/"},
		{"-p", "2", "-size", "1", "http://127.0.0.1/"},
		{"-warm-up", "-1s", "http://127.0.0.1/"},
		{"-receive", "-warm-up", "1s", "ws://127.0.0.1/"},
		{"-wait", "http://127.0.0.1/"}, // which load gives -json
		{"-binary", "http://127.0.0.1/"},
		{"-compress", "http://127.0.0.1/"},
		{"-receive", "-rate", "1", "http://127.0.0.1/"},
		{"-receive", "-size", "1", "ws://127.0.0.1/"},
		{"-method", "GET", "ws://127.0.0.1/"},
		{"-room", "http://127.0.0.1/"},
		{"-room", "-rate", "1", "ws://127.0.0.1/"},
		{"-body", "\xff", "ws://127.0.0.1/"},
		{"ftp://127.0.0.1/"},
	} {
		if _, code, said := load(t, t.Context(), args...); code != 2 || !strings.HasPrefix(said, "load: ") {
			t.Errorf("%q: %d, %s", args, code, said)
		}
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"-h"}, strings.NewReader(""), &out, io.Discard); code != 0 || !strings.Contains(out.String(), "-rate") {
		t.Errorf("-h: %d, %s", code, &out)
	}
}
