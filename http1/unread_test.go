package http1

import (
	"slices"
	"testing"
)

// Wherever a decoder stands, and however much of what it has decoded was used: what
// is put back in front of the rest of the input makes the rest of the body.
func TestAppendUnread(t *testing.T) {
	lim := Limits{}.Resolve()
	for _, c := range chunkedCases {
		if c.status != 0 {
			continue
		}
		input := []byte(c.input + "NEXT")
		whole := decodeChunked(input, &lim)
		for end := range len(c.input) + 1 {
			var b Body
			if err := b.InitFraming(Chunked, -1, &lim); err != nil {
				t.Fatal(err)
			}
			begun := decode(&b, input[:end])
			for used := range len(begun.Data) + 1 {
				unread := begun.Data[used:]
				rest := b.AppendUnread(nil, []byte(unread))
				rest = append(rest, input[end:]...)
				if unread == "" && (b.state == chunkDataCR || b.state == chunkDataLF) {
					if string(rest[:2]) != "\r\n" {
						t.Fatalf("%q at %d: %q, want the CRLF behind the data", c.input, end, rest)
					}
					rest = rest[2:]
				}
				got := decodeChunked(rest, &lim)
				if got.Err != nil || got.Data != whole.Data[used:] || got.Rest != "NEXT" || !slices.Equal(got.Trailers, whole.Trailers) {
					t.Fatalf("%q at %d, %d used: %q, which is %+v, want %+v", c.input, end, used, rest, got, whole)
				}
			}
		}
	}
}
