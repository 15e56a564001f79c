package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Both servers answer every request alike.
func TestMovedOver(t *testing.T) {
	log.SetOutput(io.Discard)
	defer log.SetOutput(os.Stderr)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("some text in a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	requests := []struct{ method, path, body, rng string }{
		{"GET", "/hello/ring", "", ""},
		{"GET", "/files/a.txt", "", ""},
		{"GET", "/files/a.txt", "", "bytes=5-8"},
		{"HEAD", "/files/a.txt", "", ""},
		{"GET", "/files/none", "", ""},
		{"GET", "/ticks", "", ""},
		{"POST", "/count", strings.Repeat("x", 100_000), ""},
		{"POST", "/count", strings.Repeat("x", 1<<20+1), ""},
		{"DELETE", "/count", "", ""},
		{"GET", "/nowhere", "", ""},
	}
	answers := map[string][]string{}
	for _, kind := range []string{"nethttp", "ringkit"} {
		srv, err := newServer(kind, logged(routes(dir)))
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		for _, r := range requests {
			answers[kind] = append(answers[kind], ask(t, "http://"+l.Addr().String(), r.method, r.path, r.body, r.rng))
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		cancel()
		if err := <-served; err != http.ErrServerClosed {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for i, r := range requests {
		if want, got := answers["nethttp"][i], answers["ringkit"][i]; want != got {
			t.Errorf("%s %s:\n%s\nbut with net/http\n%s", r.method, r.path, got, want)
		}
	}
}

// ask returns an answer as text: its status, the fields that matter, and its body.
func ask(t *testing.T, url, method, path, body, rng string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if rng != "" {
		req.Header.Set("Range", rng)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	h := resp.Header
	return fmt.Sprintf("%d\n%s\n%s\n%s\n%s\n%s", resp.StatusCode, h.Get("Content-Type"), h.Get("Content-Range"), h.Get("Last-Modified"), h.Get("Allow"), got)
}
