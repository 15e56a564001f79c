package http1

import (
	"strings"
	"testing"
)

func TestValidToken(t *testing.T) {
	for s, want := range map[string]bool{
		"": false, "a": true, "GET": true, "X-Name_1": true, "!#$%&'*+-.^_`|~": true,
		"a b": false, " a": false, "a:": false, "a\x00": false, "a\x7f": false, "\x80": false, "(": false, "\"": false,
	} {
		if ValidToken(s) != want || ValidToken([]byte(s)) != want || ValidFieldName(s) != want {
			t.Errorf("%q: want %t", s, want)
		}
	}
}

func TestValidFieldValue(t *testing.T) {
	for s, want := range map[string]bool{
		"": true, "a b\tc": true, "\x80\xff": true, " a ": true,
		"a\r\nB: c": false, "a\n": false, "a\r": false, "a\x00": false, "a\x7f": false, "\x1f": false,
	} {
		if ValidFieldValue(s) != want || ValidFieldValue([]byte(s)) != want {
			t.Errorf("%q: want %t", s, want)
		}
	}
}

// The classes of bytes, against the definitions written the other way round.
func TestClasses(t *testing.T) {
	for i := range 256 {
		c := byte(i)
		visible := c > ' ' && c < 0x7f
		for what, pair := range map[string][2]bool{
			"token":  {class[c]&tokenChar != 0, visible && !strings.ContainsRune("\"(),/:;<=>?@[\\]{}", rune(c))},
			"target": {class[c]&targetChar != 0, visible && !strings.ContainsRune("#%?\\", rune(c))},
			"host":   {class[c]&hostChar != 0, visible && !strings.ContainsRune("\"#%,/:<>?@[\\]^`{|}", rune(c))},
			"hex":    {class[c]&hexChar != 0, strings.ContainsRune("0123456789ABCDEFabcdef", rune(c))},
			"text":   {isText(c), visible || c == ' ' || c == '\t' || c >= 0x80},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%s: byte %#02x %t, want %t", what, c, pair[0], pair[1])
			}
		}
	}
}

// scanText, eight bytes at a time, against isText, one at a time.
func FuzzScanText(f *testing.F) {
	f.Add([]byte("plain text of more than eight bytes\r\n"), 0)
	f.Add([]byte("\t\t\t\t\t\t\t\t\t\x7f\x80\xff\x1f"), 3)
	f.Add([]byte("1234567\t\r"), 1)
	f.Fuzz(func(t *testing.T, b []byte, from int) {
		if from < 0 || from > len(b) {
			return
		}
		want := from
		for want < len(b) && isText(b[want]) {
			want++
		}
		if got := scanText(b, from); got != want {
			t.Errorf("scanText(%q, %d) = %d, want %d", b, from, got, want)
		}
	})
}
