package ringkit

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ringkit/ringkit/http1"
)

// What follows in this file is known to make recipients disagree about where a message
// ends (RFC 9112, section 11.2). Each has a request in its tail that only a recipient
// takes for one which has found another end.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: never\r\n\r\n"

// withBody makes a POST whose content is a chunked body of nothing and the request to
// be smuggled, or as much of it as a Content-Length of %d says.
func withBody(fields ...string) string {
	body := "0\r\n\r\n" + smuggled
	head := postHead + strings.Join(fields, "\r\n") + "\r\n\r\n"
	return strings.ReplaceAll(head, "%d", fmt.Sprint(len(body))) + body
}

// Transfer-Encoding against Content-Length, and one of each against another (RFC 9112,
// sections 6.1 and 6.3).
var smugglingByFraming = []badRequest{
	{"CL.TE", withBody("Content-Length: %d", "Transfer-Encoding: chunked"), 400},
	{"TE.CL", withBody("Transfer-Encoding: chunked", "Content-Length: %d"), 400},
	{"CL.TE with a short length", withBody("Content-Length: 4", "Transfer-Encoding: chunked"), 400},
	{"CL.TE with length 0", withBody("Content-Length: 0", "Transfer-Encoding: chunked"), 400},
	{"TE.CL far apart", withBody("Transfer-Encoding: chunked", "A: b", "C: d", "Content-Length: %d"), 400},
	{"TE in HTTP/1.0 with CL", strings.Replace(withBody("Content-Length: %d", "Transfer-Encoding: chunked"), "HTTP/1.1", "HTTP/1.0", 1), 400},
	{"TE in HTTP/1.0 with keep-alive", strings.Replace(withBody("Connection: keep-alive", "Transfer-Encoding: chunked"), "HTTP/1.1", "HTTP/1.0", 1), 400},
	{"TE folded", withBody("Content-Length: %d", "Transfer-Encoding:", " chunked"), 400},
	{"TE hidden by a fold", withBody("Content-Length: %d", "A: b", " Transfer-Encoding: chunked"), 400},
	{"TE with space before colon", withBody("Content-Length: %d", "Transfer-Encoding : chunked"), 400},
	{"TE with tab before colon", withBody("Content-Length: %d", "Transfer-Encoding\t: chunked"), 400},
	{"TE with space before name", withBody("Content-Length: %d", " Transfer-Encoding: chunked"), 400},
	{"TE behind a bare LF", withBody("Content-Length: %d", "A: b\nTransfer-Encoding: chunked"), 400},
	{"TE behind a bare CR", withBody("Content-Length: %d", "A: b\rTransfer-Encoding: chunked"), 400},
	{"TE behind a NUL", withBody("Content-Length: %d", "A: b\x00Transfer-Encoding: chunked"), 400},
	{"TE with a NUL in the name", withBody("Content-Length: %d", "Transfer-Encoding\x00: chunked"), 400},
	{"TE with a byte beyond ASCII in the name", withBody("Content-Length: %d", "Transfer-Encoding\xff: chunked"), 400},
	{"TE with underscore", withBody("Content-Length: %d", "Transfer_Encoding: chunked"), 400},
	{"CL with underscore", withBody("Transfer-Encoding: chunked", "Content_Length: %d"), 400},
	{"TE named by Connection", withBody("Transfer-Encoding: chunked", "Connection: Transfer-Encoding"), 400},
	{"CL named by Connection", withBody("Content-Length: %d", "Connection: close, content-length"), 400},
	{"TE of xchunked", withBody("Transfer-Encoding: xchunked", "Content-Length: %d"), 501},
	{"TE of chunked and CR", withBody("Transfer-Encoding: chunked\r", "Content-Length: %d"), 400},
	{"TE of chunked in quotes", withBody("Transfer-Encoding: \"chunked\""), 400},
	{"TE of chunked, trailing comma", withBody("Transfer-Encoding: chunked,"), 400},
	{"TE of chunked, leading comma", withBody("Transfer-Encoding: ,chunked"), 400},
	{"TE of chunked, identity", withBody("Transfer-Encoding: chunked, identity"), 400},
	{"TE of identity, chunked", withBody("Transfer-Encoding: identity, chunked"), 501},
	{"TE of chunked with parameter", withBody("Transfer-Encoding: chunked; a=b"), 400},
	{"TE of chunked behind a form feed", withBody("Transfer-Encoding: \fchunked"), 400},
	{"TE of chunked before a NUL", withBody("Transfer-Encoding: chunked\x00"), 400},
	{"TE of chunked, then identity", withBody("Transfer-Encoding: chunked", "Transfer-Encoding: identity"), 400},
	{"TE of identity, then chunked", withBody("Transfer-Encoding: identity", "Transfer-Encoding: chunked"), 501},
	{"CL twice", withBody("Content-Length: 0", "Content-Length: %d"), 400},
	{"CL twice, the other way", withBody("Content-Length: %d", "Content-Length: 0"), 400},
	{"CL of a list", withBody("Content-Length: 0, %d"), 400},
	{"CL of a list of the same", withBody("Content-Length: %d, %d"), 400},
	{"CL with plus", withBody("Content-Length: +%d"), 400},
	{"CL of minus zero", withBody("Content-Length: -0"), 400},
	{"CL with zero in front", withBody("Content-Length: 0%d"), 400},
	{"CL in hexadecimal", withBody("Content-Length: 0x2a"), 400},
	{"CL with space inside", withBody("Content-Length: 1 0"), 400},
	{"CL with letters behind", withBody("Content-Length: %dx"), 400},
	{"CL with a dot", withBody("Content-Length: %d.0"), 400},
	{"CL empty", withBody("Content-Length: "), 400},
	{"CL of twenty digits", withBody("Content-Length: 18446744073709551616"), 400},
	{"CL folded", withBody("Content-Length:", " %d"), 400},
	{"CL with space before colon", withBody("Content-Length : %d"), 400},
	{"no name", withBody("Content-Length: %d", ": a"), 400},
	{"TRACE with content", strings.Replace(withBody("Content-Length: %d"), "POST", "TRACE", 1), 400},
	{"CONNECT with content", strings.Replace(withBody("Content-Length: %d"), "POST /", "CONNECT test:80", 1), 400},
	{"CONNECT in chunks", strings.Replace(withBody("Transfer-Encoding: chunked"), "POST /", "CONNECT test:80", 1), 400},
	{"HTTP/0.9 with a request behind", "GET /\r\n" + smuggled, 400},
	{"Expect of more", withBody("Content-Length: %d", "Expect: 100-continue, smuggle"), 417},
	{"Expect that is obfuscated", withBody("Content-Length: %d", "Expect: y 100-continue"), 417},
	{"two Expect", withBody("Content-Length: %d", "Expect: 100-continue", "Expect: 200-ok"), 417},
}

