package main

import (
	"strings"
	"testing"
)

func TestFindMirror(t *testing.T) {
	m, err := findMirror("http://mirror.test/debian/\tbookworm\n" +
		"http://mirror.test/debian/\tbookworm-updates\n" +
		"http://mirror.test/debian-security/\tbookworm-security\n")
	if err != nil {
		t.Fatal(err)
	}
	sources := m.sources("/keys/a.gpg")
	for _, line := range []string{
		"deb [arch=amd64 signed-by=/keys/a.gpg] http://mirror.test/debian-security/ bullseye-security main\n",
		"deb [arch=amd64 signed-by=/keys/a.gpg] http://mirror.test/debian/ trixie-backports main\n",
	} {
		if !strings.Contains(sources, line) {
			t.Errorf("missing: %s in\n%s", line, sources)
		}
	}
	for _, text := range []string{"", "\n", "http://mirror.test/debian/\tbookworm\n", "a b\n"} {
		if m, err := findMirror(text); err == nil {
			t.Errorf("%q gives %+v", text, m)
		}
	}
}
