package plan

import "testing"

func TestRecordsAreReadAsWritten(t *testing.T) {
	for _, want := range []Record{
		{Kind: Hello, Text: "6.12.1"},
		{Kind: End, Suite: "uring", Exit: 1, Seconds: 2.5},
		{Kind: Kernel, Text: "two\nlines and a mark \x1e"},
	} {
		line := want.Line()
		if line[0] != Mark || line[len(line)-1] != '\n' {
			t.Errorf("%q", line)
		}
		for _, c := range line[1 : len(line)-1] {
			if c == Mark || c == '\n' {
				t.Errorf("%q is not one line with one mark", line)
			}
		}
		got, err := Parse(line[1:])
		if err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	if _, err := Parse([]byte(`{"Kind":"end","Suite":"cut sh`)); err == nil {
		t.Error("a record cut short was read")
	}
}
