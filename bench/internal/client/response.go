// Package client is the strict, small HTTP client of the memory and soak runs:
// it sends one fixed request and accepts one fixed response.
package client

import (
	"bytes"
	"fmt"
	"strconv"
)

// Body is what every measured server answers with.
const Body = "Hello, World!"

// SlowBody is what the requests of a mixed load are answered with that took longer
// than others: who sent them can tell, whoever chose them. It is as long as Body.
const SlowBody = "Slept, World!"

// ContentType is the media type of both.
const ContentType = "text/plain"

// maxHead bounds the head of a response. The real ones have about 120 bytes.
const maxHead = 4096

// Request returns the bytes of one request for route.
func Request(route string) []byte {
	return []byte("GET " + route + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
}

// ParseResponse checks the response at the start of data and returns its length,
// or 0 while it is incomplete. Anything but 200 with Body is an error.
func ParseResponse(data []byte) (int, error) {
	size, slow, err := parse(data)
	if slow {
		return 0, fmt.Errorf("body %q", SlowBody)
	}
	return size, err
}

// parse is ParseResponse for an answer that may have taken longer, as SlowBody says.
func parse(data []byte) (size int, slow bool, err error) {
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 {
		if len(data) > maxHead {
			return 0, false, fmt.Errorf("response head of more than %d bytes", maxHead)
		}
		return 0, false, nil
	}
	line, fields, _ := bytes.Cut(data[:end], []byte("\r\n"))
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return 0, false, fmt.Errorf("status line %q", line)
	}
	length := -1
	for len(fields) > 0 {
		var field []byte
		field, fields, _ = bytes.Cut(fields, []byte("\r\n"))
		name, value, _ := bytes.Cut(field, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			n, err := strconv.Atoi(string(value))
			if err != nil || length >= 0 {
				return 0, false, fmt.Errorf("header %q", field)
			}
			length = n
		case bytes.EqualFold(name, []byte("Content-Type")):
			if !bytes.HasPrefix(value, []byte(ContentType)) {
				return 0, false, fmt.Errorf("header %q, want %s", field, ContentType)
			}
		}
	}
	if length != len(Body) {
		return 0, false, fmt.Errorf("content length %d, want %d", length, len(Body))
	}
	rest := data[end+4:]
	if len(rest) < len(Body) {
		return 0, false, nil
	}
	if slow, err = IsSlow(rest[:len(Body)]); err != nil {
		return 0, false, err
	}
	return end + 4 + len(Body), slow, nil
}

// IsSlow reports whether a body is SlowBody, and not Body. Any other is an error.
func IsSlow(body []byte) (bool, error) {
	switch string(body) {
	case Body:
		return false, nil
	case SlowBody:
		return true, nil
	}
	return false, fmt.Errorf("body %q", body)
}
