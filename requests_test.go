package ringkit

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A request that cannot be understood, and the status it is answered with. After
// such an answer the connection ends, since nobody knows where the next request
// would begin.
type badRequest struct {
	name    string
	request string
	status  int
}

const (
	someFields = "Host: test\r\n\r\n"
	getLine    = "GET / HTTP/1.1\r\n"
	postHead   = "POST / HTTP/1.1\r\nHost: test\r\n"
	chunkedTo  = postHead + "Transfer-Encoding: chunked\r\n\r\n"
)

// RFC 9112, section 2.2 and 3.
var badRequestLines = []badRequest{
	{"bare LF", "GET / HTTP/1.1\nHost: test\n\n", 400},
	{"bare LF after the request line", "GET / HTTP/1.1\n" + someFields, 400},
	{"two empty lines before", "\r\n\r\n" + getLine + someFields, 400},
	{"whitespace before", " " + getLine + someFields, 400},
	{"method is no token", "G@T / HTTP/1.1\r\n" + someFields, 400},
	{"method in parentheses", "(GET) / HTTP/1.1\r\n" + someFields, 400},
	{"method of NUL", "\x00 / HTTP/1.1\r\n" + someFields, 400},
	{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400},
	{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
	{"tab as separator", "GET\t/\tHTTP/1.1\r\n" + someFields, 400},
	{"two spaces before the target", "GET  / HTTP/1.1\r\n" + someFields, 400},
	{"two spaces after the target", "GET /  HTTP/1.1\r\n" + someFields, 400},
	{"space after the version", "GET / HTTP/1.1 \r\n" + someFields, 400},
	{"no target", "GET HTTP/1.1\r\n" + someFields, 400},
	{"only a method", "GET\r\n" + someFields, 400},
	{"HTTP/0.9", "GET /\r\n", 400},
	{"version in small letters", "GET / http/1.1\r\n" + someFields, 400},
	{"version of another protocol", "GET / HTTQ/1.1\r\n" + someFields, 400},
	{"version without minor", "GET / HTTP/1\r\n" + someFields, 400},
	{"version with two digits", "GET / HTTP/1.10\r\n" + someFields, 400},
	{"version 0.9", "GET / HTTP/0.9\r\n" + someFields, 505},
	{"version 2.0", "GET / HTTP/2.0\r\n" + someFields, 505},
	{"version 3.1", "GET / HTTP/3.1\r\n" + someFields, 505},
	{"method without end", strings.Repeat("A", 9<<10), 400},
	{"target without end", "GET /" + strings.Repeat("a", 9<<10), 414},
	{"target too long", "GET /" + strings.Repeat("a", 9<<10) + " HTTP/1.1\r\n" + someFields, 414},
	{"query too long", "GET /?" + strings.Repeat("a", 9<<10) + " HTTP/1.1\r\n" + someFields, 414},
}

// RFC 9112, section 3.2.
var badTargets = []badRequest{
	{"NUL", "GET /\x00 HTTP/1.1\r\n" + someFields, 400},
	{"DEL", "GET /\x7f HTTP/1.1\r\n" + someFields, 400},
	{"control character in the query", "GET /?\x01 HTTP/1.1\r\n" + someFields, 400},
	{"not ASCII", "GET /\xc3\xa9 HTTP/1.1\r\n" + someFields, 400},
	{"fragment", "GET /#there HTTP/1.1\r\n" + someFields, 400},
	{"percent sign alone", "GET /% HTTP/1.1\r\n" + someFields, 400},
	{"percent and one digit", "GET /%4 HTTP/1.1\r\n" + someFields, 400},
	{"percent and no digits", "GET /%zz HTTP/1.1\r\n" + someFields, 400},
	{"relative", "GET there HTTP/1.1\r\n" + someFields, 400},
	{"asterisk with GET", "GET * HTTP/1.1\r\n" + someFields, 400},
	{"other scheme", "GET ftp://test/ HTTP/1.1\r\n" + someFields, 400},
	{"absolute without authority", "GET http:///there HTTP/1.1\r\n" + someFields, 400},
	{"absolute with userinfo", "GET http://user@test/ HTTP/1.1\r\n" + someFields, 400},
	{"absolute with open bracket", "GET http://[::1/ HTTP/1.1\r\n" + someFields, 400},
	{"absolute with bad port", "GET http://test:http/ HTTP/1.1\r\n" + someFields, 400},
	{"CONNECT with a path", "CONNECT /there HTTP/1.1\r\n" + someFields, 400},
	{"CONNECT without port", "CONNECT test HTTP/1.1\r\n" + someFields, 400},
	{"CONNECT with port 0", "CONNECT test:0 HTTP/1.1\r\n" + someFields, 400},
}

// RFC 9112, section 3.2, and RFC 9110, section 7.2.
var badHosts = []badRequest{
	{"missing", getLine + "\r\n", 400},
	{"missing beside an absolute target", "GET http://test/ HTTP/1.1\r\n\r\n", 400},
	{"repeated", getLine + "Host: test\r\nHost: test\r\n\r\n", 400},
	{"two, different", getLine + "Host: test\r\nHost: other\r\n\r\n", 400},
	{"repeated with HTTP/1.0", "GET / HTTP/1.0\r\nHost: test\r\nHost: test\r\n\r\n", 400},
	{"list", getLine + "Host: test, other\r\n\r\n", 400},
	{"with space", getLine + "Host: te st\r\n\r\n", 400},
	{"with path", getLine + "Host: test/there\r\n\r\n", 400},
	{"with userinfo", getLine + "Host: user@test\r\n\r\n", 400},
	{"with port beyond 65535", getLine + "Host: test:65536\r\n\r\n", 400},
	{"with port of letters", getLine + "Host: test:http\r\n\r\n", 400},
	{"with open bracket", getLine + "Host: [::1\r\n\r\n", 400},
	{"with bad IPv6", getLine + "Host: [1::2::3]\r\n\r\n", 400},
	{"bad beside an absolute target", "GET http://test/ HTTP/1.1\r\nHost: te st\r\n\r\n", 400},
}

// RFC 9112, section 5.
var badFields = []badRequest{
	{"space before colon", getLine + "Host : test\r\n\r\n", 400},
	{"tab before colon", getLine + "Host: test\r\nA\t: b\r\n\r\n", 400},
	{"folded", getLine + "Host: test\r\nA: b\r\n c\r\n\r\n", 400},
	{"folded with tab", getLine + "Host: test\r\nA: b\r\n\tc\r\n\r\n", 400},
	{"whitespace before the first", getLine + " Host: test\r\n\r\n", 400},
	{"no colon", getLine + "Host: test\r\nfield\r\n\r\n", 400},
	{"no name", getLine + "Host: test\r\n: value\r\n\r\n", 400},
	{"name is no token", getLine + "Host: test\r\na[0]: value\r\n\r\n", 400},
	{"name is not ASCII", getLine + "Host: test\r\n\xc3\xa9: value\r\n\r\n", 400},
	{"NUL in the name", getLine + "Host: test\r\nA\x00: value\r\n\r\n", 400},
	{"NUL in the value", getLine + "Host: test\r\nA: b\x00c\r\n\r\n", 400},
	{"DEL in the value", getLine + "Host: test\r\nA: b\x7f\r\n\r\n", 400},
	{"bare CR in the value", getLine + "Host: test\r\nA: b\rc\r\n\r\n", 400},
	{"bare LF in the value", getLine + "Host: test\r\nA: b\nc: d\r\n\r\n", 400},
	{"bare CR at the end of a line", getLine + "Host: test\r\nA: b\r\r\n\r\n", 400},
	{"bare LF at the end of the head", getLine + "Host: test\r\n\n", 400},
	{"bare CR at the end of the head", getLine + "Host: test\r\n\r\r\n", 400},
	{"one too long", getLine + "Host: test\r\nA: " + strings.Repeat("b", 65<<10) + "\r\n\r\n", 431},
	{"a name without end", getLine + "Host: test\r\n" + strings.Repeat("b", 65<<10), 431},
	{"too long together", getLine + "Host: test\r\n" + strings.Repeat("A: "+strings.Repeat("b", 1021)+"\r\n", 64) + "\r\n", 431},
	{"too many", getLine + "Host: test\r\n" + strings.Repeat("A: b\r\n", 256) + "\r\n", 431},
}

// RFC 9112, section 6, and RFC 9110, sections 8.6 and 10.1.1.
var badFramings = []badRequest{
	{"Transfer-Encoding and Content-Length", postHead + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400},
	{"Content-Length and Transfer-Encoding", postHead + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
	{"Transfer-Encoding with HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
	{"Transfer-Encoding twice", postHead + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
	{"chunked twice", postHead + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400},
	{"chunked before another coding", postHead + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400},
	{"chunked with parameter", postHead + "Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n", 400},
	{"no coding", postHead + "Transfer-Encoding:\r\n\r\n0\r\n\r\n", 400},
	{"chunked and vertical tab", postHead + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400},
	{"gzip", postHead + "Transfer-Encoding: gzip\r\n\r\n", 501},
	{"gzip, chunked", postHead + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
	{"identity", postHead + "Transfer-Encoding: identity\r\n\r\n", 501},
	{"unknown coding", postHead + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501},
	{"Content-Length twice", postHead + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400},
	{"two different Content-Length", postHead + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
	{"list of Content-Length", postHead + "Content-Length: 1, 1\r\n\r\na", 400},
	{"empty Content-Length", postHead + "Content-Length:\r\n\r\n", 400},
	{"negative Content-Length", postHead + "Content-Length: -1\r\n\r\n", 400},
	{"signed Content-Length", postHead + "Content-Length: +1\r\n\r\na", 400},
	{"hexadecimal Content-Length", postHead + "Content-Length: 0x1\r\n\r\na", 400},
	{"Content-Length with underscore", postHead + "Content-Length: 1_0\r\n\r\n0123456789", 400},
	{"Content-Length with fraction", postHead + "Content-Length: 1.0\r\n\r\na", 400},
	{"Content-Length of 64 bits", postHead + "Content-Length: 9223372036854775808\r\n\r\n", 400},
	{"Content-Length that wraps", postHead + "Content-Length: 18446744073709551617\r\n\r\na", 400},
	{"body too large", postHead + "Content-Length: 9223372036854775807\r\n\r\n", 413},
	{"body too large by one", postHead + "Content-Length: 10485761\r\n\r\n", 413},
	{"body too large, asking first", postHead + "Content-Length: 10485761\r\nExpect: 100-continue\r\n\r\n", 413},
	{"unknown expectation", postHead + "Content-Length: 1\r\nExpect: 200-ok\r\n\r\na", 417},
	{"two expectations", postHead + "Content-Length: 1\r\nExpect: 100-continue, more\r\n\r\na", 417},
}

// RFC 9112, section 7.1.
var badChunks = []badRequest{
	{"size is no number", chunkedTo + "x\r\n", 400},
	{"size is empty", chunkedTo + "\r\n", 400},
	{"size is negative", chunkedTo + "-1\r\n", 400},
	{"size with prefix", chunkedTo + "0x1\r\na\r\n0\r\n\r\n", 400},
	{"size with space before", chunkedTo + " 1\r\na\r\n0\r\n\r\n", 400},
	{"size of 64 bits", chunkedTo + "8000000000000000\r\n", 400},
	{"size that wraps", chunkedTo + "10000000000000001\r\na\r\n0\r\n\r\n", 400},
	{"size with seventeen zeros", chunkedTo + "00000000000000001\r\na\r\n0\r\n\r\n", 400},
	{"bare LF after the size", chunkedTo + "1\na\r\n0\r\n\r\n", 400},
	{"bare CR after the size", chunkedTo + "1\ra\r\n0\r\n\r\n", 400},
	{"no CRLF after the data", chunkedTo + "1\r\nab\r\n0\r\n\r\n", 400},
	{"LF after the data", chunkedTo + "1\r\na\n0\r\n\r\n", 400},
	{"bare LF at the end", chunkedTo + "0\r\n\n", 400},
	{"extension without name", chunkedTo + "1;=a\r\na\r\n0\r\n\r\n", 400},
	{"extension of a control character", chunkedTo + "1;a=\x01\r\na\r\n0\r\n\r\n", 400},
	{"bare LF in an extension", chunkedTo + "1;a\na\r\n0\r\n\r\n", 400},
	{"extension too long", chunkedTo + "1;" + strings.Repeat("a", 2<<10) + "\r\na\r\n0\r\n\r\n", 400},
	{"extensions too long together", chunkedTo + strings.Repeat("1;"+strings.Repeat("a", 999)+"\r\na\r\n", 18) + "0\r\n\r\n", 400},
	{"more than the limit", chunkedTo + "A00001\r\n" + pattern(10<<20+1) + "\r\n0\r\n\r\n", 413},
	{"chunk above the limit announced", chunkedTo + "7fffffffffffffff\r\n" + pattern(10<<20+1), 413},
	{"Host in the trailer", chunkedTo + "0\r\nHost: other\r\n\r\n", 400},
	{"Content-Length in the trailer", chunkedTo + "0\r\nContent-Length: 3\r\n\r\n", 400},
	{"Transfer-Encoding in the trailer", chunkedTo + "0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	{"folded trailer", chunkedTo + "0\r\nA: b\r\n c\r\n\r\n", 400},
	{"trailer without colon", chunkedTo + "0\r\nA\r\n\r\n", 400},
	{"trailer too long", chunkedTo + "0\r\nA: " + strings.Repeat("b", 9<<10) + "\r\n\r\n", 431},
	{"too many trailers", chunkedTo + "0\r\n" + strings.Repeat("A: b\r\n", 257) + "\r\n", 431},
}

func TestBadRequestLine(t *testing.T) { testBadRequests(t, badRequestLines) }
func TestBadTarget(t *testing.T)      { testBadRequests(t, badTargets) }
func TestBadHost(t *testing.T)        { testBadRequests(t, badHosts) }
func TestBadFields(t *testing.T)      { testBadRequests(t, badFields) }
func TestBadFraming(t *testing.T)     { testBadRequestsOn(t, eachEngine, badFramings) }
func TestBadChunks(t *testing.T)      { testBadRequests(t, badChunks) }

// askers are handlers that answer every request with what was asked of them: a
// native one, and the same behind a slower standard one.
func askers() HandlerFunc {
	standard := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		time.Sleep(2 * time.Millisecond)
		fmt.Fprintf(w, "%s %s%s %s", r.Method, r.Host, r.RequestURI, body)
	})
	return func(x *Exchange) {
		if strings.HasPrefix(x.Path(), "/slow") {
			x.Delegate(standard)
			return
		}
		target := x.RawPath()
		if q := x.RawQuery(); q != "" {
			target += "?" + q
		}
		fmt.Fprintf(x, "%s %s%s %s", x.Method(), x.Host(), target, x.Body())
	}
}

func testBadRequests(t *testing.T, cases []badRequest) { testBadRequestsOn(t, eachKind, cases) }

func testBadRequestsOn(t *testing.T, each func(*testing.T, func(*testing.T, engine)), cases []badRequest) {
	each(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: askers()})
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) { s.in(t).expectBad(c) })
		}
		s.dial().get("/fast")
	})
}

