package wsock

import (
	"fmt"
	"testing"

	"github.com/ringkit/ringkit/internal/autobahn"
)

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
	for i, c := range autobahn.Texts {
		want := decodeCase{section: "8.1", name: fmt.Sprintf("string %d", i), input: text(c.S), err: errText}
		if c.Valid {
			want.events, want.err = []string{fmt.Sprintf("text %q", c.S)}, nil
		}
		cases = append(cases[:len(cases):len(cases)], want)
		want.name += " within text"
		want.input = text("κόσμε" + c.S + "edited")
		if c.Valid {
			want.events = []string{fmt.Sprintf("text %q", "κόσμε"+c.S+"edited")}
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
