package client

import (
	"io"
	"net/http"
	"testing"
)

// The head of a response is there before its body is, as a stream of events begins.
func TestHeadWithoutBody(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		had := make(chan bool)
		defer close(had)
		s := scripted(t, func(s *scene) {
			s.request()
			s.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			<-had
			s.say("5\r\nhello\r\n0\r\n\r\n")
		})
		tr.ReadTimeout = lookAfter // it fails long before the test does
		req, _ := http.NewRequest("GET", s.url, nil)
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		had <- true
		if b, err := io.ReadAll(resp.Body); string(b) != "hello" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		resp.Body.Close()
	})
}
