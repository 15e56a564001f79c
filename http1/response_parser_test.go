package http1

import (
	"strings"
	"testing"
)

// Section 4, Status Line, with section 2.
var statusLineCases = []responseCase{
	{"4", "no fields", GET, "HTTP/1.1 200 OK\r\n\r\n", nil},
	{"4", "several words", GET, "HTTP/1.1 404 Not Found\r\n\r\n", nil},
	{"4", "no reason phrase", GET, "HTTP/1.1 200 \r\n\r\n", nil},
	// The space must be there, but many servers leave it out; no recipient takes the
	// end of the line for anything else.
	{"4", "no space behind the code", GET, "HTTP/1.1 200\r\n\r\n", nil},
	{"4", "any text in the reason phrase", GET, "HTTP/1.1 200 \tg\xfct \xc3\xbc \"a\"; HTTP/1.1 500 \r\n\r\n", nil},
	{"4", "registered nowhere", GET, "HTTP/1.1 299 a\r\n\r\n", nil},
	{"RFC 9110 15", "above 599", GET, "HTTP/1.1 999 Request denied\r\n\r\n", nil},
	{"RFC 9110 15", "below 100", GET, "HTTP/1.1 099 a\r\n\r\n", errStatusCode},
	{"RFC 9110 15", "zero", GET, "HTTP/1.1 000 a\r\n\r\n", errStatusCode},
	{"4", "two digits", GET, "HTTP/1.1 20 OK\r\n\r\n", errStatusCode},
	{"4", "four digits", GET, "HTTP/1.1 2000 OK\r\n\r\n", errStatusCode},
	{"4", "sign", GET, "HTTP/1.1 +20 OK\r\n\r\n", errStatusCode},
	{"4", "letters", GET, "HTTP/1.1 abc OK\r\n\r\n", errStatusCode},
	{"4", "no code", GET, "HTTP/1.1 OK\r\n\r\n", errStatusCode},
	{"4", "nothing behind the version", GET, "HTTP/1.1\r\n\r\n", errVersion},
	{"4", "nothing behind the space", GET, "HTTP/1.1 \r\n\r\n", errStatusCode},
	{"4", "two spaces before the code", GET, "HTTP/1.1  200 OK\r\n\r\n", errStatusCode},
	{"4", "tab before the code", GET, "HTTP/1.1\t200 OK\r\n\r\n", errVersion},
	{"4", "tab behind the code", GET, "HTTP/1.1 200\tOK\r\n\r\n", errStatusCode},
	{"4", "comma behind the code", GET, "HTTP/1.1 200, OK\r\n\r\n", errStatusCode},
	{"4", "NUL in the reason phrase", GET, "HTTP/1.1 200 O\x00K\r\n\r\n", errReason},
	{"4", "DEL in the reason phrase", GET, "HTTP/1.1 200 \x7f\r\n\r\n", errReason},
	{"2.2", "bare CR in the reason phrase", GET, "HTTP/1.1 200 O\rK\r\n\r\n", errBareCR},
	{"2.2", "bare CR behind the code", GET, "HTTP/1.1 200\rOK\r\n\r\n", errBareCR},
	{"2.2", "bare LF in the version", GET, "HTTP/1.1\n\r\n", errBareLF},
	{"2.2", "bare LF behind the version", GET, "HTTP/1.1 \n\r\n", errBareLF},
	{"2.2", "bare LF behind the code", GET, "HTTP/1.1 200\n\r\n", errBareLF},
	{"2.2", "bare LF behind the reason phrase", GET, "HTTP/1.1 200 OK\n\r\n", errBareLF},
	{"2.2", "empty line first", GET, "\r\nHTTP/1.1 200 OK\r\n\r\n", errVersion},
	{"2.2", "space first", GET, " HTTP/1.1 200 OK\r\n\r\n", errVersion},
	{"2.2", "whitespace behind the status line", GET, "HTTP/1.1 200 OK\r\n A: b\r\n\r\n", errFold},
	{"2.3", "HTTP/1.0", GET, "HTTP/1.0 200 OK\r\n\r\n", nil},
	{"2.3", "higher minor version", GET, "HTTP/1.9 200 OK\r\n\r\n", nil},
	{"2.3", "HTTP/2.0", GET, "HTTP/2.0 200 OK\r\n\r\n", errMajorVersion},
	{"2.3", "HTTP/0.9", GET, "HTTP/0.9 200 OK\r\n\r\n", errMajorVersion},
	{"2.3", "HTTP/2", GET, "HTTP/2 200 OK\r\n\r\n", errVersion},
	{"2.3", "lower case", GET, "http/1.1 200 OK\r\n\r\n", errVersion},
	{"2.3", "two digits", GET, "HTTP/1.10 200 OK\r\n\r\n", errVersion},
	{"2.3", "no version", GET, "200 OK\r\n\r\n", errVersion},
	{"2.3", "another protocol", GET, "ICY 200 OK\r\n\r\n", errVersion},
	{"2.3", "no protocol, as before HTTP/1.0", GET, "<html></html>\r\n\r\n", errVersion},
	{"2.3", "a request", GET, "GET / HTTP/1.1\r\n\r\n", errVersion},
}

