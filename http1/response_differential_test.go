package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// netHTTPTakes says of each error for which there are responses that net/http's
// ReadResponse, and reading the body, accept, why this package does not. With every
// other error net/http has one, too.
//
// What both accept they understand in the same way, with these differences, see
// responseDifference and expectResponse:
//
//   - Of a tunnel net/http's Transport knows, not ReadResponse.
//   - Whitespace between a chunk size and the ';' of an extension, and trailer fields
//     which announce framing fields, as with requests.
//   - A minor version above 1, which net/http reports as it is.
//   - net/http has no length for 1xx, 204 and 304, adds Cache-Control for "Pragma:
//     no-cache", and takes Transfer-Encoding, Trailer, and a Connection with "close"
//     out of the header.
//   - Whether the connection persists after 101 and after a 204 that announces
//     content: net/http leaves the first to its Transport, and trusts the second.
var netHTTPTakes = map[*Error]string{
	errBareLF:           "it takes a LF for the end of a line",
	errFold:             "it unfolds",
	errMajorVersion:     "its Transport looks at the version",
	errStatusCode:       "it accepts more spaces, signs, and codes below 100",
	errReason:           "it does not look at the reason phrase",
	errBareCR:           "it does not look at the reason phrase",
	errResponseTooLarge: "its Transport limits the head",
	errTooManyFields:    "it has no limit for their number",
	errLength:           "it accepts zeros in front",
	errRepeatedLength:   "it accepts repeated fields with the same value",
	errCoding:           "it unfolds",
	errCodingLength:     "it drops Content-Length",
	errCodingVersion:    "it ignores Transfer-Encoding with HTTP/1.0",
	errInterimContent:   "it ignores the fields",
	errChunkExt:         "it does not look at extensions",
	errChunkExtTooLarge: "it relates their size to that of the data",
	errTrailerField:     "it looks at what is announced only",
	errTrailerTooLarge:  "it has another limit",
	errNameSpace:        "it accepts spaces inside the names of trailers",
}

// response is what both parsers tell about a response with its body.
type response struct {
	Status, Minor   int
	Reason          string
	Header, Trailer map[string][]string
	Length          int64
	Chunked, Close  bool
	Body, Rest      string
}

// readNetHTTPResponse reads one response with its body.
func readNetHTTPResponse(method Method, input []byte) (response, error) {
	reader := bufio.NewReaderSize(bytes.NewReader(input), 128<<10)
	resp, err := http.ReadResponse(reader, &http.Request{Method: method.String()})
	if err != nil {
		return response{}, err
	}
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return response{}, err
	}
	rest, err := io.ReadAll(reader)
	if err != nil {
		return response{}, err
	}
	_, reason, _ := strings.Cut(resp.Status, " ")
	return response{
		Status: resp.StatusCode, Minor: min(resp.ProtoMinor, 1), Reason: reason,
		Header: resp.Header, Trailer: received(resp.Trailer),
		Length: resp.ContentLength, Chunked: reflect.DeepEqual(resp.TransferEncoding, []string{"chunked"}), Close: resp.Close,
		Body: string(content), Rest: string(rest),
	}, nil
}

// expectResponse returns what net/http should make of a response.
func expectResponse(r *Response, body decoded) response {
	want := response{
		Status: r.StatusCode(), Minor: r.Minor(), Reason: string(r.Reason()),
		Header: headerFor(&r.message), Trailer: trailerFor(body),
		Length: r.ContentLength(), Chunked: r.Chunked(), Close: !r.persists() || r.Framing() == UntilClose,
		Body: body.Data, Rest: body.Rest,
	}
	if r.method != HEAD && r.Framing() == NoBody {
		want.Length = 0
	}
	if r.Minor() == 1 && r.has(sawClose) {
		delete(want.Header, "Connection")
	}
	return want
}

func responseDifference(r *Response, body []byte) bool {
	return r.tunnels() || knownBodyDifference(&r.message, body)
}

