package http1

import (
	"slices"
	"strings"
	"testing"
)

// chunkedCase is a chunked body with the bytes "NEXT" after it.
type chunkedCase struct {
	section string
	name    string
	input   string
	status  int
	data    string // content before the error, if there is one
}

// Section 7.1, Chunked Transfer Coding.
var chunkedCases = []chunkedCase{
	{"7.1", "one chunk", "5\r\nhello\r\n0\r\n\r\n", 0, "hello"},
	{"7.1", "several chunks", "1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n", 0, "abcdef"},
	{"7.1", "no chunk", "0\r\n\r\n", 0, ""},
	{"7.1", "hexadecimal in lower case", "a\r\n0123456789\r\n0\r\n\r\n", 0, "0123456789"},
	{"7.1", "hexadecimal in upper case", "A\r\n0123456789\r\n0\r\n\r\n", 0, "0123456789"},
	{"7.1", "leading zeros", "0005\r\nhello\r\n0\r\n\r\n", 0, "hello"},
	{"7.1", "sixteen digits", "0000000000000005\r\nhello\r\n0\r\n\r\n", 0, "hello"},
	{"7.1", "several zeros", "5\r\nhello\r\n000\r\n\r\n", 0, "hello"},
	{"7.1", "CRLF in the data", "4\r\n\r\n\r\n\r\n0\r\n\r\n", 0, "\r\n\r\n"},
	{"7.1", "any byte in the data", "3\r\n\x00\n\xff\r\n0\r\n\r\n", 0, "\x00\n\xff"},

	{"7.1", "no size", "\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "extension without size", ";a=b\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "seventeen digits", "00000000000000005\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "size 2^63", "8000000000000000\r\n", 400, ""},
	{"7.1", "size 2^64-1", "ffffffffffffffff\r\n", 400, ""},
	{"7.1", "size 2^64+5", "10000000000000005\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "prefix 0x", "0x5\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "plus sign", "+5\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "minus sign", "-5\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "underscore", "0_5\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "not hexadecimal", "g\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "space before the size", " 5\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "tab before the size", "\t5\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "space after the size", "5 \r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "tab after the size", "5\t\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "space in the size", "0 5\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "NUL after the size", "5\x00\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "bare LF after the size", "5\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "bare CR after the size", "5\rhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "two CR after the size", "5\r\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "letter behind the size", "5x\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "comma behind the size", "5,5\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "point behind the size", "5.0\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "quoted size", "\"5\"\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "suffix h", "5h\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "vertical tab behind the size", "5\v\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "digits of another script", "\xef\xbc\x95\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1", "signed last chunk", "5\r\nhello\r\n-0\r\n\r\n", 400, "hello"},
	{"7.1", "last chunk with plus", "5\r\nhello\r\n+0\r\n\r\n", 400, "hello"},
	{"7.1", "last chunk with prefix", "5\r\nhello\r\n0x0\r\n\r\n", 400, "hello"},
	{"7.1", "last chunk of seventeen zeros", "5\r\nhello\r\n00000000000000000\r\n\r\n", 400, "hello"},
	{"7.1", "junk behind the last chunk", "5\r\nhello\r\n0\r\nX\r\n\r\n", 400, "hello"},
	{"7.1", "space behind the last chunk", "5\r\nhello\r\n0 \r\n\r\n", 400, "hello"},
	{"7.1", "bare CR before the last chunk", "5\r\nhello\r\n\r0\r\n\r\n", 400, "hello"},
	{"7.1", "no CRLF after the data", "5\r\nhello0\r\n\r\n", 400, "hello"},
	{"7.1", "longer data than announced", "5\r\nhello world\r\n0\r\n\r\n", 400, "hello"},
	{"7.1", "shorter data than announced", "5\r\nhell\r\n0\r\n\r\n", 400, "hell\r"},
	{"7.1", "bare LF after the data", "5\r\nhello\n0\r\n\r\n", 400, "hello"},
	{"7.1", "bare CR after the data", "5\r\nhello\r0\r\n\r\n", 400, "hello"},
	{"7.1", "two CRLF after the data", "5\r\nhello\r\n\r\n0\r\n\r\n", 400, "hello"},
	{"7.1", "bare LF after the last chunk", "0\n\r\n", 400, ""},
	{"7.1", "bare LF at the end", "0\r\n\n", 400, ""},
	{"7.1", "bare CR at the end", "0\r\n\rX", 400, ""},

	{"7.1.1", "name", "5;a\r\nhello\r\n0\r\n\r\n", 0, "hello"},
	{"7.1.1", "name and token", "5;a=b\r\nhello\r\n0;c=d\r\n\r\n", 0, "hello"},
	{"7.1.1", "several", "5;a;b=c;d=\"e\";f\r\nhello\r\n0\r\n\r\n", 0, "hello"},
	{"7.1.1", "quoted string", "5;a=\"b;c\r\\\"d\te\xff\"\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "quoted string with pairs", "5;a=\"b;c\\\"d\te\\\\\xff\"\r\nhello\r\n0\r\n\r\n", 0, "hello"},
	{"7.1.1", "empty quoted string", "5;a=\"\"\r\nhello\r\n0\r\n\r\n", 0, "hello"},
	{"7.1.1", "bad whitespace", "5 \t; a \t= \tb ;c =\"d\" ; e\r\nhello\r\n0\r\n\r\n", 0, "hello"},
	{"7.1.1", "whitespace between extensions", "5;a ;b\t;c\r\nhello\r\n0\r\n\r\n", 0, "hello"},
	{"7.1.1", "no name", "5;\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "no name but a value", "5;=b\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "no value", "5;a=\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "no second name", "5;a;\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "two semicolons", "5;;a\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "two equals signs", "5;a=b=c\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "two names", "5;a b\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "two values", "5;a=b c\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "space at the end", "5;a \r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "space at the end of a value", "5;a=b \r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "space after a quoted string", "5;a=\"b\" \r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "bytes after a quoted string", "5;a=\"b\"c\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "open quoted string", "5;a=\"b\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "CR in a quoted pair", "5;a=\"\\\r\n\"\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "LF in a quoted string", "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "LF in a quoted pair", "5;a=\"\\\n\"\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "NUL in a quoted string", "5;a=\"\x00\"\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "DEL in a quoted string", "5;a=\"\x7f\"\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "control character in a token", "5;a\x01\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "not ASCII in a token", "5;\xc3\xa9\r\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "bare LF after the name", "5;a\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "bare LF after the semicolon", "5;\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "bare LF after the value", "5;a=b\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "bare LF after a quoted string", "5;a=\"b\"\nhello\r\n0\r\n\r\n", 400, ""},
	{"7.1.1", "bare CR after the name", "5;a\rhello\r\n0\r\n\r\n", 400, ""},

	{"7.1.2", "trailers", "5\r\nhello\r\n0\r\nA: b\r\nC:d\r\n\r\n", 0, "hello"},
	{"7.1.2", "trailer with empty value", "0\r\nA:\r\n\r\n", 0, ""},
	{"7.1.2", "space before the colon", "0\r\nA : b\r\n\r\n", 400, ""},
	{"7.1.2", "space first", "0\r\n A: b\r\n\r\n", 400, ""},
	{"7.1.2", "obs-fold", "0\r\nA: b\r\n c\r\n\r\n", 400, ""},
	{"7.1.2", "no colon", "0\r\nA\r\n\r\n", 400, ""},
	{"7.1.2", "no name", "0\r\n: b\r\n\r\n", 400, ""},
	{"7.1.2", "name that is no token", "0\r\nA(: b\r\n\r\n", 400, ""},
	{"7.1.2", "control character", "0\r\nA: \x00\r\n\r\n", 400, ""},
	{"7.1.2", "bare LF", "0\r\nA: b\n\r\n", 400, ""},
	{"7.1.2", "bare CR", "0\r\nA: b\rc\r\n\r\n", 400, ""},
	{"7.1.2", "bare LF at the end", "0\r\nA: b\r\n\n", 400, ""},
	{"7.1.2", "another request instead", "5\r\nhello\r\n0\r\nGET / HTTP/1.1\r\n\r\n", 400, "hello"},
	{"RFC 9110 6.5.1", "Content-Length", "0\r\nContent-Length: 5\r\n\r\n", 400, ""},
	{"RFC 9110 6.5.1", "Transfer-Encoding", "0\r\ntransfer-encoding: chunked\r\n\r\n", 400, ""},
	{"RFC 9110 6.5.1", "Host", "0\r\nA: b\r\nHOST: a\r\n\r\n", 400, ""},
	{"RFC 9110 6.5.1", "Authorization", "0\r\nAuthorization: a\r\n\r\n", 400, ""},
	{"RFC 9110 6.5.1", "Content-Type", "0\r\nContent-Type: a\r\n\r\n", 400, ""},
	{"RFC 9110 6.5.1", "Content-Encoding", "0\r\nContent-Encoding: a\r\n\r\n", 400, ""},
	{"RFC 9110 6.5.1", "Cookie", "0\r\nCookie: a\r\n\r\n", 400, ""},
	{"RFC 9110 6.5.1", "Connection", "0\r\nConnection: a\r\n\r\n", 400, ""},
	{"RFC 9110 6.5.1", "Expect", "0\r\nExpect: a\r\n\r\n", 400, ""},
	{"RFC 9110 6.5.1", "Upgrade", "0\r\nUpgrade: a\r\n\r\n", 400, ""},
	{"RFC 9110 6.5.1", "TE", "0\r\nTE: a\r\n\r\n", 400, ""},
	{"RFC 9110 6.5.1", "Trailer", "0\r\nTrailer: a\r\n\r\n", 400, ""},
	{"RFC 9110 6.5.1", "Cache-Control", "0\r\nCache-Control: a\r\n\r\n", 400, ""},
	{"RFC 9110 6.5.1", "If-None-Match", "0\r\nIf-None-Match: a\r\n\r\n", 400, ""},
	{"RFC 9110 6.5.1", "Content_Length", "0\r\nContent_Length: a\r\n\r\n", 400, ""},
	{"RFC 9110 6.5.1", "X-Forwarded-For", "0\r\nX-Forwarded-For: a\r\n\r\n", 400, ""},
	{"RFC 9110 6.5.1", "what is for trailers", "0\r\nServer-Timing: a\r\nDigest: b\r\nETag: c\r\nGrpc-Status: 0\r\nX-Content-Type: d\r\n\r\n", 0, ""},
}

func TestRFC9112Section7(t *testing.T) {
	lim := Limits{}.Resolve()
	for _, c := range chunkedCases {
		t.Run(c.section+" "+c.name, func(t *testing.T) {
			d := decodeChunked([]byte(c.input+"NEXT"), &lim)
			if got := statusOf(t, d.Err); got != c.status {
				t.Fatalf("status %d (%v), want %d, for %q", got, d.Err, c.status, c.input)
			}
			if d.Data != c.data {
				t.Errorf("data %q, want %q", d.Data, c.data)
			}
			if int(d.Received) != len(c.data) {
				t.Errorf("received %d, want %d", d.Received, len(c.data))
			}
			if c.status != 0 {
				return
			}
			if !d.Done {
				t.Errorf("not done")
			}
			if d.Rest != "NEXT" {
				t.Errorf("rest %q, want what follows the body", d.Rest)
			}
		})
	}
}

func TestTrailers(t *testing.T) {
	lim := Limits{}.Resolve()
	input := []byte("0\r\nA:b\r\nServer-Timing: \t c d \r\nX:\r\na: e\r\n\r\nNEXT")
	want := []string{"A: b", "Server-Timing: c d", "X: ", "a: e"}

	// A Body that is used again must not show what it had before.
	var b Body
	for split := range input {
		if err := b.InitFraming(Chunked, -1, &lim); err != nil {
			t.Fatal(err)
		}
		d := decode(&b, input, split)
		if !slices.Equal(d.Trailers, want) || d.Err != nil || d.Rest != "NEXT" {
			t.Fatalf("split at %d: %+v, want trailers %q", split, d, want)
		}
	}
	if err := b.InitFraming(Chunked, -1, &lim); err != nil {
		t.Fatal(err)
	}
	if d := decode(&b, []byte("0\r\n\r\n")); !d.Done || len(d.Trailers) != 0 {
		t.Errorf("%+v, want no trailers", d)
	}
}

// Errors are sticky: nothing after them is ever taken for content.
func TestBodyErrorIsFinal(t *testing.T) {
	lim := Limits{}.Resolve()
	var b Body
	if err := b.InitFraming(Chunked, -1, &lim); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := b.Next([]byte("x\r\n")); err != errChunkSize {
		t.Fatalf("error %v, want %v", err, errChunkSize)
	}
	if data, n, done, err := b.Next([]byte("5\r\nhello\r\n0\r\n\r\n")); len(data) != 0 || n != 0 || done || err != errChunkSize {
		t.Errorf("Next = %q, %d, %t, %v; want the first error", data, n, done, err)
	}
	if b.Done() {
		t.Error("done after an error")
	}
}

// The memory for trailers that is kept for the next body is bounded.
func TestTrailerMemory(t *testing.T) {
	lim := Limits{Trailer: 1 << 20, Fields: 1 << 12}.Resolve()
	var b Body
	for range 2 {
		if err := b.InitFraming(Chunked, -1, &lim); err != nil {
			t.Fatal(err)
		}
		if cap(b.trailer) > keptTrailer || cap(b.trailers) > keptTrailerFields {
			t.Fatalf("Init keeps %d bytes and %d fields", cap(b.trailer), cap(b.trailers))
		}
		d := decode(&b, []byte("0\r\n"+strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 100)+"\r\n"))
		if !d.Done || len(d.Trailers) != 100 {
			t.Fatalf("%d trailers, error %v", len(d.Trailers), d.Err)
		}
	}
}
