package http1

import (
	"errors"
	"io"
	"testing"
)

// Section 8, Handling Incomplete Messages: wherever the connection ends, the error says
// what is missing, and only what is whole has none.
func TestIncompleteResponse(t *testing.T) {
	lim := Limits{}.Resolve()
	chunked := ok("Transfer-Encoding: chunked")
	for _, c := range []struct {
		method  Method
		input   string
		where   Point
		missing int64
		text    string
	}{
		{GET, "", AtStart, 0, "before a response"},
		{GET, responseHead("100 Continue"), AfterInterim, 0, "after an interim response"},
		{GET, responseHead("100 Continue") + "H", InStatusLine, 0, "in the status line"},
		{GET, "H", InStatusLine, 0, "in the status line"},
		{GET, "HTTP/1.1 200 OK\r", InStatusLine, 0, "in the status line"},
		{GET, "HTTP/1.1 100 Continue\r\n", InHeader, 0, "in the header section"},
		{GET, "HTTP/1.1 200 OK\r\n", InHeader, 0, "in the header section"},
		{GET, "HTTP/1.1 200 OK\r\nA: b\r\n\r", InHeader, 0, "in the header section"},
		{GET, ok("Content-Length: 5"), InContent, 5, "in the content (bytes missing: 5)"},
		{GET, ok("Content-Length: 5") + "hell", InContent, 1, "in the content (bytes missing: 1)"},
		{GET, chunked, BetweenChunks, 0, "before the last chunk"},
		{GET, chunked + "5", BetweenChunks, 0, "before the last chunk"},
		{GET, chunked + "5;a", BetweenChunks, 0, "before the last chunk"},
		{GET, chunked + "5\r\n", InChunk, 5, "in a chunk (bytes missing: 5)"},
		{GET, chunked + "5\r\nhell", InChunk, 1, "in a chunk (bytes missing: 1)"},
		{GET, chunked + "5\r\nhello", BetweenChunks, 0, "before the last chunk"},
		{GET, chunked + "5\r\nhello\r", BetweenChunks, 0, "before the last chunk"},
		{GET, chunked + "5\r\nhello\r\n0\r", BetweenChunks, 0, "before the last chunk"},
		{GET, chunked + "5\r\nhello\r\n0\r\n", InTrailer, 0, "in the trailer section"},
		{GET, chunked + "0\r\nA: b\r\n", InTrailer, 0, "in the trailer section"},
		{GET, chunked + "0\r\n\r", InTrailer, 0, "in the trailer section"},
	} {
		for _, ends := range [][]int{nil, bytewise(len(c.input))} {
			a := receive(c.method, []byte(c.input), &lim, ends...)
			var e *IncompleteError
			if !errors.As(a.EOF, &e) || !errors.Is(a.EOF, io.ErrUnexpectedEOF) {
				t.Errorf("%q: %v, want an IncompleteError", c.input, a.EOF)
				continue
			}
			if e.Where != c.where || e.Missing != c.missing || e.Error() != "http1: connection closed "+c.text {
				t.Errorf("%q: %v with %v, %d missing; want %v, %d: %s", c.input, e, e.Where, e.Missing, c.where, c.missing, c.text)
			}
		}
	}
	if got := Point(100).String(); got != "invalid point" {
		t.Errorf("invalid point is %q", got)
	}
}

// EOF right after an interim response, before Next, says the same.
func TestEOFBeforeNext(t *testing.T) {
	r := mustParseResponse(t, GET, responseHead("100 Continue"))
	for range 2 {
		if e, ok := r.EOF().(*IncompleteError); !ok || e.Where != AfterInterim {
			t.Errorf("EOF = %v, want %v", r.EOF(), AfterInterim)
		}
		r.Next()
	}
}

// Nothing that is cut short is taken for whole, except for what lasts as long as its
// connection.
func TestEveryCutIsSeen(t *testing.T) {
	lim := Limits{}.Resolve()
	for _, head := range []string{
		ok("Content-Length: 5") + "hello",
		ok("Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\nA: b\r\n\r\n",
		responseHead("204 a", "A: b"),
	} {
		input := []byte(responseHead("103 a", "A: b") + head)
		for end := range input {
			if a := receive(GET, input[:end], &lim); !errors.Is(a.EOF, io.ErrUnexpectedEOF) || a.Err != nil || a.Body.Err != nil {
				t.Fatalf("%q: %+v", input[:end], a)
			}
		}
		if a := receive(GET, input, &lim); a.EOF != nil {
			t.Fatalf("%q: %v", input, a.EOF)
		}
	}
}

// An error of the message is what remains of it.
func TestEOFAfterError(t *testing.T) {
	lim := Limits{}.Resolve()
	if a := receive(GET, []byte("HTTP/1.1 200\n"), &lim); a.EOF != errBareLF {
		t.Errorf("%v, want %v", a.EOF, errBareLF)
	}
	if a := receive(GET, []byte(ok("Transfer-Encoding: chunked")+"x"), &lim); a.EOF != errChunkSize {
		t.Errorf("%v, want %v", a.EOF, errChunkSize)
	}
}
