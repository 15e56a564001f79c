package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// parseEvents feeds a stream in pieces that end where given.
func parseEvents(p *EventParser, stream string, ends ...int) (events []Event, err error) {
	at := 0
	for _, end := range append(ends, len(stream)) {
		in := []byte(stream[at:end])
		at = end
		for len(in) > 0 {
			ev, n, ok, err := p.Next(in)
			if err != nil {
				return events, err
			}
			if ok {
				events = append(events, ev)
			} else if n != len(in) {
				panic(fmt.Sprintf("no event, and %d of %d bytes consumed", n, len(in)))
			}
			in = in[n:]
		}
	}
	return events, nil
}

// bytewise ends a piece behind each byte.
func bytewise(n int) []int {
	var ends []int
	for i := 1; i < n; i++ {
		ends = append(ends, i)
	}
	return ends
}

func TestEvents(t *testing.T) {
	for _, test := range []struct {
		name, stream string
		want         []Event
	}{
		// The examples of the HTML standard, section 9.2.6.
		{"stocks", "data: YHOO\ndata: +2\ndata: 10\n\n", []Event{{Data: "YHOO\n+2\n10"}}},
		{"four blocks", ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
			[]Event{{ID: "1", Data: "first event"}, {Data: "second event"}, {Data: " third event"}}},
		{"nearly nothing", "data\n\ndata\ndata\n\ndata:", []Event{{Data: ""}, {Data: "\n"}}},
		{"space or not", "data:test\n\ndata: test\n\n", []Event{{Data: "test"}, {Data: "test"}}},

		{"nothing", "", nil},
		{"empty lines", "\n\n\n\r\r\n", nil},
		{"comments", ":\n\n: data: x\n\n:data: y\ndata: z\n\n", []Event{{Data: "z"}}},
		{"names", "event: a\ndata: 1\n\ndata: 2\n\nevent: b\nevent: c\ndata: 3\n\n",
			[]Event{{Name: "a", Data: "1"}, {Data: "2"}, {Name: "c", Data: "3"}}},
		{"a name without data", "event: a\n\ndata: 1\n\n", []Event{{Data: "1"}}},
		{"IDs stay", "id: 7\ndata: 1\n\ndata: 2\n\nid: 8\n\ndata: 3\n\n",
			[]Event{{ID: "7", Data: "1"}, {ID: "7", Data: "2"}, {ID: "8", Data: "3"}}},
		{"an ID with NUL", "id: 7\ndata: 1\n\nid: 8\x00\ndata: 2\n\n", []Event{{ID: "7", Data: "1"}, {ID: "7", Data: "2"}}},
		{"times", "retry: 1500\ndata: 1\n\ndata: 2\n\nretry: 1s\nretry:\nretry: -1\nretry:  1\nretry\ndata: 3\n\n",
			[]Event{{Data: "1", Retry: 1500 * time.Millisecond}, {Data: "2"}, {Data: "3"}}},
		{"no time at all", "retry: 0\ndata: 1\n\n", []Event{{Data: "1", Retry: 1}}},
		{"CR", "data: 1\rdata: 2\r\rdata: 3\r\r", []Event{{Data: "1\n2"}, {Data: "3"}}},
		{"CRLF", "data: 1\r\ndata: 2\r\n\r\ndata: 3\r\n\r\n", []Event{{Data: "1\n2"}, {Data: "3"}}},
		{"mixed", "data: 1\r\n\ndata: 2\n\r\ndata: 3\n\rdata: 4\r\r\n", []Event{{Data: "1"}, {Data: "2"}, {Data: "3"}, {Data: "4"}}},
		{"a mark", "\ufeffdata: 1\n\n", []Event{{Data: "1"}}},
		{"two marks", "\ufeff\ufeffdata: 1\n\ndata: 2\n\n", []Event{{Data: "2"}}},
		{"a mark later", "\n\ufeffdata: 1\n\ndata: \ufeff2\n\n", []Event{{Data: "\ufeff2"}}},
		{"a mark and nothing", "\ufeff\ndata: 1\n\n", []Event{{Data: "1"}}},
		{"other fields", "Data: 1\ndata : 2\n data: 3\ndatum: 4\ndata: 5\n\n", []Event{{Data: "5"}}},
		{"colons", "data: a: b:\nevent::\n\n", []Event{{Name: ":", Data: "a: b:"}}},
		{"no UTF-8", "data: a\xffb\nevent: \xc3\n\n", []Event{{Name: "\ufffd", Data: "a\ufffdb"}}},
		{"incomplete", "data: 1\n\ndata: 2\n", []Event{{Data: "1"}}},
		// What ringkit's server writes.
		{"the server's", ":\n\nevent: tick tock\nid: 12\nretry: 2500\ndata: one\ndata: \ndata: three\n\n:\n\ndata: \n\n",
			[]Event{{ID: "12", Name: "tick tock", Data: "one\n\nthree", Retry: 2500 * time.Millisecond}, {ID: "12"}}},
	} {
		splits := [][]int{nil, bytewise(len(test.stream))}
		for i := 1; i < len(test.stream); i++ {
			splits = append(splits, []int{i})
		}
		for _, ends := range splits {
			got, err := parseEvents(&EventParser{}, test.stream, ends...)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("%s, split at %v: got %q, %v; want %q", test.name, ends, got, err, test.want)
			}
		}
	}
}

