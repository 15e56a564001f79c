package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestStatusLine(t *testing.T) {
	for _, c := range []struct {
		status int
		want   string
	}{
		{200, "HTTP/1.1 200 OK\r\n"},
		{404, "HTTP/1.1 404 Not Found\r\n"},
		{101, "HTTP/1.1 101 Switching Protocols\r\n"},
		{299, "HTTP/1.1 299 \r\n"},
		{999, "HTTP/1.1 999 \r\n"},
		{99, "HTTP/1.1 500 Internal Server Error\r\n"},
		{1000, "HTTP/1.1 500 Internal Server Error\r\n"},
		{0, "HTTP/1.1 500 Internal Server Error\r\n"},
		{-200, "HTTP/1.1 500 Internal Server Error\r\n"},
	} {
		if got := string(AppendStatusLine([]byte("x"), c.status)); got != "x"+c.want {
			t.Errorf("status line of %d: %q, want %q after x", c.status, got, c.want)
		}
	}
}

// The phrases are those of net/http, but for the codes that RFC 9110 renamed
// and the ones it lists as unused.
func TestStatusText(t *testing.T) {
	differ := map[int]string{
		413: "Content Too Large",
		414: "URI Too Long",
		416: "Range Not Satisfiable",
		418: "",
		422: "Unprocessable Content",
	}
	for status := range 1100 {
		want, ok := differ[status]
		if !ok {
			want = http.StatusText(status)
		}
		if got := StatusText(status); got != want {
			t.Errorf("StatusText(%d) = %q, want %q", status, got, want)
		}
		if line := statusLine(status); line != "" {
			if want := fmt.Sprintf("HTTP/1.1 %d %s\r\n", status, want); line != want {
				t.Errorf("status line %q, want %q", line, want)
			}
		}
	}
}

// Every status an Error can have has a phrase to be sent with.
func TestErrorStatus(t *testing.T) {
	for _, c := range allRequestCases() {
		if c.status != 0 && StatusText(c.status) == "" {
			t.Errorf("no phrase for %d", c.status)
		}
	}
	if got := errBareLF.Error(); got != "http1: bare LF" {
		t.Errorf("message %q", got)
	}
}

// RFC 9112, section 6.3; RFC 9110, sections 6.4.1, 9.3.2, 9.3.6, 15.3.5,
// 15.3.6 and 15.4.5.
func TestResponseFraming(t *testing.T) {
	for _, c := range []struct {
		method Method
		minor  int
		status int
		length int64
		want   Framing
		body   bool
	}{
		{GET, 1, 200, 5, Length, true},
		{GET, 1, 200, 0, Length, true},
		{GET, 1, 200, -1, Chunked, true},
		{GET, 0, 200, 5, Length, true},
		{GET, 0, 200, -1, UntilClose, true},
		{POST, 1, 404, -1, Chunked, true},
		{HEAD, 1, 200, 5, NoBody, false},
		{HEAD, 1, 200, -1, NoBody, false},
		{HEAD, 0, 200, -1, NoBody, false},
		{HEAD, 1, 404, 5, NoBody, false},
		{HEAD, 1, 205, -1, NoBody, false},
		{GET, 1, 100, -1, NoBody, false},
		{GET, 1, 101, -1, NoBody, false},
		{GET, 1, 199, 5, NoBody, false},
		{GET, 1, 204, 5, NoBody, false},
		{GET, 0, 204, -1, NoBody, false},
		{GET, 1, 205, -1, Length, false},
		{GET, 1, 205, 5, Length, false},
		{GET, 0, 205, -1, Length, false},
		{GET, 1, 304, 5, NoBody, false},
		{GET, 1, 304, -1, NoBody, false},
		{CONNECT, 1, 200, -1, NoBody, false},
		{CONNECT, 1, 299, 5, NoBody, false},
		{CONNECT, 1, 300, -1, Chunked, true},
		{CONNECT, 1, 407, 5, Length, true},
		{CONNECT, 1, 205, -1, NoBody, false},
		{Other, 1, 206, 5, Length, true},
	} {
		if got := ResponseFraming(c.method, c.minor, c.status, c.length); got != c.want {
			t.Errorf("%v HTTP/1.%d, %d, length %d: %v, want %v", c.method, c.minor, c.status, c.length, got, c.want)
		}
		if got := BodyAllowed(c.method, c.status); got != c.body {
			t.Errorf("%v, %d: body allowed %t, want %t", c.method, c.status, got, c.body)
		}
	}
}

