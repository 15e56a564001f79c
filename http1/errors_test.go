package http1

import (
	"strings"
	"testing"
)

// The reason is what the client gets to read. Here is each of them once, with
// those that differ only in the byte that is wrong.
func TestReasons(t *testing.T) {
	const line = "GET / HTTP/1.1\r\n"
	for _, c := range []struct {
		input string
		want  *Error
	}{
		{"\rG", errBareCR},
		{"\n", errBareLF},
		{"GET\n", errBareLF},
		{"GET /\n", errBareLF},
		{"GET / HTTP/1.1\n", errBareLF},
		{"GET / HTTP/1.1\rH", errBareCR},
		{line + "A\n", errBareLF},
		{line + "A: b\n", errBareLF},
		{line + "A: b\rc", errBareCR},
		{line + "Host: a\r\n\rx", errBareCR},

		{"\r\n\r\n", errEmptyLines},
		{"(", errMethod},
		{" ", errMethod},
		{"GET\r", errNoTarget},
		{"GET  ", errNoTarget},
		{"GET /\r", errNoVersion},
		{"GET /#", errTargetChar},
		{"GET /%zz", errTargetEscape},
		{"GET /\\", errTargetChar},
		{"GET /%00", errTargetNUL},
		{"GET a HTTP/1.1\r\n", errTargetForm},
		{"GET * HTTP/1.1\r\n", errTargetForm},
		{"GET http:/ HTTP/1.1\r\n", errTargetForm},
		{"GET http:// HTTP/1.1\r\n", errTargetHost},
		{"GET https:// HTTP/1.1\r\n", errTargetHost},
		{"CONNECT a HTTP/1.1\r\n", errTargetHost},
		{"GET / HTTP/x", errVersion},
		{"GET / HTTP/1.1 ", errVersion},
		{"GET / HTTP/2.0", errMajorVersion},

		{line + " ", errFold},
		{line + "A ", errNameSpace},
		{line + "A\r", errNoColon},
		{line + ":", errEmptyName},
		{line + "A(", errNameChar},
		{line + "A: \x00", errValueChar},
		{line + "\r\n", errNoHost},
		{line + "Host: a\r\nHost: a\r\n", errRepeatedHost},
		{line + "Host: @\r\n", errHost},
		{line + "Host:\r\n", errEmptyHost},
		{line + "Connection: Host\r\n", errConnection},
		{line + "Content_Length: 5\r\n", errDisguised},
		{line + "Content-Length: 05\r\n", errLength},
		{"TRACE / HTTP/1.1\r\nContent-Length: 5\r\n", errContent},
		{"CONNECT a:1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", errContent},
		{strings.Repeat("A", 9<<10), errMethodTooLong},
		{"GET /" + strings.Repeat("A", 9<<10), errRequestLine},
		{line + "Content-Length: x\r\n", errLength},
		{line + "Content-Length: 1\r\nContent-Length: 1\r\n", errRepeatedLength},
		{line + "Transfer-Encoding: \r\n", errCoding},
		{line + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", errRepeatedCoding},
		{line + "Transfer-Encoding: gzip\r\n", errUnknownCoding},
		{"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", errCodingVersion},
		{line + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", errCodingLength},
		{line + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", errCodingLength},
		{line + "Expect: a\r\n", errExpect},
	} {
		lim := Limits{}.Resolve()
		var r Request
		if _, err := r.Parse([]byte(c.input), &lim); err != c.want {
			t.Errorf("Parse(%q): %v, want %v", c.input, err, c.want)
		}
	}
	for _, c := range []struct {
		input string
		want  *Error
	}{
		{"x", errChunkSize},
		{"5\n", errBareLF},
		{"5;a\n", errBareLF},
		{"5;a ;\n", errBareLF},
		{"5;a=\"\n", errBareLF},
		{"5\rx", errBareCR},
		{"5;(", errChunkExt},
		{"1\r\nab", errChunkEnd},
		{"1\r\na\n", errBareLF},
		{"1\r\na\rx", errBareCR},
		{"0\r\n\n", errBareLF},
		{"0\r\n\rx", errBareCR},
		{"0\r\nA:\n", errBareLF},
		{"0\r\n ", errFold},
		{"0\r\nHost: a\r\n", errTrailerField},
		{"0\r\nauthorization: a\r\n", errTrailerField},
	} {
		lim := Limits{}.Resolve()
		if d := decodeChunked([]byte(c.input), &lim); d.Err != c.want {
			t.Errorf("chunked %q: %v, want %v", c.input, d.Err, c.want)
		}
	}
}
