package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/uring"
)

// onEngines runs a test with a transport on each engine.
func onEngines(t *testing.T, f func(t *testing.T, tr *Transport)) {
	for _, e := range []conn.Engine{conn.IOUring, conn.Epoll} {
		t.Run(e.String(), func(t *testing.T) {
			if err := uring.Probe().Err; e == conn.IOUring && err != nil {
				t.Skip(err)
			}
			tr := &Transport{Engine: e, Loops: 1}
			t.Cleanup(func() { tr.Close() })
			f(t, tr)
		})
	}
}

func TestFirst(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %q %d", r.Method, r.URL, b[:min(len(b), 20)], len(b))
	}))
	defer srv.Close()
	onEngines(t, func(t *testing.T, tr *Transport) {
		c := &Client{Transport: tr}
		for range 3 {
			resp, err := c.Get(context.Background(), srv.URL+"/path?q=1")
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			if string(b) != `GET /path?q=1 "" 0` || err != nil {
				t.Fatalf("%q, %v", b, err)
			}
		}
		for _, n := range []int{1, 1000, 100_000, 5_000_000} {
			for _, plain := range []bool{true, false} {
				var body io.Reader = strings.NewReader(strings.Repeat("x", n))
				if !plain {
					body = io.MultiReader(body)
				}
				req, _ := http.NewRequest("POST", srv.URL, body)
				resp, err := c.Go(req).Wait(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(resp.Body)
				if !strings.HasSuffix(string(b), fmt.Sprint(" ", n)) || err != nil {
					t.Fatalf("%q, %v", b, err)
				}
			}
		}
		var wg sync.WaitGroup
		for range 100 {
			wg.Add(1)
			req, _ := http.NewRequest("GET", srv.URL, nil)
			c.Call(req, func(resp *http.Response, err error) {
				defer wg.Done()
				if err != nil {
					t.Error(err)
					return
				}
				io.ReadAll(resp.Body)
			})
		}
		wg.Wait()
		hc := &http.Client{Transport: tr, Timeout: 5 * time.Second}
		resp, err := hc.Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		expectQuiet(t, tr)
		if tr.Stats().Idle == 0 {
			t.Errorf("%+v", tr.Stats())
		}
	})
}
