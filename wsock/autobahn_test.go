package wsock

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ringkit/ringkit/internal/autobahn"
)

// echo is the answer to a message.
func echo(kind, s string) string { return fmt.Sprintf("%s %q", kind, s) }

func TestAutobahnCases(t *testing.T) {
	for _, c := range autobahn.Cases() {
		t.Run(c.ID, func(t *testing.T) {
			pieces := []int{len(c.Input), 997}
			if len(c.Input) < 2000 {
				pieces = append(pieces, 1, 2, 7) // "in octet-wise chops"
			}
			for _, piece := range pieces {
				server, answers := echoed(t, c.Input, piece, 0, Compression{})
				if !autobahn.Fit(answers, c.Answers) || !server.closing.Done() {
					t.Errorf("in pieces of %d: %.200q, want %.200q", piece, answers, c.Answers)
				}
			}
		})
	}
}

// Category 9: large messages, fragmented and in small pieces. Sizes go up to 256 KiB.
func TestAutobahnLimits(t *testing.T) {
	const most = 1 << 18
	for _, kind := range []Opcode{Text, Binary} {
		for size := 1 << 16; size <= most; size *= 4 {
			s := repeat('*', size)
			input := frame(fin|byte(kind), s)
			for _, fragment := range []int{64, 1024, 65536} {
				var b strings.Builder
				op := byte(kind)
				for i := 0; i < size; i += fragment {
					if i+fragment >= size {
						op |= fin
					}
					b.WriteString(frame(op, s[i:i+fragment]))
					op = 0
				}
				check := func(input string, piece int) {
					t.Helper()
					server, answers := echoed(t, input, piece, most, Compression{})
					if len(answers) != 1 || answers[0] != echo(kind.String(), s) || !server.dec.Between() {
						t.Errorf("%v of %d in fragments of %d: %.50q", kind, size, fragment, answers)
					}
				}
				check(b.String(), 1<<14)
				check(input, fragment)
			}
		}
	}
	over := text(repeat('*', most+1))
	if server, answers := echoed(t, over, 1<<14, most, Compression{}); len(answers) != 1 ||
		!strings.HasPrefix(answers[0], "close 1009 ") || server.closing.Info().Code != CloseMessageTooBig {
		t.Errorf("above the limit: %.100q", answers)
	}
}

// Categories 12 and 13: compressed messages of all sizes, with the offers of 13.1 to
// 13.7.
func TestAutobahnCompression(t *testing.T) {
	count := 30
	if testing.Short() {
		count = 5
	}
	for _, offer := range []string{
		"permessage-deflate",
		"permessage-deflate; client_max_window_bits",
		"permessage-deflate; server_no_context_takeover; client_max_window_bits",
		"permessage-deflate; server_max_window_bits=9; client_max_window_bits",
		"permessage-deflate; server_max_window_bits=15; client_max_window_bits",
		"permessage-deflate; server_no_context_takeover; server_max_window_bits=9; client_max_window_bits",
		"permessage-deflate; server_no_context_takeover; server_max_window_bits=15; client_max_window_bits, " +
			"permessage-deflate; client_max_window_bits, permessage-deflate",
	} {
		for _, keep := range []bool{false, true} {
			options := CompressionOptions{ServerTakeover: keep, ClientTakeover: keep}
			agreed, _, err := options.Accept([]string{offer})
			if err != nil || !agreed.Enabled {
				t.Fatalf("%q: %v", offer, err)
			}
			for _, size := range []int{16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072} {
				compressionCase(t, fmt.Sprintf("%s, takeover %t, size %d", offer, keep, size), agreed, size, max(1, count*1024/(size+1024)))
			}
		}
	}
}

// compressionCase sends messages and expects them at both ends.
func compressionCase(t *testing.T, name string, agreed Compression, size, count int) {
	t.Helper()
	client := newPeer(true, 0, agreed)
	server := newPeer(false, 0, agreed)
	server.deflate.Threshold, client.deflate.Threshold = 1, 1
	var want []string
	for i := range count {
		m := Message{Text, chatter(uint64(i), size)}
		if i%3 == 2 {
			m = Message{Binary, noise(uint64(i), size)}
		}
		want = append(want, fmt.Sprintf("%v %q", m.Kind, m.Data))
		server.input(client.enc.AppendMessage(nil, m, &client.deflate, client.mask()))
		client.input(server.out)
		server.out = server.out[:0]
	}
	if !slices.Equal(server.events, want) || !slices.Equal(client.events, want) {
		t.Errorf("%s: the server has %d messages, the client %d, of %d: %v, %v",
			name, len(server.events), len(client.events), count, server.dec.err, client.dec.err)
	}
}
