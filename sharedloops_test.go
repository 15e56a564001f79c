package ringkit

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/ringkit/ringkit/client"
	"github.com/ringkit/ringkit/uring"
)

// A client on the loops of a server: the handlers of the server use it to ask that same
// server, inline and called back, and a graceful stop ends its connections.
func TestClientOnTheLoopsOfAServer(t *testing.T) {
	for _, e := range []Engine{IOUring, Epoll} {
		t.Run(e.String(), func(t *testing.T) {
			if err := uring.Probe().Err; e == IOUring && err != nil {
				t.Skip(err)
			}
			expectNoLeaks(t)
			var tr *client.Transport
			var url string
			srv := &Server{Engine: e, Loops: 2}
			mux := http.NewServeMux()
			mux.HandleFunc("/leaf", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "leaf "+r.URL.RawQuery) })
			mux.HandleFunc("/wait", func(w http.ResponseWriter, r *http.Request) {
				resp, err := (&client.Client{Transport: tr}).Get(r.Context(), url+"/leaf?"+r.URL.RawQuery)
				if err != nil {
					http.Error(w, err.Error(), http.StatusBadGateway)
					return
				}
				defer resp.Body.Close()
				io.Copy(w, resp.Body)
			})
			srv.Handler = mux
			l := listenTCP(t)
			url = "http://" + l.Addr().String()
			served := make(chan error, 1)
			go func() { served <- srv.Serve(l) }()
			<-srv.Ready()
			tr = &client.Transport{EventLoops: srv.EventLoops()}

			c := &client.Client{Transport: tr}
			var wg sync.WaitGroup
			for i := range 200 {
				path := []string{"/leaf?", "/wait?"}[i%2]
				req, _ := http.NewRequest("GET", fmt.Sprint(url, path, i), nil)
				wg.Add(1)
				c.Call(req, func(resp *http.Response, err error) {
					defer wg.Done()
					if err != nil {
						t.Error(err)
						return
					}
					if b, err := io.ReadAll(resp.Body); string(b) != fmt.Sprint("leaf ", i) || err != nil {
						t.Errorf("%d: %q, %v", i, b, err)
					}
				})
			}
			within(t, "the calls", wg.Wait)
			if n := srv.Stats().States.Client; n == 0 {
				t.Errorf("%+v", srv.Stats().States)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := srv.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown: %v; %+v", err, tr.Stats())
			}
			if err := <-served; err != http.ErrServerClosed {
				t.Error(err)
			}
			if _, err := c.Get(context.Background(), url); err == nil {
				t.Error("a request without loops has an answer")
			}
			tr.Close()
		})
	}
}
