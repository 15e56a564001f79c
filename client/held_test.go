package client

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A response whose last byte is one too many to be kept unread leaves its connection fit for
// the next one.
func TestHeldAtTheEnd(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		s := answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 131073\r\n\r\n"+strings.Repeat("x", bodyHigh+1),
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		tr.ResponseHeaderTimeout = 2 * time.Second
		for _, length := range []int{bodyHigh + 1, 2} {
			req, _ := http.NewRequest("GET", s.url, nil)
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			for end := time.Now().Add(10 * time.Second); !Complete(resp); time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("the response is not complete")
				}
			}
			if b, err := io.ReadAll(resp.Body); len(b) != length || err != nil {
				t.Errorf("%d bytes, %v", len(b), err)
			}
			resp.Body.Close()
		}
	})
}
