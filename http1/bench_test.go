package http1

import (
	"testing"
	"time"
)

const (
	smallHead = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"

	browserHead = "GET /articles/2024/on-rings?page=2&sort=newest HTTP/1.1\r\n" +
		"Host: www.example.com\r\n" +
		"Connection: keep-alive\r\n" +
		"Cache-Control: max-age=0\r\n" +
		"sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n" +
		"sec-ch-ua-mobile: ?0\r\n" +
		"sec-ch-ua-platform: \"Linux\"\r\n" +
		"Upgrade-Insecure-Requests: 1\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8\r\n" +
		"Sec-Fetch-Site: same-origin\r\n" +
		"Sec-Fetch-Mode: navigate\r\n" +
		"Sec-Fetch-User: ?1\r\n" +
		"Sec-Fetch-Dest: document\r\n" +
		"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
		"Accept-Language: en-GB,en;q=0.9\r\n" +
		"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n" +
		"\r\n"
)

func benchmarkParse(b *testing.B, head string) {
	buf := []byte(head)
	lim := Limits{}.Resolve()
	var r Request
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		if n, err := r.Parse(buf, &lim); n != len(buf) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func benchmarkResponse(b *testing.B, head string) {
	buf := []byte(head)
	lim := Limits{}.Resolve()
	var r Response
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(GET)
		if n, err := r.Parse(buf, &lim); n != len(buf) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkParseResponseSmall(b *testing.B) { benchmarkResponse(b, smallResponse) }

func BenchmarkParseResponseCDN(b *testing.B) { benchmarkResponse(b, cdnResponse) }

func BenchmarkParseSmall(b *testing.B) { benchmarkParse(b, smallHead) }

func BenchmarkParseBrowser(b *testing.B) { benchmarkParse(b, browserHead) }

func BenchmarkParseBytewise(b *testing.B) {
	buf := []byte(browserHead)
	lim := Limits{}.Resolve()
	var r Request
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		n := 0
		for i := 1; n == 0; i++ {
			var err error
			if n, err = r.Parse(buf[:i], &lim); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkGet(b *testing.B) {
	lim := Limits{}.Resolve()
	var r Request
	if _, err := r.Parse([]byte(browserHead), &lim); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, ok := r.Get("cookie"); !ok {
			b.Fatal("no cookie")
		}
	}
}

func BenchmarkBodyChunked(b *testing.B) {
	var body []byte
	for range 64 {
		body = AppendChunk(body, make([]byte, 1024))
	}
	body = AppendLastChunk(body)
	lim := Limits{}.Resolve()
	var d Body
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := d.InitFraming(Chunked, -1, &lim); err != nil {
			b.Fatal(err)
		}
		in := body
		for done := false; !done; {
			var n int
			var err error
			if _, n, done, err = d.Next(in); err != nil {
				b.Fatal(err)
			}
			in = in[n:]
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	h := RequestHead{Method: "GET", Authority: "www.example.com", Path: "/articles?page=2"}
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		dst, err := AppendRequestStart(buf, &h)
		if err == nil {
			dst, err = AppendRequestField(dst, "User-Agent", "example/1.0")
		}
		if err != nil || len(AppendEnd(dst)) == 0 {
			b.Fatal(err)
		}
	}
}

func BenchmarkResponse(b *testing.B) {
	date := time.Date(1994, time.November, 6, 8, 49, 37, 0, time.UTC)
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		dst := AppendStatusLine(buf, 200)
		dst = AppendDate(dst, date)
		dst = AppendField(dst, "Content-Type", "text/plain")
		dst = AppendContentLength(dst, 13)
		dst = AppendEnd(dst)
		_ = append(dst, "Hello, World!"...)
	}
}

func BenchmarkCanonicalName(b *testing.B) {
	name := []byte("accept-encoding")
	b.ReportAllocs()
	for b.Loop() {
		if CanonicalName(name) != "Accept-Encoding" {
			b.Fatal("wrong")
		}
	}
}
