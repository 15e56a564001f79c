package ringkit

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
)

// What a request says is in the fields of http.Request, for all forms of the
// target (RFC 9112, section 3.2).
func TestContractRequestFields(t *testing.T) {
	fields := func(r *http.Request) string {
		u := r.URL
		return fmt.Sprintf("method %s, uri %s, scheme %q, urlhost %q, path %q, raw %q, opaque %q, query %q, host %q, proto %s %d.%d, close %t",
			r.Method, r.RequestURI, u.Scheme, u.Host, u.Path, u.RawPath, u.Opaque, u.RawQuery, r.Host, r.Proto, r.ProtoMajor, r.ProtoMinor, r.Close)
	}
	cases := []struct{ request, want string }{
		{ask("GET", "/"),
			`method GET, uri /, scheme "", urlhost "", path "/", raw "", opaque "", query "", host "test", proto HTTP/1.1 1.1, close false`},
		{ask("GET", "/a%2Fb%20c?d=%20&e"),
			`method GET, uri /a%2Fb%20c?d=%20&e, scheme "", urlhost "", path "/a/b c", raw "/a%2Fb%20c", opaque "", query "d=%20&e", host "test", proto HTTP/1.1 1.1, close false`},
		{ask("GET", "//double//slash"),
			`method GET, uri //double//slash, scheme "", urlhost "", path "//double//slash", raw "", opaque "", query "", host "test", proto HTTP/1.1 1.1, close false`},
		{ask("GET", "/?"),
			`method GET, uri /?, scheme "", urlhost "", path "/", raw "", opaque "", query "", host "test", proto HTTP/1.1 1.1, close false`},
		{ask("GET", "http://other:81/a?b"),
			`method GET, uri http://other:81/a?b, scheme "http", urlhost "other:81", path "/a", raw "", opaque "", query "b", host "other:81", proto HTTP/1.1 1.1, close false`},
		{ask("GET", "http://other"),
			`method GET, uri http://other, scheme "http", urlhost "other", path "", raw "", opaque "", query "", host "other", proto HTTP/1.1 1.1, close false`},
		{"CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n",
			`method CONNECT, uri other:443, scheme "", urlhost "other:443", path "", raw "", opaque "", query "", host "other:443", proto HTTP/1.1 1.1, close false`},
		{"GET / HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n",
			`method GET, uri /, scheme "", urlhost "", path "/", raw "", opaque "", query "", host "[::1]:80", proto HTTP/1.1 1.1, close true`},
		{"BREW /pot HTTP/1.1\r\nHost: test\r\nConnection: keep-alive\r\n\r\n",
			`method BREW, uri /pot, scheme "", urlhost "", path "/pot", raw "", opaque "", query "", host "test", proto HTTP/1.1 1.1, close false`},
		{"GET / HTTP/1.0\r\n\r\n",
			`method GET, uri /, scheme "", urlhost "", path "/", raw "", opaque "", query "", host "", proto HTTP/1.0 1.0, close true`},
		{"GET / HTTP/1.0\r\nHost: test\r\nConnection: keep-alive\r\n\r\n",
			`method GET, uri /, scheme "", urlhost "", path "/", raw "", opaque "", query "", host "test", proto HTTP/1.0 1.0, close false`},
	}
	got := make(chan string, 1)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		got <- fields(r)
		if r.Response != nil || r.Form != nil || r.MultipartForm != nil {
			t.Errorf("fields that should not be set: %+v", r)
		}
	})
	play(t, handler, func(t *testing.T, s *stage) {
		for _, c := range cases {
			p := s.dial()
			p.send(c.request)
			if got := expect(t, "the handler", got); got != c.want {
				t.Errorf("%q:\n%s\nwant\n%s", c.request, got, c.want)
			}
			p.Close()
		}
	})
}

// The asterisk form never reaches a handler: the server answers itself.
func TestContractAsteriskForm(t *testing.T) {
	play(t, act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		t.Errorf("the handler got %s", r.RequestURI)
	}), func(t *testing.T, s *stage) {
		p := s.dial()
		p.send(ask("OPTIONS", "*"))
		p.expectAnswer(200, "")
	})
}

// The addresses of a request are those of its connection.
func TestContractRemoteAddr(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		if _, _, err := net.SplitHostPort(r.RemoteAddr); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, r.RemoteAddr)
	})
	play(t, handler, func(t *testing.T, s *stage) {
		for range 3 {
			p := s.dial()
			p.send(smallRequest + smallRequest)
			p.expectAnswer(200, p.LocalAddr().String())
			p.expectAnswer(200, p.LocalAddr().String())
		}
	})
}

