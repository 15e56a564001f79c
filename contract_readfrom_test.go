package ringkit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// sourceFile makes a file for handlers to send.
func sourceFile(t testing.TB, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "source.txt")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// io.Copy to the ResponseWriter uses its ReadFrom: whatever the source and the
// framing, all of it arrives, and its length is returned.
func TestContractReadFrom(t *testing.T) {
	content := pattern(300_123)
	name := sourceFile(t, content)
	open := func() *os.File {
		f, err := os.Open(name)
		if err != nil {
			t.Error(err)
		}
		return f
	}
	sources := []struct {
		name string
		open func() io.Reader
		want string
	}{
		{"file", func() io.Reader { return open() }, content},
		{"file from the middle", func() io.Reader {
			f := open()
			f.Seek(1000, io.SeekStart)
			return f
		}, content[1000:]},
		{"part of a file", func() io.Reader { return io.LimitReader(open(), 200_000) }, content[:200_000]},
		{"little of a file", func() io.Reader { return io.LimitReader(open(), 300) }, content[:300]},
		{"nothing of a file", func() io.Reader { return io.LimitReader(open(), 0) }, ""},
		{"reader", func() io.Reader { return struct{ io.Reader }{strings.NewReader(content)} }, content},
		{"reader that ends with data", func() io.Reader { return iotest.DataErrReader(strings.NewReader(content)) }, content},
		{"reader of halves", func() io.Reader { return iotest.HalfReader(strings.NewReader(content[:100_000])) }, content[:100_000]},
		{"reader of single bytes", func() io.Reader { return iotest.OneByteReader(strings.NewReader(content[:3000])) }, content[:3000]},
		{"part of a reader", func() io.Reader { return io.LimitReader(struct{ io.Reader }{strings.NewReader(content)}, 70_000) }, content[:70_000]},
		{"empty reader", func() io.Reader { return struct{ io.Reader }{strings.NewReader("")} }, ""},
	}
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		var i, before int
		var length bool
		fmt.Sscan(r.FormValue("source"), &i)
		fmt.Sscan(r.FormValue("length"), &length)
		fmt.Sscan(r.FormValue("before"), &before)
		if length {
			w.Header().Set("Content-Length", fmt.Sprint(before+len(sources[i].want)))
		}
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, content[:before])
		from, ok := w.(io.ReaderFrom)
		if !ok {
			t.Error("the ResponseWriter has no ReadFrom")
			return
		}
		src := sources[i].open()
		n, err := from.ReadFrom(src)
		if n != int64(len(sources[i].want)) || err != nil {
			t.Errorf("%s of %s: ReadFrom = %d, %v; want %d", r.Method, sources[i].name, n, err, len(sources[i].want))
		}
		switch src := src.(type) {
		case *os.File:
			src.Close()
		case *io.LimitedReader:
			if f, ok := src.R.(*os.File); ok {
				f.Close()
			}
		}
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		for i, source := range sources {
			for _, length := range []bool{false, true} {
				for _, before := range []int{0, 3} {
					target := fmt.Sprintf("/?source=%d&length=%t&before=%d", i, length, before)
					want := content[:before] + source.want
					p.send(ask("GET", target))
					a := p.expectAnswer(200, want)
					if length && a.get("Content-Length") != fmt.Sprint(len(want)) {
						t.Errorf("%s: Content-Length %q", source.name, a.get("Content-Length"))
					}
					p.send(ask("HEAD", target))
					if a := p.answer("HEAD"); a.status != 200 || length && a.get("Content-Length") != fmt.Sprint(len(want)) {
						t.Errorf("HEAD of %s: %d, Content-Length %q", source.name, a.status, a.get("Content-Length"))
					}
					old := s.dial()
					old.send(ask10("GET", target))
					if a := old.answer10("GET"); a.status != 200 || a.body != want {
						t.Errorf("%s, HTTP/1.0: %d with %d bytes, want %d", source.name, a.status, len(a.body), len(want))
					}
					old.Close()
				}
			}
		}
	})
}

// Copying sniffs the type of the content as writing does.
func TestContractReadFromSniffs(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		io.Copy(w, struct{ io.Reader }{strings.NewReader("<html>" + strings.Repeat(" ", 5000))})
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		for range 2 {
			p.send(smallRequest)
			if a := p.answer("GET"); a.get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("Content-Type: %q", a.get("Content-Type"))
			}
		}
	})
}

