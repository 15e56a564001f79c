package client_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/ringkit/ringkit"
	"github.com/ringkit/ringkit/client"
	"github.com/ringkit/ringkit/wsock"
)

// hello is a server for the examples.
func hello() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello, %s!", r.URL.Query().Get("name"))
	}))
}

func ExampleDo() {
	srv := hello()
	defer srv.Close()

	req, _ := http.NewRequest("GET", srv.URL+"?name=ring", nil)
	resp, err := client.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s: %s\n", resp.Status, body)
	// Output: 200 OK: Hello, ring!
}

// Several requests are under way at a time, without a goroutine of the program for each.
func ExampleGo() {
	srv := hello()
	defer srv.Close()

	var futures []*client.Future
	for _, name := range []string{"Ada", "Grace"} {
		req, _ := http.NewRequest("GET", srv.URL+"?name="+name, nil)
		futures = append(futures, client.Go(req))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, f := range futures {
		resp, err := f.Wait(ctx)
		if err != nil {
			log.Fatal(err)
		}
		text, _ := client.Text(resp, 1<<20)
		fmt.Println(text)
	}
	// Output:
	// Hello, Ada!
	// Hello, Grace!
}

func ExampleCall() {
	srv := hello()
	defer srv.Close()

	var done sync.WaitGroup
	done.Add(1)
	req, _ := http.NewRequest("GET", srv.URL+"?name=callback", nil)
	client.Call(req, func(resp *http.Response, err error) {
		defer done.Done()
		if err != nil {
			log.Print(err)
			return
		}
		text, _ := client.Text(resp, 1<<20)
		fmt.Println(text)
	})
	done.Wait()
	// Output: Hello, callback!
}

// Everything that is made for net/http runs on a Transport.
func ExampleTransport() {
	srv := hello()
	defer srv.Close()

	tr := &client.Transport{MaxConnsPerHost: 8, ResponseHeaderTimeout: 5 * time.Second}
	defer tr.Close()
	hc := &http.Client{Transport: tr}
	resp, err := hc.Get(srv.URL + "?name=net/http")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(string(body))
	// Output: Hello, net/http!
}

// echo is a server of WebSockets for the examples.
func echo() (url string, stop func()) {
	srv := &ringkit.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ringkit.OpenChannel(w, r, ringkit.Events{Message: func(ch *ringkit.Channel, m wsock.Message) { ch.Send(m) }})
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go srv.Serve(l)
	return "ws://" + l.Addr().String(), func() { srv.Close() }
}

func ExampleDial() {
	url, stop := echo()
	defer stop()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ws, err := client.Dial(ctx, url, client.Events{
		Open: func(ws *client.WebSocket) { ws.SendText("hi") },
		Message: func(ws *client.WebSocket, m wsock.Message) {
			fmt.Printf("%v: %s\n", m.Kind, m.Data)
			ws.Close()
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	<-ws.Done()
	fmt.Println(ws.CloseInfo().Code)
	// Output:
	// text: hi
	// normal closure
}

func ExampleClient_Subscribe() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		switch r.Header.Get("Last-Event-ID") {
		case "":
			io.WriteString(w, "id: 1\nretry: 10\ndata: first\n\n")
		case "1": // it has come back
			io.WriteString(w, "id: 2\ndata: second\n\n")
		default:
			w.WriteHeader(http.StatusNoContent) // no more
		}
	}))
	defer srv.Close()

	req, _ := http.NewRequest("GET", srv.URL, nil)
	for event, err := range client.DefaultClient.Subscribe(req) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.ID, event.Data)
	}
	// Output:
	// 1 first
	// 2 second
}