func TestAppendDate(t *testing.T) {
	for _, c := range []struct {
		time time.Time
		want string
	}{
		// The example of RFC 9110, section 5.6.7.
		{time.Date(1994, 11, 6, 8, 49, 37, 0, time.UTC), "Sun, 06 Nov 1994 08:49:37 GMT"},
		{time.Date(2024, 2, 29, 23, 59, 59, 999, time.UTC), "Thu, 29 Feb 2024 23:59:59 GMT"},
		{time.Date(2025, 1, 1, 0, 30, 0, 0, time.FixedZone("", 3600)), "Tue, 31 Dec 2024 23:30:00 GMT"},
		{time.Date(9, 1, 2, 3, 4, 5, 0, time.UTC), "Fri, 02 Jan 0009 03:04:05 GMT"},
	} {
		if got, want := string(AppendDate(nil, c.time)), "Date: "+c.want+"\r\n"; got != want {
			t.Errorf("date %q, want %q", got, want)
		}
	}
	// Some days more than two years, and an odd number of seconds each.
	at := time.Unix(1_700_000_000, 0)
	for range 800 {
		if got, want := string(AppendDate(nil, at)), "Date: "+at.UTC().Format(http.TimeFormat)+"\r\n"; got != want {
			t.Fatalf("date %q, want %q", got, want)
		}
		at = at.Add(24*time.Hour + 61*time.Minute + 7*time.Second)
	}
}

func TestAppendChunk(t *testing.T) {
	for _, c := range []struct{ got, want []byte }{
		{AppendChunk([]byte("x"), []byte("hello")), []byte("x5\r\nhello\r\n")},
		{AppendChunk(nil, make([]byte, 255)), append(append([]byte("ff\r\n"), make([]byte, 255)...), "\r\n"...)},
		{AppendChunk([]byte("x"), nil), []byte("x")},
		{AppendChunkHeader([]byte("x"), 1<<20), []byte("x100000\r\n")},
		{AppendChunkHeader([]byte("x"), 0), []byte("x")},
		{AppendChunkHeader([]byte("x"), -1), []byte("x")},
		{AppendLastChunk([]byte("x")), []byte("x0\r\n\r\n")},
		{AppendEnd(AppendField(AppendTrailerStart(nil), "A", "b")), []byte("0\r\nA: b\r\n\r\n")},
		{AppendContentLength(nil, 0), []byte("Content-Length: 0\r\n")},
		{AppendContentLength(nil, 1<<62), []byte("Content-Length: 4611686018427387904\r\n")},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// What is written is what net/http reads.
func TestReadResponse(t *testing.T) {
	content := strings.Repeat("0123456789", 1000)
	for _, method := range []Method{GET, HEAD} {
		for _, minor := range []int{0, 1} {
			for _, status := range []int{200, 299, 204, 205, 304, 404} {
				for _, length := range []int64{0, int64(len(content)), -1} {
					name := fmt.Sprintf("%v HTTP/1.%d %d length %d", method, minor, status, length)
					t.Run(name, func(t *testing.T) {
						checkResponse(t, method, minor, status, length, content)
					})
				}
			}
		}
	}
}

func checkResponse(t *testing.T, method Method, minor, status int, length int64, content string) {
	framing := ResponseFraming(method, minor, status, length)
	if length == 0 || status == 205 || framing == NoBody {
		content = ""
	}

	out := AppendStatusLine(nil, status)
	out = AppendDate(out, time.Unix(1_700_000_000, 0))
	out = AppendField(out, "X-Name", "a value, \xff and\ttab")
	switch framing {
	case Length:
		out = AppendContentLength(out, int64(len(content)))
	case Chunked:
		out = AppendField(out, "Transfer-Encoding", "chunked")
		out = AppendField(out, "Trailer", "X-Sum")
	case UntilClose:
		out = AppendField(out, "Connection", "close")
	}
	out = AppendEnd(out)
	switch framing {
	case Length, UntilClose:
		out = append(out, content...)
	case Chunked:
		for data := []byte(content); len(data) > 0; {
			n := min(len(data), 3333)
			out = AppendChunk(out, data[:n])
			data = data[n:]
		}
		out = AppendTrailerStart(out)
		out = AppendField(out, "X-Sum", "7")
		out = AppendEnd(out)
	}
	const next = "HTTP/1.1 "
	if framing != UntilClose {
		out = append(out, next...)
	}

	reader := bufio.NewReader(bytes.NewReader(out))
	resp, err := http.ReadResponse(reader, &http.Request{Method: method.String()})
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status || resp.Header.Get("X-Name") != "a value, \xff and\ttab" {
		t.Errorf("status %d, fields %v", resp.StatusCode, resp.Header)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != content {
		t.Errorf("body of %d bytes, %v; want %d", len(body), err, len(content))
	}
	if framing == Chunked && resp.Trailer.Get("X-Sum") != "7" {
		t.Errorf("trailers %v", resp.Trailer)
	}
	if resp.Close != (framing == UntilClose) {
		t.Errorf("close %t with %v", resp.Close, framing)
	}
	if rest, _ := io.ReadAll(reader); framing != UntilClose && string(rest) != next {
		t.Errorf("%q follows, want the next response", rest)
	}
}

// Chunks we write are chunks we read.
func TestChunkRoundTrip(t *testing.T) {
	lim := Limits{}.Resolve()
	var body, want []byte
	for n := range 300 {
		data := bytes.Repeat([]byte{byte(n)}, n)
		want = append(want, data...)
		body = AppendChunk(body, data)
	}
	body = AppendLastChunk(body)
	if d := decodeChunked(body, &lim); !d.Done || d.Data != string(want) || d.Rest != "" {
		t.Errorf("%d bytes, done %t, %v; want %d bytes", len(d.Data), d.Done, d.Err, len(want))
	}
}
