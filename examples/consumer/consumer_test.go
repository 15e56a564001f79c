package main

import (
	"context"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/ringkit/ringkit"
	"github.com/ringkit/ringkit/client"
)

func TestConsumer(t *testing.T) {
	for _, engine := range []ringkit.Engine{ringkit.Auto, ringkit.Epoll} {
		t.Run(engine.String(), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			srv := newServer("127.0.0.1:0")
			srv.Engine = engine
			served := make(chan error, 1)
			go func() { served <- srv.ListenAndServe() }()
			select {
			case <-srv.Ready():
			case err := <-served:
				t.Fatal(err)
			}
			addr := srv.Addrs()[0].String()
			heard, err := use(ctx, addr)
			if want := []string{"watching", "1", "2", "3"}; err != nil || !slices.Equal(heard, want) {
				t.Errorf("heard %q, %v; want %q", heard, err, want)
			}
			hc := &http.Client{Transport: &client.Transport{Engine: engine}}
			resp, err := hc.Get("http://" + addr)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if count, err := io.ReadAll(resp.Body); err != nil || string(count) != "3" {
				t.Errorf("counted %q, %v", count, err)
			}
			if err := srv.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			if err := <-served; err != http.ErrServerClosed {
				t.Error(err)
			}
		})
	}
}
