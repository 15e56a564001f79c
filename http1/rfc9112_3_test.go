package http1

import "testing"

// Section 3, Request Line.
var requestLineCases = []requestCase{
	{"3", "one space each", "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"3", "two spaces before the target", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3", "two spaces before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3", "tab before the target", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3", "tab before the version", "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3", "vertical tab", "GET\v/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3", "space first", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3", "space last", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
	{"3", "tab last", "GET / HTTP/1.1\t\r\nHost: a\r\n\r\n", 400},
	{"3", "fourth part", "GET / HTTP/1.1 x\r\nHost: a\r\n\r\n", 400},
	{"3", "space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3", "no version", "GET /\r\nHost: a\r\n\r\n", 400},
	{"3", "no version but its space", "GET / \r\nHost: a\r\n\r\n", 400},
	{"3", "no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3", "method only", "GET\r\nHost: a\r\n\r\n", 400},
	{"3", "no method", "/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3", "field line instead", "Host: a\r\n\r\n", 400},
}

// Section 3.1, Method.
var methodCases = []requestCase{
	{"3.1", "any token", "M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"3.1", "lower case", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"3.1", "all kinds of tchar", "!#$%&'*+-.^_`|~09azAZ / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"3.1", "delimiter", "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.1", "quote", "\"GET\" / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.1", "colon", "GET: / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.1", "NUL", "GET\x00 / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.1", "not ASCII", "G\xc3\x89T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.1", "DEL", "GET\x7f / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
}

// Section 3.2, Request Target.
var targetCases = []requestCase{
	{"3.2", "control character", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2", "NUL", "GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2", "DEL", "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2", "byte 0x80", "GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2", "UTF-8", "GET /caf\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2", "fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2", "fragment in the query", "GET /a?b#c HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2", "control character in the query", "GET /a?\x1f HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2", "raw characters browsers send", "GET /a|b{c}\"<d>[e]^` HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	// What a browser makes a slash of, another recipient must not take for a letter.
	{"3.2", "backslash", "GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2", "backslash behind the authority", "GET http://a\\b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2", "raw characters in the query", "GET /?a[]=|{}\"<>^`\\ HTTP/1.1\r\nHost: a\r\n\r\n", 0},

	{"3.2.1", "percent-encoding", "GET /%41%7e%E2%9c%93 HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	// As nginx does: a path with a NUL ends early for whoever passes it to C.
	{"3.2.1", "encoded NUL", "GET /a%00.html HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.1", "encoded NUL in the query", "GET /a?%00 HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"3.2.1", "encoded CRLF", "GET /a%0d%0aB:%20c HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"3.2.1", "percent without digits", "GET /% HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.1", "percent with one digit", "GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.1", "percent with a wrong first digit", "GET /%g1 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.1", "percent with a wrong second digit", "GET /%1g HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.1", "percent before the query", "GET /%?41 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.1", "bare percent in the query", "GET /?a=100% HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"3.2.1", "two slashes", "GET //a/b HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"3.2.1", "colon in the first segment", "GET /a:b HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"3.2.1", "relative path", "GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.1", "query only", "GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.1", "dot segment without slash", "GET ../a HTTP/1.1\r\nHost: a\r\n\r\n", 400},

	{"3.2.2", "http", "GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"3.2.2", "https", "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"3.2.2", "scheme in upper case", "GET HTTP://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"3.2.2", "empty path", "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"3.2.2", "empty path with query", "GET http://a?b HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"3.2.2", "port", "GET http://a:8080/ HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"3.2.2", "IPv6", "GET http://[::1]:8080/ HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"3.2.2", "empty Host", "GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n", 0},
	{"3.2.2", "no Host", "GET http://a/ HTTP/1.1\r\n\r\n", 400},
	{"3.2.2", "no authority", "GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.2", "nothing but the scheme", "GET http:// HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.2", "query instead of authority", "GET http://?a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.2", "port without host", "GET http://:80/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.2", "userinfo", "GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.2", "empty userinfo", "GET http://@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.2", "bad port", "GET http://a:8o/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.2", "bad escape in the authority", "GET http://a%4/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.2", "encoded letter in the authority", "GET http://%41/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.2", "encoded slash in the authority", "GET http://a%2fb/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.2", "percent-encoding in the authority", "GET http://%C3%a9/ HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"3.2.2", "bad escape in the path", "GET http://a/%4 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.2", "backslash for slash", "GET http:\\\\a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.2", "one slash", "GET http:/a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.2", "another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.2", "no scheme", "GET a:80/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},

	{"3.2.3", "CONNECT", "CONNECT www.example.com:80 HTTP/1.1\r\nHost: www.example.com\r\n\r\n", 0},
	{"3.2.3", "CONNECT to IPv6", "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"3.2.3", "CONNECT without port", "CONNECT www.example.com HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.3", "CONNECT with empty port", "CONNECT www.example.com: HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.3", "CONNECT with port 0", "CONNECT www.example.com:0 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.3", "CONNECT with port 65536", "CONNECT www.example.com:65536 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.3", "CONNECT without host", "CONNECT :80 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.3", "CONNECT with userinfo", "CONNECT u@a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.3", "CONNECT with an encoded colon", "CONNECT a%3a80:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.3", "CONNECT with percent-encoding", "CONNECT %C3%a9:80 HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"3.2.3", "CONNECT with a path", "CONNECT a:80/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.3", "CONNECT with a query", "CONNECT a:80?b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.3", "CONNECT in origin-form", "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.3", "CONNECT in absolute-form", "CONNECT http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.3", "authority-form without CONNECT", "GET www.example.com:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400},

	{"3.2.4", "OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"3.2.4", "OPTIONS of a path", "OPTIONS /a HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"3.2.4", "asterisk without OPTIONS", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.4", "more than an asterisk", "OPTIONS *a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"3.2.4", "asterisk with query", "OPTIONS *?a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
}

func hostCase(name, value string, status int) requestCase {
	return requestCase{"3.2", "Host: " + name, "GET / HTTP/1.1\r\nHost: " + value + "\r\n\r\n", status}
}

// Section 3.2 on Host, with RFC 9110, section 7.2.
var hostCases = []requestCase{
	{"3.2", "no Host in HTTP/1.1", "GET / HTTP/1.1\r\nAccept: a\r\n\r\n", 400},
	{"3.2", "no Host in HTTP/1.2", "GET / HTTP/1.2\r\n\r\n", 400},
	{"3.2", "no Host in HTTP/1.0", "GET / HTTP/1.0\r\nAccept: a\r\n\r\n", 0},
	{"3.2", "repeated Host", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
	{"3.2", "the same Host twice", "GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n", 400},
	{"3.2", "repeated Host in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400},
	{"3.2", "repeated empty Host", "GET / HTTP/1.1\r\nHost:\r\nHost: a\r\n\r\n", 400},
	{"3.2", "invalid Host in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a b\r\n\r\n", 400},
	{"3.2", "invalid Host beside absolute-form", "GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
	// RFC 9112, section 3.3, lets a server reject it, as nginx does. RFC 9110, section
	// 4.2.1, has an http URI without a host be invalid.
	hostCase("empty", "", 400),
	hostCase("whitespace", " \t ", 400),
	{"3.2", "empty Host in HTTP/1.0", "GET / HTTP/1.0\r\nHost:\r\n\r\n", 400},
	{"3.2", "empty Host with an asterisk", "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n", 400},
	{"3.2", "two empty Hosts beside absolute-form", "GET http://a/ HTTP/1.1\r\nHost:\r\nHost:\r\n\r\n", 400},
	hostCase("name", "www.example.com", 0),
	hostCase("port", "www.example.com:8080", 0),
	hostCase("empty port", "www.example.com:", 0),
	hostCase("highest port", "a:65535", 0),
	hostCase("leading zeros in the port", "a:000080", 0),
	hostCase("IPv4", "127.0.0.1:80", 0),
	hostCase("IPv6", "[::1]", 0),
	hostCase("IPv6 with port", "[2001:db8::8:800:200c:417a]:443", 0),
	hostCase("IPv6 with IPv4", "[::ffff:192.0.2.1]:443", 0),
	hostCase("underscore", "my_service", 0),
	hostCase("trailing dot", "example.com.", 0),
	hostCase("all characters of a reg-name", "-._~!$&'()*+;=", 0),
	hostCase("percent-encoding", "caf%C3%a9.example:80", 0),
	hostCase("percent-encoding all over", "%c3%a9", 0),
	hostCase("whitespace around", " \ta\t ", 0),
	hostCase("bad percent-encoding", "caf%C", 400),
	hostCase("percent-encoding of no digits", "caf%Cg", 400),
	// RFC 3986, section 3.2.2: it is there for what is not ASCII. net/url refuses others
	// in absolute-form.
	hostCase("encoded letter", "ex%41mple", 400),
	hostCase("encoded DEL", "a%7f", 400),
	hostCase("encoded NUL", "a%00", 400),
	hostCase("encoded slash", "a%2Fb", 400),
	hostCase("encoded at sign", "a%40b", 400),
	hostCase("encoded dots", "%2e%2E", 400),
	hostCase("encoded CRLF", "a%0d%0aB", 400),
	hostCase("encoded percent", "a%25C3", 400),
	hostCase("port only", ":80", 400),
	hostCase("colon only", ":", 400),
	hostCase("two ports", "a:1:2", 400),
	hostCase("port above 65535", "a:65536", 400),
	hostCase("port beyond any integer", "a:99999999999999999999999999", 400),
	hostCase("letters in the port", "a:http", 400),
	hostCase("signed port", "a:+80", 400),
	hostCase("userinfo", "user@a", 400),
	hostCase("comma", "a,b", 400),
	hostCase("list", "a, b", 400),
	hostCase("space", "a b", 400),
	hostCase("tab", "a\tb", 400),
	hostCase("path", "a/b", 400),
	hostCase("query", "a?b", 400),
	hostCase("fragment", "a#b", 400),
	hostCase("backslash", "a\\b", 400),
	hostCase("scheme", "http://a", 400),
	hostCase("quote", "\"a\"", 400),
	hostCase("angle brackets", "<a>", 400),
	hostCase("not ASCII", "caf\xc3\xa9", 400),
	hostCase("open bracket", "[::1", 400),
	hostCase("closing bracket", "::1]", 400),
	hostCase("IPv6 without brackets", "::1", 400),
	hostCase("empty brackets", "[]", 400),
	hostCase("name in brackets", "[a.example]", 400),
	hostCase("IPv4 in brackets", "[127.0.0.1]", 400),
	hostCase("zone", "[fe80::1%25eth0]", 400),
	hostCase("IPvFuture", "[v1.a]", 400),
	hostCase("bytes after the bracket", "[::1]a", 400),
	hostCase("IPv6 with bad port", "[::1]:x", 400),
	hostCase("bracket inside", "a[::1]", 400),
}

func TestRFC9112Section3(t *testing.T) {
	runRequests(t, requestLineCases)
	runRequests(t, methodCases)
	runRequests(t, targetCases)
	runRequests(t, hostCases)
}

func TestMethodID(t *testing.T) {
	for m := GET; m <= PATCH; m++ {
		target := "/"
		if m == CONNECT {
			target = "a:1"
		}
		r := mustParse(t, m.String()+" "+target+" HTTP/1.1\r\nHost: a\r\n\r\n")
		if r.MethodID() != m || string(r.Method()) != m.String() {
			t.Errorf("%v is parsed as %v, %q", m, r.MethodID(), r.Method())
		}
	}
	for _, name := range []string{"get", "GETS", "GE", "PURGE", "other"} {
		if got := mustParse(t, name+" / HTTP/1.1\r\nHost: a\r\n\r\n").MethodID(); got != Other {
			t.Errorf("%s is parsed as %v, want Other", name, got)
		}
	}
}

func TestMethodIDAfterError(t *testing.T) {
	lim := Limits{}.Resolve()
	var r Request
	if _, err := r.Parse([]byte("HEAD / HTTP/1.1\r\nHost: a\r\nHost: a\r\n"), &lim); err != errRepeatedHost {
		t.Fatalf("error %v, want %v", err, errRepeatedHost)
	}
	if r.MethodID() != HEAD {
		t.Errorf("method %v, want HEAD", r.MethodID())
	}
	if r.Method() != nil || r.Target() != nil {
		t.Error("bytes of a head that is not complete")
	}
}

func TestTargetParts(t *testing.T) {
	for _, c := range []struct {
		line     string
		form     Form
		path     string
		query    string
		hasQuery bool
		host     string
	}{
		{"GET /where?q=now", OriginForm, "/where", "q=now", true, "field:1"},
		{"GET /", OriginForm, "/", "", false, "field:1"},
		{"GET /?", OriginForm, "/", "", true, "field:1"},
		{"GET /a?b?c", OriginForm, "/a", "b?c", true, "field:1"},
		{"GET //host/a", OriginForm, "//host/a", "", false, "field:1"},
		{"GET /http://a/", OriginForm, "/http://a/", "", false, "field:1"},
		{"GET http://www.example.org/pub/a.html", AbsoluteForm, "/pub/a.html", "", false, "www.example.org"},
		{"GET hTTps://a:81/b?c", AbsoluteForm, "/b", "c", true, "a:81"},
		{"GET http://a", AbsoluteForm, "/", "", false, "a"},
		{"GET http://a?b", AbsoluteForm, "/", "b", true, "a"},
		{"GET http://a?/b", AbsoluteForm, "/", "/b", true, "a"},
		{"OPTIONS http://a", AbsoluteForm, "*", "", false, "a"},
		{"OPTIONS http://a?b", AbsoluteForm, "/", "b", true, "a"},
		{"OPTIONS http://a/", AbsoluteForm, "/", "", false, "a"},
		{"CONNECT a:80", AuthorityForm, "", "", false, "a:80"},
		{"CONNECT [::1]:80", AuthorityForm, "", "", false, "[::1]:80"},
		{"OPTIONS *", AsteriskForm, "*", "", false, "field:1"},
	} {
		for _, first := range []string{"", "\r\n"} {
			r := mustParse(t, first+c.line+" HTTP/1.1\r\nHost: field:1\r\n\r\n")
			if r.Form() != c.form {
				t.Errorf("%s: %v, want %v", c.line, r.Form(), c.form)
			}
			if got := string(r.RawPath()); got != c.path {
				t.Errorf("%s: path %q, want %q", c.line, got, c.path)
			}
			if got := string(r.RawQuery()); got != c.query || r.HasQuery() != c.hasQuery {
				t.Errorf("%s: query %q, %t; want %q, %t", c.line, got, r.HasQuery(), c.query, c.hasQuery)
			}
			if got := string(r.Host()); got != c.host {
				t.Errorf("%s: host %q, want %q", c.line, got, c.host)
			}
		}
	}
}

func TestHostAbsent(t *testing.T) {
	if got := mustParse(t, "GET / HTTP/1.0\r\n\r\n").Host(); len(got) != 0 {
		t.Errorf("host %q, want none", got)
	}
}
