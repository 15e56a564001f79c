package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// netHTTPAccepts says of each error for which there are requests that net/http's
// ReadRequest, and reading the body, accept, why this package does not. With every
// other error net/http has one, too.
var netHTTPAccepts = map[*Error]string{
	errBareLF:           "it takes a LF for the end of a line",
	errFold:             "it unfolds",
	errMajorVersion:     "its server looks at the version",
	errMethodTooLong:    "it has no limit for the line",
	errRequestLine:      "it has no limit for the line",
	errHeadTooLarge:     "its server limits the head",
	errTooManyFields:    "it has no limit for their number",
	errNoHost:           "its server looks for Host",
	errEmptyHost:        "it has use for that",
	errHost:             "its server looks at Host, and at its bytes only",
	errTargetChar:       "it leaves the target to net/url",
	errTargetEscape:     "net/url does not look into an opaque target, as in http:%zz",
	errTargetNUL:        "it is a matter of handlers",
	errTargetForm:       "it knows more schemes, and takes the asterisk with any method",
	errTargetHost:       "net/url accepts userinfo, and any port of digits",
	errLength:           "it accepts zeros in front, and lists",
	errCoding:           "it unfolds: chunked may be in the next line",
	errRepeatedLength:   "it accepts repeated fields with the same value",
	errCoding:           "it unfolds",
	errCodingLength:     "it drops Content-Length",
	errCodingVersion:    "it ignores Transfer-Encoding with HTTP/1.0",
	errContent:          "it is a matter of handlers",
	errConnection:       "it ignores such options",
	errDisguised:        "it knows no gateways",
	errExpect:           "its server looks at Expect",
	errChunkExt:         "it does not look at extensions",
	errChunkExtTooLarge: "it relates their size to that of the data",
	errTrailerField:     "it looks at what is announced only",
	errTrailerTooLarge:  "it has another limit",
	errNameSpace:        "it accepts spaces inside the names of trailers",
}

// readNetHTTP reads one request with its body, and reports what is left of the input.
func readNetHTTP(input []byte) (rest int, err error) {
	source := bytes.NewReader(input)
	reader := bufio.NewReaderSize(source, 128<<10)
	req, err := http.ReadRequest(reader)
	if err == nil {
		_, err = io.Copy(io.Discard, req.Body)
	}
	return source.Len() + reader.Buffered(), err
}

// checkStream cuts a stream of requests into its parts. Each that this package accepts
// net/http accepts too and finds the same end of, and for each that only this package
// rejects there is a reason. It returns how many were accepted.
func checkStream(t *testing.T, input []byte, seen map[*Error]bool) (accepted int) {
	t.Helper()
	lim := Limits{}.Resolve()
	for len(input) > 0 {
		var r Request
		var b Body
		n, err := r.Parse(input, &lim)
		if err == nil && n > 0 {
			err = b.Init(&r, &lim)
		}
		var body decoded
		if err == nil && n > 0 {
			body = decode(&b, input[n:])
			err = body.Err
		}
		theirs, theirErr := readNetHTTP(bytes.TrimPrefix(input, []byte("\r\n")))
		switch {
		case err != nil:
			if theirErr == nil {
				if _, known := netHTTPAccepts[err.(*Error)]; !known {
					t.Fatalf("%q: %v, but net/http accepts it", input, err)
				}
				if seen != nil {
					seen[err.(*Error)] = true
				}
			}
			return accepted
		case n == 0 || !body.Done:
			// Nothing is complete that is not for both.
			if theirErr == nil {
				t.Fatalf("%q: incomplete, but net/http accepts it", input)
			}
			return accepted
		case knownBodyDifference(&r.message, input[n:]):
			return accepted
		case theirErr != nil:
			t.Fatalf("%q: accepted, but net/http: %v", input, theirErr)
		case theirs != len(body.Rest):
			t.Fatalf("%q: %d bytes are left, with net/http %d", input, len(body.Rest), theirs)
		}
		accepted++
		input = input[len(input)-len(body.Rest):]
	}
	return accepted
}

// streams are several requests each, what is bad between what is good.
func streams() (all [][]byte) {
	const good = "GET /first HTTP/1.1\r\nHost: a\r\n\r\n"
	for i, c := range allRequestCases() {
		all = append(all, []byte(good+c.input+good))
		if i%3 == 0 {
			all = append(all, []byte(c.input+"5\r\nhello\r\n0\r\n\r\n"+good))
		}
	}
	for _, c := range chunkedCases {
		const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		all = append(all, []byte(head+c.input+good))
	}
	return append(all,
		[]byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
		[]byte("GET http:%zz HTTP/1.1\r\nHost: a\r\n\r\n"),
		[]byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
		[]byte(strings.Repeat("A", 9000)+" / HTTP/1.1\r\nHost: a\r\n\r\n"),
		[]byte("GET /"+strings.Repeat("a", 9000)+" HTTP/1.1\r\nHost: a\r\n\r\n"),
		[]byte(header(strings.Repeat("A: b\r\n", 300)+"A: b")),
		[]byte(header("A: "+strings.Repeat("b", 65<<10))),
		[]byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a="+strings.Repeat("b", 2000)+"\r\nhello\r\n0\r\n\r\n"),
		[]byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: "+strings.Repeat("b", 9000)+"\r\n\r\n"),
		[]byte(good+"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\n"+good),
		[]byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: a\r\n\r\n1;a=\"b\"\r\nx\r\n0\r\na: b\r\n\r\n"+good+good),
	)
}

func TestStreams(t *testing.T) {
	accepted := 0
	seen := make(map[*Error]bool)
	for _, input := range streams() {
		accepted += checkStream(t, input, seen)
	}
	for err := range netHTTPAccepts {
		if !seen[err] {
			t.Errorf("%v: net/http rejects that too", err)
		}
	}
	if accepted < 300 {
		t.Errorf("only %d requests were accepted", accepted)
	}
}

// FuzzStream compares where both see the requests of a stream begin and end, and what
// each accepts.
func FuzzStream(f *testing.F) {
	for _, input := range streams() {
		f.Add(input)
	}
	f.Fuzz(func(t *testing.T, input []byte) { checkStream(t, input, nil) })
}