// Section 5, Field Syntax. What the scanner of lines does is tested with requests.
var responseFieldCases = []responseCase{
	{"5", "fields", GET, ok("Date: a", "server:b ", "X-Empty:"), nil},
	{"5.1", "space before the colon", GET, ok("A : b"), errNameSpace},
	{"5.1", "no colon", GET, ok("A"), errNoColon},
	{"5.1", "no name", GET, ok(": b"), errEmptyName},
	{"5.1", "not a token", GET, ok("A(: b"), errNameChar},
	{"5.2", "obs-fold", GET, ok("A: b", " c"), errFold},
	{"5.5", "control character", GET, ok("A: b\x00"), errValueChar},
	{"2.2", "bare LF", GET, "HTTP/1.1 200 OK\r\nA: b\n\r\n", errBareLF},
	{"2.2", "bare CR", GET, "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", errBareCR},
	{"2.2", "bare LF at the end", GET, "HTTP/1.1 200 OK\r\n\n", errBareLF},

	// What these mean in requests does not matter here.
	{"3.2", "Host", GET, ok("Host: @", "Host: b"), nil},
	{"RFC 9110 10.1.1", "Expect", GET, ok("Expect: a"), nil},
	{"RFC 3875 4.1.18", "Content_Length", GET, ok("Content_Length: 5"), nil},
	// Servers behind some caches say so, and it is true: each field is for one
	// connection.
	{"RFC 9110 7.6.1", "Connection lists Transfer-Encoding", GET,
		ok("Transfer-Encoding: chunked", "Connection: keep-alive, Transfer-Encoding"), nil},
}

func TestParseStatusLine(t *testing.T) {
	runResponses(t, statusLineCases)
	for _, c := range []struct {
		line   string
		status int
		reason string
		minor  int
	}{
		{"HTTP/1.1 200 OK", 200, "OK", 1},
		{"HTTP/1.0 404 Not Found", 404, "Not Found", 0},
		{"HTTP/1.7 299 ", 299, "", 1},
		{"HTTP/1.1 999", 999, "", 1},
		{"HTTP/1.1 100  a ", 100, " a ", 1},
	} {
		r := mustParseResponse(t, GET, c.line+"\r\n\r\n")
		if r.StatusCode() != c.status || string(r.Reason()) != c.reason || r.Minor() != c.minor {
			t.Errorf("%q: %d, %q, minor %d", c.line, r.StatusCode(), r.Reason(), r.Minor())
		}
	}
}

func TestResponseFields(t *testing.T) {
	runResponses(t, responseFieldCases)
	r := mustParseResponse(t, GET, ok("Vary: a, Accept", "vary: Origin", "Set-Cookie: b=c"))
	if r.NumFields() != 3 || !r.ListHas("VARY", "origin") || r.ListHas("Vary", "b=c") {
		t.Errorf("%d fields, or wrong lists", r.NumFields())
	}
	if value, found := r.Get("set-cookie"); !found || string(value) != "b=c" {
		t.Errorf("Set-Cookie %q, %t", value, found)
	}
	if _, found := r.Get("Cookie"); found {
		t.Error("found a field that is not there")
	}
}

// The body of a response may be moved, and the head with it.
func TestResponseRebase(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n"
	buf := []byte(head + "content")
	lim := Limits{}.Resolve()
	var r Response
	if n, err := r.Parse(buf, &lim); n != len(head) || err != nil {
		t.Fatal(n, err)
	}
	r.Rebase([]byte(head))
	clear(buf)
	if value, _ := r.Get("a"); string(value) != "b" || string(r.Reason()) != "OK" || string(r.Head()) != head {
		t.Errorf("%q, %q, %q after Rebase", value, r.Reason(), r.Head())
	}
}

