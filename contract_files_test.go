package ringkit

import (
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
	"time"
)

// fileTree makes a directory of files and serves it with http.FileServer. A request
// with the query "tag" gets an entity tag, as programs add it.
func fileTree(t testing.TB, files map[string]string) act {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	server := http.FileServer(http.Dir(dir))
	return with(std(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "tag" {
			w.Header().Set("Etag", `"v1"`)
		}
		server.ServeHTTP(w, r)
	}))
}

var modified = time.Unix(1e9, 0)

const (
	modifiedDate = "Sun, 09 Sep 2001 01:46:40 GMT"
	earlierDate  = "Sun, 09 Sep 2001 01:46:39 GMT"
)

// What http.FileServer makes of ranges and conditions arrives as it is meant,
// whatever way a file of that length goes.
func TestContractFileServer(t *testing.T) {
	files := map[string]string{
		"empty.txt": "", "little.txt": pattern(1000), "some.txt": pattern(17_000),
		"much.txt": pattern(64 << 10), "more.txt": pattern(1_300_000),
	}
	type expectation struct {
		fields string // of the request
		status int
		from   int // of what arrives
		to     int // -1 for nothing
		span   string
	}
	of := func(n int) []expectation {
		middle, end := fmt.Sprintf("bytes %d-%d/%d", n/3, n/2, n), fmt.Sprintf("bytes %d-%d/%d", n-7, n-1, n)
		return []expectation{
			{"", 200, 0, n, ""},
			{"Accept-Encoding: gzip", 200, 0, n, ""},
			{fmt.Sprintf("Range: bytes=%d-%d", n/3, n/2), 206, n / 3, n/2 + 1, middle},
			{"Range: bytes=-7", 206, n - 7, n, end},
			{fmt.Sprintf("Range: bytes=%d-", n-7), 206, n - 7, n, end},
			{fmt.Sprintf("Range: bytes=%d-%d", n-7, n+1000), 206, n - 7, n, end},
			{fmt.Sprintf("Range: bytes=%d-", n), 416, 0, -1, fmt.Sprintf("bytes */%d", n)},
			{"Range: bytes=9-1", 416, 0, -1, ""},
			{"If-Modified-Since: " + modifiedDate, 304, 0, -1, ""},
			{"If-Modified-Since: " + earlierDate, 200, 0, n, ""},
			{"If-Unmodified-Since: " + earlierDate, 412, 0, -1, ""},
			{`If-None-Match: "v1"`, 304, 0, -1, ""},
			{`If-None-Match: W/"v1", "v2"`, 304, 0, -1, ""},
			{`If-None-Match: "v2"`, 200, 0, n, ""},
			{"If-None-Match: *", 304, 0, -1, ""},
			{`If-Match: "v2"`, 412, 0, -1, ""},
			{`If-Range: "v1"` + "\r\nRange: bytes=-7", 206, n - 7, n, end},
			{`If-Range: "v2"` + "\r\nRange: bytes=-7", 200, 0, n, ""},
			{"If-Range: " + modifiedDate + "\r\nRange: bytes=-7", 206, n - 7, n, end},
			{"If-Range: " + earlierDate + "\r\nRange: bytes=-7", 200, 0, n, ""},
		}
	}
	play(t, fileTree(t, files), func(t *testing.T, s *stage) {
		p := s.dial()
		for name, content := range files {
			expectations := of(len(content))
			if content == "" {
				expectations = expectations[:2]
			}
			for _, x := range expectations {
				for _, method := range []string{"GET", "HEAD"} {
					var fields []string
					if x.fields != "" {
						fields = []string{x.fields}
					}
					p.send(ask(method, "/"+name+"?tag", fields...))
					a := p.answer(method)
					checkFile(t, method+" of "+name+", "+x.fields, a, x.status, x.span)
					if x.to >= 0 && method == "GET" && a.body != content[x.from:x.to] {
						t.Errorf("%s, %s: got %q, want %q", name, x.fields, short(a.body), short(content[x.from:x.to]))
					}
					if length := fmt.Sprint(x.to - x.from); x.to >= 0 && a.get("Content-Length") != length {
						t.Errorf("%s of %s, %s: Content-Length %q, want %s", method, name, x.fields, a.get("Content-Length"), length)
					}
				}
			}
		}
	})
}

