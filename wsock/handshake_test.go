package wsock

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

// Section 1.3 and 4.2.2.
func TestAccept(t *testing.T) {
	const want = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
	if got := AppendAccept([]byte("x"), "dGhlIHNhbXBsZSBub25jZQ=="); string(got) != "x"+want {
		t.Errorf("%q, want %q", got, want)
	}
	if key := NewKey([16]byte([]byte("the sample nonce"))); key != "dGhlIHNhbXBsZSBub25jZQ==" {
		t.Errorf("key %q", key)
	}
	got := string(AppendResponse(nil, []byte("dGhlIHNhbXBsZSBub25jZQ=="), "chat", "permessage-deflate"))
	const response = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + want + "\r\nSec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
	if got != response {
		t.Errorf("%q, want %q", got, response)
	}
	if got := string(AppendResponse(nil, "dGhlIHNhbXBsZSBub25jZQ==", "", "")); strings.Contains(got, "Protocol:") || strings.Contains(got, "Extensions") {
		t.Errorf("%q", got)
	}
}

func TestValidKey(t *testing.T) {
	for key, want := range map[string]bool{
		"dGhlIHNhbXBsZSBub25jZQ==":     true,
		"AAAAAAAAAAAAAAAAAAAAAA==":     true,
		"":                             false,
		"dGhlIHNhbXBsZSBub25jZQ":       false, // without padding
		"dGhlIHNhbXBsZSBub25jZQ= ":     false,
		"dGhlIHNhbXBsZSBub25jZSE=":     false, // 17 bytes
		"dGhlIHNhbXBsZSBub25jZSEh":     false, // 18 bytes
		"dGhlIHNhbXBsZSBub25j":         false, // 15 bytes
		"dGhlIHNhbXBsZSBub25jZ_==":     false,
		"dGhlIHNhbXBsZSBub2\n5jZQ==":   false,
		"dGhlIHNhbXBsZSBub25jZQ==dGhl": false,
	} {
		if got := ValidKey(key); got != want {
			t.Errorf("%q: %t", key, got)
		}
	}
}

// goodRequest is the handshake of section 1.2.
func goodRequest() Request {
	return Request{
		Method: "GET", HTTP11: true,
		Connection: []string{"Upgrade"}, Upgrade: []string{"websocket"},
		Key: []string{"dGhlIHNhbXBsZSBub25jZQ=="}, Version: []string{"13"},
		Protocol: []string{"chat, superchat"},
	}
}

