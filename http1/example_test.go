package http1_test

import (
	"errors"
	"fmt"
	"io"

	"github.com/ringkit/ringkit/http1"
)

// A request with a chunked body, and the answer.
func Example() {
	in := []byte("POST /greet?lang=en HTTP/1.1\r\n" +
		"Host: example.com\r\n" +
		"Transfer-Encoding: chunked\r\n" +
		"\r\n" +
		"3\r\nAnn\r\n0\r\n\r\n")

	lim := http1.Limits{}.Resolve()
	var req http1.Request
	n, err := req.Parse(in, &lim)
	if n == 0 || err != nil {
		return // read more, or answer with the error's status and close
	}
	in = in[n:]
	fmt.Printf("%s %s for %s\n", req.Method(), req.RawPath(), req.Host())

	var body http1.Body
	if err := body.Init(&req, &lim); err != nil {
		return
	}
	var name []byte
	for {
		data, n, done, err := body.Next(in)
		if err != nil {
			return
		}
		name = append(name, data...)
		in = in[n:]
		if done {
			break
		}
		if n == 0 {
			return // read more
		}
	}

	content := "Hello, " + string(name) + "\n"
	out := http1.AppendStatusLine(nil, 200)
	out = http1.AppendField(out, "Content-Type", "text/plain")
	out = http1.AppendContentLength(out, int64(len(content)))
	out = http1.AppendEnd(out)
	out = append(out, content...)
	fmt.Printf("%q\n", out)

	// Output:
	// POST /greet for example.com
	// "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 11\r\n\r\nHello, Ann\n"
}

// The bytes of a request that arrives in pieces may move between calls.
func ExampleRequest_Parse() {
	lim := http1.Limits{}.Resolve()
	var req http1.Request
	var buf []byte
	for _, piece := range []string{"GET / HT", "TP/1.1\r\nHost: exam", "ple.com\r\n\r\nGET /next"} {
		buf = append(buf, piece...)
		n, err := req.Parse(buf, &lim)
		fmt.Println(n, err)
	}
	fmt.Printf("%s\n", req.Host())

	// Output:
	// 0 <nil>
	// 0 <nil>
	// 37 <nil>
	// example.com
}

// A request, and its response after an interim one.
func ExampleResponse() {
	head := http1.RequestHead{Method: "GET", Authority: "example.com", Path: "/news"}
	out, err := http1.AppendRequestStart(nil, &head)
	if err != nil {
		return
	}
	if out, err = http1.AppendRequestField(out, "Accept", "text/plain"); err != nil {
		return
	}
	fmt.Printf("%q\n", http1.AppendEnd(out))

	in := []byte("HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" +
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
	lim := http1.Limits{}.Resolve()
	var resp http1.Response
	resp.Reset(http1.MethodOf(head.Method))
	for {
		n, err := resp.Parse(in, &lim)
		if n == 0 || err != nil {
			return // read more, or close
		}
		in = in[n:]
		fmt.Println(resp.StatusCode())
		if !resp.Interim() {
			break
		}
		resp.Next()
	}

	var body http1.Body
	if err := body.InitResponse(&resp, &lim); err != nil {
		return
	}
	for !body.Done() {
		data, n, _, err := body.Next(in)
		if n == 0 || err != nil {
			return // read more, or close
		}
		fmt.Printf("%s", data)
		in = in[n:]
	}
	fmt.Println(" keep-alive:", resp.KeepAlive())

	// Output:
	// "GET /news HTTP/1.1\r\nHost: example.com\r\nAccept: text/plain\r\n\r\n"
	// 103
	// 200
	// hello keep-alive: true
}

// A connection that ends too early.
func ExampleBody_EOF() {
	lim := http1.Limits{}.Resolve()
	var body http1.Body
	if err := body.InitFraming(http1.Length, 100, &lim); err != nil {
		return
	}
	if _, _, _, err := body.Next([]byte("only a part")); err != nil {
		return
	}
	err := body.EOF()
	fmt.Println(err)
	fmt.Println(errors.Is(err, io.ErrUnexpectedEOF))

	// Output:
	// http1: connection closed in the content (bytes missing: 89)
	// true
}

func ExampleError() {
	lim := http1.Limits{}.Resolve()
	var req http1.Request
	_, err := req.Parse([]byte("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n"), &lim)
	if e, ok := err.(*http1.Error); ok {
		fmt.Println(e.Status, e.Reason)
	}

	// Output: 400 invalid Content-Length
}
