package http1

import "testing"

// Section 9.3, Persistence, with RFC 9110, section 7.6.1.
var connectionCases = []requestCase{
	{"9.3", "close", header("Connection: close"), 0},
	{"9.3", "close in capitals among others", header("Connection: a,CLOSE , b"), 0},
	{"9.3", "keep-alive", header("Connection: keep-alive"), 0},
	{"9.3", "keep-alive with HTTP/1.0", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 0},
	{"9.3", "empty", header("Connection:"), 0},
	{"9.3", "empty elements", header("Connection: ,, ,"), 0},
	{"9.3", "not a token", header("Connection: \"close\""), 0},
	{"RFC 9110 7.6.1", "TE", header("Connection: TE", "TE: trailers"), 0},
	{"RFC 9110 7.6.1", "what looks like Content-Length", header("Connection: content-length-x, x-host", "Content-Length: 5"), 0},
	// A field for all recipients must not be an option. net/http, nginx and hyper do not
	// look; an intermediary that obeys forwards a message without an end, or for
	// another host.
	{"RFC 9110 7.6.1", "Content-Length", header("Connection: close, Content-Length", "Content-Length: 5"), 400},
	{"RFC 9110 7.6.1", "Transfer-Encoding", header("Transfer-Encoding: chunked", "Connection: transfer-encoding"), 400},
	{"RFC 9110 7.6.1", "Host", header("Connection: keep-alive", "Connection: host"), 400},
}

func TestRFC9112Section9(t *testing.T) {
	runRequests(t, connectionCases)
}

func TestKeepAlive(t *testing.T) {
	for _, c := range []struct {
		version string
		fields  string
		want    bool
	}{
		{"1.1", "", true},
		{"1.1", "Connection: close\r\n", false},
		{"1.1", "connection: CLOSE\r\n", false},
		{"1.1", "Connection: keep-alive\r\n", true},
		{"1.1", "Connection: keep-alive, close\r\n", false},
		{"1.1", "Connection: close, keep-alive\r\n", false},
		{"1.1", "Connection: keep-alive\r\nAccept: a\r\nConnection: close\r\n", false},
		{"1.1", "Connection: Upgrade\r\nConnection: x-a ,\tclose\t, x-b\r\n", false},
		{"1.1", "Connection: closed, enclose, close-\r\n", true},
		{"1.1", "Connection: \"close\"\r\n", true},
		{"1.1", "X-Connection: close\r\nProxy-Connection: close\r\n", true},
		{"1.0", "", false},
		{"1.0", "Connection: keep-alive\r\n", true},
		{"1.0", "Connection: Keep-Alive\r\n", true},
		{"1.0", "Connection: x, keep-alive\r\n", true},
		{"1.0", "Connection: keep-alive, close\r\n", false},
		{"1.0", "Connection: keep-alive\r\nConnection: close\r\n", false},
		{"1.0", "Connection: upgrade\r\n", false},
		{"1.0", "Keep-Alive: timeout=5\r\n", false},
		{"1.2", "", true},
	} {
		r := mustParse(t, "GET / HTTP/"+c.version+"\r\nHost: a\r\n"+c.fields+"\r\n")
		if got := r.KeepAlive(); got != c.want {
			t.Errorf("HTTP/%s, %q: keep-alive %t, want %t", c.version, c.fields, got, c.want)
		}
	}
}

func TestConnectionHas(t *testing.T) {
	r := mustParse(t, header("Connection: Upgrade, X-a", "Other: b", "connection:,c,"))
	for option, want := range map[string]bool{
		"upgrade": true, "x-A": true, "c": true, "b": false, "x": false, "close": false,
	} {
		if got := r.ConnectionHas(option); got != want {
			t.Errorf("ConnectionHas(%q) = %t, want %t", option, got, want)
		}
	}
}
