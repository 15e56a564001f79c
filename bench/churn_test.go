package main

import (
	"context"
	"errors"
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

func TestGrowth(t *testing.T) {
	points := []rssPoint{{0, 1}, {19, 2}, {20, 10}, {25, 30}, {29, 12}, {30, 500}, {89, 600}, {90, 40}, {95, 44}, {100, 42}}
	if early, late, ok := growth(points, 100); early != 12 || late != 42 || !ok {
		t.Errorf("got %d, %d, %v", early, late, ok)
	}
	for name, points := range map[string][]rssPoint{
		"nothing":  nil,
		"no early": {{5, 1}, {95, 1}},
		"no late":  {{25, 1}, {80, 1}},
	} {
		if _, _, ok := growth(points, 100); ok {
			t.Errorf("%s: ok", name)
		}
	}
}

func TestTake(t *testing.T) {
	l := newChurnLoad(1, "/", 10)
	for i, want := range []int64{7, 3, 0, 0} {
		if got := l.take(7); got != want {
			t.Errorf("%d: got %d, want %d", i, got, want)
		}
	}
}

// startHandler serves h and returns a load of requests for it.
func startHandler(t *testing.T, requests int64, h http.HandlerFunc) *churnLoad {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return newChurnLoad(server.Listener.Addr().(*net.TCPAddr).Port, "/", requests)
}

func answer(w http.ResponseWriter) {
	w.Header().Set("Content-Type", client.ContentType)
	io.WriteString(w, client.Body)
}

func TestChurnLoad(t *testing.T) {
	const requests = 20_000
	l := startHandler(t, requests, func(w http.ResponseWriter, r *http.Request) { answer(w) })
	l.run(t.Context(), 8, 1)
	if l.done() != requests || l.failed.Load() != 0 {
		t.Errorf("%d requests done, %d failures: %v", l.done(), l.failed.Load(), errors.Join(l.examples()...))
	}
	if l.connections.Load() < requests/maxPerConnection {
		t.Errorf("only %d connections", l.connections.Load())
	}
	if l.abandoned.Load() == 0 || l.checked.Load() < requests/2 {
		t.Errorf("%d abandoned, %d checked", l.abandoned.Load(), l.checked.Load())
	}
}

func TestChurnLoadNoticesWrongResponses(t *testing.T) {
	var n atomic.Int64
	l := startHandler(t, 5000, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%100 == 0 {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		answer(w)
	})
	l.run(t.Context(), 4, 1)
	if l.failed.Load() == 0 || len(l.examples()) == 0 || len(l.examples()) > keptFailures {
		t.Errorf("%d failures, %d kept", l.failed.Load(), len(l.examples()))
	}
}

func TestChurnLoadGivesUp(t *testing.T) {
	l := newChurnLoad(1, "/", 1_000_000) // nobody listens there
	l.run(t.Context(), 4, 1)
	if n := l.failed.Load(); n < maxFailures || n > maxFailures+4 {
		t.Errorf("%d failures", n)
	}
}

func TestChurnLoadEndsWithContext(t *testing.T) {
	never := make(chan struct{})
	l := startHandler(t, 1000, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-never:
		case <-r.Context().Done():
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	l.run(ctx, 4, 1)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if l.failed.Load() != 0 {
		t.Errorf("an interruption counts as failure: %v", errors.Join(l.examples()...))
	}
}

func TestJudge(t *testing.T) {
	const total = 100
	points := func(late int64) []rssPoint { return []rssPoint{{25, 10 << 20}, {100, late << 20}} }
	load := func(checked int64) *churnLoad {
		l := newChurnLoad(1, "/", 0)
		l.checked.Store(checked)
		return l
	}
	o := churnOptions{requests: total, maxGrowth: 8}
	for _, test := range []struct {
		name   string
		points []rssPoint
		load   *churnLoad
		fds    int
		want   string
	}{
		{"good", points(17), load(total), 9, ""},
		{"grown", points(19), load(total), 9, "RSS grew by 9.0 MiB"},
		{"descriptors", points(10), load(total), 11, "2 descriptors are still open"},
		{"unfinished", points(10), load(50), 9, "only 50 of 100"},
		{"too short", nil, load(total), 9, "too short"},
	} {
		err := o.judge(test.points, test.load, test.fds, 9, io.Discard)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}
