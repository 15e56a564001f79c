package main

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/ringkit/ringkit"
)

// A client of the stream hears the time, and another one a second later.
func TestClock(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var watching ringkit.Group
	go tick(ctx, &watching)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &ringkit.Server{Handler: handler(&watching)}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+l.Addr().String()+"/time", nil)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("Content-Type %q", kind)
	}
	date := regexp.MustCompile(`^data: (\S+)$`)
	var times []time.Time
	for lines := bufio.NewScanner(resp.Body); len(times) < 2 && lines.Scan(); {
		m := date.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		at, err := time.Parse(time.RFC3339, m[1])
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, at)
	}
	if len(times) < 2 || !times[1].After(times[0]) {
		t.Errorf("the times %v", times)
	}
	if err := srv.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := <-served; err != http.ErrServerClosed {
		t.Error(err)
	}
}
