package ringkit

import (
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// bodyHandlers answer with the length and checksum of the request body: one
// natively, the other by reading r.Body.
func bodyHandlers() HandlerFunc {
	std := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum := crc32.NewIEEE()
		n, err := io.Copy(sum, r.Body)
		if err != nil {
			http.Error(w, err.Error(), 500)
			return
		}
		var trailer []string
		for name, values := range r.Trailer {
			trailer = append(trailer, name+"="+strings.Join(values, "+"))
		}
		slices.Sort(trailer)
		fmt.Fprintf(w, "%d %08x %d %v %q", n, sum.Sum32(), r.ContentLength, r.TransferEncoding, trailer)
	})
	return func(x *Exchange) {
		if strings.HasPrefix(x.Path(), "/std") {
			x.Delegate(std)
			return
		}
		fmt.Fprintf(x, "%d %08x", len(x.Body()), crc32.ChecksumIEEE(x.Body()))
	}
}

// bodyAnswer is what bodyHandlers answer to a body.
func bodyAnswer(path, body string, chunked bool, trailer ...string) string {
	a := fmt.Sprintf("%d %08x", len(body), crc32.ChecksumIEEE([]byte(body)))
	switch {
	case path != "/std":
		return a
	case chunked:
		return a + fmt.Sprintf(" -1 [chunked] %q", trailer)
	}
	return a + fmt.Sprintf(" %d [] []", len(body))
}

// inChunks encodes a body in chunks of the given size.
func inChunks(body string, size int) string {
	var b strings.Builder
	for chunk := range slices.Chunk([]byte(body), size) {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(chunk), chunk)
	}
	return b.String()
}

// Small bodies, with the request split between two sends at every byte.
func TestBodySplitAnywhere(t *testing.T) {
	const last = "GET /native HTTP/1.1\r\nHost: last\r\n\r\n"
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: bodyHandlers()})
		for _, path := range []string{"/native", "/std"} {
			head := "POST " + path + " HTTP/1.1\r\nHost: test\r\n"
			p := s.dial()
			for _, c := range []struct {
				request string
				chunked bool
				trailer []string
			}{
				{head + "Content-Length: 5\r\n\r\nhello", false, nil},
				{head + "Transfer-Encoding: chunked\r\n\r\n3;x=\"y\"\r\nhel\r\n2\r\nlo\r\n0\r\nA: b\r\n\r\n", true, []string{"A=b"}},
			} {
				for at := 1; at < len(c.request); at++ {
					p.send(c.request[:at], c.request[at:]+last)
					p.expectAnswer(200, bodyAnswer(path, "hello", c.chunked, c.trailer...))
					p.expectAnswer(200, bodyAnswer("", "", false))
				}
				p.send(strings.Split(c.request, "")...)
				p.expectAnswer(200, bodyAnswer(path, "hello", c.chunked, c.trailer...))
			}
		}
	})
}

// Bodies around the sizes where something changes: of a receive buffer, of a
// gathered body, and of the limit.
func TestBodySizes(t *testing.T) {
	const limit = 1 << 20
	sizes := []int{0, 1, 4095, 4096, 4097, 16 << 10, 64<<10 - 1, 64 << 10, 64<<10 + 1, 300_000, limit - 1, limit}
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: bodyHandlers(), MaxBodyBytes: limit})
		for _, path := range []string{"/native", "/std"} {
			p := s.dial()
			for _, n := range sizes {
				body := pattern(n)
				head := "POST " + path + " HTTP/1.1\r\nHost: test\r\n"
				p.sendAside(head + fmt.Sprintf("Content-Length: %d\r\n\r\n", n) + body)
				p.expectAnswer(200, bodyAnswer(path, body, false))
				for _, chunk := range []int{n/3 + 1, 4096, 1 << 30} {
					p.sendAside(head + "Transfer-Encoding: chunked\r\n\r\n" + inChunks(body, chunk) + "0\r\n\r\n")
					p.expectAnswer(200, bodyAnswer(path, body, true))
				}
			}
			body := pattern(5000)
			p.sendAside("POST " + path + " HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n" + inChunks(body, 1) + "0\r\n\r\n")
			p.expectAnswer(200, bodyAnswer(path, body, true))

			over := pattern(limit + 1)
			for _, request := range []string{
				fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(over), over),
				"Transfer-Encoding: chunked\r\n\r\n" + inChunks(over, 10_000) + "0\r\n\r\n",
			} {
				p := s.dial()
				p.sendAside("POST " + path + " HTTP/1.1\r\nHost: test\r\n" + request)
				p.expectRefusal(413)
			}
		}
	})
}