// expectBad sends a bad request alone; between two good ones, of which only the first
// may be answered; the same in two pieces, of which the second comes when the good one
// has been answered; and, if it is short, byte by byte.
func (s *site) expectBad(c badRequest) {
	s.Helper()
	const after = "GET /after HTTP/1.1\r\nHost: never\r\n\r\n"
	p := s.dial()
	p.sendAside(c.request)
	p.expectRefusal(c.status)
	p.Close()
	for _, front := range []string{"/fast", "/slow"} {
		p := s.dial()
		p.sendAside("GET " + front + " HTTP/1.1\r\nHost: first\r\n\r\n" + c.request + after)
		p.expectAnswer(200, "GET first"+front+" ")
		p.expectRefusal(c.status)
		p.Close()
	}
	if len(c.request) > 1000 {
		return
	}
	for _, at := range splits(c.request) {
		p := s.dial()
		p.send("GET /fast HTTP/1.1\r\nHost: first\r\n\r\n" + c.request[:at])
		p.expectAnswer(200, "GET first/fast ")
		p.sendAside(c.request[at:] + after)
		p.expectRefusal(c.status)
		p.Close()
	}
	if len(c.request) > 200 {
		return
	}
	p = s.dial()
	defer p.Close()
	go func() {
		for i := range len(c.request) {
			if _, err := io.WriteString(p, c.request[i:i+1]); err != nil {
				return
			}
		}
	}()
	p.expectRefusal(c.status)
}

