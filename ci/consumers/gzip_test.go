package consumers

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzhttp"
)

func gzipped(t *testing.T, h http.Handler) http.Handler {
	t.Helper()
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(100), gzhttp.RandomJitter(0, 0, false))
	if err != nil {
		t.Fatal(err)
	}
	return wrap(h)
}

func TestGzip(t *testing.T) {
	long := strings.Repeat("all work and no play ", 20_000)
	mux := http.NewServeMux()
	mux.HandleFunc("/long", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, long) })
	mux.HandleFunc("/short", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "short") })
	mux.HandleFunc("/empty", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/steps", steps)
	eachServer(t, func(t *testing.T, s server) {
		url := s.serve(t, gzipped(t, mux)).url
		c := newClient(t)
		c.get(url+"/long").want(t, 200, long)
		c.get(url+"/short", "Accept-Encoding", "gzip").want(t, 200, "short")
		c.get(url+"/empty", "Accept-Encoding", "gzip").want(t, 204, "")
		a := c.get(url+"/long", "Accept-Encoding", "gzip")
		a.wantField(t, "Content-Encoding", "gzip")
		a.wantField(t, "Vary", "Accept-Encoding")
		if body := gunzip(t, a.body); body != long {
			t.Errorf("%d bytes; want %d", len(body), len(long))
		}
		a.wantField(t, "Content-Type", "text/plain; charset=utf-8")
		steps := c.get(url+"/steps", "Accept-Encoding", "gzip")
		if steps.Header.Get("Content-Encoding") == "gzip" {
			steps.body = gunzip(t, steps.body)
		}
		steps.want(t, 200, "step 0\nstep 1\nstep 2\n")
	})
}

// Compressed events arrive one by one, too.
func TestGzipFlush(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		next := make(chan string)
		srv := s.serve(t, gzipped(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			for line := range next {
				fmt.Fprintln(w, line)
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Errorf("Flush: %v", err)
				}
			}
		})))
		go func() { next <- pattern(500) }()
		resp := newClient(t).open(context.Background(), "GET", srv.url, nil, "Accept-Encoding", "gzip")
		z, err := gzip.NewReader(resp.Body)
		if err != nil {
			close(next)
			t.Fatal(err)
		}
		br := bufio.NewReader(z)
		wantLine(t, br, pattern(500))
		for i := range 10 {
			next <- fmt.Sprint("line ", i)
			wantLine(t, br, fmt.Sprint("line ", i))
		}
		close(next)
		if _, err := br.ReadByte(); err != io.EOF {
			t.Errorf("%v behind the last line", err)
		}
	})
}

func TestGzipWebSocket(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		c := dial(t, dialer, s.serve(t, gzipped(t, gorillaEcho(make(chan int, 1)))).ws)
		say(t, c, 1, "through the middleware")
		hear(t, c, 1, "through the middleware")
	})
}
