package ringkit_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/ringkit/ringkit"
)

// serve runs a server for an example.
func serve(srv *ringkit.Server) (url string, stop func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go srv.Serve(l)
	return "http://" + l.Addr().String(), func() { srv.Close() }
}

// body asks for a URL and returns what is there.
func body(resp *http.Response, err error) string {
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// A program that was written for net/http changes the type of its server.
func ExampleServer() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello, %s!", r.PathValue("name"))
	})
	srv := &ringkit.Server{Addr: "127.0.0.1:0", Handler: mux}
	go srv.ListenAndServe()
	<-srv.Ready()

	fmt.Println(body(http.Get("http://" + srv.Addrs()[0].String() + "/hello/ring")))
	fmt.Println(srv.Shutdown(context.Background()))
	// Output:
	// Hello, ring!
	// <nil>
}

// Requests that have begun are answered before the server ends.
func ExampleServer_Shutdown() {
	begun := make(chan bool)
	srv := &ringkit.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		time.Sleep(20 * time.Millisecond) // it may block
		io.WriteString(w, "done all the same")
	})}
	url, _ := serve(srv)
	answer := make(chan string)
	go func() { answer <- body(http.Get(url)) }()
	<-begun

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := srv.Shutdown(ctx)
	if err != nil { // some did not end in time
		err = srv.Close()
	}
	fmt.Println(<-answer, err)
	// Output: done all the same <nil>
}

// Operators find the statistics on a port of their own.
func ExampleServer_StatsHandler() {
	srv := &ringkit.Server{Handler: http.NotFoundHandler()}
	url, stop := serve(srv)
	defer stop()
	metrics := &ringkit.Server{Handler: srv.StatsHandler()}
	operators, stop := serve(metrics)
	defer stop()

	body(http.Get(url))
	for line := range strings.Lines(body(http.Get(operators + "?format=prometheus"))) {
		if strings.HasPrefix(line, "ringkit_requests_total") {
			fmt.Print(line)
		}
	}
	// Output: ringkit_requests_total 1
}

// A timer costs no goroutine.
func ExampleServer_AfterFunc() {
	srv := &ringkit.Server{Handler: http.NotFoundHandler()}
	_, stop := serve(srv)
	defer stop()
	<-srv.Ready()

	rang := make(chan bool)
	srv.AfterFunc(time.Millisecond, func() { close(rang) })
	never := srv.AfterFunc(time.Hour, func() { panic("an hour has passed") })
	<-rang
	fmt.Println("stopped in time:", never.Stop())
	// Output: stopped in time: true
}

// A native handler runs on the event loop and costs no allocation. What it does not answer
// itself it hands to standard handlers.
func ExampleHandlerFunc() {
	mux := http.NewServeMux()
	mux.HandleFunc("/about", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "a standard handler") })

	handler := ringkit.HandlerFunc(func(x *ringkit.Exchange) {
		if x.Path() != "/hello" {
			x.Delegate(mux) // any http.Handler
			return
		}
		x.SetHeader("Content-Type", "text/plain")
		x.WriteString("Hello, " + x.Query("name"))
	})
	url, stop := serve(&ringkit.Server{Handler: handler})
	defer stop()

	fmt.Println(body(http.Get(url + "/hello?name=ring")))
	fmt.Println(body(http.Get(url + "/about")))
	// Output:
	// Hello, ring
	// a standard handler
}

// An Exchange is the request and its answer.
func ExampleExchange() {
	handler := ringkit.HandlerFunc(func(x *ringkit.Exchange) {
		if x.Method() != "POST" {
			x.SetHeader("Allow", "POST")
			x.Error(http.StatusMethodNotAllowed, "send something")
			return
		}
		x.SetStatus(http.StatusCreated)
		x.SetHeader("Content-Type", x.Header("Content-Type"))
		x.Write(x.Body())
	})
	url, stop := serve(&ringkit.Server{Handler: handler})
	defer stop()

	resp, err := http.Post(url, "text/plain", strings.NewReader("something"))
	fmt.Println(resp.Status, body(resp, err))
	resp, err = http.Get(url)
	fmt.Println(resp.Status, body(resp, err))
	// Output:
	// 201 Created something
	// 405 Method Not Allowed send something
}

// The answer may be given when the handler has long returned, without a goroutine that
// waits for it.
func ExampleExchange_Later() {
	asked := make(chan *ringkit.Reply, 1)
	handler := ringkit.HandlerFunc(func(x *ringkit.Exchange) { asked <- x.Later(nil) })
	url, stop := serve(&ringkit.Server{Handler: handler})
	defer stop()

	go func() {
		reply := <-asked
		reply.Answer(func(x *ringkit.Exchange) { x.WriteString("the answer to " + x.Path()) })
	}()
	fmt.Println(body(http.Get(url + "/question")))
	// Output: the answer to /question
}

// Long bodies are read as they arrive, short requests are answered on the loop.
func ExampleSplit() {
	handler := ringkit.Split{
		Native: func(x *ringkit.Exchange) { fmt.Fprintf(x, "%d bytes at once", len(x.Body())) },
		Streamed: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, "%d bytes, bit by bit", n)
		}),
	}
	url, stop := serve(&ringkit.Server{Handler: handler})
	defer stop()

	for _, n := range []int{10, 1 << 20} {
		fmt.Println(body(http.Post(url, "text/plain", strings.NewReader(strings.Repeat("x", n)))))
	}
	// Output:
	// 10 bytes at once
	// 1048576 bytes, bit by bit
}