// A body with any method that may have one, and none where others have one, also behind
// each other.
func TestBodyWithAnyMethod(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: bodyHandlers()})
		for _, path := range []string{"/native", "/std"} {
			p := s.dial()
			for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
				head := method + " " + path + " HTTP/1.1\r\nHost: test\r\n"
				p.send(head + "\r\n" + head + "Content-Length: 3\r\n\r\nabc" + head + "Transfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\n\r\n")
				p.expectAnswer(200, bodyAnswer(path, "", false))
				p.expectAnswer(200, bodyAnswer(path, "abc", false))
				p.expectAnswer(200, bodyAnswer(path, "def", true))
			}
		}
	})
}

// RFC 9112, section 7.1.2: trailers are kept apart from the header.
func TestRequestTrailers(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		leaked := make(chan string, 1)
		s := serve(t, e, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			leaked <- r.Header.Get("X-Sum") + r.Header.Get("Trailer") + r.Header.Get("Transfer-Encoding")
			bodyHandlers().ServeHTTP(w, r)
		})})
		p := s.dial()
		p.send("POST /std HTTP/1.1\r\nHost: test\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"5\r\nhello\r\n0\r\nx-sum: 1\r\nX-Sum: 2\r\nother:  3 \r\n\r\n")
		p.expectAnswer(200, bodyAnswer("/std", "hello", true, "Other=3", "X-Sum=1+2"))
		if got := expect(t, "the request", leaked); got != "" {
			t.Errorf("fields about framing and of the trailer in r.Header: %q", got)
		}
	})
}

// RFC 9110, section 10.1.1.
func TestExpectContinue(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: bodyHandlers()})
		for _, path := range []string{"/native", "/std"} {
			p := s.dial()
			head := "POST " + path + " HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\n"
			for range 2 {
				// The client waits for the interim response, which comes once.
				p.send(head + "Content-Length: 10\r\n\r\n")
				a := p.expectAnswer(100, "")
				if len(a.fields) > 0 {
					t.Errorf("100 with fields %q", a.fields)
				}
				p.send("hello", "world")
				p.expectAnswer(200, bodyAnswer(path, "helloworld", false))

				p.send(head + "Transfer-Encoding: chunked\r\n\r\n")
				p.expectAnswer(100, "")
				p.send("5\r\nhello\r\n", "0\r\n\r\n")
				p.expectAnswer(200, bodyAnswer(path, "hello", true))
			}
			// Nothing to wait for, or nobody who waits.
			p.send(head + "Content-Length: 5\r\n\r\nhello")
			p.expectAnswer(200, bodyAnswer(path, "hello", false))
			p.send(head + "\r\n")
			p.expectAnswer(200, bodyAnswer(path, "", false))
			p.send("POST " + path + " HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
			p.send("hello")
			p.expectAnswer(200, bodyAnswer(path, "hello", false))
		}
	})
}

// A body that its handler does not read is no obstacle to the next request.
func TestBodyNotRead(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/some":
				r.Body.Read(make([]byte, 10))
			case "/closed":
				r.Body.Close()
				if _, err := r.Body.Read(make([]byte, 10)); err != http.ErrBodyReadAfterClose {
					t.Errorf("Read after Close: %v", err)
				}
			}
			io.WriteString(w, r.URL.Path)
		})})
		p := s.dial()
		for _, path := range []string{"/none", "/some", "/closed", "/none"} {
			p.sendAside(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n%s", path, pattern(100_000)))
			p.expectAnswer(200, path)
		}
	})
}