// checkResponses cuts a stream of responses to requests with the same method into its
// parts, which it compares. It returns how many were accepted.
func checkResponses(t *testing.T, method Method, input []byte, seen map[*Error]bool) (accepted int) {
	t.Helper()
	lim := Limits{}.Resolve()
	for len(input) > 0 {
		var r Response
		var b Body
		r.Reset(method)
		n, err := r.Parse(input, &lim)
		var body decoded
		if err == nil && n > 0 {
			if err = b.InitResponse(&r, &lim); err == nil {
				body = decode(&b, input[n:])
				err = body.Err
			}
		}
		eof := r.EOF()
		if eof == nil || r.Interim() {
			eof = b.EOF()
		}
		theirs, theirErr := readNetHTTPResponse(method, input)
		switch {
		case err != nil:
			if theirErr == nil {
				if _, known := netHTTPTakes[err.(*Error)]; !known {
					t.Fatalf("%q: %v, but net/http accepts it", input, err)
				}
				if seen != nil {
					seen[err.(*Error)] = true
				}
			}
			return accepted
		case n == 0 || eof != nil:
			// Nothing is complete that is not for both.
			if theirErr == nil {
				t.Fatalf("%q: %v, but net/http accepts it", input, eof)
			}
			return accepted
		case responseDifference(&r, input[n:]):
			return accepted
		case theirErr != nil:
			t.Fatalf("%q: accepted, but net/http: %v", input, theirErr)
		}
		if got := expectResponse(&r, body); !reflect.DeepEqual(got, theirs) {
			t.Fatalf("%q:\n%+v, net/http\n%+v", input, got, theirs)
		}
		if r.KeepAlive() && theirs.Close {
			t.Fatalf("%q: kept alive, but net/http closes", input)
		}
		accepted++
		if r.LeavesHTTP() {
			return accepted
		}
		input = input[len(input)-len(body.Rest):]
	}
	return accepted
}

// responseStreams are several responses each, what is bad between what is good.
func responseStreams() (all []responseInput) {
	add := func(method Method, input string) {
		all = append(all, responseInput{method, []byte(input)})
	}
	good := responseHead("304 Not Modified", "A: b", "Content-Length: 5")
	chunked := ok("Transfer-Encoding: chunked")
	for i, c := range allResponseCases() {
		add(max(GET, c.method), good+c.input+good)
		if i%3 == 0 {
			add(max(GET, c.method), c.input+"5\r\nhello\r\n0\r\n\r\n"+good)
			add(HEAD, c.input+good)
		}
	}
	for _, c := range framingCases {
		_, lines, _ := strings.Cut(c.input, "Host: a\r\n")
		add(GET, "HTTP/1.1 200 OK\r\n"+lines+"5\r\nhello\r\n0\r\n\r\n"+good)
	}
	for _, c := range fieldCases {
		_, lines, _ := strings.Cut(c.input, "\r\n")
		add(HEAD, "HTTP/1.1 200 OK\r\n"+lines+good)
	}
	for _, c := range chunkedCases {
		add(GET, chunked+c.input+good)
	}
	add(HEAD, ok(strings.Repeat("A: b\r\n", 300)+"A: b"))
	add(HEAD, ok("A: "+strings.Repeat("b", 65<<10)))
	add(GET, chunked+"5;a="+strings.Repeat("b", 2000)+"\r\nhello\r\n0\r\n\r\n")
	add(GET, chunked+"0\r\nA: "+strings.Repeat("b", 9000)+"\r\n\r\n")
	add(GET, ok("Content-Length: 2000000000", "Connection: close"))
	add(GET, chunked+"80000000\r\n")
	add(GET, good+ok("Content-Length: 5")+"hello"+responseHead("103 a", "Link: b")+ok("Pragma: no-cache")+"until the end")
	add(GET, ok("Content-Length: 5")+"hell")
	add(GET, responseHead("204 a", "Transfer-Encoding: chunked")+"0\r\n\r\n"+good)
	add(GET, ok("Connection: a, Close", "Content-Length: 0", "Trailer: x")+good)
	add(GET, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx"+good)
	add(GET, ok("Transfer-Encoding: chunked", "Trailer: X-Sum, a")+"1\r\na\r\n0\r\nx-sum: 1\r\nX-SUM: 2\r\n\r\n"+good)
	return all
}

func TestResponseStreams(t *testing.T) {
	accepted := 0
	seen := make(map[*Error]bool)
	for _, in := range responseStreams() {
		accepted += checkResponses(t, in.method, in.bytes, seen)
	}
	for err := range netHTTPTakes {
		if !seen[err] {
			t.Errorf("%v: net/http rejects that too", err)
		}
	}
	if accepted < 200 {
		t.Errorf("only %d responses were accepted", accepted)
	}
}

// FuzzResponseStream compares with net/http where responses begin and end, what each
// accepts, and what it understands.
func FuzzResponseStream(f *testing.F) {
	for _, in := range responseStreams() {
		f.Add(uint8(in.method), in.bytes)
	}
	f.Fuzz(func(t *testing.T, method uint8, input []byte) {
		// Other has no name that net/http could be told.
		checkResponses(t, max(GET, Method(method)%(PATCH+1)), input, nil)
	})
}