// What is remembered for coming back changes with the end of an event only.
func TestEventsState(t *testing.T) {
	var p EventParser
	for _, step := range []struct {
		in, id string
		retry  time.Duration
	}{
		{"data: 1\n\n", "", 0},
		{"id: 1\nretry: 100\n", "", 100 * time.Millisecond},
		{"\n", "1", 100 * time.Millisecond},
		{"id: 2\ndata: x", "1", 100 * time.Millisecond},
		{"\nretry: no\n\n", "2", 100 * time.Millisecond},
		{"retry: 99999999999999999999999\n", "2", 100 * 365 * 24 * time.Hour},
		{"id\n\n", "", 100 * 365 * 24 * time.Hour},
	} {
		if _, err := parseEvents(&p, step.in); err != nil {
			t.Fatal(err)
		}
		if p.LastEventID() != step.id || p.Retry() != step.retry {
			t.Errorf("after %q: ID %q, retry %v; want %q, %v", step.in, p.LastEventID(), p.Retry(), step.id, step.retry)
		}
	}
}

func TestEventsLimits(t *testing.T) {
	for _, test := range []struct {
		name, stream string
		events       int
		want         *EventTooLargeError
	}{
		{"a line", "data: 78\n\n", 1, nil},
		{"a line too long", "data: 1\n\ndata: 789\n\n", 1, &EventTooLargeError{true, 8}},
		{"a line without end", "data: 1\n\n: 3456789", 1, &EventTooLargeError{true, 8}},
		{"a line with CR", "data: 78\r\n\r\n", 1, nil},
		{"an event", "data:1\ndata:3\ndata:5\ndata:7\ndata:9\n\ndata:1\n\n", 2, nil},
		{"an event too long", "data:1\ndata:3\ndata:5\ndata:7\ndata:90\n\ndata:1\n\n", 0, &EventTooLargeError{false, 10}},
	} {
		for _, ends := range [][]int{nil, bytewise(len(test.stream))} {
			p := EventParser{MaxLine: 8, MaxEvent: 10}
			events, err := parseEvents(&p, test.stream, ends...)
			why, _ := errors.AsType[*EventTooLargeError](err)
			if len(events) != test.events || !reflect.DeepEqual(why, test.want) || (err != nil) != (test.want != nil) {
				t.Errorf("%s: %d events, %v", test.name, len(events), err)
			}
			if _, again := parseEvents(&p, "\n\ndata: 1\n\n"); again != err {
				t.Errorf("%s: afterwards %v", test.name, again)
			}
		}
	}
	line := strings.Repeat("x", DefaultMaxEventLine)
	if _, err := parseEvents(&EventParser{}, line); err != nil {
		t.Error(err)
	}
	if _, err := parseEvents(&EventParser{}, line+"x"); err == nil || len(err.Error()) > 80 {
		t.Errorf("the longest line and a byte: %v", err)
	}
	data := "data:" + line[:1<<16-1] + "\n"
	if events, err := parseEvents(&EventParser{}, strings.Repeat(data, DefaultMaxEvent>>16)+"\n"); err != nil || len(events) != 1 {
		t.Errorf("the longest event: %v", err)
	}
	if _, err := parseEvents(&EventParser{}, strings.Repeat(data, DefaultMaxEvent>>16)+"data\n\n"); err == nil || len(err.Error()) > 80 {
		t.Errorf("the longest event and a byte: %v", err)
	}
}

// A long event does not leave its memory with the stream.
func TestEventsMemory(t *testing.T) {
	var p EventParser
	stream := "data: " + strings.Repeat("x", 500_000) + "\n\n"
	if _, err := parseEvents(&p, stream, bytewise(len(stream))[:1]...); err != nil {
		t.Fatal(err)
	}
	if n := cap(p.line) + cap(p.data); n > 128<<10 {
		t.Errorf("%d bytes are kept", n)
	}
}

