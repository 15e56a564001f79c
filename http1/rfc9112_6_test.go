package http1

import (
	"math"
	"testing"
)

func framingCase(section, name string, status int, lines ...string) requestCase {
	return requestCase{section, name, header(lines...), status}
}

// Section 6, Message Body, with RFC 9110, section 8.6.
var framingCases = []requestCase{
	framingCase("6.1", "chunked", 0, "Transfer-Encoding: chunked"),
	framingCase("6.1", "case-insensitive", 0, "transfer-encoding:CHUNKED"),
	framingCase("6.1", "whitespace around", 0, "Transfer-Encoding: \tchunked\t "),
	framingCase("6.1", "empty", 400, "Transfer-Encoding:"),
	framingCase("6.1", "chunked twice in a field", 400, "Transfer-Encoding: chunked, chunked"),
	framingCase("6.1", "chunked in two fields", 400, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
	framingCase("6.1", "second field empty", 400, "Transfer-Encoding: chunked", "Transfer-Encoding:"),
	framingCase("6.1", "second field unknown", 400, "Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
	framingCase("6.1", "chunked not last", 400, "Transfer-Encoding: chunked, gzip"),
	framingCase("6.1", "empty element first", 400, "Transfer-Encoding: , chunked"),
	framingCase("6.1", "empty elements only", 400, "Transfer-Encoding: ,"),
	framingCase("6.1", "form feed before", 400, "Transfer-Encoding: \fchunked"),
	framingCase("6.1", "NUL behind", 400, "Transfer-Encoding: chunked\x00"),
	framingCase("6.1", "no-break space before", 400, "Transfer-Encoding: \xa0chunked"),
	framingCase("6.1", "tab instead of a comma", 400, "Transfer-Encoding: chunked\tchunked"),
	framingCase("6.1", "semicolon", 400, "Transfer-Encoding: chunked;"),
	framingCase("6.1", "single quotes", 501, "Transfer-Encoding: 'chunked'"),
	framingCase("6.1", "folded", 400, "Transfer-Encoding:\r\n chunked"),
	framingCase("6.1", "folded behind", 400, "Transfer-Encoding: chunked\r\n , identity"),
	framingCase("6.1", "three fields", 400, "Transfer-Encoding: chunked", "A: b", "Transfer-Encoding: chunked"),
	framingCase("6.1", "first field unknown", 501, "Transfer-Encoding: identity", "Transfer-Encoding: chunked"),
	framingCase("6.1", "identity before chunked", 501, "Transfer-Encoding: identity, chunked"),
	framingCase("6.1", "unknown coding with Content-Length", 501, "Transfer-Encoding: xchunked", "Content-Length: 5"),
	framingCase("6.1", "unknown coding behind Content-Length", 400, "Content-Length: 5", "Transfer-Encoding: xchunked"),
	framingCase("6.1", "empty element last", 400, "Transfer-Encoding: chunked,"),
	framingCase("6.1", "quoted", 400, "Transfer-Encoding: \"chunked\""),
	framingCase("6.1", "prefixed by a control character", 400, "Transfer-Encoding: \vchunked"),
	framingCase("6.1", "not a token", 400, "Transfer-Encoding: chun ked"),
	framingCase("6.1", "obs-text", 400, "Transfer-Encoding: \xffchunked"),
	framingCase("7.1", "chunked with a parameter", 400, "Transfer-Encoding: chunked;a=b"),
	framingCase("6.1", "unknown coding", 501, "Transfer-Encoding: gzip"),
	framingCase("6.1", "unknown coding before chunked", 501, "Transfer-Encoding: gzip, chunked"),
	framingCase("6.1", "identity", 501, "Transfer-Encoding: identity"),
	framingCase("6.1", "similar to chunked", 501, "Transfer-Encoding: xchunked"),
	framingCase("6.1", "with Content-Length", 400, "Transfer-Encoding: chunked", "Content-Length: 5"),
	framingCase("6.1", "with Content-Length before", 400, "Content-Length: 5", "Transfer-Encoding: chunked"),
	framingCase("6.1", "with Content-Length 0", 400, "Content-Length: 0", "Transfer-Encoding: chunked"),
	{"6.1", "in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},

	framingCase("6.2", "zero", 0, "Content-Length: 0"),
	framingCase("6.2", "one digit of each", 0, "Content-Length: 1234567890"),
	// The grammar allows zeros in front, and net/http, nginx and hyper accept them. But
	// what reads them as octal finds another end, and nobody needs them.
	framingCase("6.2", "leading zero", 400, "Content-Length: 05"),
	framingCase("6.2", "leading zeros", 400, "Content-Length: 0005"),
	framingCase("6.2", "leading zero before octal digits", 400, "Content-Length: 0200"),
	framingCase("6.2", "two zeros", 400, "Content-Length: 00"),
	framingCase("6.2", "octal", 400, "Content-Length: 0o5"),
	framingCase("6.2", "binary", 400, "Content-Length: 0b1"),
	framingCase("6.2", "exponent", 400, "Content-Length: 5e0"),
	framingCase("6.2", "comma", 400, "Content-Length: ,5"),
	framingCase("6.2", "digits, then letters", 400, "Content-Length: 5x"),
	framingCase("6.2", "parameter", 400, "Content-Length: 5;a=b"),
	framingCase("6.2", "tab inside", 400, "Content-Length: 1\t0"),
	framingCase("6.2", "NUL behind", 400, "Content-Length: 5\x00"),
	framingCase("6.2", "folded", 400, "Content-Length:\r\n 5"),
	framingCase("6.2", "vertical tab before", 400, "Content-Length: \v5"),
	framingCase("6.2", "no-break space before", 400, "Content-Length: \xc2\xa05"),
	framingCase("6.2", "whitespace around", 0, "Content-Length: \t5 \t"),
	framingCase("6.2", "2^63-1", 0, "Content-Length: 9223372036854775807"),
	framingCase("6.2", "2^63", 400, "Content-Length: 9223372036854775808"),
	framingCase("6.2", "2^64", 400, "Content-Length: 18446744073709551616"),
	framingCase("6.2", "2^64+5", 400, "Content-Length: 18446744073709551621"),
	framingCase("6.2", "a hundred digits", 400, "Content-Length: 1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"),
	framingCase("6.2", "empty", 400, "Content-Length:"),
	framingCase("6.2", "plus sign", 400, "Content-Length: +5"),
	framingCase("6.2", "minus sign", 400, "Content-Length: -5"),
	framingCase("6.2", "minus zero", 400, "Content-Length: -0"),
	framingCase("6.2", "hexadecimal", 400, "Content-Length: 0x5"),
	framingCase("6.2", "decimal point", 400, "Content-Length: 5.0"),
	framingCase("6.2", "underscore", 400, "Content-Length: 1_0"),
	framingCase("6.2", "inner space", 400, "Content-Length: 1 0"),
	framingCase("6.2", "list", 400, "Content-Length: 5, 6"),
	framingCase("6.2", "list of the same", 400, "Content-Length: 5, 5"),
	framingCase("6.2", "trailing comma", 400, "Content-Length: 5,"),
	framingCase("6.2", "quoted", 400, "Content-Length: \"5\""),
	framingCase("6.2", "digits of another script", 400, "Content-Length: \xd9\xa5"),
	framingCase("6.3", "repeated", 400, "Content-Length: 5", "Content-Length: 5"),
	framingCase("6.3", "repeated and different", 400, "Content-Length: 5", "Content-Length: 6"),
	framingCase("6.3", "repeated in another case", 400, "Content-Length: 5", "CONTENT-LENGTH: 5"),
	// RFC 9110, sections 9.3.6 and 9.3.8: there is no content, and recipients that do
	// not look for it go on in the middle of it. net/http and nginx leave that to
	// others.
	{"RFC 9110 9.3.8", "TRACE with Content-Length", "TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 400},
	{"RFC 9110 9.3.8", "TRACE with Content-Length 0", "TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 0},
	{"RFC 9110 9.3.8", "TRACE with chunks", "TRACE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	{"RFC 9110 9.3.6", "CONNECT with Content-Length", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\n\r\n", 400},
	{"RFC 9110 9.3.6", "CONNECT with chunks", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	{"RFC 9110 9.3.1", "GET with Content-Length", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 0},
	{"RFC 9110 9.3.5", "DELETE with chunks", "DELETE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 0},

	// Gateways take an underscore and a hyphen for the same. nginx drops all fields with
	// underscores; these two have no other use than to be taken for what they are not.
	framingCase("RFC 3875 4.1.18", "Transfer_Encoding", 400, "Transfer_Encoding: chunked"),
	framingCase("RFC 3875 4.1.18", "Content_Length", 400, "content_length: 5"),
	framingCase("RFC 3875 4.1.18", "Content_Length beside another", 400, "Content-Length: 5", "Content_Length: 6"),
	framingCase("RFC 3875 4.1.18", "underscores elsewhere", 0, "X_Encoding: a", "Content_Lengt: 5", "Content_Lengxx: 5", "_ontent_Length: 5", "Transfer_Encodinx: a"),

	{"6.2", "in HTTP/1.0", "POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n", 0},
}

func TestRFC9112Section6(t *testing.T) {
	runRequests(t, framingCases)
}

func TestFramingOfRequest(t *testing.T) {
	for _, c := range []struct {
		line    string
		length  int64
		chunked bool
		body    bool
	}{
		{"Accept: a", -1, false, false},
		{"Content-Length: 0", 0, false, false},
		{"Content-Length: 5", 5, false, true},
		{"Content-Length: 9223372036854775807", math.MaxInt64, false, true},
		{"Transfer-Encoding: chunked", -1, true, true},
	} {
		r := mustParse(t, header(c.line))
		if r.ContentLength() != c.length || r.Chunked() != c.chunked || r.HasBody() != c.body {
			t.Errorf("%s: length %d, chunked %t, body %t; want %d, %t, %t", c.line,
				r.ContentLength(), r.Chunked(), r.HasBody(), c.length, c.chunked, c.body)
		}
	}
}

// Section 6.3: the body ends after Content-Length bytes, and the next request
// starts there.
func TestBodyOfLength(t *testing.T) {
	lim := Limits{}.Resolve()
	r := mustParse(t, header("Content-Length: 5"))
	const input = "helloGET / HTTP/1.1\r\n"
	for split := range len(input) {
		var b Body
		if err := b.Init(r, &lim); err != nil {
			t.Fatal(err)
		}
		d := decode(&b, []byte(input), split)
		if d.Data != "hello" || !d.Done || d.Err != nil || d.Received != 5 || d.Rest != input[5:] {
			t.Errorf("split at %d: %+v", split, d)
		}
		if !b.Done() {
			t.Errorf("split at %d: not done", split)
		}
	}
}

func TestBodyIncomplete(t *testing.T) {
	lim := Limits{}.Resolve()
	var b Body
	if err := b.InitFraming(Length, 5, &lim); err != nil {
		t.Fatal(err)
	}
	if d := decode(&b, []byte("hell")); d.Data != "hell" || d.Done || b.Done() || d.Err != nil {
		t.Errorf("%+v", d)
	}
	if data, n, done, err := b.Next(nil); len(data) != 0 || n != 0 || done || err != nil {
		t.Errorf("Next without input = %q, %d, %t, %v", data, n, done, err)
	}
}

// Without either field there is no body, and what follows is the next request.
func TestNoBody(t *testing.T) {
	lim := Limits{}.Resolve()
	for _, line := range []string{"Accept: a", "Content-Length: 0"} {
		var b Body
		if err := b.Init(mustParse(t, header(line)), &lim); err != nil {
			t.Fatal(err)
		}
		if !b.Done() {
			t.Errorf("%s: not done", line)
		}
		if data, n, done, err := b.Next([]byte("GET")); len(data) != 0 || n != 0 || !done || err != nil {
			t.Errorf("%s: Next = %q, %d, %t, %v", line, data, n, done, err)
		}
	}
}

func TestBodyUntilClose(t *testing.T) {
	lim := Limits{Body: 6}.Resolve()
	var b Body
	if err := b.InitFraming(UntilClose, -1, &lim); err != nil {
		t.Fatal(err)
	}
	if d := decode(&b, []byte("abcdef"), 2); d.Data != "abcdef" || d.Done || d.Err != nil {
		t.Errorf("%+v", d)
	}
	if _, _, _, err := b.Next([]byte("g")); err != errBodyTooLarge {
		t.Errorf("error %v, want %v", err, errBodyTooLarge)
	}
}
