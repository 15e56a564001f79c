package http1

import (
	"strings"
	"testing"
)

func TestAppendRequestStart(t *testing.T) {
	for _, c := range []struct {
		head RequestHead
		want string
	}{
		// RFC 9112, section 3.2.1.
		{RequestHead{Method: "GET", Authority: "www.example.org", Path: "/where?q=now"},
			"GET /where?q=now HTTP/1.1\r\nHost: www.example.org\r\n"},
		{RequestHead{Method: "GET", Authority: "[::1]:8080", Path: "/?"},
			"GET /? HTTP/1.1\r\nHost: [::1]:8080\r\n"},
		{RequestHead{Method: "GET", Authority: "a:", Path: "//b/../%2e\"{}|^`"},
			"GET //b/../%2e\"{}|^` HTTP/1.1\r\nHost: a:\r\n"},
		{RequestHead{Method: "get", Authority: "a", Path: "/%00?%00%&b\\"},
			"get /%00?%00%&b\\ HTTP/1.1\r\nHost: a\r\n"},
		// RFC 9112, section 3.2.2.
		{RequestHead{Method: "GET", Form: AbsoluteForm, Scheme: "http", Authority: "a:80", Path: "/pub/"},
			"GET http://a:80/pub/ HTTP/1.1\r\nHost: a:80\r\n"},
		{RequestHead{Method: "OPTIONS", Form: AbsoluteForm, Scheme: "https", Authority: "a"},
			"OPTIONS https://a HTTP/1.1\r\nHost: a\r\n"},
		{RequestHead{Method: "GET", Form: AbsoluteForm, Scheme: "http", Authority: "a", Path: "?b"},
			"GET http://a?b HTTP/1.1\r\nHost: a\r\n"},
		// RFC 9112, section 3.2.3.
		{RequestHead{Method: "CONNECT", Form: AuthorityForm, Authority: "a:443"},
			"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n"},
		// RFC 9112, section 3.2.4.
		{RequestHead{Method: "OPTIONS", Form: AsteriskForm, Authority: "a"},
			"OPTIONS * HTTP/1.1\r\nHost: a\r\n"},

		// RFC 9110, sections 8.6 and 10.1.1.
		{RequestHead{Method: "POST", Authority: "a", Path: "/", Framing: Length, Length: 5},
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"},
		{RequestHead{Method: "POST", Authority: "a", Path: "/", Framing: Length, Continue: true},
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n"},
		{RequestHead{Method: "TRACE", Authority: "a", Path: "/", Framing: Length},
			"TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n"},
		{RequestHead{Method: "PUT", Authority: "a", Path: "/", Framing: Length, Length: 1 << 40, Continue: true},
			"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1099511627776\r\nExpect: 100-continue\r\n"},
		{RequestHead{Method: "PUT", Authority: "a", Path: "/", Framing: Chunked, Length: 7, Continue: true},
			"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n"},
		{RequestHead{Method: "GET", Authority: "a", Path: "/", Length: 5, Continue: true},
			"GET / HTTP/1.1\r\nHost: a\r\n"},
	} {
		got, err := AppendRequestStart([]byte("before"), &c.head)
		if string(got) != "before"+c.want || err != nil {
			t.Errorf("%+v: %q, %v; want %q", c.head, got, err, c.want)
		}
		checkRequestStart(t, &c.head, got[len("before"):])
	}
}

func TestAppendRequestStartRefuses(t *testing.T) {
	get := func(authority, path string) RequestHead {
		return RequestHead{Method: "GET", Authority: authority, Path: path}
	}
	absolute := func(method, scheme, path string) RequestHead {
		return RequestHead{Method: method, Form: AbsoluteForm, Scheme: scheme, Authority: "a", Path: path}
	}
	for _, c := range []struct {
		head RequestHead
		want *Error
	}{
		{RequestHead{Authority: "a", Path: "/"}, errMethod},
		{RequestHead{Method: "GET /", Authority: "a", Path: "/"}, errMethod},
		{RequestHead{Method: "GET\r\n", Authority: "a", Path: "/"}, errMethod},

		{get("a", ""), errTargetForm},
		{get("a", "b"), errTargetForm},
		{get("a", "?b"), errTargetForm},
		{get("a", "*"), errTargetForm},
		{get("a", "http://a/"), errTargetForm},
		{absolute("GET", "", "/"), errTargetForm},
		{absolute("GET", "ftp", "/"), errTargetForm},
		{absolute("GET", "HTTP", "/"), errTargetForm},
		{absolute("GET", "http", "b"), errTargetForm},
		{absolute("GET", "http", ":80/"), errTargetForm},
		{absolute("CONNECT", "http", "/"), errTargetForm},
		{RequestHead{Method: "CONNECT", Authority: "a:80", Path: "/"}, errTargetForm},
		{RequestHead{Method: "GET", Form: AuthorityForm, Authority: "a:80"}, errTargetForm},
		{RequestHead{Method: "CONNECT", Form: AuthorityForm, Authority: "a:80", Path: "/"}, errTargetForm},
		{RequestHead{Method: "GET", Form: AsteriskForm, Authority: "a"}, errTargetForm},
		{RequestHead{Method: "OPTIONS", Form: AsteriskForm, Authority: "a", Path: "/"}, errTargetForm},
		{RequestHead{Method: "GET", Form: 9, Authority: "a", Path: "/"}, errTargetForm},

		// Whoever can choose a path must not choose what follows it.
		{get("a", "/ HTTP/1.1\r\nX: "), errTargetChar},
		{get("a", "/\r\n"), errTargetChar},
		{get("a", "/\n"), errTargetChar},
		{get("a", "/b c"), errTargetChar},
		{get("a", "/ "), errTargetChar},
		{get("a", "/#b"), errTargetChar},
		{get("a", "/?b#c"), errTargetChar},
		{get("a", "/\\"), errTargetChar},
		{get("a", "/\xc3\xa9"), errTargetChar},
		{get("a", "/\x00"), errTargetChar},
		{get("a", "/%00\r"), errTargetChar},
		{get("a", "/%zz"), errTargetEscape},
		{get("a", "/%4"), errTargetEscape},
		{get("a", "/%00%"), errTargetEscape},
		{get("", "/"), errHost},
		{get(":80", "/"), errHost},
		{get("a b", "/"), errHost},
		{get("u@a", "/"), errHost},
		{get("a/b", "/"), errHost},
		{get("a:65536", "/"), errHost},
		{get("[fe80::1%25eth0]", "/"), errHost},
		{get("a\r\nX: b", "/"), errHost},
		{RequestHead{Method: "CONNECT", Form: AuthorityForm, Authority: "a"}, errTargetHost},
		{RequestHead{Method: "CONNECT", Form: AuthorityForm, Authority: "a:0"}, errTargetHost},

		{RequestHead{Method: "POST", Authority: "a", Path: "/", Framing: Length, Length: -1}, errLength},
		{RequestHead{Method: "POST", Authority: "a", Path: "/", Framing: UntilClose}, errRequestFraming},
		{RequestHead{Method: "POST", Authority: "a", Path: "/", Framing: 9}, errRequestFraming},
		{RequestHead{Method: "TRACE", Authority: "a", Path: "/", Framing: Length, Length: 1}, errContent},
		{RequestHead{Method: "CONNECT", Form: AuthorityForm, Authority: "a:80", Framing: Chunked}, errContent},
	} {
		if got, err := AppendRequestStart([]byte("before"), &c.head); string(got) != "before" || err != c.want {
			t.Errorf("%+v: %q, %v; want %v", c.head, got, err, c.want)
		}
	}
}

func TestAppendRequestField(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        *Error
	}{
		{"Accept", "*/*", nil},
		{"X-Empty", "", nil},
		{"x_y", "a\tb \xff", nil},
		{"Connection", "close, upgrade", nil},
		{"Upgrade", "websocket", nil},
		{"TE", "trailers", nil},
		{"", "a", errNameChar},
		{"A B", "a", errNameChar},
		{"A:", "a", errNameChar},
		{"A\r\nB", "a", errNameChar},
		{"A", "b\r\nC: d", errValueChar},
		{"A", "b\n", errValueChar},
		{"A", "\x00", errValueChar},
		{"HOST", "a", errRequestField},
		{"content-length", "5", errRequestField},
		{"Transfer-Encoding", "chunked", errRequestField},
		{"Expect", "100-continue", errRequestField},
		{"Content_Length", "5", errDisguised},
		{"Connection", "close, Content-Length", errConnection},
	} {
		want := "before"
		if c.want == nil {
			want += c.name + ": " + c.value + "\r\n"
		}
		got, err := AppendRequestField([]byte("before"), c.name, c.value)
		if c.want == nil && err != nil || c.want != nil && err != c.want || string(got) != want {
			t.Errorf("%q: %q: %q, %v; want %v", c.name, c.value, got, err, c.want)
		}
	}
}

func TestRequestFraming(t *testing.T) {
	for _, c := range []struct {
		method Method
		length int64
		want   Framing
	}{
		{GET, 0, NoBody}, {HEAD, 0, NoBody}, {DELETE, 0, NoBody}, {OPTIONS, 0, NoBody}, {Other, 0, NoBody},
		{CONNECT, 0, NoBody}, {TRACE, 0, NoBody},
		{POST, 0, Length}, {PUT, 0, Length}, {PATCH, 0, Length},
		{GET, 5, Length}, {POST, 5, Length}, {Other, 5, Length},
		{GET, -1, Chunked}, {POST, -1, Chunked},
	} {
		if got := RequestFraming(c.method, c.length); got != c.want {
			t.Errorf("%v, length %d: %v, want %v", c.method, c.length, got, c.want)
		}
	}
}

// checkRequestStart parses what was written, and expects to find in it what h has.
func checkRequestStart(t *testing.T, h *RequestHead, start []byte) {
	t.Helper()
	lim := Limits{RequestLine: 1 << 20, Head: 1 << 20}.Resolve()
	input := AppendEnd(start)
	var r Request
	n, err := r.Parse(input, &lim)
	if err == errTargetNUL && strings.Contains(h.Path, "%00") {
		return
	}
	if err != nil || n != len(input) {
		t.Fatalf("Parse(%q) = %d, %v", input, n, err)
	}
	path := string(r.RawPath())
	if r.HasQuery() {
		path += "?" + string(r.RawQuery())
	}
	wantPath := h.Path
	switch {
	case h.Form == AsteriskForm, h.Form == AbsoluteForm && h.Method == "OPTIONS" && h.Path == "":
		wantPath = "*"
	case h.Form == AbsoluteForm && !strings.HasPrefix(h.Path, "/"):
		wantPath = "/" + h.Path
	}
	if string(r.Method()) != h.Method || r.Form() != h.Form || string(r.Host()) != h.Authority || path != wantPath {
		t.Errorf("%q: %s, %v, %q, %q; want %+v", input, r.Method(), r.Form(), r.Host(), path, *h)
	}
	if host, _ := r.Get("Host"); string(host) != h.Authority {
		t.Errorf("%q: Host %q", input, host)
	}
	length := int64(-1)
	if h.Framing == Length {
		length = h.Length
	}
	if r.ContentLength() != length || r.Chunked() != (h.Framing == Chunked) || r.ExpectContinue() != (h.Continue && r.HasBody()) {
		t.Errorf("%q: length %d, chunked %t, expects %t; want %+v", input, r.ContentLength(), r.Chunked(), r.ExpectContinue(), *h)
	}
}

// FuzzRequestWriter checks that what is written is a request with exactly what it was
// written from.
func FuzzRequestWriter(f *testing.F) {
	f.Add("GET", uint8(0), "", "example.com:80", "/a?b", uint8(0), int64(0), false, "Accept", "*/*")
	f.Add("POST", uint8(1), "https", "[::1]", "?b", uint8(1), int64(5), true, "Connection", "close, te")
	f.Add("CONNECT", uint8(2), "", "a:443", "", uint8(0), int64(0), true, "Proxy-Authorization", "Basic YTpi")
	f.Add("OPTIONS", uint8(3), "", "a", "", uint8(2), int64(0), true, "A", " b\t")
	f.Add("GET", uint8(0), "", "a\r\nb", "/ HTTP/1.1\r\n", uint8(3), int64(-1), false, "Host", "a\r\n")
	f.Fuzz(func(t *testing.T, method string, form uint8, scheme, authority, path string, framing uint8, length int64, wait bool, name, value string) {
		h := RequestHead{
			Method: method, Form: Form(form % 5), Scheme: scheme, Authority: authority, Path: path,
			Framing: Framing(framing % 5), Length: length, Continue: wait,
		}
		start, err := AppendRequestStart(nil, &h)
		if err != nil {
			if len(start) != 0 {
				t.Fatalf("%q with an error", start)
			}
			return
		}
		checkRequestStart(t, &h, start)

		out, err := AppendRequestField(start, name, value)
		if err != nil {
			if string(out) != string(start) {
				t.Fatalf("%q with an error", out)
			}
			return
		}
		lim := Limits{RequestLine: 1 << 20, Head: 1 << 20}.Resolve()
		var r Request
		n, err := r.Parse(AppendEnd(out), &lim)
		if err == errTargetNUL && strings.Contains(path, "%00") {
			return
		}
		if err != nil || n != len(out)+len("\r\n") {
			t.Fatalf("%q: %d, %v", out, n, err)
		}
		gotName, gotValue := r.Field(r.NumFields() - 1)
		if string(gotName) != name || string(gotValue) != strings.Trim(value, " \t") {
			t.Errorf("%q: field %q: %q", out, gotName, gotValue)
		}
	})
}
