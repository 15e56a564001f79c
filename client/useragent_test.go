package client

import (
	"net/http"
	"testing"
)

// A request says who sends it, unless its own User-Agent is empty: then it has none, as
// with http.Transport.
func TestUserAgent(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		heard := make(chan http.Header, 1)
		s := scripted(t, func(s *scene) {
			for req := s.request(); req != nil; req = s.request() {
				heard <- req.Header
				s.say("HTTP/1.1 204 No Content\r\n\r\n")
			}
		})
		for _, c := range []struct {
			set  []string
			want int
			is   string
		}{{nil, 1, userAgent}, {[]string{"mine"}, 1, "mine"}, {[]string{""}, 0, ""}, {[]string{}, 0, ""}} {
			req, _ := http.NewRequest("GET", s.url, nil)
			if c.set != nil {
				req.Header["User-Agent"] = c.set
			}
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := (<-heard)["User-Agent"]; len(got) != c.want || len(got) > 0 && got[0] != c.is {
				t.Errorf("%q: %q", c.set, got)
			}
		}
	})
}
