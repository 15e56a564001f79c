package http1

import "testing"

// Section 2.2, Message Parsing.
var messageParsingCases = []requestCase{
	{"2.1", "request line, fields and an empty line", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"2.1", "no fields in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", 0},

	{"2.2", "one empty line first", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"2.2", "two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"2.2", "empty line of a bare LF", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"2.2", "empty line of a bare CR", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"2.2", "empty line of two CR", "\r\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},

	{"2.2", "bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
	{"2.2", "bare LF after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", 400},
	{"2.2", "bare LF after an empty value", "GET / HTTP/1.1\r\nHost:\n\r\n", 400},
	{"2.2", "bare LF after a name", "GET / HTTP/1.1\r\nHost\n\r\n", 400},
	{"2.2", "bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
	{"2.2", "bare LF everywhere", "GET / HTTP/1.1\nHost: a\n\n", 400},
	{"2.2", "bare CR after the request line", "GET / HTTP/1.1\rHost: a\r\n\r\n", 400},
	{"2.2", "bare CR in a value", "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", 400},
	{"2.2", "bare CR before CRLF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400},
	{"2.2", "bare CR at the end", "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", 400},
	{"2.2", "bare CR in the target", "GET /\rx HTTP/1.1\r\nHost: a\r\n\r\n", 400},

	{"2.2", "space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
	{"2.2", "tab before the first field", "GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", 400},
	{"2.2", "line of spaces only", "GET / HTTP/1.1\r\nHost: a\r\n  \r\n\r\n", 400},

	{"2.2", "TLS handshake", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400},
	{"2.2", "byte order mark", "\xef\xbb\xbfGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
}

// Section 2.3, HTTP Version.
var versionCases = []requestCase{
	{"2.3", "HTTP/1.1", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	{"2.3", "HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", 0},
	{"2.3", "higher minor version", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 0},
	{"2.3", "highest minor version", "GET / HTTP/1.9\r\nHost: a\r\n\r\n", 0},
	{"2.3", "HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
	{"2.3", "HTTP/0.9", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505},
	{"2.3", "HTTP/3.0", "GET / HTTP/3.0\r\n\r\n", 505},
	{"2.3", "connection preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
	{"2.3", "lower case", "GET / http/1.1\r\nHost: a\r\n\r\n", 400},
	{"2.3", "mixed case", "GET / HTTp/1.1\r\nHost: a\r\n\r\n", 400},
	{"2.3", "two digits of minor version", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400},
	{"2.3", "two digits of major version", "GET / HTTP/11.1\r\nHost: a\r\n\r\n", 400},
	{"2.3", "leading zero", "GET / HTTP/01.1\r\nHost: a\r\n\r\n", 400},
	{"2.3", "no minor version", "GET / HTTP/1\r\nHost: a\r\n\r\n", 400},
	{"2.3", "no minor digit", "GET / HTTP/1.\r\nHost: a\r\n\r\n", 400},
	{"2.3", "no digits", "GET / HTTP/\r\nHost: a\r\n\r\n", 400},
	{"2.3", "comma", "GET / HTTP/1,1\r\nHost: a\r\n\r\n", 400},
	{"2.3", "sign", "GET / HTTP/+1.1\r\nHost: a\r\n\r\n", 400},
	{"2.3", "letter for a digit", "GET / HTTP/1.x\r\nHost: a\r\n\r\n", 400},
	{"2.3", "another protocol", "GET / ICAP/1.0\r\nHost: a\r\n\r\n", 400},
	{"2.3", "space inside", "GET / HTTP/ 1.1\r\nHost: a\r\n\r\n", 400},
	{"2.3", "NUL behind", "GET / HTTP/1.1\x00\r\nHost: a\r\n\r\n", 400},
}

func TestRFC9112Section2(t *testing.T) {
	runRequests(t, messageParsingCases)
	runRequests(t, versionCases)
}

func TestMinorVersion(t *testing.T) {
	for version, want := range map[string]int{"1.0": 0, "1.1": 1, "1.2": 1, "1.9": 1} {
		if got := mustParse(t, "GET / HTTP/"+version+"\r\nHost: a\r\n\r\n").Minor(); got != want {
			t.Errorf("HTTP/%s: minor version %d, want %d", version, got, want)
		}
	}
}

func TestLengthOfHead(t *testing.T) {
	lim := Limits{}.Resolve()
	for _, head := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		var r Request
		n, err := r.Parse([]byte(head+"GET /next HTTP/1.1\r\nHost: b\r\n\r\n"), &lim)
		if n != len(head) || err != nil {
			t.Errorf("Parse(%q and another request) = %d, %v; want %d", head, n, err, len(head))
		}
		if got := string(r.Target()); got != "/" {
			t.Errorf("target %q, want that of the first request", got)
		}
	}
}