// in is the same server in a subtest.
func (s *site) in(t testing.TB) *site {
	return &site{TB: t, Server: s.Server, network: s.network, addr: s.addr}
}

// expectRefusal reads the answer to a bad request, which is the last.
func (p *peer) expectRefusal(status int) {
	p.Helper()
	a := p.answer("GET")
	if want := fmt.Sprintf("%d %s: ", status, a.reason); a.status != status || !strings.HasPrefix(a.body, want) {
		p.Fatalf("answer %d %q, want %d with a reason", a.status, short(a.body), status)
	}
	if got := a.get("Connection"); got != "close" {
		p.Errorf("Connection: %q, want close", got)
	}
	if got := a.get("Content-Type"); got != "text/plain; charset=utf-8" {
		p.Errorf("Content-Type: %q", got)
	}
	p.expectEnd()
}

// What looks odd and is allowed. Each is pipelined between two other requests, to
// show that the server finds its end.
func TestGoodRequests(t *testing.T) {
	cases := []struct{ name, request, answer string }{
		{"plain", getLine + someFields, "GET test/ "},
		{"an empty line before", "\r\n" + getLine + someFields, "GET test/ "},
		{"a higher minor version", "GET / HTTP/1.9\r\n" + someFields, "GET test/ "},
		{"any token as method", "!#$%&'*+-.^_`|~9aZ / HTTP/1.1\r\n" + someFields, "!#$%&'*+-.^_`|~9aZ test/ "},
		{"method in small letters", "get / HTTP/1.1\r\n" + someFields, "get test/ "},
		{"query", "GET /a?b=c&d HTTP/1.1\r\n" + someFields, "GET test/a?b=c&d "},
		{"query with a second question mark", "GET /a?b?c HTTP/1.1\r\n" + someFields, "GET test/a?b?c "},
		{"query with bare percent sign", "GET /a?100% HTTP/1.1\r\n" + someFields, "GET test/a?100% "},
		{"encoded path", "GET /a%2Fb%20c HTTP/1.1\r\n" + someFields, "GET test/a%2Fb%20c "},
		{"dot segments", "GET /a/../b HTTP/1.1\r\n" + someFields, "GET test/a/../b "},
		{"path that looks like an authority", "GET //a/b HTTP/1.1\r\n" + someFields, "GET test//a/b "},
		{"absolute-form", "GET http://other:81/a?b HTTP/1.1\r\n" + someFields, "GET other:81/a?b "},
		{"absolute-form in capitals", "GET HTTP://other/a HTTP/1.1\r\n" + someFields, "GET other/a "},
		{"absolute-form without path", "GET http://other HTTP/1.1\r\n" + someFields, "GET other/ "},
		{"asterisk-form", "OPTIONS * HTTP/1.1\r\n" + someFields, "OPTIONS test* "},
		{"request line of 8 KiB", "GET /" + strings.Repeat("a", 8<<10-14) + " HTTP/1.1\r\n" + someFields, "GET test/" + strings.Repeat("a", 8<<10-14) + " "},
		{"Host in any case", getLine + "hOsT:test\r\n\r\n", "GET test/ "},
		{"Host with port", getLine + "Host: test:8080\r\n\r\n", "GET test:8080/ "},
		{"Host with IPv6", getLine + "Host: [2001:db8::1]:8080\r\n\r\n", "GET [2001:db8::1]:8080/ "},
		{"whitespace around a value", getLine + "Host: \t test \t\r\n\r\n", "GET test/ "},
		{"empty value", getLine + "Host: test\r\nA:\r\n\r\n", "GET test/ "},
		{"value of other than ASCII", getLine + "Host: test\r\nA: \xc3\xa9\xff\r\n\r\n", "GET test/ "},
		{"255 fields beside Host", getLine + "Host: test\r\n" + strings.Repeat("A: b\r\n", 255) + "\r\n", "GET test/ "},
		{"head of 64 KiB", getLine + "Host: test\r\nA: " + strings.Repeat("b", 64<<10-35) + "\r\n\r\n", "GET test/ "},
		{"Content-Length of zero", postHead + "Content-Length: 0\r\n\r\n", "POST test/ "},
		{"body on GET", getLine + "Host: test\r\nContent-Length: 5\r\n\r\nhello", "GET test/ hello"},
		{"body on OPTIONS", "OPTIONS / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello", "OPTIONS test/ hello"},
		{"body on DELETE", "DELETE / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "DELETE test/ hello"},
		{"body that begins a request", getLine + "Host: test\r\nContent-Length: 28\r\n\r\nGET /not HTTP/1.1\r\nHost: x\r\n", "GET test/ GET /not HTTP/1.1\r\nHost: x\r\n"},
		{"Content-Length with whitespace around", postHead + "Content-Length:\t 5 \t\r\n\r\nhello", "POST test/ hello"},
		{"chunked with whitespace around", postHead + "Transfer-Encoding:\t chunked \t\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "POST test/ hello"},
		{"chunk size with spaces before an extension", chunkedTo + "5 ; a = b\r\nhello\r\n0\r\n\r\n", "POST test/ hello"},
		{"chunk size of sixteen digits", chunkedTo + "0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", "POST test/ hello"},
		{"neither length nor chunks", postHead + "\r\n", "POST test/ "},
		{"TRACE", "TRACE / HTTP/1.1\r\nHost: test\r\n\r\n", "TRACE test/ "},
		{"Expect on a request without body", getLine + "Host: test\r\nExpect: 100-continue\r\n\r\n", "GET test/ "},
		{"Upgrade to h2c", getLine + "Host: test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n", "GET test/ "},
		{"Upgrade with a body", postHead + "Connection: upgrade\r\nUpgrade: other\r\nContent-Length: 5\r\n\r\nhello", "POST test/ hello"},
		{"TE as an option", getLine + "Host: test\r\nConnection: TE\r\nTE: trailers, deflate\r\n\r\n", "GET test/ "},
		{"empty options", getLine + "Host: test\r\nConnection: , ,\r\n\r\n", "GET test/ "},
		{"host of the target beside an empty Host", "GET http://other/ HTTP/1.1\r\nHost:\r\n\r\n", "GET other/ "},
		{"asterisk in absolute-form", "OPTIONS http://other HTTP/1.1\r\nHost: test\r\n\r\n", "OPTIONS other* "},
		{"body that looks like a request", postHead + "Content-Length: 30\r\n\r\nGET /not HTTP/1.1\r\nHost: x\r\n\r\n", "POST test/ GET /not HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"chunked", chunkedTo + "5\r\nhello\r\n0\r\n\r\n", "POST test/ hello"},
		{"chunked in capitals", postHead + "Transfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "POST test/ hello"},
		{"several chunks", chunkedTo + "2\r\nhe\r\n0003\r\nllo\r\n00\r\n\r\n", "POST test/ hello"},
		{"chunk size in any case", chunkedTo + "a\r\n0123456789\r\nA\r\nabcdefghij\r\n0\r\n\r\n", "POST test/ 0123456789abcdefghij"},
		{"chunk extensions", chunkedTo + "5;a;b=c;d=\"e;f\\\"\"\r\nhello\r\n0;end\r\n\r\n", "POST test/ hello"},
		{"trailers", chunkedTo + "5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n", "POST test/ hello"},
		{"chunks that look like the end", chunkedTo + "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "POST test/ 0\r\n\r\n"},
		{"standard handler", "PUT /slow?a=%zz HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nok", "PUT test/slow?a=%zz ok"},
	}
	eachTransport(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: askers()})
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				p := s.in(t).dial()
				p.send("GET /slow HTTP/1.1\r\nHost: first\r\n\r\n" + c.request + "GET /last HTTP/1.1\r\nHost: last\r\n\r\n")
				p.expectAnswer(200, "GET first/slow ")
				p.expectAnswer(200, c.answer)
				p.expectAnswer(200, "GET last/last ")
				if len(c.request) > 200 {
					return
				}
				p.send(strings.Split(c.request, "")...)
				p.expectAnswer(200, c.answer)
			})
		}
	})
}