// A source that fails is the handler's business: it gets the error, and the
// client what came before. What was promised and did not come ends the connection.
func TestContractReadFromFails(t *testing.T) {
	failure := errors.New("source failed")
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/declared" {
			w.Header().Set("Content-Length", "200000")
		}
		n, err := io.Copy(w, io.MultiReader(strings.NewReader(pattern(100_000)), iotest.ErrReader(failure)))
		if n != 100_000 || !errors.Is(err, failure) {
			t.Errorf("Copy = %d, %v; want %v", n, err, failure)
		}
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		p.send(ask("GET", "/"))
		p.expectAnswer(200, pattern(100_000))
		p.send(ask("GET", "/declared"))
		if a, err := readAnswer(p.r, "GET"); !errors.Is(err, io.ErrUnexpectedEOF) || a.body != pattern(100_000) {
			t.Errorf("%d bytes and %v, want what there was and %v", len(a.body), err, io.ErrUnexpectedEOF)
		}
	})
}

// ReadFrom obeys the limits that Write does.
func TestContractReadFromLimits(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		want := http.ErrContentLength
		if r.URL.Path == "/204" {
			w.WriteHeader(204)
			want = http.ErrBodyNotAllowed
		} else {
			w.Header().Set("Content-Length", "0")
		}
		if n, err := io.Copy(w, struct{ io.Reader }{strings.NewReader("hello")}); n != 0 || !errors.Is(err, want) {
			t.Errorf("%s: Copy = %d, %v; want %v", r.URL.Path, n, err, want)
		}
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		p.send(ask("GET", "/204"))
		p.expectAnswer(204, "")
		p = s.dial()
		p.send(ask("GET", "/"))
		p.expectAnswer(200, "")
	})
}

// http.ServeContent and http.ServeFile, which copy to the ResponseWriter.
func TestContractServeContent(t *testing.T) {
	content := pattern(300_000)
	name := sourceFile(t, content)
	modified := time.Unix(1e9, 0)
	os.Chtimes(name, modified, modified)
	mux := http.NewServeMux()
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) })
	mux.HandleFunc("/content", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"a"`)
		http.ServeContent(w, r, "a.txt", modified, bytes.NewReader([]byte(content)))
	})
	cases := []struct {
		fields []string
		status int
		span   string // of Content-Range
		body   string
	}{
		{nil, 200, "", content},
		{[]string{"Range: bytes=0-9"}, 206, "bytes 0-9/300000", content[:10]},
		{[]string{"Range: bytes=1000-250999"}, 206, "bytes 1000-250999/300000", content[1000:251_000]},
		{[]string{"Range: bytes=299990-"}, 206, "bytes 299990-299999/300000", content[299_990:]},
		{[]string{"Range: bytes=-10"}, 206, "bytes 299990-299999/300000", content[299_990:]},
		{[]string{"Range: bytes=300000-"}, 416, "bytes */300000", "invalid range: failed to overlap\n"},
		{[]string{"Range: bytes=0-9", "If-Range: Sun, 09 Sep 2001 01:46:40 GMT"}, 206, "bytes 0-9/300000", content[:10]},
		{[]string{"Range: bytes=0-9", "If-Range: Sun, 09 Sep 2001 01:46:41 GMT"}, 200, "", content},
		{[]string{"If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT"}, 304, "", ""},
		{[]string{"If-Unmodified-Since: Sun, 09 Sep 2000 01:46:40 GMT"}, 412, "", ""},
	}
	play(t, with(mux), func(t *testing.T, s *stage) {
		p := s.dial()
		for _, path := range []string{"/file", "/content"} {
			for _, c := range cases {
				p.send(ask("GET", path, c.fields...))
				a := p.expectAnswer(c.status, c.body)
				if a.get("Content-Range") != c.span {
					t.Errorf("%s %q: Content-Range %q, want %q", path, c.fields, a.get("Content-Range"), c.span)
				}
				p.send(ask("HEAD", path, c.fields...))
				if a := p.answer("HEAD"); a.status != c.status || c.status < 300 && a.get("Content-Length") != fmt.Sprint(len(c.body)) {
					t.Errorf("HEAD %s %q: %d, Content-Length %q", path, c.fields, a.status, a.get("Content-Length"))
				}
			}
			p.send(ask("GET", path, "Range: bytes=0-4,100000-199999"))
			a := p.answer("GET")
			_, params, err := mime.ParseMediaType(a.get("Content-Type"))
			if a.status != 206 || err != nil {
				t.Fatalf("two ranges: %d %q", a.status, a.fields)
			}
			parts := multipart.NewReader(strings.NewReader(a.body), params["boundary"])
			for _, want := range []string{content[:5], content[100_000:200_000]} {
				part, err := parts.NextPart()
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(part); string(got) != want || err != nil {
					t.Errorf("a part of %d bytes, %v; want %d", len(got), err, len(want))
				}
			}
		}
	})
}
