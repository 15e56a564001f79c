package http1

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

const (
	smallResponse = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 13\r\n\r\n"

	cdnResponse = "HTTP/1.1 200 OK\r\n" +
		"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" +
		"Content-Type: text/html; charset=utf-8\r\n" +
		"Transfer-Encoding: chunked\r\n" +
		"Connection: keep-alive\r\n" +
		"Vary: Accept-Encoding, Origin\r\n" +
		"Cache-Control: public, max-age=300, stale-while-revalidate=60\r\n" +
		"ETag: W/\"0123456789abcdef0123456789abcdef\"\r\n" +
		"Last-Modified: Sat, 05 Nov 1994 10:00:00 GMT\r\n" +
		"Set-Cookie: session=0123456789abcdef; Path=/; HttpOnly; Secure; SameSite=Lax\r\n" +
		"Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n" +
		"Content-Security-Policy: default-src 'self'; img-src *; script-src 'self' https://cdn.example.com\r\n" +
		"X-Content-Type-Options: nosniff\r\n" +
		"Content-Encoding: gzip\r\n" +
		"Server: example/1.0\r\n" +
		"Age: 17\r\n" +
		"\r\n"
)

// responseInput is a response to a request with the given method.
type responseInput struct {
	method Method
	bytes  []byte
}

// responseInputs returns the inputs of all tables and the benchmarks' responses.
func responseInputs() []responseInput {
	inputs := []responseInput{{GET, []byte(smallResponse)}, {GET, []byte(cdnResponse)}}
	for _, c := range allResponseCases() {
		inputs = append(inputs, responseInput{c.method, []byte(c.input)})
	}
	return inputs
}

// However the bytes arrive, the outcome is the same.
func TestResponseSplit(t *testing.T) {
	lim := Limits{}.Resolve()
	rnd := rand.New(rand.NewPCG(7, 8))
	for _, in := range responseInputs() {
		want := splitResponse(in.method, in.bytes, &lim)
		check := func(ends ...int) {
			t.Helper()
			if got := splitResponse(in.method, in.bytes, &lim, ends...); !reflect.DeepEqual(got, want) {
				t.Fatalf("%q split at %v:\n%+v, in one piece\n%+v", in.bytes, ends, got, want)
			}
		}
		for end := range in.bytes {
			check(end)
		}
		check(bytewise(len(in.bytes))...)
		for range 20 {
			check(randomSplits(rnd, 8, len(in.bytes))...)
		}
	}
}

// The same for whole exchanges, with what precedes and follows the head.
func TestExchangeSplit(t *testing.T) {
	lim := Limits{}.Resolve()
	const early = "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
	for _, in := range responseInputs() {
		input := []byte(early + string(in.bytes) + "5\r\nhello\r\n0\r\nA: b\r\n\r\nHTTP/1.1 200")
		want := receive(in.method, input, &lim)
		for end := range input {
			if got := receive(in.method, input, &lim, end); !reflect.DeepEqual(got, want) {
				t.Fatalf("%q split at %d:\n%+v, in one piece\n%+v", input, end, got, want)
			}
		}
		if got := receive(in.method, input, &lim, bytewise(len(input))...); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q byte by byte:\n%+v, in one piece\n%+v", input, got, want)
		}
	}
}

// An error comes with the byte that causes it, or with the end of its line.
func TestResponseErrorsAreEarly(t *testing.T) {
	const line = "HTTP/1.1 200 OK\r\n"
	for _, c := range []struct{ good, bad string }{
		{"", "h"},
		{"", "\r"},
		{"HTTP/2.", "0"},
		{"HTTP/1.", "x"},
		{"HTTP/1.1", "\r"},
		{"HTTP/1.1 ", "0"},
		{"HTTP/1.1 2", "\r"},
		{"HTTP/1.1 200", "0"},
		{"HTTP/1.1 200 ", "\n"},
		{"HTTP/1.1 200 O", "\x00"},
		{"HTTP/1.1 200 OK\r", "x"},
		{"HTTP/1.1 200\r", "\r"},
		{line, " "},
		{line + "A", " "},
		{line + "A: b", "\n"},
		{line + "Content-Length: x\r", "\n"},
		{line + "Content-Length: 5\r\nTransfer-Encoding: chunked\r", "\n"},
		{"HTTP/1.1 100 a\r\nContent-Length: 5\r", "\n"},
	} {
		lim := Limits{}.Resolve()
		var r Response
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
func TestParseResponseAgain(t *testing.T) {
	lim := Limits{}.Resolve()
	var r Response
	for range 2 {
		if n, err := r.Parse([]byte(smallResponse+"more"), &lim); n != len(smallResponse) || err != nil {
			t.Errorf("Parse = %d, %v", n, err)
		}
	}
}

// Nothing of one response is left for the next, nor is its buffer kept alive.
func TestResponseReset(t *testing.T) {
	lim := Limits{}.Resolve()
	inputs := responseInputs()
	var r Response
	rnd := rand.New(rand.NewPCG(9, 10))
	for range 5000 {
		before := inputs[rnd.IntN(len(inputs))]
		r.Reset(before.method)
		r.Parse(before.bytes[:rnd.IntN(len(before.bytes)+1)], &lim)

		in := inputs[rnd.IntN(len(inputs))]
		r.Reset(in.method)
		if r.head != nil || r.NumFields() != 0 || r.StatusCode() != 0 || r.Reason() != nil {
			t.Fatalf("something is left of %q", before.bytes)
		}
		n, err := r.Parse(in.bytes, &lim)
		if got, want := takeResponse(&r, n, err), splitResponse(in.method, in.bytes, &lim); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q after %q:\n%+v, want\n%+v", in.bytes, before.bytes, got, want)
		}
	}
}

// Next clears what Reset does, but for the request's method.
func TestResponseNext(t *testing.T) {
	lim := Limits{}.Resolve()
	var r Response
	r.Reset(HEAD)
	if _, err := r.Parse([]byte(responseHead("103 a", "Connection: close", "Link: b")), &lim); err != nil {
		t.Fatal(err)
	}
	r.Next()
	if r.head != nil || r.NumFields() != 0 || r.StatusCode() != 0 {
		t.Error("something is left of the interim response")
	}
	if _, err := r.Parse([]byte(ok("Content-Length: 5")), &lim); err != nil {
		t.Fatal(err)
	}
	if r.Framing() != NoBody || !r.KeepAlive() {
		t.Errorf("%v, keep-alive %t, after HEAD", r.Framing(), r.KeepAlive())
	}
}
