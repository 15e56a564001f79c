package http1

import (
	"strings"
	"testing"
)

// Section 8, Handling Incomplete Messages: whatever is missing at the end, nothing is
// taken for a whole message.
func TestRFC9112Section8(t *testing.T) {
	lim := Limits{}.Resolve()
	for _, c := range allRequestCases() {
		if c.status != 0 {
			continue
		}
		for end := range len(c.input) {
			if s := parseWhole([]byte(c.input[:end]), &lim); s.Length != 0 || s.Err != nil {
				t.Fatalf("%q: %d, %v; want to go on", c.input[:end], s.Length, s.Err)
			}
		}
	}
	for _, c := range chunkedCases {
		if c.status != 0 {
			continue
		}
		for end := range len(c.input) {
			d := decodeChunked([]byte(c.input[:end]), &lim)
			if d.Done || d.Err != nil || !strings.HasPrefix(c.data, d.Data) {
				t.Fatalf("%q: %+v; want to go on", c.input[:end], d)
			}
		}
	}
}
