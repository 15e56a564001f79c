package wsock

import (
	"fmt"
	"testing"
)

// Section 8.1: what a text may contain. These are the strings of Autobahn's 6.5 to
// 6.23, which come from Markus Kuhn's stress test.
var utf8Strings = []struct {
	s     string
	valid bool
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

var utf8Cases = []decodeCase{
	{section: "8.1", name: "binary is anything", input: bin("\xff\xfe"), events: []string{`binary "\xff\xfe"`}},
	{section: "8.1", name: "character across fragments", input: frame(1, "\xf0\x9f") + frame(0, "\x98") + frame(fin, "\x80"),
		events: []string{`text "😀"`}},
	{section: "8.1", name: "ping inside a character", input: frame(1, "\xf0\x9f") + ping("\xff") + frame(fin, "\x98\x80"),
		events: []string{`ping "\xff"`, `text "😀"`}},
	{section: "8.1", name: "ends inside a character", input: frame(1, "a\xf0\x9f") + frame(fin, ""), err: errText},
	{section: "8.1", name: "next text starts anew", input: text("\xc3\xa9") + bin("\xc3") + text("\xc3\xa9"),
		events: []string{`text "é"`, `binary "\xc3"`, `text "é"`}},
	{section: "8.1", name: "character not continued", input: frame(1, "\xc3") + frame(fin, "a"), err: errText},
	{section: "8.1", name: "wrong in the first fragment", input: frame(1, "ab\xffcd") + ping("never seen"), err: errText},
}

func TestText(t *testing.T) {
	cases := utf8Cases
	for i, c := range utf8Strings {
		want := decodeCase{section: "8.1", name: fmt.Sprintf("string %d", i), input: text(c.s), err: errText}
		if c.valid {
			want.events, want.err = []string{fmt.Sprintf("text %q", c.s)}, nil
		}
		cases = append(cases[:len(cases):len(cases)], want)
		want.name += " within text"
		want.input = text("κόσμε" + c.s + "edited")
		if c.valid {
			want.events = []string{fmt.Sprintf("text %q", "κόσμε"+c.s+"edited")}
		}
		cases = append(cases, want)
	}
	runCases(t, cases)
}

// A text is refused as soon as it cannot become valid, in the middle of a frame or of
// a character: Autobahn's 6.4, "fail-fast".
func TestTextFailsFast(t *testing.T) {
	const good, rest = "κόσμε", "edited"
	for _, c := range []struct {
		name, bad string
	}{
		{"too large", "\xf4\x90"}, // the third and fourth byte never come
		{"surrogate", "\xed\xa0"},
		{"overlong 2", "\xc0"},
		{"overlong 3", "\xe0\x80"},
		{"overlong 4", "\xf0\x80"},
		{"not continued", "\xf0\x90a"},
	} {
		input := frame(1, good+c.bad+"\x80\x80"+rest)
		prefix := input[:len(input)-len("\x80\x80"+rest)]
		for _, split := range [][]int{nil, bytewise(len(prefix)), {8}, {len(prefix) - 1}} {
			if o := decode(t, setup{}, prefix, split...); o.Err != errText {
				t.Errorf("%s, split at %v: %v", c.name, split, o)
			}
			if o := decode(t, setup{}, prefix[:len(prefix)-1], below(split, len(prefix)-1)...); o.Err != nil {
				t.Errorf("%s, a byte before: %v", c.name, o)
			}
		}
		fragments := frame(1, good) + frame(0, c.bad)
		if o := decode(t, setup{}, fragments); o.Err != errText {
			t.Errorf("%s in fragments: %v", c.name, o)
		}
	}
}

// below returns the positions that are below n.
func below(ends []int, n int) (kept []int) {
	for _, e := range ends {
		if e < n {
			kept = append(kept, e)
		}
	}
	return kept
}
