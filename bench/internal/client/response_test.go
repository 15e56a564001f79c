package client

import (
	"strings"
	"testing"
)

const good = "HTTP/1.1 200 OK\r\nServer: x\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\ncontent-length: 13\r\n\r\nHello, World!"

func TestParseResponse(t *testing.T) {
	for end := range good {
		if n, err := ParseResponse([]byte(good[:end])); n != 0 || err != nil {
			t.Fatalf("first %d bytes: got %d, %v", end, n, err)
		}
	}
	for _, after := range []string{"", "HTTP/1.1 500"} {
		if n, err := ParseResponse([]byte(good + after)); n != len(good) || err != nil {
			t.Errorf("followed by %q: got %d, %v", after, n, err)
		}
	}
}

func TestIsSlow(t *testing.T) {
	if n, slow, err := parse([]byte(good)); n != len(good) || slow || err != nil {
		t.Errorf("fast: got %d, %v, %v", n, slow, err)
	}
	late := strings.Replace(good, Body, SlowBody, 1)
	if n, slow, err := parse([]byte(late)); n != len(late) || !slow || err != nil {
		t.Errorf("slow: got %d, %v, %v", n, slow, err)
	}
	if _, slow, err := parse([]byte(late[:len(late)-1])); slow || err != nil {
		t.Errorf("incomplete: got %v, %v", slow, err)
	}
}

func TestParseResponseRejects(t *testing.T) {
	for name, data := range map[string]string{
		"status":           strings.Replace(good, "200 OK", "500 No", 1),
		"version":          strings.Replace(good, "HTTP/1.1", "HTTP/1.0", 1),
		"no length":        strings.Replace(good, "content-length", "x-length", 1),
		"two lengths":      strings.Replace(good, "Server: x", "Content-Length: 13", 1),
		"bad length":       strings.Replace(good, "13\r\n", "1x\r\n", 1),
		"other length":     strings.Replace(good, "13\r\n", "12\r\n", 1),
		"type":             strings.Replace(good, "text/plain", "text/html", 1),
		"body":             strings.Replace(good, "World", "Wurld", 1),
		"slow body":        strings.Replace(good, Body, SlowBody, 1),
		"shifted by one":   good[1:],
		"endless head":     "HTTP/1.1 200 OK\r\n" + strings.Repeat("x: y\r\n", 2000),
		"body of previous": "!" + good,
	} {
		if n, err := ParseResponse([]byte(data)); err == nil {
			t.Errorf("%s: no error, got %d", name, n)
		}
	}
}
