package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// FuzzDifferential compares this package with net/http. What it accepts,
// net/http must accept, and both must understand the same. The other way round
// there is nothing to check: this package may reject what net/http repairs.
//
// These are the differences allowed, see knownBodyDifference and expect:
//
//   - The empty line before a request, which net/http does not skip.
//   - The host of a target, which net/url decodes.
//   - Whitespace between a chunk size and the ';' of an extension, which RFC
//     9112, section 7.1.1, wants parsed, and which net/http refuses.
//   - Trailer fields which announce framing fields: this package refuses such a
//     trailer when it comes, and net/http the announcement.
//   - A minor version above 1, which net/http reports as it is.
//   - net/http adds Cache-Control for "Pragma: no-cache", and takes Host,
//     Transfer-Encoding and Trailer out of the header.
func FuzzDifferential(f *testing.F) {
	for _, input := range differentialInputs() {
		f.Add(input)
	}
	f.Fuzz(func(t *testing.T, input []byte) { compareWithNetHTTP(t, input) })
}

func TestDifferential(t *testing.T) {
	accepted := 0
	for _, input := range differentialInputs() {
		if compareWithNetHTTP(t, input) {
			accepted++
		}
	}
	if accepted < 80 {
		t.Errorf("only %d requests were compared", accepted)
	}
}

func differentialInputs() [][]byte {
	inputs := requestInputs()
	for _, c := range chunkedCases {
		inputs = append(inputs, []byte("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"+c.input+"GET / HTTP/1.1"))
	}
	for _, input := range []string{
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n1\r\na\r\n0\r\nx-sum: 1\r\nX-SUM: 2\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nPragma: no-cache\r\nconnection: a, close\r\n\r\n",
		"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\nvia: a\r\nVia: b\r\n\r\n",
		"GET http://a.example:80/b%20c?d=%zz HTTP/1.1\r\nHost: b\r\n\r\n",
		"GET http://caf%c3%a9/ HTTP/1.1\r\nHost: caf%c3%a9\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: a, content-length\r\n\r\n0\r\n\r\n",
	} {
		inputs = append(inputs, []byte(input))
	}
	return inputs
}

// request is what both parsers tell about a request with its body.
type request struct {
	Method, Target, Host string
	Path, Query          string
	Minor                int
	Header, Trailer      map[string][]string
	Length               int64
	Chunked, Close       bool
	Body, Rest           string
}

// compareWithNetHTTP reports whether the request was accepted and compared.
func compareWithNetHTTP(t *testing.T, input []byte) bool {
	t.Helper()
	lim := Limits{}.Resolve()
	var r Request
	n, err := r.Parse(input, &lim)
	if n == 0 || err != nil {
		return false
	}
	var b Body
	if b.Init(&r, &lim) != nil {
		return false
	}
	body := decode(&b, input[n:])
	if !body.Done || knownBodyDifference(&r.message, input[n:]) {
		return false
	}
	got := expect(t, &r, body)

	reader := bufio.NewReaderSize(bytes.NewReader(bytes.TrimPrefix(input, []byte("\r\n"))), 128<<10)
	req, err := http.ReadRequest(reader)
	if err != nil {
		t.Fatalf("net/http refuses %q: %v", input, err)
	}
	content, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatalf("net/http refuses the body of %q: %v", input, err)
	}
	rest, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	want := request{
		Method: req.Method, Target: req.RequestURI, Host: req.Host,
		Path: req.URL.Path, Query: req.URL.RawQuery, Minor: min(req.ProtoMinor, 1),
		Header: req.Header, Trailer: received(req.Trailer),
		Length: req.ContentLength, Chunked: reflect.DeepEqual(req.TransferEncoding, []string{"chunked"}), Close: req.Close,
		Body: string(content), Rest: string(rest),
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q:\n%+v, net/http\n%+v", input, got, want)
	}
	return true
}

func knownBodyDifference(m *message, body []byte) bool {
	if !m.Chunked() {
		return false
	}
	for _, name := range []string{"Content-Length", "Transfer-Encoding", "Trailer"} {
		if m.ListHas("Trailer", name) {
			return true
		}
	}
	// A line that starts with a size and whitespace; one of the data that looks
	// like that is skipped too.
	for line := range bytes.Lines(body) {
		digits := bytes.TrimLeft(line, "0123456789abcdefABCDEF")
		if len(digits) < len(line) && len(digits) > 0 && isSpace(digits[0]) {
			return true
		}
	}
	return false
}

// expect returns what net/http should make of a request.
func expect(t *testing.T, r *Request, body decoded) request {
	t.Helper()
	path, err := url.PathUnescape(string(r.RawPath()))
	if err != nil {
		t.Fatalf("path %q: %v", r.RawPath(), err)
	}
	if r.Form() == AbsoluteForm && r.path == r.pathEnd {
		path = ""
	}
	host := string(r.Host())
	if r.Form() == AbsoluteForm || r.Form() == AuthorityForm {
		// It comes from a url.URL, which has it decoded.
		if host, err = url.PathUnescape(host); err != nil {
			t.Fatalf("host %q: %v", r.Host(), err)
		}
	}
	q := request{
		Method: string(r.Method()), Target: string(r.Target()), Host: host,
		Path: path, Query: string(r.RawQuery()), Minor: r.Minor(),
		Header: headerFor(&r.message), Trailer: trailerFor(body),
		Length: r.ContentLength(), Chunked: r.Chunked(), Close: !r.KeepAlive(),
		Body: body.Data, Rest: body.Rest,
	}
	if !r.HasBody() {
		q.Length = 0
	}
	delete(q.Header, "Host")
	return q
}

// headerFor returns what net/http should make of the fields of a message.
func headerFor(m *message) map[string][]string {
	h := map[string][]string{}
	for i := range m.NumFields() {
		name, value := m.Field(i)
		key := CanonicalName(name)
		h[key] = append(h[key], string(value))
	}
	delete(h, "Transfer-Encoding")
	if m.Chunked() {
		delete(h, "Trailer")
	}
	if pragma := h["Pragma"]; len(pragma) > 0 && pragma[0] == "no-cache" && h["Cache-Control"] == nil {
		h["Cache-Control"] = []string{"no-cache"}
	}
	return h
}

func trailerFor(body decoded) map[string][]string {
	trailer := map[string][]string{}
	for _, field := range body.Trailers {
		name, value, _ := strings.Cut(field, ": ")
		key := CanonicalName([]byte(name))
		trailer[key] = append(trailer[key], value)
	}
	return trailer
}

// received returns the trailer fields that came, without those only announced.
func received(trailer http.Header) map[string][]string {
	came := map[string][]string{}
	for name, values := range trailer {
		if values != nil {
			came[name] = values
		}
	}
	return came
}
