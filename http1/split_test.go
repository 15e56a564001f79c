package http1

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// requestInputs returns the inputs of all tables and the benchmarks' requests.
func requestInputs() [][]byte {
	inputs := [][]byte{[]byte(smallHead), []byte(browserHead)}
	for _, c := range allRequestCases() {
		inputs = append(inputs, []byte(c.input))
	}
	return inputs
}

// randomSplits returns up to n positions in ascending order.
func randomSplits(rnd *rand.Rand, n, length int) []int {
	ends := make([]int, rnd.IntN(n+1))
	for i := range ends {
		ends[i] = rnd.IntN(length + 1)
	}
	slices.Sort(ends)
	return ends
}

// However the bytes arrive, the outcome is the same.
func TestRequestSplit(t *testing.T) {
	lim := Limits{}.Resolve()
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, input := range requestInputs() {
		want := parseWhole(input, &lim)
		check := func(ends ...int) {
			t.Helper()
			if got := parseSplit(input, &lim, ends...); !reflect.DeepEqual(got, want) {
				t.Fatalf("%q split at %v:\n%+v, in one piece\n%+v", input, ends, got, want)
			}
		}
		for end := range input {
			check(end)
		}
		check(bytewise(len(input))...)
		for range 20 {
			check(randomSplits(rnd, 8, len(input))...)
		}
	}
}

func TestBodySplit(t *testing.T) {
	lim := Limits{}.Resolve()
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, c := range chunkedCases {
		input := []byte(c.input + "NEXT")
		want := decodeChunked(input, &lim)
		check := func(ends ...int) {
			t.Helper()
			if got := decodeChunked(input, &lim, ends...); !reflect.DeepEqual(got, want) {
				t.Fatalf("%q split at %v:\n%+v, in one piece\n%+v", input, ends, got, want)
			}
		}
		for end := range input {
			check(end)
		}
		check(bytewise(len(input))...)
		for range 20 {
			check(randomSplits(rnd, 8, len(input))...)
		}
	}
}

// An error comes with the byte that causes it, or at the latest with the end of
// its line: a client that waits after a wrong line must get its answer.
func TestErrorsAreEarly(t *testing.T) {
	for _, c := range []struct{ good, bad string }{
		{"GE", "("},
		{"", "\n"},
		{"", " "},
		{"\r", "\r"},
		{"\r\n", "\r"},
		{"GET", "\r"},
		{"GET ", " "},
		{"GET /", "\n"},
		{"GET /", "\r"},
		{"GET /%", "g"},
		{"GET /", "\x80"},
		{"GET / ", " "},
		{"GET / ", "h"},
		{"GET / HTTP/", "x"},
		{"GET / HTTP/1.1", "\n"},
		{"GET / HTTP/1.1", " "},
		{"GET / HTTP/2.", "0"},
		{"GET * HTTP/1.1\r", "\n"},
		{"CONNECT a HTTP/1.1\r", "\n"},
		{"GET / HTTP/1.1\r\n", " "},
		{"GET / HTTP/1.1\r\n", ":"},
		{"GET / HTTP/1.1\r\nA", "\n"},
		{"GET / HTTP/1.1\r\nA", " "},
		{"GET / HTTP/1.1\r\nA: b", "\n"},
		{"GET / HTTP/1.1\r\nA: b", "\x00"},
		{"GET / HTTP/1.1\r\nA: b\r", "x"},
		{"GET / HTTP/1.1\r\nHost: a b\r", "\n"},
		{"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r", "\n"},
		{"GET / HTTP/1.1\r\nContent-Length: x\r", "\n"},
		{"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r", "\n"},
		{"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r", "\n"},
		{"GET / HTTP/1.1\r\nExpect: x\r", "\n"},
		{"GET / HTTP/1.1\r\nA: b\r\n\r", "\n"}, // no Host
	} {
		lim := Limits{}.Resolve()
		var r Request
		if n, err := r.Parse([]byte(c.good), &lim); n != 0 || err != nil {
			t.Errorf("Parse(%q) = %d, %v; want to go on", c.good, n, err)
		}
		n, err := r.Parse([]byte(c.good+c.bad), &lim)
		if n != 0 || err == nil {
			t.Errorf("Parse(%q) = %d, %v; want an error", c.good+c.bad, n, err)
		}
		if n2, err2 := r.Parse([]byte(c.good+c.bad+"\r\n\r\n"), &lim); n2 != n || err2 != err {
			t.Errorf("Parse after %v = %d, %v", err, n2, err2)
		}
	}
}

// After a complete head Parse returns its length again.
func TestParseAgain(t *testing.T) {
	lim := Limits{}.Resolve()
	var r Request
	for range 2 {
		if n, err := r.Parse([]byte(smallHead+"more"), &lim); n != len(smallHead) || err != nil {
			t.Errorf("Parse = %d, %v", n, err)
		}
	}
}

// Nothing of one request is left for the next, nor is its buffer kept alive.
func TestReset(t *testing.T) {
	lim := Limits{}.Resolve()
	done := mustParse(t, smallHead)
	if done.Reset(); done.Host() != nil || done.Method() != nil || done.NumFields() != 0 {
		t.Errorf("host %q, method %q, %d fields after Reset", done.Host(), done.Method(), done.NumFields())
	}
	if done.head != nil {
		t.Error("Reset keeps the buffer")
	}
	inputs := requestInputs()
	var r Request
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 5000 {
		before := inputs[rnd.IntN(len(inputs))]
		r.Reset()
		r.Parse(before[:rnd.IntN(len(before)+1)], &lim)

		input := inputs[rnd.IntN(len(inputs))]
		r.Reset()
		n, err := r.Parse(input, &lim)
		if got, want := take(&r, n, err), parseWhole(input, &lim); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q after %q:\n%+v, want\n%+v", input, before, got, want)
		}
	}
}