func checkFile(t *testing.T, what string, a *answer, status int, span string) {
	t.Helper()
	if a.status != status || span != "" && a.get("Content-Range") != span {
		t.Errorf("%s: %d, Content-Range %q; want %d, %q", what, a.status, a.get("Content-Range"), status, span)
	}
	if status == 304 && (a.body != "" || a.get("Content-Type") != "") {
		t.Errorf("%s: %q", what, a.fields)
	}
}

// Several ranges come as multipart/byteranges (RFC 9110, section 14.6).
func TestContractFileRanges(t *testing.T) {
	content := pattern(1_000_000)
	play(t, fileTree(t, map[string]string{"f.txt": content}), func(t *testing.T, s *stage) {
		p := s.dial()
		for range 2 {
			p.send(ask("GET", "/f.txt", "Range: bytes=0-4, 100000-699999, -3"))
			a := p.answer("GET")
			_, params, err := mime.ParseMediaType(a.get("Content-Type"))
			if a.status != 206 || err != nil || a.get("Content-Length") != fmt.Sprint(len(a.body)) {
				t.Fatalf("%d %q, %v", a.status, a.fields, err)
			}
			parts := multipart.NewReader(strings.NewReader(a.body), params["boundary"])
			for _, want := range []string{content[:5], content[100_000:700_000], content[len(content)-3:]} {
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

// Files asked for in one go come in order, behind and before what is no file; to
// a client of HTTP/1.0 and to one that has ended its side they come as well.
func TestContractFilesInOrder(t *testing.T) {
	little, much, more := pattern(1000), pattern(64<<10), pattern(9_000_000)
	files := map[string]string{"little.txt": little, "much.txt": much, "more.txt": more}
	play(t, fileTree(t, files), func(t *testing.T, s *stage) {
		p := s.dial()
		p.sendAside(strings.Repeat(ask("GET", "/little.txt")+ask("GET", "/much.txt")+ask("GET", "/none")+ask("HEAD", "/more.txt")+
			ask("GET", "/more.txt")+ask("GET", "/more.txt", "Range: bytes=5-70000"), 3))
		for range 3 {
			p.expectAnswer(200, little)
			p.expectAnswer(200, much)
			p.expectAnswer(404, "404 page not found\n")
			p.answer("HEAD")
			p.expectAnswer(200, more)
			p.expectAnswer(206, more[5:70_001])
		}
		old := s.dial()
		old.send(ask10("GET", "/more.txt"))
		if a := old.answer10("GET"); a.status != 200 || a.body != more {
			t.Errorf("HTTP/1.0: %d with %d bytes, want %d", a.status, len(a.body), len(more))
		}
		old.expectEnd()
		half := connectPeer(t, s.network, s.addr, 64<<10)
		half.send(ask("GET", "/more.txt"), ask("GET", "/much.txt"))
		half.halfClose()
		half.expectAnswer(200, more)
		half.expectAnswer(200, much)
		half.expectEnd()
	})
}

// A file's type is found by its first bytes, also when nothing says how long the answer
// is going to be.
func TestContractFileSniffed(t *testing.T) {
	content := "<html>" + pattern(100_000)
	name := sourceFile(t, content)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(name)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		if r.URL.Path == "/declared" {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		}
		if n, err := io.Copy(w, f); n != int64(len(content)) || err != nil {
			t.Errorf("%s: Copy = %d, %v", r.URL.Path, n, err)
		}
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		for _, path := range []string{"/declared", "/"} {
			p.send(ask("GET", path))
			if a := p.expectAnswer(200, content); a.get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("%s: Content-Type %q", path, a.get("Content-Type"))
			}
		}
	})
}

// What looks like a file and is none is read as any source.
func TestContractFileIsNone(t *testing.T) {
	const size = 200_000
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(size))
		var src io.Reader
		switch r.URL.Path {
		case "/device":
			f, err := os.Open("/dev/zero")
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			src = io.LimitReader(f, size)
		case "/pipe":
			out, in, err := os.Pipe()
			if err != nil {
				t.Error(err)
				return
			}
			defer out.Close()
			go func() {
				io.WriteString(in, strings.Repeat("\x00", size))
				in.Close()
			}()
			src = out
		}
		if n, err := io.Copy(w, src); n != size || err != nil {
			t.Errorf("%s: Copy = %d, %v", r.URL.Path, n, err)
		}
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		for _, path := range []string{"/device", "/pipe", "/device"} {
			p.send(ask("GET", path))
			p.expectAnswer(200, strings.Repeat("\x00", size))
		}
	})
}

