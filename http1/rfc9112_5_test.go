package http1

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func fieldCase(section, name, line string, status int) requestCase {
	return requestCase{section, name, header(line), status}
}

// Section 5, Field Syntax, with RFC 9110, section 5.
var fieldCases = []requestCase{
	fieldCase("5", "empty value", "A:", 0),
	fieldCase("5", "no space after the colon", "A:b", 0),
	fieldCase("5", "colons in the value", "A: b:c:", 0),
	fieldCase("5", "value of whitespace", "A: \t ", 0),
	fieldCase("5", "no colon", "A", 400),
	fieldCase("5", "no colon but a space", "A b", 400),
	fieldCase("5", "empty name", ": a", 400),
	fieldCase("5", "colon only", ":", 400),

	fieldCase("5.1", "space before the colon", "A : b", 400),
	fieldCase("5.1", "tab before the colon", "A\t: b", 400),
	fieldCase("5.1", "space before the colon of Content-Length", "Content-Length : 5", 400),
	fieldCase("5.1", "space in the name", "A B: c", 400),
	fieldCase("5.1", "all kinds of tchar", "!#$%&'*+-.^_`|~09azAZ: a", 0),
	fieldCase("5.1", "delimiter in the name", "A(b): c", 400),
	fieldCase("5.1", "slash in the name", "A/b: c", 400),
	fieldCase("5.1", "at sign in the name", "A@b: c", 400),
	fieldCase("5.1", "NUL in the name", "A\x00: b", 400),
	fieldCase("5.1", "DEL in the name", "A\x7f: b", 400),
	fieldCase("5.1", "CR in the name", "A\rB: c", 400),
	fieldCase("5.1", "not ASCII in the name", "\xc3\x89: b", 400),

	fieldCase("5.2", "obs-fold with space", "A: b\r\n c", 400),
	fieldCase("5.2", "obs-fold with tab", "A: b\r\n\tc", 400),
	fieldCase("5.2", "obs-fold without text", "A: b\r\n ", 400),
	fieldCase("5.2", "obs-fold before Content-Length", "A: b\r\n Content-Length: 5", 400),

	fieldCase("RFC 9110 5.5", "tab in the value", "A: b\tc", 0),
	fieldCase("RFC 9110 5.5", "obs-text", "A: \x80\xa0\xc3\xa9\xff", 0),
	fieldCase("RFC 9110 5.5", "NUL in the value", "A: b\x00c", 400),
	fieldCase("RFC 9110 5.5", "bell in the value", "A: b\ac", 400),
	fieldCase("RFC 9110 5.5", "vertical tab in the value", "A: b\vc", 400),
	fieldCase("RFC 9110 5.5", "escape in the value", "A: \x1b[0m", 400),
	fieldCase("RFC 9110 5.5", "DEL in the value", "A: b\x7f", 400),
	fieldCase("RFC 9110 5.5", "NUL before the value", "A:\x00b", 400),
}

func TestRFC9112Section5(t *testing.T) {
	runRequests(t, fieldCases)
}

// Every byte at every place of a value that is long enough for the fast path.
func TestEveryByteInValue(t *testing.T) {
	lim := Limits{}.Resolve()
	for c := range 256 {
		accept := c == '\t' || c >= 0x20 && c != 0x7f
		for at := range 20 {
			value := []byte(strings.Repeat("x", 20))
			value[at] = byte(c)
			var r Request
			n, err := r.Parse([]byte(header("A: "+string(value))), &lim)
			if accept != (err == nil) || accept != (n > 0) {
				t.Fatalf("byte %#02x at %d: %d, %v", c, at, n, err)
			}
		}
	}
}

// Every byte in a name, against the definition of a token.
func TestEveryByteInName(t *testing.T) {
	lim := Limits{}.Resolve()
	for c := range 256 {
		accept := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' ||
			c > ' ' && c < 0x7f && !strings.ContainsRune("\"(),/:;<=>?@[\\]{}", rune(c))
		if c == ':' {
			continue
		}
		var r Request
		_, err := r.Parse([]byte(header("A"+string([]byte{byte(c)})+"B: c")), &lim)
		if accept != (err == nil) {
			t.Errorf("byte %#02x: %v", c, err)
		}
	}
}

func TestFields(t *testing.T) {
	r := mustParse(t, "GET / HTTP/1.1\r\nHost:a\r\nAccept: \t b c\t \r\nX-Empty:  \r\naccept: d\r\n\r\n")
	want := []string{"Host=a", "Accept=b c", "X-Empty=", "accept=d"}
	var got []string
	for i := range r.NumFields() {
		name, value := r.Field(i)
		got = append(got, string(name)+"="+string(value))
	}
	if !slices.Equal(got, want) {
		t.Errorf("fields %q, want %q", got, want)
	}
	for name, want := range map[string]string{"HOST": "a", "aCCept": "b c", "x-empty": ""} {
		if value, ok := r.Get(name); !ok || string(value) != want {
			t.Errorf("Get(%q) = %q, %t; want %q", name, value, ok, want)
		}
	}
	for _, name := range []string{"", "Accep", "Accept-", "X_Empty"} {
		if value, ok := r.Get(name); ok {
			t.Errorf("Get(%q) = %q, want nothing", name, value)
		}
	}
	if !r.ListHas("Accept", "D") || r.ListHas("Accept", "b") {
		t.Error("ListHas does not compare whole elements of all fields")
	}
}

// More fields than there are inline, in a request that is used again.
func TestManyFields(t *testing.T) {
	lim := Limits{}.Resolve()
	var r Request
	for _, n := range []int{31, 32, 33, 255, 1, 100} {
		lines := make([]string, n-1)
		for i := range lines {
			lines[i] = fmt.Sprintf("Name-%d: value-%d", i+1, i+1)
		}
		r.Reset()
		if _, err := r.Parse([]byte(header(lines...)), &lim); err != nil {
			t.Fatal(err)
		}
		if r.NumFields() != n {
			t.Fatalf("%d fields, want %d", r.NumFields(), n)
		}
		for i := 1; i < n; i++ {
			name, value := r.Field(i)
			if got := string(name) + ": " + string(value); got != lines[i-1] {
				t.Errorf("field %d is %q, want %q", i, got, lines[i-1])
			}
		}
		if r.Reset(); cap(r.more) > keptFields {
			t.Errorf("Reset keeps %d fields, want at most %d", cap(r.more), keptFields)
		}
	}
}

func TestRebase(t *testing.T) {
	head := []byte("POST /a?b HTTP/1.1\r\nHost: c\r\nContent-Length: 3\r\n\r\nxyz")
	lim := Limits{}.Resolve()
	var r Request
	n, err := r.Parse(head, &lim)
	if err != nil {
		t.Fatal(err)
	}
	want := take(&r, n, nil)
	moved := append([]byte(nil), head...)
	clear(head)
	r.Rebase(moved)
	if got := take(&r, n, nil); !reflect.DeepEqual(got, want) {
		t.Errorf("after Rebase\n%+v, want\n%+v", got, want)
	}
	if string(r.Host()) != "c" {
		t.Errorf("host %q, want that of the copy", r.Host())
	}
}
