package client

import (
	"io"
	"net/http"
	"testing"

	"github.com/ringkit/ringkit/internal/check"
)

// parrot says the same to every request, without memory.
func parrot(t *testing.T, answer string) *script {
	return scripted(t, func(s *scene) {
		out, end := []byte(answer), 0
		for {
			b, err := s.r.ReadByte()
			switch {
			case err != nil:
				return
			case b == '\n':
				end++
			case b != '\r':
				end = 0
			}
			if end == 2 {
				s.Conn.Write(out)
			}
		}
	})
}

// What a request costs in memory: the exchange with its response and body, the head that is
// sent, the one that came with its fields, and the content.
func TestAllocations(t *testing.T) {
	s := parrot(t, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Sun, 22 Nov 2026 22:00:00 GMT\r\nContent-Length: 13\r\n\r\nHello, World!")
	onEngines(t, func(t *testing.T, tr *Transport) {
		c := &Client{Transport: tr}
		req, err := http.NewRequest("GET", s.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan error)
		buf := make([]byte, 100)
		read := func(resp *http.Response, err error) error {
			if err == nil {
				_, err = io.ReadFull(resp.Body, buf[:13])
			}
			return err
		}
		for _, test := range []struct {
			name string
			most float64
			ask  func() error
		}{
			{"RoundTrip", 5, func() error { return read(tr.RoundTrip(req)) }},
			{"Do", 6, func() error { return read(c.Do(req)) }},
			{"Call", 7, func() error {
				c.Call(req, func(resp *http.Response, err error) { got <- read(resp, err) })
				return <-got
			}},
		} {
			n := testing.AllocsPerRun(500, func() {
				if err := test.ask(); err != nil {
					t.Fatal(err)
				}
			})
			t.Logf("%s: %v allocations", test.name, n)
			if check.Enabled {
				test.most += 3 // pools forget now and then
			}
			if n > test.most {
				t.Errorf("%s: %v allocations, want %v at most", test.name, n, test.most)
			}
		}
	})
}
