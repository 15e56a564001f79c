package ringkit_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ringkit/ringkit"
	"github.com/ringkit/ringkit/client"
	"github.com/ringkit/ringkit/wsock"
)

// A WebSocket that sends back what it gets.
func ExampleOpenChannel() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ringkit.OpenChannel(w, r, ringkit.Events{
			Message: func(ch *ringkit.Channel, m wsock.Message) { ch.Send(m) },
			Close:   func(ch *ringkit.Channel, why wsock.CloseInfo) { fmt.Println("closed:", why.Code) },
		})
	})
	srv := &ringkit.Server{Handler: handler}
	url, _ := serve(srv)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ws, err := client.Dial(ctx, url, client.Events{
		Open: func(ws *client.WebSocket) { ws.SendText("hello") },
		Message: func(ws *client.WebSocket, m wsock.Message) {
			fmt.Printf("echo: %s\n", m.Data)
			ws.Close()
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	<-ws.Done()
	srv.Shutdown(ctx) // waits for Close
	// Output:
	// echo: hello
	// closed: normal closure
}

// Everybody in the room gets what one of them says, however they are connected.
func ExampleGroup() {
	mux := http.NewServeMux()
	var room ringkit.Group
	mux.HandleFunc("/chat", func(w http.ResponseWriter, r *http.Request) {
		ringkit.OpenChannel(w, r, ringkit.Events{
			Open:    func(ch *ringkit.Channel) { room.Join(ch) },
			Message: func(ch *ringkit.Channel, m wsock.Message) { room.Broadcast(m) },
		})
	})
	url, stop := serve(&ringkit.Server{Handler: mux})
	defer stop()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	heard := make(chan string)
	events := client.Events{Message: func(ws *client.WebSocket, m wsock.Message) { heard <- string(m.Data) }}
	var sockets []*client.WebSocket
	for range 2 {
		ws, err := client.Dial(ctx, url+"/chat", events)
		if err != nil {
			log.Fatal(err)
		}
		defer ws.Abort()
		sockets = append(sockets, ws)
	}
	for room.Len() < 2 { // Open is called when the handler has returned
		time.Sleep(time.Millisecond)
	}
	sockets[0].SendText("hello, room")
	fmt.Println(<-heard)
	fmt.Println(<-heard)
	// Output:
	// hello, room
	// hello, room
}

// A stream of server-sent events. A client that comes back says where it has been.
func ExampleChannel_SendEvent() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := ringkit.LastEventID(r)
		ringkit.OpenChannel(w, r, ringkit.Events{Open: func(ch *ringkit.Channel) {
			ch.SendEvent(ringkit.ServerEvent{Name: "greeting", ID: "8", Data: "you have seen " + seen})
			ch.Close()
		}})
	})
	url, stop := serve(&ringkit.Server{Handler: handler})
	defer stop()

	req, _ := http.NewRequest("GET", url, nil)
	req.Header.Set("Last-Event-ID", "7")
	resp, err := client.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	for event, err := range client.ReadEvents(resp) {
		fmt.Println(event.Name, event.ID, event.Data, err)
		break
	}
	// Output: greeting 8 you have seen 7 <nil>
}

// An answer that is sent bit by bit.
func ExampleChannel_Send() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		ringkit.OpenChannel(w, r, ringkit.Events{Open: func(ch *ringkit.Channel) {
			for _, line := range []string{"one\n", "two\n"} {
				ch.Send(ringkit.Text(line)) // from any goroutine, at any time
			}
			ch.SendLast(ringkit.Text("three\n"))
		}})
	})
	url, stop := serve(&ringkit.Server{Handler: handler})
	defer stop()

	resp, err := http.Get(url)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		fmt.Println(lines.Text())
	}
	// Output:
	// one
	// two
	// three
}

// Long polling: the first message is the whole answer, and after 25 s without one the
// answer is a 204.
func ExampleChannelOptions() {
	options := &ringkit.ChannelOptions{LongPoll: true, PollTimeout: 25 * time.Second}
	waiting := make(chan *ringkit.Channel, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		options.Open(w, r, ringkit.Events{Open: func(ch *ringkit.Channel) { waiting <- ch }})
	})
	url, stop := serve(&ringkit.Server{Handler: handler})
	defer stop()

	go func() { (<-waiting).Send(ringkit.Text("news")) }()
	resp, err := http.Get(url)
	fmt.Println(body(resp, err), resp.ContentLength)
	// Output: news 4
}

// A client on the loops of a server costs no thread of its own. The loops are there when
// the server has started, so the first request makes the transport.
func ExampleServer_EventLoops() {
	behind, stop := serve(&ringkit.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "from behind")
	})})
	defer stop()

	front := &ringkit.Server{}
	transport := sync.OnceValue(func() *client.Transport {
		return &client.Transport{EventLoops: front.EventLoops()}
	})
	front.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, _ := http.NewRequestWithContext(r.Context(), "GET", behind, nil)
		io.WriteString(w, strings.ToUpper(body(transport().RoundTrip(req))))
	})
	url, stop := serve(front)
	defer stop()
	defer func() { transport().Close() }()

	fmt.Println(body(http.Get(url)))
	// Output: FROM BEHIND
}
