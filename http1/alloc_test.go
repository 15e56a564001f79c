package http1

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

func expectNoAllocs(t *testing.T, what string, f func()) {
	t.Helper()
	if n := testing.AllocsPerRun(100, f); n != 0 {
		t.Errorf("%s: %v allocations, want none", what, n)
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	lim := Limits{}.Resolve()
	var r Request
	for _, input := range requestInputs() {
		expectNoAllocs(t, string(input), func() {
			r.Reset()
			r.Parse(input, &lim)
		})
		expectNoAllocs(t, string(input)+" byte by byte", func() {
			r.Reset()
			for i := range input {
				r.Parse(input[:i+1], &lim)
			}
		})
	}
}

func TestParseResponseDoesNotAllocate(t *testing.T) {
	lim := Limits{}.Resolve()
	var r Response
	var b Body
	interim := []byte(responseHead("103 Early Hints", "Link: a"))
	for _, in := range responseInputs() {
		input := slices.Concat(in.bytes, []byte("5\r\nhello\r\n0\r\n\r\n"))
		expectNoAllocs(t, string(input), func() {
			r.Reset(in.method)
			r.Parse(interim, &lim)
			r.Next()
			n, err := r.Parse(input, &lim)
			if err != nil || b.InitResponse(&r, &lim) != nil {
				return
			}
			for !b.Done() {
				_, k, _, err := b.Next(input[n:])
				if n += k; k == 0 || err != nil {
					return
				}
			}
		})
		expectNoAllocs(t, string(in.bytes)+" byte by byte", func() {
			r.Reset(in.method)
			for i := range in.bytes {
				r.Parse(in.bytes[:i+1], &lim)
			}
		})
	}
	method := bytes.Repeat([]byte("A"), 100)
	expectNoAllocs(t, "method", func() {
		if MethodOf(method) != Other || MethodOf("HEAD") != HEAD {
			t.Fatal("wrong method")
		}
	})
}

func TestResponseAccessorsDoNotAllocate(t *testing.T) {
	r := mustParseResponse(t, GET, cdnResponse)
	moved := []byte(cdnResponse)
	found := 0
	expectNoAllocs(t, "accessors", func() {
		r.Rebase(moved)
		for i := range r.NumFields() {
			name, value := r.Field(i)
			found += len(name) + len(value)
		}
		if r.EOF() == nil && r.KeepAlive() && r.Framing() == Chunked && !r.Interim() && !r.LeavesHTTP() {
			found += len(r.Reason()) + r.StatusCode()
		}
	})
	if found == 0 {
		t.Error("nothing found")
	}
}

func TestAccessorsDoNotAllocate(t *testing.T) {
	r := mustParse(t, browserHead)
	moved := []byte(browserHead)
	found := 0
	expectNoAllocs(t, "accessors", func() {
		r.Rebase(moved)
		for i := range r.NumFields() {
			name, value := r.Field(i)
			found += len(name) + len(value)
		}
		if value, ok := r.Get("COOKIE"); ok {
			found += len(value)
		}
		if r.ConnectionHas("keep-alive") && r.KeepAlive() {
			found++
		}
		found += len(r.Method()) + len(r.Target()) + len(r.RawPath()) + len(r.RawQuery()) + len(r.Host())
	})
	if found == 0 {
		t.Error("nothing found")
	}
}

func TestBodyDoesNotAllocate(t *testing.T) {
	lim := Limits{}.Resolve()
	r := mustParse(t, header("Content-Length: 5"))
	var b Body
	input := []byte("hello")
	expectNoAllocs(t, "length", func() {
		if b.Init(r, &lim) != nil {
			t.Fatal("Init")
		}
		b.Next(input)
	})
	for _, c := range chunkedCases {
		input := []byte(c.input)
		expectNoAllocs(t, c.input, func() {
			if b.InitFraming(Chunked, -1, &lim) != nil {
				t.Fatal("Init")
			}
			in := input
			for {
				_, n, done, err := b.Next(in)
				if n == 0 || done || err != nil {
					return
				}
				in = in[n:]
			}
		})
	}
}

func TestRequestDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 1024)
	value := []byte("b")
	for _, h := range []RequestHead{
		{Method: "POST", Authority: "a:80", Path: "/b?c", Framing: Length, Length: 1 << 40, Continue: true},
		{Method: strings.Repeat("A", 100), Form: AbsoluteForm, Scheme: "http", Authority: "a", Framing: Chunked},
		{Method: "GET", Authority: "a b", Path: "/"},
		{Method: "GET", Authority: "a", Path: "/%00%zz"},
	} {
		expectNoAllocs(t, h.Method, func() {
			dst, err := AppendRequestStart(buf, &h)
			if err != nil {
				return
			}
			dst, _ = AppendRequestField(dst, "Connection", value)
			dst, _ = AppendRequestField(dst, "Host", value)
			if len(AppendEnd(dst)) > cap(buf) {
				t.Fatal("buffer too small")
			}
		})
	}
}

func TestResponseDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 1024)
	data := []byte("hello")
	now := time.Now()
	expectNoAllocs(t, "response", func() {
		dst := AppendStatusLine(buf, 200)
		dst = AppendStatusLine(dst, 299)
		dst = AppendDate(dst, now)
		dst = AppendField(dst, "Server", data)
		dst = AppendField(dst, data, "value")
		dst = AppendContentLength(dst, 1<<40)
		dst = AppendEnd(dst)
		dst = AppendChunk(dst, data)
		dst = AppendChunkHeader(dst, 1<<20)
		dst = AppendTrailerStart(dst)
		dst = AppendLastChunk(dst)
		if len(dst) > cap(buf) {
			t.Fatal("buffer too small")
		}
	})
	expectNoAllocs(t, "validation", func() {
		if !ValidToken(data) || !ValidFieldName("Name") || !ValidFieldValue(data) || StatusText(404) != "Not Found" {
			t.Fatal("not valid")
		}
	})
	name := []byte("content-TYPE")
	expectNoAllocs(t, "name", func() {
		if CanonicalName(name) != "Content-Type" {
			t.Fatal("wrong name")
		}
	})
}