// A file that becomes shorter while it is sent ends the connection; one that grows
// is sent as far as it was announced.
func TestContractFileChanges(t *testing.T) {
	const announced, shorter = 24 << 20, 12 << 20
	name := filepath.Join(t.TempDir(), "f")
	resize := func(t testing.TB, n int64) {
		if err := os.Truncate(name, n); err != nil {
			t.Error(err)
		}
	}
	os.WriteFile(name, nil, 0o600)
	copied := make(chan error, 1)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(name)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", fmt.Sprint(announced))
		n, err := io.CopyN(w, f, announced)
		if err == nil && n != announced {
			t.Errorf("CopyN = %d without an error", n)
		}
		copied <- err
	})
	play(t, handler, func(t *testing.T, s *stage) {
		resize(t, announced)
		p := connectPeer(t, s.network, s.addr, 64<<10)
		p.send(smallRequest)
		p.r.Peek(1)
		resize(t, announced+1000)
		if a := p.answer("GET"); len(a.body) != announced {
			t.Errorf("%d bytes of a file that grew, want %d", len(a.body), announced)
		}
		if err := expect(t, "CopyN", copied); err != nil {
			t.Errorf("CopyN of a file that grew: %v", err)
		}
		p.send(smallRequest)
		p.r.Peek(1)
		resize(t, shorter)
		if a, err := readAnswer(p.r, "GET"); !errors.Is(err, io.ErrUnexpectedEOF) || len(a.body) < shorter {
			t.Errorf("a file that became shorter: %v, want %v", err, io.ErrUnexpectedEOF)
		}
		if err := expect(t, "CopyN", copied); !errors.Is(err, io.EOF) {
			t.Errorf("CopyN of a file that became shorter: %v, want %v", err, io.EOF)
		}
		p.rest()
	})
}

// A client that goes away in the middle of a file, or takes nothing until the
// deadline, is the end of the copying, too.
func TestContractFileNotTaken(t *testing.T) {
	const size = 64 << 20
	name := hollow(t, size)
	copied := make(chan error, 1)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(name)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		if r.URL.Path == "/deadline" {
			http.NewResponseController(w).SetWriteDeadline(time.Now().Add(tick))
		}
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", fmt.Sprint(size))
		_, err = io.Copy(w, f)
		copied <- err
	})
	play(t, handler, func(t *testing.T, s *stage) {
		for range 2 {
			p := connectPeer(t, s.network, s.addr, 64<<10)
			p.send(ask("GET", "/"))
			p.r.Discard(100_000)
			p.reset()
			if err := expect(t, "Copy", copied); err == nil {
				t.Error("Copy of a file to a client that is gone: no error")
			}
			p = connectPeer(t, s.network, s.addr, 64<<10)
			p.send(ask("GET", "/deadline"))
			if err := expect(t, "Copy", copied); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Copy of a file to a client that takes nothing: %v, want a timeout", err)
			}
			if a, err := readAnswer(p.r, "GET"); err == nil {
				t.Errorf("the client got a whole answer of %d bytes", len(a.body))
			}
		}
	})
}