// How a body is delimited is in ContentLength and TransferEncoding, and none is
// http.NoBody.
func TestContractRequestFraming(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		none := r.Body == http.NoBody
		body, err := io.ReadAll(r.Body)
		if n, eof := r.Body.Read(make([]byte, 1)); n != 0 || eof != io.EOF {
			t.Errorf("Read at the end = %d, %v", n, eof)
		}
		fmt.Fprintf(w, "length %d, %q, none %t, %d bytes, %v; %q %q", r.ContentLength, r.TransferEncoding, none, len(body), err,
			r.Header["Content-Length"], r.Header["Transfer-Encoding"])
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "BREW"} {
			for _, c := range []struct{ request, want string }{
				{ask(method, "/"), "length 0, [], none true, 0 bytes, <nil>; [] []"},
				{ask(method, "/", withLength(0)), `length 0, [], none true, 0 bytes, <nil>; ["0"] []`},
				{ask(method, "/", withLength(5)) + "hello", `length 5, [], none false, 5 bytes, <nil>; ["5"] []`},
				{ask(method, "/", withLength(longBody)) + pattern(longBody), fmt.Sprintf(`length %d, [], none false, %[1]d bytes, <nil>; ["%[1]d"] []`, longBody)},
				{ask(method, "/", withChunks) + "0\r\n\r\n", `length -1, ["chunked"], none false, 0 bytes, <nil>; [] []`},
				{ask(method, "/", withChunks) + chunk("hello") + "0\r\n\r\n", `length -1, ["chunked"], none false, 5 bytes, <nil>; [] []`},
				{ask(method, "/", withChunks) + chunk(pattern(longBody)) + "0\r\n\r\n",
					fmt.Sprintf(`length -1, ["chunked"], none false, %d bytes, <nil>; [] []`, longBody)},
			} {
				p.sendAside(c.request)
				p.expectAnswer(200, c.want)
			}
		}
	})
}

// Field names are canonical, values as they came, in order; Host is not among them.
func TestContractRequestHeader(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q", r.Header)
		r.Header.Set("X-Changed", "a") // is the handler's to change
		r.Header["X-A"] = append(r.Header["X-A"], "more")
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		for range 2 {
			p.send(ask("GET", "/", "x-a: 1", "X-B:", "X-A:2 ", "x-odd_NAME!: \t a  b\t", "CONTENT-type: t", "Cookie: a=1", "Cookie: b=2", "X-A: \xff"))
			p.expectAnswer(200, fmt.Sprintf("%q", http.Header{
				"X-A": {"1", "2", "\xff"}, "X-B": {""}, "X-Odd_name!": {"a  b"}, "Content-Type": {"t"}, "Cookie": {"a=1", "b=2"},
			}))
		}
	})
}

// Patterns of http.ServeMux, and what it finds in the path.
func TestContractServeMux(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		mux := http.NewServeMux()
		var patterns []string
		for _, pattern := range []string{"GET /item/{id}", "POST /item/{id}", "/files/{path...}", "test.example/{$}", "/dir/"} {
			patterns = append(patterns, pattern)
			mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
				if !slices.Contains(patterns, r.Pattern) {
					t.Errorf("Pattern is %q", r.Pattern)
				}
				fmt.Fprintf(w, "%s id=%s path=%s", r.Pattern, r.PathValue("id"), r.PathValue("path"))
			})
		}
		s := h.run(t, &http.Server{Handler: mux})
		p := s.dial()
		for _, c := range []struct {
			request  string
			status   int
			body     string
			location string
		}{
			{ask("GET", "/item/a%2Fb"), 200, "GET /item/{id} id=a/b path=", ""},
			{ask("POST", "/item/1", withLength(1)) + "x", 200, "POST /item/{id} id=1 path=", ""},
			{ask("GET", "/files/a/b/c.txt?d"), 200, "/files/{path...} id= path=a/b/c.txt", ""},
			{"GET / HTTP/1.1\r\nHost: test.example:80\r\n\r\n", 200, "test.example/{$} id= path=", ""},
			{ask("GET", "/"), 404, "404 page not found\n", ""},
			{ask("DELETE", "/item/1"), 405, "Method Not Allowed\n", ""},
			{ask("GET", "/dir"), 307, "<a href=\"/dir/\">Temporary Redirect</a>.\n\n", "/dir/"},
			{ask("GET", "/dir/../files/x"), 307, "<a href=\"/files/x\">Temporary Redirect</a>.\n\n", "/files/x"},
		} {
			p.send(c.request)
			if a := p.expectAnswer(c.status, c.body); a.get("Location") != c.location {
				t.Errorf("%q: Location %q, want %q", c.request, a.get("Location"), c.location)
			}
		}
	})
}
