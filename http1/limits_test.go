package http1

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	got := Limits{}.Resolve()
	want := Limits{
		RequestLine: 8192, Head: 65536, Fields: 256, Trailer: 8192,
		ChunkExtLine: 1024, ChunkExtTotal: 16384, Body: 1 << 30, Interim: 64,
	}
	if got != want {
		t.Errorf("defaults %+v, want %+v", got, want)
	}
	set := Limits{1, 2, 3, 4, 5, 6, 7, 8}
	if got := set.Resolve(); got != set {
		t.Errorf("%+v changed to %+v", set, got)
	}
	if got := (Limits{Body: -1}).Resolve().Body; got != math.MaxInt64 {
		t.Errorf("no limit for the body is resolved to %d", got)
	}
	// Positions are uint32.
	if got := (Limits{Head: math.MaxInt}).Resolve().Head; uint64(got) > math.MaxUint32/2 {
		t.Errorf("limit of the head is resolved to %d", got)
	}
}

// limitCase is an input that is just within a limit, and how to make it longer
// by one.
type limitCase struct {
	name   string
	limits Limits
	input  func(extra int) string
	status int
}

var headLimitCases = []limitCase{
	{"request line", Limits{RequestLine: 100}, func(extra int) string {
		line := "GET /" + strings.Repeat("a", 100-len("GET / HTTP/1.1")+extra) + " HTTP/1.1"
		return line + "\r\nHost: a\r\n\r\n"
	}, 414},
	{"request line behind an empty line", Limits{RequestLine: 100}, func(extra int) string {
		line := "GET /" + strings.Repeat("a", 100-len("GET / HTTP/1.1")+extra) + " HTTP/1.1"
		return "\r\n" + line + "\r\nHost: a\r\n\r\n"
	}, 414},
	{"query", Limits{RequestLine: 100}, func(extra int) string {
		line := "GET /?" + strings.Repeat("%", 100-len("GET /? HTTP/1.1")+extra) + " HTTP/1.1"
		return line + "\r\nHost: a\r\n\r\n"
	}, 414},
	{"percent-encoding at the limit", Limits{RequestLine: 100}, func(extra int) string {
		line := "GET /" + strings.Repeat("a", 97-len("GET / HTTP/1.1")+extra) + "%41 HTTP/1.1"
		return line + "\r\nHost: a\r\n\r\n"
	}, 414},
	{"default request line", Limits{}, func(extra int) string {
		line := "GET /" + strings.Repeat("a", 8192-len("GET / HTTP/1.1")+extra) + " HTTP/1.1"
		return line + "\r\nHost: a\r\n\r\n"
	}, 414},
	{"head", Limits{Head: 1000}, func(extra int) string {
		return header("A: " + strings.Repeat("a", 1000-len(header("A: "))+extra))
	}, 431},
	{"head in field names", Limits{Head: 1000}, func(extra int) string {
		return header(strings.Repeat("a", 1000-len(header(":"))+extra) + ":")
	}, 431},
	{"head in whitespace", Limits{Head: 1000}, func(extra int) string {
		return header("A:" + strings.Repeat(" ", 1000-len(header("A:"))+extra))
	}, 431},
	{"head behind an empty line", Limits{Head: 1000}, func(extra int) string {
		return "\r\n" + header("A: "+strings.Repeat("a", 998-len(header("A: "))+extra))
	}, 431},
	{"default head", Limits{}, func(extra int) string {
		return header("A: " + strings.Repeat("a", 65536-len(header("A: "))+extra))
	}, 431},
	{"fields", Limits{Fields: 10}, func(extra int) string {
		return "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A: b\r\n", 9+extra) + "\r\n"
	}, 431},
	{"default fields", Limits{}, func(extra int) string {
		return "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A: b\r\n", 255+extra) + "\r\n"
	}, 431},
}

