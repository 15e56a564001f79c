// Package autobahn has cases of the Autobahn test suite for WebSockets, told by what goes
// over the wire, for tests of the codec and of what is built on it.
package autobahn

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Case is what the suite's client sends and which answers it expects, the last of them
// the Close if there is one.
type Case struct {
	ID      string
	Input   string
	Answers []string // such as `text "hi"`, `pong ""`, `close 1000 ""`, or "close 1002" with any reason
}

// FromServer returns the input as a server sends it, without masks.
func (c *Case) FromServer() string {
	var out []byte
	for in := []byte(c.Input); len(in) > 0; {
		size, n := 2, int(in[1]&0x7f)
		switch n {
		case 126:
			size, n = 4, int(binary.BigEndian.Uint16(in[2:]))
		case 127:
			size, n = 10, int(binary.BigEndian.Uint64(in[2:]))
		}
		head, key, payload := in[:size], in[size:size+4], in[size+4:]
		payload = payload[:min(n, len(payload))] // the last frame may be cut short
		out = append(append(out, head[0], head[1]&^0x80), head[2:]...)
		for i, b := range payload {
			out = append(out, b^key[i%4])
		}
		in = in[size+4+len(payload):]
	}
	return string(out)
}

const (
	normal    = "\x03\xe8"
	tag       = "Hello World!"
	closed    = `close 1000 ""`
	violation = "close 1002"
	badText   = "close 1007"

	fin = 0x80
)

// echo is the answer to a message.
func echo(kind, s string) string { return fmt.Sprintf("%s %q", kind, s) }

// frame builds a frame with its first byte as it stands, masked.
func frame(first byte, payload string) string {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, key[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return string(b)
}

func text(s string) string        { return frame(fin|1, s) }
func bin(s string) string         { return frame(fin|2, s) }
func ping(s string) string        { return frame(fin|9, s) }
func pong(s string) string        { return frame(fin|10, s) }
func closing(s string) string     { return frame(fin|8, s) }
func repeat(b byte, n int) string { return strings.Repeat(string([]byte{b}), n) }

// Texts are what a text may contain, and what not (RFC 6455, section 8.1): the strings of
// 6.5 to 6.23, which come from Markus Kuhn's stress test.
var Texts = []struct {
	S     string
	Valid bool
}{
	{"Hello-µ@ßöäüàá-UTF-8!!", true},
	{"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", true},
	{"\x00", true}, {"\xc2\x80", true}, {"\xe0\xa0\x80", true}, {"\xf0\x90\x80\x80", true},
	{"\x7f", true}, {"\xdf\xbf", true}, {"\xef\xbf\xbf", true}, {"\xf4\x8f\xbf\xbf", true},
	{"\xed\x9f\xbf", true}, {"\xee\x80\x80", true}, {"\xef\xbf\xbd", true},
	{"\xef\xbf\xbe", true}, {"\xf0\x9f\xbf\xbe", true}, // noncharacters are characters
	{"\xf8\x88\x80\x80\x80", false}, {"\xfc\x84\x80\x80\x80\x80", false},
	{"\xf7\xbf\xbf\xbf", false}, {"\xfb\xbf\xbf\xbf\xbf", false}, {"\xfd\xbf\xbf\xbf\xbf\xbf", false},
	{"\xf4\x90\x80\x80", false},
	{"\x80", false}, {"\xbf", false}, {"\x80\xbf", false}, {"\x80\xbf\x80\xbf", false},
	{"\xc0 \xc1 \xc2 ", false}, {"\xe0 \xef ", false}, {"\xf0 \xf7 ", false}, {"\xf8 ", false}, {"\xfc ", false},
	{"\xc0", false}, {"\xe0\x80", false}, {"\xf0\x80\x80", false}, {"\xdf", false}, {"\xef\xbf", false}, {"\xf7\xbf\xbf", false},
	{"\xfe", false}, {"\xff", false}, {"\xfe\xfe\xff\xff", false},
	{"\xc0\xaf", false}, {"\xe0\x80\xaf", false}, {"\xf0\x80\x80\xaf", false}, {"\xc1\xbf", false},
	{"\xe0\x9f\xbf", false}, {"\xf0\x8f\xbf\xbf", false}, {"\xc0\x80", false}, {"\xe0\x80\x80", false},
	{"\xed\xa0\x80", false}, {"\xed\xad\xbf", false}, {"\xed\xae\x80", false}, {"\xed\xbf\xbf", false},
	{"\xed\xa0\x80\xed\xb0\x80", false}, {"\xed\xaf\xbf\xed\xbf\xbf", false},
}

// Cases returns the cases of categories 1 to 7 and 10; what is open to choice there is
// settled as "strict".
func Cases() (cases []Case) {
	add := func(id, input string, answers ...string) {
		cases = append(cases, Case{id, input, answers})
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
	for i, c := range Texts {
		if c.Valid {
			add(fmt.Sprintf("6.5-23 #%d", i), text(c.S)+bye, echo("text", c.S), closed)
		} else {
			add(fmt.Sprintf("6.5-23 #%d", i), text(c.S)+bye, badText)
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

// Fit reports whether the answers are those expected; a Close that tells a
// violation may have any reason.
func Fit(got, want []string) bool {
	return slices.EqualFunc(got, want, func(g, w string) bool {
		return g == w || (w == violation || w == badText) && strings.HasPrefix(g, w+" ")
	})
}
