package http1

import (
	"reflect"
	"strings"
	"testing"
)

// Section 6, Message Body. The rules for the values of both fields are those for
// requests, and tested there.
var responseFramingCases = []responseCase{
	{"6.1", "chunked", GET, ok("Transfer-Encoding: chunked"), nil},
	{"6.1", "with Content-Length", GET, ok("Transfer-Encoding: chunked", "Content-Length: 5"), errCodingLength},
	{"6.1", "with Content-Length before", GET, ok("Content-Length: 5", "Transfer-Encoding: chunked"), errCodingLength},
	{"6.1", "with Content-Length after HEAD", HEAD, ok("Content-Length: 5", "Transfer-Encoding: chunked"), errCodingLength},
	{"6.1", "repeated", GET, ok("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), errRepeatedCoding},
	{"6.1", "chunked twice", GET, ok("Transfer-Encoding: chunked, chunked"), errCoding},
	{"6.1", "chunked not last", GET, ok("Transfer-Encoding: chunked, gzip"), errCoding},
	{"6.1", "empty", GET, ok("Transfer-Encoding:"), errCoding},
	// RFC 9112 has a client read until the connection is closed, and so take what it
	// cannot decode for the content.
	{"6.1", "unknown coding", GET, ok("Transfer-Encoding: gzip"), errUnknownCoding},
	{"6.1", "unknown coding before chunked", GET, ok("Transfer-Encoding: gzip, chunked"), errUnknownCoding},
	{"6.1", "identity", GET, ok("Transfer-Encoding: identity"), errUnknownCoding},
	{"6.1", "in HTTP/1.0", GET, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", errCodingVersion},

	{"6.2", "zero", GET, ok("Content-Length: 0"), nil},
	{"6.2", "2^63-1", GET, ok("Content-Length: 9223372036854775807"), nil},
	{"6.2", "2^63", GET, ok("Content-Length: 9223372036854775808"), errLength},
	{"6.2", "leading zero", GET, ok("Content-Length: 05"), errLength},
	{"6.2", "sign", GET, ok("Content-Length: +5"), errLength},
	{"6.2", "empty", GET, ok("Content-Length:"), errLength},
	{"6.2", "list of the same", GET, ok("Content-Length: 5, 5"), errLength},
	{"6.2", "after HEAD", HEAD, ok("Content-Length: x"), errLength},
	{"6.3", "repeated", GET, ok("Content-Length: 5", "Content-Length: 5"), errRepeatedLength},
	{"6.3", "repeated and different", GET, ok("Content-Length: 5", "Content-Length: 6"), errRepeatedLength},
	{"6.3", "neither", GET, ok("Accept-Ranges: none"), nil},

	{"RFC 9110 8.6", "204 with Content-Length", GET, responseHead("204 No Content", "Content-Length: 5"), nil},
	{"RFC 9110 8.6", "304 with Content-Length", GET, responseHead("304 Not Modified", "Content-Length: 5"), nil},
	{"RFC 9110 15.3.6", "205 with Content-Length", GET, responseHead("205 Reset Content", "Content-Length: 5"), nil},

	// A client must ignore both when the tunnel is open, and only then.
	{"RFC 9110 9.3.6", "CONNECT with both", CONNECT, ok("Content-Length: 5", "Content-Length: x", "Transfer-Encoding: y"), nil},
	{"RFC 9110 9.3.6", "CONNECT with both, refused", CONNECT, responseHead("403 Forbidden", "Content-Length: 5", "Transfer-Encoding: chunked"), errCodingLength},
}

func TestFramingOfResponse(t *testing.T) {
	runResponses(t, responseFramingCases)
	for _, c := range []struct {
		method  Method
		head    string
		framing Framing
		length  int64
	}{
		{GET, ok("Content-Length: 5"), Length, 5},
		{GET, ok("Content-Length: 0"), Length, 0},
		{GET, ok("Transfer-Encoding: chunked"), Chunked, -1},
		{GET, ok(), UntilClose, -1},
		{POST, responseHead("500 a"), UntilClose, -1},
		{Other, responseHead("201 Created", "Content-Length: 5"), Length, 5},
		{GET, responseHead("205 Reset Content", "Content-Length: 5"), Length, 5},
		{GET, responseHead("205 Reset Content"), UntilClose, -1},
		{GET, responseHead("206 Partial Content", "Content-Length: 5"), Length, 5},

		{HEAD, ok("Content-Length: 5"), NoBody, 5},
		{HEAD, ok("Transfer-Encoding: chunked"), NoBody, -1},
		{HEAD, ok(), NoBody, -1},
		{HEAD, responseHead("404 Not Found", "Content-Length: 5"), NoBody, 5},
		{GET, responseHead("100 Continue"), NoBody, -1},
		{GET, responseHead("101 Switching Protocols"), NoBody, -1},
		{GET, responseHead("204 No Content", "Content-Length: 5"), NoBody, 5},
		{GET, responseHead("304 Not Modified", "Content-Length: 5"), NoBody, 5},
		{GET, responseHead("304 Not Modified", "Transfer-Encoding: chunked"), NoBody, -1},
		{CONNECT, ok("Content-Length: 5"), NoBody, -1},
		{CONNECT, responseHead("204 a", "Transfer-Encoding: chunked"), NoBody, -1},
		{CONNECT, responseHead("302 Found", "Content-Length: 5"), Length, 5},
		{CONNECT, responseHead("502 Bad Gateway"), UntilClose, -1},
	} {
		r := mustParseResponse(t, c.method, c.head)
		if r.Framing() != c.framing || r.ContentLength() != c.length {
			t.Errorf("%v, %q: %v, length %d; want %v, %d", c.method, c.head, r.Framing(), r.ContentLength(), c.framing, c.length)
		}
	}
}

// What [ResponseFraming] has a server write is what Framing makes of it.
func TestFramingsAgree(t *testing.T) {
	for method := Other; method <= PATCH; method++ {
		for status := 200; status < 600; status++ {
			for _, length := range []int64{-1, 0, 5} {
				for minor := range 2 {
					head := AppendStatusLine(nil, status)
					framing := ResponseFraming(method, minor, status, length)
					switch framing {
					case Length:
						head = AppendContentLength(head, max(0, length))
					case Chunked:
						head = AppendField(head, "Transfer-Encoding", "chunked")
					case UntilClose:
						head = AppendField(head, "Connection", "close")
					}
					r := mustParseResponse(t, method, string(AppendEnd(head)))
					if r.Framing() != framing {
						t.Fatalf("%v, %d, length %d: written %v, read %v", method, status, length, framing, r.Framing())
					}
				}
			}
		}
	}
}

// Sections 6 and 7: each body ends where it should, and what follows is left alone.
func TestResponseBodies(t *testing.T) {
	lim := Limits{Body: 20}.Resolve()
	const next = "HTTP/1.1 200 OK\r\n"
	for _, c := range []struct {
		name     string
		method   Method
		head     string
		body     string
		data     string
		trailers []string
		err      *Error
	}{
		{"length", GET, ok("Content-Length: 5"), "hello", "hello", nil, nil},
		{"length zero", GET, ok("Content-Length: 0"), "", "", nil, nil},
		{"chunked", GET, ok("Transfer-Encoding: chunked"), "5\r\nhello\r\n1;a=b\r\n!\r\n0\r\n\r\n", "hello!", nil, nil},
		{"trailers", GET, ok("Transfer-Encoding: chunked", "Trailer: a"), "5\r\nhello\r\n0\r\nA: b\r\nServer-Timing: c\r\n\r\n",
			"hello", []string{"A: b", "Server-Timing: c"}, nil},
		{"HEAD", HEAD, ok("Content-Length: 5"), "", "", nil, nil},
		{"HEAD, chunked", HEAD, ok("Transfer-Encoding: chunked"), "", "", nil, nil},
		{"HEAD, above the limit", HEAD, ok("Content-Length: 5000"), "", "", nil, nil},
		{"204", GET, responseHead("204 No Content"), "", "", nil, nil},
		{"304", GET, responseHead("304 Not Modified", "Content-Length: 5"), "", "", nil, nil},
		{"tunnel", CONNECT, ok("Content-Length: 5"), "", "", nil, nil},

		{"length above the limit", GET, ok("Content-Length: 21"), "", "", nil, errBodyTooLarge},
		{"chunks above the limit", GET, ok("Transfer-Encoding: chunked"), "5\r\nhello\r\n10\r\n", "hello", nil, errBodyTooLarge},
		{"chunk size", GET, ok("Transfer-Encoding: chunked"), "5\r\nhello\r\n-1\r\n", "hello", nil, errChunkSize},
		{"trailer field", GET, ok("Transfer-Encoding: chunked"), "0\r\nContent-Length: 5\r\n\r\n", "", nil, errTrailerField},
		{"cookie in the trailers", GET, ok("Transfer-Encoding: chunked"), "0\r\nSet-Cookie: a\r\n\r\n", "", nil, errTrailerField},
	} {
		t.Run(c.name, func(t *testing.T) {
			input := []byte(c.head + c.body + next)
			for _, ends := range [][]int{nil, bytewise(len(input))} {
				a := receive(c.method, input, &lim, ends...)
				if c.err != nil {
					if a.Body.Err != c.err || a.Body.Data != c.data || a.EOF != c.err {
						t.Errorf("%+v, want %v after %q", a, c.err, c.data)
					}
					continue
				}
				if a.Err != nil || a.EOF != nil || !a.Body.Done || a.Body.Data != c.data || a.Body.Rest != next ||
					!reflect.DeepEqual(a.Body.Trailers, c.trailers) {
					t.Errorf("%+v, want %q and %q", a, c.data, c.trailers)
				}
			}
		})
	}
}

// Section 6.3: without either field the content ends with the connection, which is
// then whole, also when it is empty.
func TestResponseUntilClose(t *testing.T) {
	lim := Limits{Body: 20}.Resolve()
	for _, content := range []string{"", "hello", strings.Repeat("a", 20)} {
		a := receive(GET, []byte(ok()+content), &lim)
		if a.Err != nil || a.EOF != nil || a.Body.Data != content || a.Body.Done {
			t.Errorf("%q: %+v", content, a)
		}
	}
	if a := receive(GET, []byte(ok()+strings.Repeat("a", 21)), &lim); a.Body.Err != errBodyTooLarge || a.EOF != errBodyTooLarge {
		t.Errorf("above the limit: %+v", a)
	}

	var b Body
	if err := b.InitFraming(UntilClose, -1, &lim); err != nil {
		t.Fatal(err)
	}
	if b.Next([]byte("a")); b.Done() || b.EOF() != nil || !b.Done() {
		t.Error("not done with the end of the connection, or before")
	}
	if _, n, done, err := b.Next([]byte("b")); n != 0 || !done || err != nil {
		t.Errorf("Next after the end: %d, %t, %v", n, done, err)
	}
}