// Section 9.3, Persistence.
func TestResponseKeepAlive(t *testing.T) {
	for _, c := range []struct {
		method Method
		head   string
		want   bool
	}{
		{GET, ok("Content-Length: 5"), true},
		{GET, ok("Transfer-Encoding: chunked"), true},
		{GET, ok("Content-Length: 5", "Connection: close"), false},
		{GET, ok("Content-Length: 5", "Connection: a", "connection: b, CLOSE"), false},
		{GET, ok("Content-Length: 5", "Connection: close, keep-alive"), false},
		{GET, ok("Content-Length: 5", "Proxy-Connection: close"), true},
		{GET, "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", false},
		{GET, "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n\r\n", true},
		{GET, "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive, close\r\n\r\n", false},
		{GET, "HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\n", true},

		// The end of the connection is the end of the content.
		{GET, ok(), false},
		{GET, ok("Connection: keep-alive"), false},
		{GET, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", false},

		// There is no content.
		{HEAD, ok(), true},
		{HEAD, ok("Content-Length: 5"), true},
		{HEAD, ok("Transfer-Encoding: chunked"), true},
		{HEAD, "HTTP/1.0 200 OK\r\n\r\n", false},
		{GET, responseHead("204 No Content"), true},
		{GET, responseHead("204 No Content", "Content-Length: 0"), true},
		{GET, responseHead("304 Not Modified", "Content-Length: 5"), true},
		{GET, responseHead("304 Not Modified", "Transfer-Encoding: chunked"), true},
		{GET, responseHead("204 No Content", "Connection: close"), false},
		// There should be none.
		{GET, responseHead("204 No Content", "Content-Length: 5"), false},
		{GET, responseHead("204 No Content", "Transfer-Encoding: chunked"), false},

		{GET, responseHead("101 Switching Protocols", "Connection: upgrade", "Upgrade: a"), false},
		{GET, responseHead("100 Continue"), false},
		{CONNECT, ok(), false},
		{CONNECT, responseHead("407 Proxy Authentication Required", "Content-Length: 5"), true},
	} {
		if got := mustParseResponse(t, c.method, c.head).KeepAlive(); got != c.want {
			t.Errorf("%v, %q: keep-alive %t, want %t", c.method, c.head, got, c.want)
		}
	}
}

// The limits of heads, with responses just within them and one byte above.
var responseLimitCases = []struct {
	name   string
	limits Limits
	input  func(extra int) string
	want   *Error
}{
	{"reason phrase", Limits{Head: 1000}, func(extra int) string {
		return responseHead("200 " + strings.Repeat("a", 1000-len(responseHead("200 "))+extra))
	}, errResponseTooLarge},
	{"field", Limits{Head: 1000}, func(extra int) string {
		return ok("A: " + strings.Repeat("a", 1000-len(ok("A: "))+extra))
	}, errResponseTooLarge},
	{"default", Limits{}, func(extra int) string {
		return ok("A: " + strings.Repeat("a", 65536-len(ok("A: "))+extra))
	}, errResponseTooLarge},
	{"fields", Limits{Fields: 10}, func(extra int) string {
		return "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 10+extra) + "\r\n"
	}, errTooManyFields},
}

func TestResponseLimits(t *testing.T) {
	for _, c := range responseLimitCases {
		lim := c.limits.Resolve()
		for _, extra := range []int{-1, 0, 1, 5000} {
			input := []byte(c.input(extra))
			ends := bytewise(len(input))
			if len(ends) > 3000 {
				ends = append(ends[:100], ends[len(ends)-100:]...)
			}
			for _, ends := range [][]int{nil, ends} {
				s := splitResponse(GET, input, &lim, ends...)
				if extra <= 0 && (s.Length != len(input) || s.Err != nil) || extra > 0 && s.Err != c.want {
					t.Errorf("%s, %+d: %d, %v", c.name, extra, s.Length, s.Err)
				}
			}
		}
	}
	// Endless lines, before they are complete.
	for prefix, fill := range map[string]string{
		"HTTP/1.1 200 ":               "a",
		"HTTP/1.1 200 OK\r\n":         "a",
		"HTTP/1.1 200 OK\r\nA":        ":\r\nA",
		"HTTP/1.1 200 OK\r\nA:":       " ",
		"HTTP/1.1 200 OK\r\nA: b\r\n": "C: d\r\n",
	} {
		lim := Limits{}.Resolve()
		buf := []byte(prefix)
		var r Response
		var err error
		for err == nil && len(buf) < 100_000 {
			buf = append(buf, fill...)
			_, err = r.Parse(buf, &lim)
		}
		if err != errResponseTooLarge && err != errTooManyFields || len(buf) > 65536+len(fill) {
			t.Errorf("%q and so on: %v after %d bytes", prefix, err, len(buf))
		}
	}
}
