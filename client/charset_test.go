package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// response returns a response with a body.
func response(contentType, body string) *http.Response {
	return &http.Response{
		StatusCode: 200, ContentLength: -1, Header: http.Header{"Content-Type": {contentType}},
		Body: &closer{Reader: strings.NewReader(body)},
	}
}

func TestText(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for _, test := range []struct{ kind, body, want string }{
		{"", "", ""},
		{"", "plain", "plain"},
		{"text/plain; charset=utf-8", "\u00e9\u20ac", "\u00e9\u20ac"},
		{"text/plain; charset=UTF-8", "a\xffb", "a\ufffdb"},
		{"text/plain; charset=iso-8859-1", "\xe9\x80", "\u00e9\u20ac"},
		{"text/plain; charset=\"windows-1251\"", "\xcf\xf0", "\u041f\u0440"},
		{"text/plain; charset=shift_jis", "\x93\xfa\x96\x7b", "\u65e5\u672c"},
		{"text/plain; charset=gb18030", "\xc4\xe3", "\u4f60"},
		{"text/plain; charset=euc-kr", "\xb0\xa1", "\uac00"},
		{"text/plain; charset=iso-2022-jp", "\x1b$BF|\x1b(B.", "\u65e5."},
		{"text/plain; charset=utf-16le", "a\x00\xe9\x00", "a\u00e9"},
		{"text/plain; charset=utf-16be", "\x00a\x00", "a\ufffd"},
		// Byte order marks come before everything, and are no text.
		{"text/plain; charset=iso-8859-1", "\xef\xbb\xbf\u00e9", "\u00e9"},
		{"", "\xfe\xff\x00a\x20\xac", "a\u20ac"},
		{"", "\xff\xfea\x00\xac\x20", "a\u20ac"},
		{"text/plain", "\xef\xbb\xbf", ""},
		// No charset, or none that is known.
		{"text/plain", "\u00e9", "\u00e9"},
		{"text/plain", long + "\u00e9", long + "\u00e9"},
		{"text/plain", "\xe9", "\u00e9"},
		{"text/plain; charset=klingon", "\xe9", "\u00e9"},
		{"text/plain; charset=klingon", "\u00e9", "\u00e9"},
		{"text/plain; charset", "\xe9", "\u00e9"},
		{"application/json", "\"\u00e9\"", "\"\u00e9\""},
		{"application/json", "\"\xe9\"", "\"\ufffd\""},
		{"application/problem+json", "\"\xe9\"", "\"\ufffd\""},
		// What the document says itself.
		{"text/html", "<meta charset=windows-1251>\xcf", "<meta charset=windows-1251>\u041f"},
		{"text/html", "\xcf<META content='text/html; charset=koi8-r' http-equiv=Content-Type>\xf0",
			"\u043e<META content='text/html; charset=koi8-r' http-equiv=Content-Type>\u041f"},
		{"text/html", "<meta charset=windows-1252>\u00e9", "<meta charset=windows-1252>\u00c3\u00a9"},
		{"text/html", "<meta charset=utf-8>\u00e9", "<meta charset=utf-8>\u00e9"},
		{"text/html; charset=utf-8", "<meta charset=koi8-r>\u00e9", "<meta charset=koi8-r>\u00e9"},
		{"text/html", "<p>\u00e9", "<p>\u00e9"},
		{"text/html", "<p>" + long + "\u00e9", "<p>" + long + "\u00e9"},
		{"text/html", "<p>\xe9", "<p>\u00e9"},
		{"text/html", long + "<meta charset=koi8-r>\u00e9", long + "<meta charset=koi8-r>\u00e9"},
		{"text/plain", "<meta charset=koi8-r>\u00e9", "<meta charset=koi8-r>\u00e9"},
	} {
		resp := response(test.kind, test.body)
		body := resp.Body.(*closer)
		got, err := Text(resp, int64(len(test.body)))
		if err != nil || got != test.want || body.closed != 1 {
			t.Errorf("%q, %q: got %q, %v; want %q", test.kind, test.body, got, err, test.want)
		}
	}
}

func TestTextFails(t *testing.T) {
	got, err := Text(response("text/plain", "12345"), 4)
	if why, ok := errors.AsType[*BodyTooLargeError](err); !ok || why.Limit != 4 || got != "" {
		t.Errorf("%q, %v", got, err)
	}
	broken := errors.New("the network is gone")
	resp := response("text/plain", "")
	body := &closer{Reader: iotest.ErrReader(broken)}
	resp.Body = body
	if got, err := Text(resp, 4); err != broken || got != "" || body.closed != 1 {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := Text(&http.Response{}, 4); got != "" || err != nil {
		t.Errorf("no body: %q, %v", got, err)
	}
}

func TestMaxBody(t *testing.T) {
	for _, test := range []struct {
		n, length int64
		want      string
		tooLarge  bool
	}{
		{4, -1, "1234", true},
		{5, -1, "12345", false},
		{6, 5, "12345", false},
		{5, 5, "12345", false},
		{4, 5, "", true},
		{0, -1, "", true},
		{-1, -1, "", true},
	} {
		resp := response("", "12345")
		resp.ContentLength = test.length
		body := resp.Body.(*closer)
		MaxBody(resp, test.n)
		got, err := io.ReadAll(resp.Body)
		why, tooLarge := errors.AsType[*BodyTooLargeError](err)
		if string(got) != test.want || tooLarge != test.tooLarge || tooLarge && why.Limit != max(0, test.n) || !tooLarge && err != nil {
			t.Errorf("%d of %d: %q, %v", test.n, test.length, got, err)
		}
		if test.length > test.n && body.read > 0 {
			t.Errorf("%d of %d: read nevertheless", test.n, test.length)
		}
		if resp.Body.Close(); body.closed != 1 {
			t.Errorf("%d of %d: closed %d times", test.n, test.length, body.closed)
		}
	}
	// The Content-Length of a response to HEAD is not that of its body.
	head := response("", "")
	head.ContentLength, head.Request = 100, &http.Request{Method: "HEAD"}
	MaxBody(head, 10)
	if _, err := io.ReadAll(head.Body); err != nil {
		t.Errorf("HEAD: %v", err)
	}
	switched := response("", "")
	switched.StatusCode = 101
	body := switched.Body
	if MaxBody(switched, 1); switched.Body != body {
		t.Error("101: the body is another")
	}
	MaxBody(&http.Response{}, 1) // has none
}

func ExampleText() {
	resp := response("text/html", "<meta charset=windows-1251>\xcf\xf0\xe8\xe2\xe5\xf2")
	fmt.Println(Text(resp, 1<<20))
	// Output: <meta charset=windows-1251>Привет <nil>
}

func FuzzText(f *testing.F) {
	for _, kind := range []string{"", "text/html", "text/plain; charset=iso-2022-jp", "text/html; charset=gb18030", "a/b; charset=utf-16"} {
		f.Add(kind, []byte("<meta charset=euc-jp>\u00e9\xff\xfe\x00\x1b$B"))
	}
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		got := decodeText(body, kind)
		if !utf8.ValidString(got) || len(got) > 3*len(body)+3 {
			t.Fatalf("%q, %q: %q", kind, body, got)
		}
	})
}