// The answer to a bad HEAD request has no body either (RFC 9110, section 9.3.2).
func TestBadHeadRequest(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: askers()})
		p := s.dial()
		p.send("HEAD / HTTP/1.1\r\n\r\n")
		a := p.answer("HEAD")
		if a.status != 400 || a.get("Content-Length") == "" {
			t.Errorf("answer %+v, want a 400 with Content-Length", a)
		}
		p.expectEnd()
	})
}

// A client that goes on sending still reads the whole refusal, and then the end
// of the connection instead of a reset (RFC 9112, section 9.6).
func TestRefusalReachesClientThatGoesOnSending(t *testing.T) {
	cases := []badRequest{
		{"body too large", postHead + "Content-Length: 20000000\r\n\r\n", 413},
		{"bad chunk", chunkedTo + "x\r\n", 400},
		{"bad request line", "GET / HTTP/9.9\r\n", 505},
		{"fields without end", getLine, 431},
		{"target without end", "GET /", 414},
	}
	more := strings.Repeat("A:b\r\n", 1<<20) // 5 MiB
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: askers()})
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				p := s.in(t).dial()
				more := more
				if c.status == 414 {
					more = strings.Repeat("a", len(more))
				}
				sent := make(chan error, 1)
				go func() {
					_, err := io.WriteString(p, c.request+more)
					sent <- err
				}()
				// Read late: by then most of it has arrived.
				if err := expect(t, "sending", sent); err != nil {
					t.Fatalf("sending 5 MiB: %v", err)
				}
				p.expectRefusal(c.status)
			})
		}
	})
}

// One connection's errors are not another's.
func TestBadRequestsLeaveOthersAlone(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: askers(), Loops: 1})
		good := s.dial()
		good.send(getLine + "Host: t")
		for _, c := range badFields[:10] {
			bad := s.dial()
			bad.send(c.request)
			bad.expectRefusal(c.status)
		}
		good.send("est\r\n\r\n")
		good.expectAnswer(200, "GET test/ ")
	})
}