func FuzzEvents(f *testing.F) {
	f.Add("data: YHOO\ndata: +2\r\n\rid: 7\nevent: x\nretry: 10\ndata\n\n", uint64(1))
	f.Add("\ufeff:\r\r\ndata:\xff\n\n", uint64(2))
	f.Fuzz(func(t *testing.T, stream string, seed uint64) {
		limits := EventParser{MaxLine: 40, MaxEvent: 60}
		whole := limits
		want, wantErr := parseEvents(&whole, stream)
		random := rand.New(rand.NewPCG(seed, 0))
		var ends []int
		for at := 0; ; {
			at += 1 + random.IntN(8)
			if at >= len(stream) {
				break
			}
			ends = append(ends, at)
		}
		split := limits
		got, err := parseEvents(&split, stream, ends...)
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(err, wantErr) || split.Retry() != whole.Retry() {
			t.Fatalf("split at %v:\n%q, %v, in one piece\n%q, %v", ends, got, err, want, wantErr)
		}
		for _, ev := range got {
			if len(ev.Data) > 3*60 || strings.Contains(ev.Data, "\r") || strings.ContainsAny(ev.Name+ev.ID, "\r\n") || ev.Retry < 0 {
				t.Fatalf("%q", ev)
			}
		}
	})
}

func TestCheckEventStream(t *testing.T) {
	for _, test := range []struct {
		status int
		kind   string
		ok     bool
	}{
		{200, "text/event-stream", true},
		{200, "Text/Event-Stream; charset=utf-8", true},
		{200, "text/event-stream;charset", true},
		{200, "text/plain", false},
		{200, "", false},
		{201, "text/event-stream", false},
		{302, "text/event-stream", false},
		{404, "text/event-stream", false},
		{500, "", false},
		{503, "text/event-stream", false},
	} {
		resp := &http.Response{StatusCode: test.status, Header: http.Header{"Content-Type": {test.kind}}}
		err := checkEventStream(resp)
		why, typed := errors.AsType[*EventStreamError](err)
		if (err == nil) != test.ok || typed != !test.ok || typed && (why.StatusCode != test.status || why.ContentType != test.kind) {
			t.Errorf("%d, %q: %v", test.status, test.kind, err)
		}
	}
	if err := checkEventStream(&http.Response{StatusCode: 204}); err != io.EOF {
		t.Errorf("204: %v", err)
	}
}

func TestSetEventHeader(t *testing.T) {
	h := http.Header{"Last-Event-Id": {"6"}}
	setEventHeader(h, "7")
	if h.Get("Last-Event-ID") != "7" || h.Get("Accept") != "text/event-stream" {
		t.Errorf("%v", h)
	}
	setEventHeader(h, "")
	if _, there := h["Last-Event-Id"]; there {
		t.Errorf("%v", h)
	}
}

func TestReconnect(t *testing.T) {
	const s = time.Second
	for _, test := range []struct {
		retry time.Duration
		want  []time.Duration
	}{
		{0, []time.Duration{3 * s, 6 * s, 12 * s, 24 * s, 48 * s, 60 * s, 60 * s}},
		{10 * s, []time.Duration{10 * s, 20 * s, 40 * s, 60 * s, 60 * s}},
		{1, []time.Duration{1, 10 * time.Millisecond, 20 * time.Millisecond}},
		{90 * s, []time.Duration{90 * s, 90 * s, 90 * s}},
		{math.MaxInt64, []time.Duration{24 * time.Hour, 24 * time.Hour}},
	} {
		var r reconnect
		for range 2 {
			for i, want := range test.want {
				spread := float64(i%2) * 0.999
				got := r.wait(test.retry, spread)
				if got < want || got > want+want/4 || i%2 == 0 && got != want || i%2 == 1 && want > s && got < want+want/5 {
					t.Errorf("retry %v, failure %d: %v, want %v", test.retry, i, got, want)
				}
			}
			r.opened()
		}
	}
	var r reconnect
	for range 1000 {
		r.wait(0, 0)
	}
	if got := r.wait(0, 0); got != time.Minute {
		t.Errorf("after very many failures: %v", got)
	}
}

func ExampleEventParser() {
	var p EventParser
	for _, in := range [][]byte{[]byte("event: tick\nda"), []byte("ta: 1\nid: 7\n\ndata: 2\n"), []byte("\n: a comment\n")} {
		for len(in) > 0 {
			ev, n, ok, err := p.Next(in)
			if err != nil {
				fmt.Println(err)
				return
			}
			if ok {
				fmt.Printf("%q %s\n", ev.Name, ev.Data)
			}
			in = in[n:]
		}
	}
	fmt.Println("last:", p.LastEventID())
	// Output:
	// "tick" 1
	// "" 2
	// last: 7
}

func BenchmarkEvents(b *testing.B) {
	stream := bytes.Repeat([]byte("event: tick\nid: 12\ndata: some data of a usual length, such as a number or two\n\n"), 100)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		var p EventParser
		for in := stream; len(in) > 0; {
			_, n, _, err := p.Next(in)
			if err != nil {
				b.Fatal(err)
			}
			in = in[n:]
		}
	}
}
