package http1

import (
	"net/textproto"
	"strings"
	"testing"
)

func TestCommonNames(t *testing.T) {
	for n, names := range commonNames {
		for _, name := range names {
			if len(name) != n {
				t.Errorf("%q stands among the names of %d bytes", name, n)
			}
			for _, in := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
				if got, want := CanonicalName([]byte(in)), textproto.CanonicalMIMEHeaderKey(in); got != want || got != name {
					t.Errorf("CanonicalName(%q) = %q, want %q", in, got, want)
				}
			}
		}
	}
}

var canonicalNames = []string{
	"", "a", "A-B", "x-custom-NAME", "--a--b", "X_Y", "a.b-c", "1a-2b", "has space", "colon:", "caf\xc3\xa9", "\x00",
	"x-forwarded-fo", "hosts", strings.Repeat("Long-", 20), "`a-~b",
}

func TestCanonicalName(t *testing.T) {
	for _, name := range canonicalNames {
		if got, want := CanonicalName([]byte(name)), textproto.CanonicalMIMEHeaderKey(name); got != want {
			t.Errorf("CanonicalName(%q) = %q, want %q", name, got, want)
		}
	}
}

func FuzzCanonicalName(f *testing.F) {
	for _, name := range canonicalNames {
		f.Add(name)
	}
	f.Add("content-type")
	f.Fuzz(func(t *testing.T, name string) {
		if got, want := CanonicalName([]byte(name)), textproto.CanonicalMIMEHeaderKey(name); got != want {
			t.Errorf("CanonicalName(%q) = %q, want %q", name, got, want)
		}
	})
}
