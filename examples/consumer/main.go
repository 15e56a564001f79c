// Consumer is a module of its own that uses ringkit as any other would: a server, a
// channel and a client. It counts: who posts to /count adds one, and whoever listens on
// the WebSocket /watch is told.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ringkit/ringkit"
	"github.com/ringkit/ringkit/client"
	"github.com/ringkit/ringkit/wsock"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	srv := newServer("127.0.0.1:0")
	served := make(chan error, 1)
	go func() { served <- srv.ListenAndServe() }()
	select {
	case <-srv.Ready():
	case err := <-served:
		log.Fatal(err)
	}
	counts, err := use(ctx, srv.Addrs()[0].String())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("heard", counts)
	if err := srv.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
}

// newServer has a native handler in front, a standard one and a channel.
func newServer(addr string) *ringkit.Server {
	var count atomic.Int64
	var watching ringkit.Group
	mux := http.NewServeMux()
	mux.HandleFunc("POST /count", func(w http.ResponseWriter, r *http.Request) {
		n := strconv.FormatInt(count.Add(1), 10)
		watching.Broadcast(ringkit.Text(n))
		io.WriteString(w, n)
	})
	mux.HandleFunc("GET /watch", func(w http.ResponseWriter, r *http.Request) {
		ringkit.OpenChannel(w, r, ringkit.Events{Open: func(ch *ringkit.Channel) {
			watching.Join(ch)
			ch.Send(ringkit.Text("watching"))
		}})
	})
	return &ringkit.Server{Addr: addr, Handler: ringkit.HandlerFunc(func(x *ringkit.Exchange) {
		if x.Method() == "GET" && x.Path() == "/" {
			x.WriteString(strconv.FormatInt(count.Load(), 10))
			return
		}
		x.Delegate(mux)
	})}
}

// use watches, counts to three in each way to ask, and returns what it has heard.
func use(ctx context.Context, addr string) (heard []string, err error) {
	told := make(chan string, 8)
	ws, err := client.Dial(ctx, "ws://"+addr+"/watch", client.Events{
		Message: func(ws *client.WebSocket, m wsock.Message) { told <- string(m.Data) },
	})
	if err != nil {
		return nil, err
	}
	defer ws.Close()
	hear := func() error {
		select {
		case text := <-told:
			heard = append(heard, text)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := hear(); err != nil { // that it is a member
		return heard, err
	}
	post := func() *http.Request {
		req, err := http.NewRequestWithContext(ctx, "POST", "http://"+addr+"/count", nil)
		if err != nil {
			panic(err) // the address is the server's
		}
		return req
	}
	called := make(chan error, 1)
	asks := []func() error{
		func() error { return discard(client.Do(post())) },
		func() error { return discard(client.Go(post()).Wait(ctx)) },
		func() error {
			client.Call(post(), func(resp *http.Response, err error) { called <- discard(resp, err) })
			return <-called
		},
	}
	for _, ask := range asks {
		if err := ask(); err != nil {
			return heard, err
		}
		if err := hear(); err != nil {
			return heard, err
		}
	}
	return heard, nil
}

func discard(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %s", resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
