package http1_test

import (
	"fmt"

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

func ExampleError() {
	lim := http1.Limits{}.Resolve()
	var req http1.Request
	_, err := req.Parse([]byte("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n"), &lim)
	if e, ok := err.(*http1.Error); ok {
		fmt.Println(e.Status, e.Reason)
	}

	// Output: 400 invalid Content-Length
}
