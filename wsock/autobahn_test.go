package wsock

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// autobahnCase is a case of the Autobahn test suite for servers: what its client sends
// and which answers it expects, the last of them the Close if there is one.
type autobahnCase struct {
	id      string
	input   string
	answers []string
}

const (
	normal    = "\x03\xe8"
	tag       = "Hello World!"
	closed    = `close 1000 ""`
	violation = "close 1002"
	badText   = "close 1007"
)

// echo is the answer to a message.
func echo(kind, s string) string { return fmt.Sprintf("%s %q", kind, s) }

// Categories 1 to 7 and 10; what is open to choice there is settled as "strict".
func autobahnCases() (cases []autobahnCase) {
	add := func(id, input string, answers ...string) {
		cases = append(cases, autobahnCase{id, input, answers})
	}
	bye := closing(normal)

	for i, n := range []int{0, 125, 126, 127, 128, 65535, 65536} {
		s := repeat('*', n)
		add(fmt.Sprintf("1.1.%d", i+1), text(s)+bye, echo("text", s), closed)
		s = repeat(0xfe, n)
		add(fmt.Sprintf("1.2.%d", i+1), bin(s)+bye, echo("binary", s), closed)
	}

	add("2.1", ping("")+bye, `pong ""`, closed)
	add("2.2", ping(tag)+bye, echo("pong", tag), closed)
	add("2.3", ping("\x00\xff\xfe\xfd\xfc\xfb\x00\xff")+bye, echo("pong", "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"), closed)
	add("2.4", ping(repeat(0xfe, 125))+bye, echo("pong", repeat(0xfe, 125)), closed)
	add("2.5", ping(repeat(0xfe, 126))+bye, violation)
	add("2.7", pong("")+bye, closed)
	add("2.8", pong("unsolicited pong payload")+bye, closed)
	add("2.9", pong("unsolicited pong payload")+ping("ping payload")+bye, `pong "ping payload"`, closed)
	var pings string
	var pongs []string
	for i := range 10 {
		pings += ping(fmt.Sprintf("payload-%d", i))
		pongs = append(pongs, fmt.Sprintf(`pong "payload-%d"`, i))
	}
	add("2.10", pings+bye, append(pongs, closed)...)

	add("3.1", frame(fin|1|1<<4, tag)+bye, violation)
	add("3.2", text(tag)+frame(fin|1|2<<4, tag)+ping("")+bye, echo("text", tag), violation)
	add("3.3", text(tag)+frame(fin|1|3<<4, tag)+ping("")+bye, echo("text", tag), violation)
	add("3.4", text(tag)+frame(fin|1|4<<4, tag)+ping("")+bye, echo("text", tag), violation)
	add("3.5", frame(fin|2|5<<4, "\x00\xff")+bye, violation)
	add("3.6", frame(fin|9|6<<4, "\x00\xff")+bye, violation)
	add("3.7", frame(fin|8|7<<4, "")+bye, violation)

	for i, op := range []byte{3, 4, 5, 6, 7} {
		before, answers := text(tag), []string{echo("text", tag), violation}
		if i < 2 {
			before, answers = "", answers[1:]
		}
		payload := []string{"", "reserved opcode"}[i%2]
		add(fmt.Sprintf("4.1.%d", i+1), before+frame(fin|op, payload)+ping("")+bye, answers...)
		add(fmt.Sprintf("4.2.%d", i+1), before+frame(fin|(op+8), payload)+ping("")+bye, answers...)
	}

	const f1, f2 = "fragment1", "fragment2"
	both := echo("text", f1+f2)
	add("5.1", frame(9, f1)+frame(fin, f2)+bye, violation)
	add("5.2", frame(10, f1)+frame(fin, f2)+bye, violation)
	add("5.3", frame(1, f1)+frame(fin, f2)+bye, both, closed)
	add("5.6", frame(1, f1)+ping("ping payload")+frame(fin, f2)+bye, `pong "ping payload"`, both, closed)
	add("5.9", frame(fin, "non-continuation payload")+text(tag)+bye, violation)
	add("5.12", frame(0, "non-continuation payload")+text(tag)+bye, violation)
	add("5.15", frame(1, f1)+frame(fin, f2)+frame(0, "fragment3")+frame(fin|1, "fragment4")+bye, both, violation)
	add("5.16", strings.Repeat(frame(0, f1)+frame(1, f2)+frame(fin, "fragment3"), 2), violation)
	add("5.17", strings.Repeat(frame(fin, f1)+frame(1, f2)+frame(fin, "fragment3"), 2), violation)
	add("5.18", frame(1, f1)+frame(1, f2)+bye, violation)
	add("5.19", frame(1, f1)+frame(0, f2)+ping("1")+frame(0, "3")+frame(0, "4")+ping("2")+frame(fin, "5")+bye,
		`pong "1"`, `pong "2"`, echo("text", f1+f2+"345"), closed)

	add("6.1.1", text("")+bye, `text ""`, closed)
	add("6.1.2", frame(1, "")+frame(0, "")+frame(fin, "")+bye, `text ""`, closed)
	add("6.1.3", frame(1, "")+frame(0, "middle frame payload")+frame(fin, "")+bye, `text "middle frame payload"`, closed)
	const good = "Hello-µ@ßöäüàá-UTF-8!!"
	add("6.2.1", text(good)+bye, echo("text", good), closed)
	add("6.2.2", frame(1, good[:12])+frame(fin, good[12:])+bye, echo("text", good), closed)
	var single string
	for i := range len(good) {
		single += frame([]byte{1, 0}[min(i, 1)], good[i:i+1])
	}
	add("6.2.3", single+frame(fin, "")+bye, echo("text", good), closed)
	const bad = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"
	add("6.3.1", text(bad)+bye, badText)
	add("6.4.1", frame(1, bad[:11])+frame(0, "\xf4\x90\x80\x80"), badText) // the last frame never comes
	add("6.4.3", text(bad)[:6+12+1], badText)                              // nor does the rest of this one
	for i, c := range utf8Strings {
		if c.valid {
			add(fmt.Sprintf("6.5-23 #%d", i), text(c.s)+bye, echo("text", c.s), closed)
		} else {
			add(fmt.Sprintf("6.5-23 #%d", i), text(c.s)+bye, badText)
		}
	}

	add("7.1.1", text(tag)+bye, echo("text", tag), closed)
	add("7.1.2", bye+bye, closed)
	add("7.1.3", bye+ping(""), closed)
	add("7.1.4", bye+text(tag), closed)
	add("7.1.5", frame(1, f1)+bye+frame(fin, f2), closed)
	add("7.1.6", text(repeat('B', 256<<10))+text(tag)+bye+ping(""), echo("text", repeat('B', 256<<10)), echo("text", tag), closed)
	add("7.3.1", closing(""), `close 1005 ""`)
	add("7.3.2", closing("a"), violation)
	add("7.3.3", closing(normal), closed)
	add("7.3.4", closing(normal+tag), closed)
	add("7.3.5", closing(normal+repeat('*', 123)), closed)
	add("7.3.6", closing(normal+repeat('*', 124)), violation)
	add("7.5.1", closing(normal+bad), badText)
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		add(fmt.Sprintf("7.7 %d", code), closing(string([]byte{byte(code >> 8), byte(code)})), fmt.Sprintf(`close %d ""`, code))
	}
	for _, code := range []int{0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535} {
		add(fmt.Sprintf("7.9 %d", code), closing(string([]byte{byte(code >> 8), byte(code)})), violation)
	}

	auto := repeat('*', 65536)
	var fragments string
	for i := 0; i < len(auto); i += 1300 {
		first := byte(0)
		if i == 0 {
			first = 1
		}
		fragments += frame(first, auto[i:min(len(auto), i+1300)])
	}
	add("10.1.1", fragments+frame(fin, "")+bye, echo("text", auto), closed)
	return cases
}

// answersFit reports whether the answers are those expected; a Close that tells a
// violation may have any reason.
func answersFit(got, want []string) bool {
	return slices.EqualFunc(got, want, func(g, w string) bool {
		return g == w || (w == violation || w == badText) && strings.HasPrefix(g, w+" ")
	})
}

func TestAutobahnCases(t *testing.T) {
	for _, c := range autobahnCases() {
		t.Run(c.id, func(t *testing.T) {
			pieces := []int{len(c.input), 997}
			if len(c.input) < 2000 {
				pieces = append(pieces, 1, 2, 7) // "in octet-wise chops"
			}
			for _, piece := range pieces {
				server, answers := echoed(t, c.input, piece, 0, Compression{})
				if !answersFit(answers, c.answers) || !server.closing.Done() {
					t.Errorf("in pieces of %d: %.200q, want %.200q", piece, answers, c.answers)
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