// Section 4.2.1: each failure has its status.
func TestRequestCheck(t *testing.T) {
	r := goodRequest()
	if protocols, err := r.Check(); err != nil || !slices.Equal(protocols, []string{"chat", "superchat"}) {
		t.Fatal(protocols, err)
	}
	for _, c := range []struct {
		name   string
		change func(*Request)
		err    *HandshakeError
	}{
		{"case of tokens", func(r *Request) { r.Connection, r.Upgrade = []string{"uPGRADE"}, []string{"WebSocket"} }, nil},
		{"lists", func(r *Request) {
			r.Connection, r.Upgrade = []string{"keep-alive", "x , Upgrade"}, []string{"h2c,websocket"}
		}, nil},
		{"space around", func(r *Request) { r.Key, r.Version = []string{" " + r.Key[0] + "\t"}, []string{" 13 "} }, nil},
		{"no subprotocol", func(r *Request) { r.Protocol = nil }, nil},
		{"method", func(r *Request) { r.Method = "POST" }, errMethod},
		{"HTTP/1.0", func(r *Request) { r.HTTP11 = false }, errHTTP},
		{"no Upgrade", func(r *Request) { r.Upgrade = nil }, errNoUpgrade},
		{"other Upgrade", func(r *Request) { r.Upgrade = []string{"h2c"} }, errNoUpgrade},
		{"token inside a token", func(r *Request) { r.Upgrade = []string{"websockets"} }, errNoUpgrade},
		{"no Connection", func(r *Request) { r.Connection = nil }, errConnection},
		{"other Connection", func(r *Request) { r.Connection = []string{"keep-alive"} }, errConnection},
		{"no version", func(r *Request) { r.Version = nil }, errVersion},
		{"old version", func(r *Request) { r.Version = []string{"8"} }, errVersion},
		{"two versions", func(r *Request) { r.Version = []string{"13", "13"} }, errVersion},
		{"list of versions", func(r *Request) { r.Version = []string{"13, 8"} }, errVersion},
		{"no key", func(r *Request) { r.Key = nil }, errKey},
		{"empty key", func(r *Request) { r.Key = []string{""} }, errKey},
		{"two keys", func(r *Request) { r.Key = append(r.Key, r.Key[0]) }, errKey},
		{"same subprotocol twice", func(r *Request) { r.Protocol = []string{"a, b", "a"} }, errProtocols},
		{"subprotocol is no token", func(r *Request) { r.Protocol = []string{"a b"} }, errProtocols},
	} {
		r := goodRequest()
		c.change(&r)
		_, err := r.Check()
		if c.err == nil {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
	}
	const upgrade = "426 Connection: Upgrade, Upgrade: websocket, Sec-WebSocket-Version: 13"
	for err, want := range map[*HandshakeError]string{
		errMethod: "405 Allow: GET", errNoUpgrade: upgrade, errVersion: upgrade,
		errKey: "400 ", errConnection: "400 ", errHTTP: "400 ", errExtensions: "400 ", errProtocols: "400 ", ErrOrigin: "403 ",
	} {
		var fields []string
		for _, f := range err.Fields {
			fields = append(fields, f[0]+": "+f[1])
		}
		if got := fmt.Sprint(err.Status, " ", strings.Join(fields, ", ")); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}

// Section 4.1: what a client checks.
func TestResponseCheck(t *testing.T) {
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	good := func() Response {
		return Response{Status: 101, Connection: []string{"Upgrade"}, Upgrade: []string{"websocket"},
			Accept: []string{"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}, Protocol: []string{"chat"}}
	}
	for _, c := range []struct {
		name   string
		change func(*Response)
		want   string
		err    error
	}{
		{"good", func(*Response) {}, "chat", nil},
		{"no subprotocol", func(r *Response) { r.Protocol = nil }, "", nil},
		{"subprotocol not offered", func(r *Response) { r.Protocol[0] = "other" }, "", errProtocol},
		{"subprotocol in another case", func(r *Response) { r.Protocol[0] = "Chat" }, "", errProtocol},
		{"empty subprotocol", func(r *Response) { r.Protocol[0] = "" }, "", errProtocol},
		{"two subprotocols", func(r *Response) { r.Protocol = []string{"chat", "chat"} }, "", errProtocol},
		{"status", func(r *Response) { r.Status = 200 }, "", errStatus},
		{"no Upgrade", func(r *Response) { r.Upgrade = nil }, "", errNotUpgraded},
		{"no Connection", func(r *Response) { r.Connection = nil }, "", errNotUpgraded},
		{"no Accept", func(r *Response) { r.Accept = nil }, "", errAccept},
		{"Accept of another key", func(r *Response) { r.Accept[0] = "t3pPLMBiTxaQ9kYGzzhZRbK+xOo=" }, "", errAccept},
		{"Accept in another case", func(r *Response) { r.Accept[0] = strings.ToLower(r.Accept[0]) }, "", errAccept},
	} {
		r := good()
		c.change(&r)
		protocol, err := r.Check(key, []string{"super", "chat"})
		if protocol != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v, want %q, %v", c.name, protocol, err, c.want, c.err)
		}
	}
}

func TestChooseProtocol(t *testing.T) {
	for _, c := range []struct {
		offered, supported []string
		want               string
	}{
		{nil, nil, ""},
		{[]string{"a"}, nil, ""},
		{nil, []string{"a"}, ""},
		{[]string{"a", "b"}, []string{"b", "a"}, "a"}, // the client's preference
		{[]string{"a", "b"}, []string{"c", "b"}, "b"},
		{[]string{"A"}, []string{"a"}, ""},
	} {
		if got := ChooseProtocol(c.offered, c.supported); got != c.want {
			t.Errorf("%q of %q: %q, want %q", c.supported, c.offered, got, c.want)
		}
	}
	request := strings.Repeat("chat", 1000) // which is not kept for what is chosen
	supported := []string{"chat"}
	if got := ChooseProtocol([]string{request[4:8]}, supported); unsafe.StringData(got) != unsafe.StringData(supported[0]) {
		t.Error("what was chosen is part of the offer")
	}
}

func TestSameOrigin(t *testing.T) {
	for _, c := range []struct {
		origin, host string
		want         bool
	}{
		{"", "example.com", true},
		{"http://example.com", "example.com", true},
		{"http://example.com", "EXAMPLE.com:80", true},
		{"http://example.com:80", "example.com", true},
		{"https://example.com", "example.com:443", true},
		{"https://example.com", "example.com", true},
		{"http://example.com:8080", "example.com:8080", true},
		{"http://[::1]:8080", "[::1]:8080", true},
		{"http://example.com:8080", "example.com", false},
		{"http://example.com", "example.com:443", false},
		{"http://evil.com", "example.com", false},
		{"http://example.com.evil.com", "example.com", false},
		{"http://evilexample.com", "example.com", false},
		{"null", "example.com", false},
		{"file://", "", false},
		{"http://", "", false},
		{"https://:443", "", false},
		{"example.com", "example.com", false},
		{"ftp://example.com", "example.com", false},
	} {
		if got := SameOrigin(c.origin, c.host); got != c.want {
			t.Errorf("%q to %q: %t", c.origin, c.host, got)
		}
	}
}