// Chunks (RFC 9112, section 7.1).
var smugglingByChunks = []badRequest{
	{"size with plus", chunkedTo + "+0\r\n\r\n" + smuggled, 400},
	{"size with minus", chunkedTo + "-0\r\n\r\n" + smuggled, 400},
	{"size with prefix", chunkedTo + "0x0\r\n\r\n" + smuggled, 400},
	{"size with underscore", chunkedTo + "1_0\r\n" + smuggled, 400},
	{"size with space behind", chunkedTo + "0 \r\n\r\n" + smuggled, 400},
	{"size with tab behind", chunkedTo + "0\t\r\n\r\n" + smuggled, 400},
	{"size that wraps to 0", chunkedTo + "10000000000000000\r\n\r\n" + smuggled, 400},
	{"size of 32 bits and more", chunkedTo + "100000000\r\n\r\n" + smuggled, 413},
	{"size behind CRLF", chunkedTo + "\r\n0\r\n\r\n" + smuggled, 400},
	{"size line ends with LF", chunkedTo + "0\n\r\n" + smuggled, 400},
	{"size line ends with CR", chunkedTo + "0\r\r\n" + smuggled, 400},
	{"size line ends with CR, then a letter", chunkedTo + "5\rXhello\r\n0\r\n\r\n" + smuggled, 400},
	{"body ends with LF", chunkedTo + "0\r\n\n" + smuggled, 400},
	{"data ends with LF", chunkedTo + "5\r\nhello\n0\r\n\r\n" + smuggled, 400},
	{"data ends with CR", chunkedTo + "5\r\nhello\r0\r\n\r\n" + smuggled, 400},
	{"data ends without", chunkedTo + "5\r\nhello0\r\n\r\n" + smuggled, 400},
	{"data ends with other bytes", chunkedTo + "5\r\nhelloXX0\r\n\r\n" + smuggled, 400},
	{"data spills", chunkedTo + "5\r\nhello!!\r\n0\r\n\r\n" + smuggled, 400},
	{"extension with LF", chunkedTo + "5;a\nhello\r\n0\r\n\r\n" + smuggled, 400},
	{"extension of LF only", chunkedTo + "5;\nxx\r\nc\r\n0\r\n\r\n" + smuggled, 400},
	{"extension with CR", chunkedTo + "5;a\rX\r\nhello\r\n0\r\n\r\n" + smuggled, 400},
	{"extension with NUL", chunkedTo + "5;\x00a\r\nhello\r\n0\r\n\r\n" + smuggled, 400},
	{"extension with CRLF in quotes", chunkedTo + "5;a=\"\r\nhello\"\r\n0\r\n\r\n" + smuggled, 400},
	{"extension with LF in quotes", chunkedTo + "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n" + smuggled, 400},
	{"extension with escaped CR", chunkedTo + "5;a=\"\\\r\n\"\r\nhello\r\n0\r\n\r\n" + smuggled, 400},
	{"extension without name", chunkedTo + "5;\r\nhello\r\n0\r\n\r\n" + smuggled, 400},
	{"extension of no token", chunkedTo + "5;bad[=x\r\nhello\r\n0\r\n\r\n" + smuggled, 400},
	{"extension of the last chunk with LF", chunkedTo + "0;a\n\r\n" + smuggled, 400},
	{"extension of 64 KiB", chunkedTo + "5;a=" + strings.Repeat("b", 64<<10) + "\r\nhello\r\n0\r\n\r\n" + smuggled, 400},
	{"trailer ends with LF", chunkedTo + "0\r\nA: b\n\r\n" + smuggled, 400},
	{"trailer of another request", chunkedTo + "0\r\n" + smuggled, 400},
	{"trailer with space before colon", chunkedTo + "0\r\nA : b\r\n\r\n" + smuggled, 400},
	{"trailer folded", chunkedTo + "0\r\nA: b\r\n c\r\n\r\n" + smuggled, 400},
	{"trailer Content-Length", chunkedTo + "0\r\nContent-Length: 40\r\n\r\n" + smuggled, 400},
	{"trailer Transfer-Encoding", chunkedTo + "0\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled, 400},
	{"trailer Host", chunkedTo + "0\r\nHost: never\r\n\r\n" + smuggled, 400},
	{"trailer Authorization", chunkedTo + "0\r\nAuthorization: Basic YTpi\r\n\r\n" + smuggled, 400},
}

// What decides whom a request is for (RFC 9112, section 3.2, RFC 9110, section 7.2).
var smugglingByHost = []badRequest{
	{"two", getLine + "Host: test\r\nHost: never\r\n\r\n", 400},
	{"two in different cases", getLine + "host: test\r\nHOST: test\r\n\r\n", 400},
	{"second with space before colon", getLine + "Host: test\r\nHost : never\r\n\r\n", 400},
	{"second folded", getLine + "Host: test\r\n Host: never\r\n\r\n", 400},
	{"list", getLine + "Host: test,never\r\n\r\n", 400},
	{"empty", getLine + "Host: \r\n\r\n", 400},
	{"empty with HTTP/1.0", "GET / HTTP/1.0\r\nHost:\r\n\r\n", 400},
	{"userinfo", getLine + "Host: test@never\r\n\r\n", 400},
	{"userinfo with port", getLine + "Host: test:80@never\r\n\r\n", 400},
	{"two ports", getLine + "Host: test:80:never\r\n\r\n", 400},
	{"backslash", getLine + "Host: test\\never\r\n\r\n", 400},
	{"scheme", getLine + "Host: http://test\r\n\r\n", 400},
	{"query", getLine + "Host: test?never\r\n\r\n", 400},
	{"fragment", getLine + "Host: test#never\r\n\r\n", 400},
	{"NUL", getLine + "Host: test\x00never\r\n\r\n", 400},
	{"not ASCII", getLine + "Host: t\xc3\xa9st\r\n\r\n", 400},
	{"encoded slash", getLine + "Host: test%2Fnever\r\n\r\n", 400},
	{"absolute-form with an encoded at sign", "GET http://test%40never/ HTTP/1.1\r\nHost: test\r\n\r\n", 400},
	{"named by Connection", getLine + "Host: test\r\nConnection: Host\r\n\r\n", 400},
	{"absolute-form, two", "GET http://test/ HTTP/1.1\r\nHost: test\r\nHost: never\r\n\r\n", 400},
	{"absolute-form with userinfo", "GET http://test@never/ HTTP/1.1\r\nHost: test\r\n\r\n", 400},
	{"absolute-form with backslash", "GET http://test\\@never/ HTTP/1.1\r\nHost: test\r\n\r\n", 400},
	{"absolute-form without host", "GET http:/never HTTP/1.1\r\nHost: test\r\n\r\n", 400},
	{"authority-form with GET", "GET never:80 HTTP/1.1\r\nHost: test\r\n\r\n", 400},
	{"CONNECT without port", "CONNECT never HTTP/1.1\r\nHost: never\r\n\r\n", 400},
	{"CONNECT with path", "CONNECT never:80/ HTTP/1.1\r\nHost: never\r\n\r\n", 400},
}

func TestSmugglingByFraming(t *testing.T) { testBadRequests(t, smugglingByFraming) }
func TestSmugglingByChunks(t *testing.T)  { testBadRequests(t, smugglingByChunks) }
func TestSmugglingByHost(t *testing.T)    { testBadRequests(t, smugglingByHost) }

// The same with standard handlers. One that reads a body in chunks as it arrives is
// told by Read what is wrong with it.
func TestSmugglingToStandardHandler(t *testing.T) {
	handler := std(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if wrong, ok := errors.AsType[*http1.Error](err); ok {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.WriteHeader(wrong.Status)
			fmt.Fprintf(w, "%d %s: %s\n", wrong.Status, http.StatusText(wrong.Status), wrong.Reason)
			return
		}
		if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
			http.Error(w, "413 Content Too Large: "+tooLarge.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		fmt.Fprintf(w, "%s %s%s %s", r.Method, r.Host, r.RequestURI, body)
	})
	eachKind(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: handler})
		for _, cases := range [][]badRequest{smugglingByFraming, smugglingByChunks, smugglingByHost} {
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) { s.in(t).expectBad(c) })
			}
		}
	})
}

// splits are places to cut a request at: in the middle of everything, and around the
// ends of its lines.
func splits(request string) []int {
	n := len(request)
	at := []int{1, n / 4, n / 2, n - 1}
	if testing.Short() {
		return at
	}
	for i := range min(n, 300) {
		if request[i] == '\n' || request[i] == '\r' {
			at = append(at, i, i+1)
		}
	}
	return at
}