func TestHeadLimits(t *testing.T) {
	for _, c := range headLimitCases {
		t.Run(c.name, func(t *testing.T) {
			lim := c.limits.Resolve()
			if s := parseWhole([]byte(c.input(0)), &lim); s.Err != nil || s.Length != len(c.input(0)) {
				t.Errorf("at the limit: %d, %v", s.Length, s.Err)
			}
			if s := parseWhole([]byte(c.input(-1)), &lim); s.Err != nil {
				t.Errorf("below the limit: %v", s.Err)
			}
			if got := statusOf(t, parseWhole([]byte(c.input(1)), &lim).Err); got != c.status {
				t.Errorf("above the limit: status %d, want %d", got, c.status)
			}
			if got := statusOf(t, parseWhole([]byte(c.input(5000)), &lim).Err); got != c.status {
				t.Errorf("far above the limit: status %d, want %d", got, c.status)
			}
		})
	}
}

// A limit does not depend on how the input arrives, nor on what follows it.
func TestHeadLimitsSplit(t *testing.T) {
	for _, c := range headLimitCases {
		lim := c.limits.Resolve()
		for _, extra := range []int{0, 1, 7} {
			input := []byte(c.input(extra))
			want := parseWhole(input, &lim)
			ends := bytewise(len(input))
			if len(ends) > 3000 {
				// Cloning 64 KiB for each byte would take a while.
				ends = append(ends[:100], ends[len(ends)-100:]...)
			}
			if got := parseSplit(input, &lim, ends...); !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %+d: %+v byte by byte, %+v in one piece", c.name, extra, got, want)
			}
			if c.status == statusOf(t, want.Err) {
				if got := parseWhole(append(input, "\x00\n\x00"...), &lim); !reflect.DeepEqual(got, want) {
					t.Errorf("%s, %+d: %v with a later error, %v without", c.name, extra, got.Err, want.Err)
				}
			}
		}
	}
}

// Limits hold while the line that exceeds them is still incomplete.
func TestEndlessLine(t *testing.T) {
	for _, c := range []struct {
		name   string
		prefix string
		fill   string
		status int
		most   int // bytes to be taken before the error
	}{
		{"method", "", "A", 400, 8194},
		{"target", "GET /", "a", 414, 8194},
		{"query", "GET /?", "%", 414, 8194},
		{"absolute-form", "GET http://", "a", 414, 8194},
		{"field name", "GET / HTTP/1.1\r\n", "a", 431, 65536},
		{"field value", "GET / HTTP/1.1\r\nA: ", "a", 431, 65536},
		{"whitespace", "GET / HTTP/1.1\r\nA:", " ", 431, 65536},
		{"fields", "GET / HTTP/1.1\r\n", "A:\r\n", 431, 65536},
	} {
		lim := Limits{}.Resolve()
		buf := []byte(c.prefix)
		var r Request
		var err error
		for err == nil && len(buf) < 100_000 {
			buf = append(buf, c.fill...)
			_, err = r.Parse(buf, &lim)
		}
		if got := statusOf(t, err); got != c.status || len(buf) > c.most {
			t.Errorf("%s: status %d after %d bytes, want %d after at most %d", c.name, got, len(buf), c.status, c.most)
		}
	}
}

func TestTinyLimits(t *testing.T) {
	for n := 1; n < 40; n++ {
		for _, input := range []string{"\r\n" + smallHead, smallHead, "\r"} {
			lim := Limits{Head: n}.Resolve()
			s := parseWhole([]byte(input), &lim)
			if fits := n >= len(input) && input != "\r"; fits != (s.Length > 0) {
				t.Errorf("limit %d: %d, %v for %q", n, s.Length, s.Err, input)
			}
			if s.Length == 0 && s.Err == nil && len(input) >= n {
				t.Errorf("limit %d: no end for %q", n, input)
			}
		}
	}
}

