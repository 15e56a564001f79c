package table

import (
	"strings"
	"testing"
)

func TestWriteTo(t *testing.T) {
	tab := New("subject", "µs/req", "note")
	tab.Add("uring", "4.5", "ok")
	tab.Add("a longer name", "12.25")
	var b strings.Builder
	n, err := tab.WriteTo(&b)
	want := "" +
		"subject        µs/req  note\n" +
		"-------------  ------  ----\n" +
		"uring             4.5    ok\n" +
		"a longer name   12.25\n"
	if err != nil || b.String() != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, b.String(), want)
	}
	if n != int64(len(want)) {
		t.Errorf("reports %d bytes, wrote %d", n, len(want))
	}
}

func TestAddTooManyCells(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	New("one").Add("a", "b")
}
