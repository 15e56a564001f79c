package http1

import (
	"strings"
	"testing"
)

// Parsing a head that arrives byte by byte takes linear time, because no byte
// is looked at again much later. To show that without a clock, the position to
// go on from must never lag, and complete lines, as well as most of a long method
// or field line, are replaced by NUL before more bytes arrive. No head can have a NUL: if
// one of them mattered, it would be an error.
func TestParseIsLinear(t *testing.T) {
	const (
		size = 64 << 10
		// The version and its CRLF are looked at again while they arrive.
		near = versionLen
	)
	for _, c := range []struct {
		name, prefix, fill, suffix string
		wipe                       bool // the fill too
	}{
		// The target is looked at once more, when the request line is complete.
		{"method", "", "A", " / HTTP/1.1\r\nHost: a\r\n\r\n", true},
		{"method behind an empty line", "\r\n", "A", " / HTTP/1.1\r\nHost: a\r\n\r\n", true},
		{"target", "GET /", "a", " HTTP/1.1\r\nHost: a\r\n\r\n", false},
		{"escapes", "GET /", "%41", " HTTP/1.1\r\nHost: a\r\n\r\n", false},
		{"query", "GET /?", "?", " HTTP/1.1\r\nHost: a\r\n\r\n", false},
		{"absolute-form", "GET http://", "a", " HTTP/1.1\r\nHost: a\r\n\r\n", false},
		{"name", "GET / HTTP/1.1\r\nHost: a\r\n", "a", ":\r\n\r\n", true},
		{"value", "GET / HTTP/1.1\r\nHost: a\r\nA: b", "a", "\r\n\r\n", true},
		{"tabs", "GET / HTTP/1.1\r\nHost: a\r\nA: b", "\ta", "\r\n\r\n", true},
		{"leading whitespace", "GET / HTTP/1.1\r\nHost: a\r\nA:", " ", "\r\n\r\n", true},
		{"trailing whitespace", "GET / HTTP/1.1\r\nHost: a\r\nA: b", "\t", "\r\n\r\n", true},
		{"fields", "GET / HTTP/1.1\r\nHost: a\r\n", "A:\r\n", "\r\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			lim := Limits{RequestLine: size, Head: size, Fields: size}.Resolve()
			fill := strings.Repeat(c.fill, (size-len(c.prefix)-len(c.suffix))/len(c.fill))
			buf := []byte(c.prefix + fill + c.suffix)

			var r Request
			line, wiped := 0, len(c.prefix)
			for end := 1; end < len(buf); end++ {
				if n, err := r.Parse(buf[:end], &lim); n != 0 || err != nil {
					t.Fatalf("Parse of %d bytes = %d, %v", end, n, err)
				}
				if lag := end - int(r.line.pos); lag > near {
					t.Fatalf("%d of %d bytes will be looked at again", lag, end)
				}
				if buf[end-1] == '\n' {
					clear(buf[line:end])
					line = end
				}
				for c.wipe && wiped < min(end-near, len(c.prefix)+len(fill)) {
					buf[wiped] = 0
					wiped++
				}
			}
			n, err := r.Parse(buf, &lim)
			if n != len(buf) || err != nil {
				t.Fatalf("Parse = %d, %v; want %d", n, err, len(buf))
			}
		})
	}
}

// The same for responses. The version and the status code are looked at again while
// they arrive.
func TestParseResponseIsLinear(t *testing.T) {
	const (
		size = 64 << 10
		near = len("HTTP/1.1 200 ")
	)
	for _, c := range []struct {
		name, prefix, fill, suffix string
	}{
		{"reason phrase", "HTTP/1.1 200 ", "a", "\r\n\r\n"},
		{"tabs", "HTTP/1.1 200 ", "\ta", "\r\n\r\n"},
		{"name", "HTTP/1.1 200 \r\n", "a", ":\r\n\r\n"},
		{"value", "HTTP/1.1 200 \r\nA: b", "a", "\r\n\r\n"},
		{"fields", "HTTP/1.1 200 \r\n", "A:\r\n", "\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			lim := Limits{Head: size, Fields: size}.Resolve()
			fill := strings.Repeat(c.fill, (size-len(c.prefix)-len(c.suffix))/len(c.fill))
			buf := []byte(c.prefix + fill + c.suffix)

			var r Response
			for end := 1; end < len(buf); end++ {
				if n, err := r.Parse(buf[:end], &lim); n != 0 || err != nil {
					t.Fatalf("Parse of %d bytes = %d, %v", end, n, err)
				}
				if lag := end - int(r.line.pos); lag > near {
					t.Fatalf("%d of %d bytes will be looked at again", lag, end)
				}
				clear(buf[:max(0, end-near)])
			}
			n, err := r.Parse(buf, &lim)
			if n != len(buf) || err != nil {
				t.Fatalf("Parse = %d, %v; want %d", n, err, len(buf))
			}
		})
	}
}

// The same for trailers, which the decoder keeps itself.
func TestTrailerIsLinear(t *testing.T) {
	lim := Limits{Trailer: 64 << 10, Fields: 64 << 10}.Resolve()
	input := []byte("0\r\n" + strings.Repeat("A: b\r\n", 10000) + "\r\n")
	var b Body
	if err := b.InitFraming(Chunked, -1, &lim); err != nil {
		t.Fatal(err)
	}
	done := false
	for i := range input {
		var n int
		var err error
		_, n, done, err = b.Next(input[i : i+1])
		if n != 1 || err != nil {
			t.Fatalf("byte %d: %d, %v", i, n, err)
		}
		if lag := len(b.trailer) - int(b.line.pos); lag > 0 {
			t.Fatalf("byte %d: %d bytes will be looked at again", i, lag)
		}
		clear(b.trailer[:max(0, len(b.trailer)-len("A: b\r\n"))])
	}
	if !done || b.NumTrailers() != 10000 {
		t.Errorf("done %t with %d trailers", done, b.NumTrailers())
	}
}