var bodyLimitCases = []limitCase{
	{"content in a chunk", Limits{Body: 10}, func(extra int) string {
		return string(AppendLastChunk(AppendChunk(nil, bytes.Repeat([]byte("a"), 10+extra))))
	}, 413},
	{"content in chunks", Limits{Body: 10}, func(extra int) string {
		return strings.Repeat("1\r\na\r\n", 10+extra) + "0\r\n\r\n"
	}, 413},
	{"extension of a line", Limits{ChunkExtLine: 10}, func(extra int) string {
		return "1;" + strings.Repeat("a", 9+extra) + "\r\na\r\n0\r\n\r\n"
	}, 400},
	{"quoted extension of a line", Limits{ChunkExtLine: 10}, func(extra int) string {
		return "1 ; a=\"" + strings.Repeat("b", 3+extra) + "\"\r\na\r\n0\r\n\r\n"
	}, 400},
	{"extension of the last chunk", Limits{ChunkExtLine: 10}, func(extra int) string {
		return "0;" + strings.Repeat("a", 9+extra) + "\r\n\r\n"
	}, 400},
	{"whitespace before an extension", Limits{ChunkExtLine: 10}, func(extra int) string {
		return "0" + strings.Repeat(" ", 8+extra) + ";a\r\n\r\n"
	}, 400},
	{"extensions of all chunks", Limits{ChunkExtTotal: 100}, func(extra int) string {
		return strings.Repeat("1;a23456789\r\na\r\n", 9) + "1;a2345678" + strings.Repeat("a", extra+1) + "\r\na\r\n0\r\n\r\n"
	}, 400},
	{"first byte of an extension", Limits{ChunkExtTotal: 100}, func(extra int) string {
		first := "1;" + strings.Repeat("a", 99+min(extra, 0)) + "\r\na\r\n"
		return first + strings.Repeat("1;a\r\na\r\n", max(extra, 0)) + "0\r\n\r\n"
	}, 400},
	{"default extension of a line", Limits{}, func(extra int) string {
		return "1;" + strings.Repeat("a", 1023+extra) + "\r\na\r\n0\r\n\r\n"
	}, 400},
	{"trailer section", Limits{Trailer: 100}, func(extra int) string {
		return "0\r\nA: " + strings.Repeat("a", 100-len("A: \r\n\r\n")+extra) + "\r\n\r\n"
	}, 431},
	{"default trailer section", Limits{}, func(extra int) string {
		return "0\r\nA: " + strings.Repeat("a", 8192-len("A: \r\n\r\n")+extra) + "\r\n\r\n"
	}, 431},
	{"trailers", Limits{Fields: 10}, func(extra int) string {
		return "0\r\n" + strings.Repeat("A: b\r\n", 10+extra) + "\r\n"
	}, 431},
}

func TestBodyLimits(t *testing.T) {
	for _, c := range bodyLimitCases {
		t.Run(c.name, func(t *testing.T) {
			lim := c.limits.Resolve()
			for extra, want := range map[int]int{-1: 0, 0: 0, 1: c.status, 2000: c.status} {
				input := []byte(c.input(extra) + "NEXT")
				whole := decodeChunked(input, &lim)
				if got := statusOf(t, whole.Err); got != want {
					t.Errorf("%+d: status %d (%v), want %d", extra, got, whole.Err, want)
				}
				if split := decodeChunked(input, &lim, bytewise(len(input))...); !reflect.DeepEqual(split, whole) {
					t.Errorf("%+d: %+v byte by byte, %+v in one piece", extra, split, whole)
				}
			}
		})
	}
}

// A Content-Length above the limit is refused before any content is read.
func TestDeclaredLengthLimit(t *testing.T) {
	lim := Limits{Body: 100}.Resolve()
	for n, want := range map[int]int{99: 0, 100: 0, 101: 413} {
		var b Body
		err := b.Init(mustParse(t, header(fmt.Sprint("Content-Length: ", n))), &lim)
		if got := statusOf(t, err); got != want {
			t.Errorf("length %d: status %d, want %d", n, got, want)
		}
		if _, _, _, again := b.Next(nil); again != err {
			t.Errorf("length %d: Init returns %v, Next %v", n, err, again)
		}
	}
	lim = Limits{Body: -1}.Resolve()
	var b Body
	if err := b.Init(mustParse(t, header("Content-Length: 9223372036854775807")), &lim); err != nil {
		t.Errorf("without limit: %v", err)
	}
}

// The sizes of chunks are added without overflow.
func TestChunkSizesOverflow(t *testing.T) {
	lim := Limits{Body: -1}.Resolve()
	d := decodeChunked([]byte("1\r\na\r\n7fffffffffffffff\r\n"), &lim)
	if d.Err != errBodyTooLarge {
		t.Errorf("error %v, want %v", d.Err, errBodyTooLarge)
	}
	if d := decodeChunked([]byte("1\r\na\r\n7ffffffffffffffe\r\n"), &lim); d.Err != nil {
		t.Errorf("error %v, want none", d.Err)
	}
}
