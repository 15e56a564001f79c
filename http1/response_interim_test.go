package http1

import (
	"reflect"
	"strings"
	"testing"
)

// RFC 9110, section 15.2, Informational 1xx.
var interimCases = []responseCase{
	{"RFC 9110 15.2.1", "100", POST, responseHead("100 Continue"), nil},
	{"RFC 8297 2", "103", GET, responseHead("103 Early Hints", "Link: </style.css>; rel=preload"), nil},
	{"RFC 9110 15.2", "unknown", GET, responseHead("199 a"), nil},
	{"RFC 9110 15.2.2", "101", GET, responseHead("101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket"), nil},
	{"RFC 9110 15.2.2", "101 without Upgrade", GET, responseHead("101 Switching Protocols"), nil},
	{"RFC 9110 8.6", "Content-Length 0", GET, responseHead("100 Continue", "Content-Length: 0"), nil},
	// net/http and nginx ignore these. What the server means by them would be taken for
	// the final response, with the content that somebody else has chosen.
	{"RFC 9110 8.6", "Content-Length", GET, responseHead("100 Continue", "Content-Length: 5"), errInterimContent},
	{"6.1", "Transfer-Encoding", GET, responseHead("103 Early Hints", "Transfer-Encoding: chunked"), errInterimContent},
	{"6.1", "101 with Transfer-Encoding", GET, responseHead("101 a", "Transfer-Encoding: chunked"), errInterimContent},
}

func TestInterim(t *testing.T) {
	runResponses(t, interimCases)
	for status, want := range map[string]bool{
		"100 Continue": true, "102 Processing": true, "103 Early Hints": true, "199 a": true,
		"101 Switching Protocols": false, "200 OK": false, "204 No Content": false, "999 a": false,
	} {
		if got := mustParseResponse(t, GET, responseHead(status)).Interim(); got != want {
			t.Errorf("%s: interim %t, want %t", status, got, want)
		}
	}
	var r Response
	if r.Interim() {
		t.Error("a response of which nothing has come is interim")
	}
}

// Interim responses of any number up to the limit come one by one, and then the final
// one, however they arrive.
func TestInterimSequence(t *testing.T) {
	lim := Limits{Interim: 3}.Resolve()
	const early = "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
	for _, c := range []struct {
		input    string
		interims []int
		status   int
		err      *Error
	}{
		{responseHead("100 Continue") + ok("Content-Length: 2") + "hi", []int{100}, 200, nil},
		{strings.Repeat(early, 3) + ok("Content-Length: 2") + "hi", []int{103, 103, 103}, 200, nil},
		{responseHead("102 a") + early + responseHead("101 b") + "hi", []int{102, 103}, 101, nil},
		{strings.Repeat(early, 3) + responseHead("101 b") + "hi", []int{103, 103, 103}, 101, nil},
		{strings.Repeat(early, 4), []int{103, 103, 103}, 0, errInterims},
	} {
		want := answer{Interims: c.interims, Status: c.status}
		switch {
		case c.err != nil:
			want.Err, want.EOF = c.err, c.err
		case c.status == 101:
			want.Body = decoded{Rest: "hi", Done: true}
		default:
			want.Body = decoded{Data: "hi", Received: 2, Done: true}
		}
		for _, ends := range [][]int{nil, bytewise(len(c.input))} {
			if got := receive(GET, []byte(c.input), &lim, ends...); !reflect.DeepEqual(got, want) {
				t.Errorf("%q: %+v, want %+v", c.input, got, want)
			}
		}
	}
}

// Reset begins a new exchange, in which interim responses count anew.
func TestInterimsCountPerExchange(t *testing.T) {
	lim := Limits{Interim: 1}.Resolve()
	var r Response
	for range 3 {
		r.Reset(GET)
		if _, err := r.Parse([]byte(responseHead("100 Continue")), &lim); err != nil {
			t.Fatal(err)
		}
		r.Next()
		if _, err := r.Parse([]byte(ok()), &lim); err != nil {
			t.Fatal(err)
		}
	}
}

// RFC 9110, sections 9.3.6 and 15.2.2: what follows these is not HTTP.
func TestResponseLeavesHTTP(t *testing.T) {
	for _, c := range []struct {
		method    Method
		head      string
		leaves    bool
		protocols string
		upgrades  bool
	}{
		{GET, responseHead("101 a", "Connection: upgrade", "Upgrade: websocket"), true, "websocket", true},
		{GET, responseHead("101 a", "Upgrade: websocket"), true, "websocket", false},
		{GET, responseHead("426 a", "Connection: upgrade", "Upgrade: a, b", "Upgrade: c"), false, "a, b", true},
		{GET, "HTTP/1.0 101 a\r\nConnection: upgrade\r\nUpgrade: b\r\n\r\n", true, "b", false},
		{GET, ok(), false, "", false},
		{CONNECT, ok(), true, "", false},
		{CONNECT, responseHead("299 a"), true, "", false},
		{CONNECT, responseHead("407 a"), false, "", false},
		{CONNECT, responseHead("100 a"), false, "", false},
	} {
		r := mustParseResponse(t, c.method, c.head)
		protocols, upgrades := r.Upgrade()
		if r.LeavesHTTP() != c.leaves || string(protocols) != c.protocols || upgrades != c.upgrades {
			t.Errorf("%v, %q: leaves %t, %q, %t", c.method, c.head, r.LeavesHTTP(), protocols, upgrades)
		}
	}
}
