package http1

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// smallLimits is so tight that short inputs reach every limit.
var smallLimits = Limits{
	RequestLine: 40, Head: 120, Fields: 4, Trailer: 30, ChunkExtLine: 8, ChunkExtTotal: 12, Body: 20,
}

func fuzzLimits(small bool) Limits {
	if small {
		return smallLimits.Resolve()
	}
	return Limits{}.Resolve()
}

// FuzzRequest checks that no input makes Parse panic or read beyond a head, that
// the outcome does not depend on how the input is split, and that what is
// accepted has the properties the package promises.
func FuzzRequest(f *testing.F) {
	for _, input := range requestInputs() {
		f.Add(input, uint64(1), false)
		f.Add(input, uint64(2), true)
	}
	f.Fuzz(func(t *testing.T, input []byte, seed uint64, small bool) {
		lim := fuzzLimits(small)
		whole := parseWhole(input, &lim)
		if whole.Length < 0 || whole.Length > len(input) {
			t.Fatalf("head of %d bytes in %d", whole.Length, len(input))
		}
		ends := randomSplits(rand.New(rand.NewPCG(seed, 0)), 8, len(input))
		if split := parseSplit(input, &lim, ends...); !reflect.DeepEqual(split, whole) {
			t.Fatalf("split at %v:\n%+v, in one piece\n%+v", ends, split, whole)
		}
		if len(input) < 1024 {
			if split := parseSplit(input, &lim, bytewise(len(input))...); !reflect.DeepEqual(split, whole) {
				t.Fatalf("byte by byte:\n%+v, in one piece\n%+v", split, whole)
			}
		}
		if whole.Length > 0 {
			checkAccepted(t, input[:whole.Length], whole)
		}
	})
}

func checkAccepted(t *testing.T, head []byte, s snapshot) {
	t.Helper()
	text := string(head)
	if !strings.HasSuffix(text, "\r\n\r\n") && !strings.HasSuffix(text, "\r\n") {
		t.Errorf("head ends in %q", text[max(0, len(text)-4):])
	}
	if bytes.ContainsFunc(head, func(c rune) bool { return c < ' ' && c != '\t' && c != '\r' && c != '\n' || c == 0x7f }) {
		t.Error("control character")
	}
	if strings.ContainsAny(strings.ReplaceAll(text, "\r\n", ""), "\r\n") {
		t.Error("bare CR or LF")
	}
	lines := strings.Split(strings.TrimPrefix(text, "\r\n"), "\r\n")
	if want := s.Method + " " + s.Target + " HTTP/1."; !strings.HasPrefix(lines[0], want) || len(lines[0]) != len(want)+1 {
		t.Errorf("request line %q, method %q, target %q", lines[0], s.Method, s.Target)
	}
	if len(lines) != len(s.Fields)+3 {
		t.Errorf("%d lines, %d fields", len(lines), len(s.Fields))
	}
	var hosts, lengths, codings int
	for i, field := range s.Fields {
		name, value, _ := strings.Cut(field, ": ")
		rest, ok := strings.CutPrefix(lines[i+1], name+":")
		if !ok || strings.Trim(rest, " \t") != value {
			t.Errorf("line %q, field %q", lines[i+1], field)
		}
		switch strings.ToLower(name) {
		case "host":
			hosts++
		case "content-length":
			lengths++
		case "transfer-encoding":
			codings++
		}
	}
	if hosts > 1 || hosts == 0 && s.Minor == 1 {
		t.Errorf("%d fields Host", hosts)
	}
	if lengths+codings > 1 || s.Chunked != (codings == 1) || (s.BodyLength >= 0) != (lengths == 1) {
		t.Errorf("%d fields Content-Length, %d fields Transfer-Encoding: length %d, chunked %t",
			lengths, codings, s.BodyLength, s.Chunked)
	}
	if strings.ContainsAny(s.Host, "@/?#, \\\"") {
		t.Errorf("host %q", s.Host)
	}
}

// FuzzResponse does the same for responses, and whole exchanges.
func FuzzResponse(f *testing.F) {
	for i, in := range responseInputs() {
		f.Add(in.bytes, uint8(in.method), uint64(i), i%2 == 0)
		f.Add([]byte(responseHead("103 a", "Link: b")+string(in.bytes)+"5\r\nhello\r\n0\r\nA: b\r\n\r\n"), uint8(in.method), uint64(i), false)
	}
	f.Fuzz(func(t *testing.T, input []byte, name uint8, seed uint64, small bool) {
		lim := fuzzLimits(small)
		method := Method(name) % (PATCH + 1)
		whole := splitResponse(method, input, &lim)
		if whole.Length < 0 || whole.Length > len(input) {
			t.Fatalf("head of %d bytes in %d", whole.Length, len(input))
		}
		ends := randomSplits(rand.New(rand.NewPCG(seed, 0)), 8, len(input))
		if split := splitResponse(method, input, &lim, ends...); !reflect.DeepEqual(split, whole) {
			t.Fatalf("split at %v:\n%+v, in one piece\n%+v", ends, split, whole)
		}
		exchange := receive(method, input, &lim)
		if split := receive(method, input, &lim, ends...); !reflect.DeepEqual(split, exchange) {
			t.Fatalf("split at %v:\n%+v, in one piece\n%+v", ends, split, exchange)
		}
		if len(input) < 1024 {
			if split := receive(method, input, &lim, bytewise(len(input))...); !reflect.DeepEqual(split, exchange) {
				t.Fatalf("byte by byte:\n%+v, in one piece\n%+v", split, exchange)
			}
		}
		if len(exchange.Interims) > lim.Interim || exchange.Body.Received > lim.Body {
			t.Errorf("more than the limits: %+v", exchange)
		}
		if whole.Length > 0 {
			checkAcceptedResponse(t, method, string(input[:whole.Length]), whole)
		}
	})
}

