package http1

import "testing"

// RFC 9110, section 10.1.1, Expect.
var expectCases = []requestCase{
	{"RFC 9110 10.1.1", "100-continue", header("Expect: 100-continue", "Content-Length: 5"), 0},
	{"RFC 9110 10.1.1", "case-insensitive", header("EXPECT: 100-Continue"), 0},
	{"RFC 9110 10.1.1", "unknown", header("Expect: 200-ok"), 417},
	{"RFC 9110 10.1.1", "more than one", header("Expect: 100-continue, a"), 417},
	{"RFC 9110 10.1.1", "unknown in a second field", header("Expect: 100-continue", "Expect: a"), 417},
	{"RFC 9110 10.1.1", "parameter", header("Expect: 100-continue;a"), 417},
	{"RFC 9110 10.1.1", "empty", header("Expect:"), 417},
}

// RFC 9110, section 7.8, Upgrade.
var upgradeCases = []requestCase{
	{"RFC 9110 7.8", "websocket", header("Connection: Upgrade", "Upgrade: websocket"), 0},
	{"RFC 9110 7.8", "list", header("Connection: upgrade, keep-alive", "Upgrade: a/1, websocket"), 0},
	{"RFC 9110 7.8", "without Connection", header("Upgrade: websocket"), 0},
}

func TestRFC9110(t *testing.T) {
	runRequests(t, expectCases)
	runRequests(t, upgradeCases)
}

func TestExpectContinue(t *testing.T) {
	for _, c := range []struct {
		head string
		want bool
	}{
		{header("Expect: 100-continue", "Content-Length: 5"), true},
		{header("Transfer-Encoding: chunked", "Expect: 100-Continue"), true},
		{header("Expect: 100-continue", "Content-Length: 0"), false},
		{header("Expect: 100-continue"), false},
		{header("Content-Length: 5"), false},
		{"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", false},
	} {
		if got := mustParse(t, c.head).ExpectContinue(); got != c.want {
			t.Errorf("%q: %t, want %t", c.head, got, c.want)
		}
	}
}

func TestUpgrade(t *testing.T) {
	for _, c := range []struct {
		head      string
		protocols string
		requested bool
	}{
		{header("Connection: Upgrade", "Upgrade: websocket"), "websocket", true},
		{header("Upgrade: h2c, websocket", "Connection: keep-alive", "Connection: upgrade"), "h2c, websocket", true},
		{header("Upgrade: websocket"), "websocket", false},
		{header("Upgrade: websocket", "Connection: upgraded"), "websocket", false},
		{header("Connection: upgrade"), "", false},
		{header("Connection: upgrade", "Upgrade: a", "Upgrade: b"), "a", true},
		{"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "websocket", false},
	} {
		protocols, requested := mustParse(t, c.head).Upgrade()
		if string(protocols) != c.protocols || requested != c.requested {
			t.Errorf("%q: %q, %t; want %q, %t", c.head, protocols, requested, c.protocols, c.requested)
		}
	}
}