func checkAcceptedResponse(t *testing.T, method Method, head string, s responseSnapshot) {
	t.Helper()
	if strings.ContainsAny(strings.ReplaceAll(head, "\r\n", ""), "\r\n\x00\x7f") {
		t.Error("bare CR or LF, or another control character")
	}
	lines := strings.Split(head, "\r\n")
	if len(lines) != len(s.Fields)+3 || lines[len(lines)-1]+lines[len(lines)-2] != "" {
		t.Errorf("%d fields in %q", len(s.Fields), head)
	}
	// RFC 9112, section 4, with the last space optional.
	if m := statusLinePattern.FindStringSubmatch(lines[0]); m == nil || m[2] != strconv.Itoa(s.Status) || m[3] != s.Reason {
		t.Errorf("status line %q, status %d, reason %q", lines[0], s.Status, s.Reason)
	}
	if s.KeepAlive && (s.LeavesHTTP || s.Interim || s.Framing == UntilClose) {
		t.Errorf("kept alive: %+v", s)
	}
	if s.Framing != NoBody && alwaysEmpty(method, s.Status) || s.Framing == Chunked && !s.Chunked || s.Framing == Length && s.BodyLength < 0 {
		t.Errorf("framing: %+v", s)
	}
}

var statusLinePattern = regexp.MustCompile(`^HTTP/1\.([0-9]) ([1-9][0-9][0-9])(?: ([^\x00-\x08\x0a-\x1f\x7f]*))?$`)

// FuzzBody does the same for the decoder of bodies.
func FuzzBody(f *testing.F) {
	for i, c := range chunkedCases {
		f.Add([]byte(c.input), uint64(i), int64(-1), i%2 == 0)
	}
	for _, c := range bodyLimitCases {
		f.Add([]byte(c.input(0)), uint64(0), int64(-1), true)
	}
	f.Add([]byte("hello, world"), uint64(3), int64(5), false)
	f.Add([]byte("hello"), uint64(4), int64(0), false)
	f.Fuzz(func(t *testing.T, input []byte, seed uint64, length int64, small bool) {
		lim := fuzzLimits(small)
		framing := Chunked
		if length >= 0 {
			framing = Length
		}
		run := func(ends ...int) decoded {
			var b Body
			if err := b.InitFraming(framing, length, &lim); err != nil {
				return decoded{Err: err}
			}
			return decode(&b, input, ends...)
		}
		whole := run()
		ends := randomSplits(rand.New(rand.NewPCG(seed, 0)), 8, len(input))
		if split := run(ends...); !reflect.DeepEqual(split, whole) {
			t.Fatalf("split at %v:\n%+v, in one piece\n%+v", ends, split, whole)
		}
		if split := run(bytewise(len(input))...); !reflect.DeepEqual(split, whole) {
			t.Fatalf("byte by byte:\n%+v, in one piece\n%+v", split, whole)
		}

		if int(whole.Received) != len(whole.Data) || whole.Received > lim.Body {
			t.Errorf("received %d, %d bytes of data", whole.Received, len(whole.Data))
		}
		if !strings.HasSuffix(string(input), whole.Rest) {
			t.Errorf("rest %q of %q", whole.Rest, input)
		}
		switch {
		case !whole.Done:
			if whole.Err == nil && whole.Rest != "" {
				t.Errorf("neither done nor an error with %q left", whole.Rest)
			}
		case framing == Length:
			if whole.Data != string(input[:length]) || whole.Rest != string(input[length:]) {
				t.Errorf("data %q and rest %q of %q", whole.Data, whole.Rest, input)
			}
		default:
			again := AppendTrailerStart(AppendChunk(nil, []byte(whole.Data)))
			for _, field := range whole.Trailers {
				name, value, _ := strings.Cut(field, ": ")
				again = AppendField(again, name, value)
			}
			again = append(AppendEnd(again), whole.Rest...)
			roomy := Limits{Trailer: 1 << 20}.Resolve()
			if got := decodeChunked(again, &roomy); !reflect.DeepEqual(got, whole) {
				t.Errorf("encoded again %+v, was %+v", got, whole)
			}
		}
	})
}
