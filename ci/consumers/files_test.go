package consumers

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"
)

var modified = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)

// site is a directory of files behind a mux.
func site(t *testing.T, big string) http.Handler {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"index.html": "<p>home", "a.txt": "0123456789", "big.bin": big, "sub/b.css": "p{}", "sub/c.json": "{}",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(dir)))
	mux.Handle("/static/", http.StripPrefix("/static/", http.FileServer(http.Dir(filepath.Join(dir, "sub")))))
	mux.Handle("/memory/", http.StripPrefix("/memory/", http.FileServerFS(fstest.MapFS{"m.txt": {Data: []byte("in memory"), ModTime: modified}})))
	mux.HandleFunc("/tagged", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		http.ServeFile(w, r, filepath.Join(dir, "a.txt"))
	})
	mux.HandleFunc("/copied", func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(filepath.Join(dir, "big.bin"))
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		io.WriteString(w, "head ") // before the file, of unknown length
		io.Copy(w, f)
	})
	return mux
}

func TestFileServer(t *testing.T) {
	date, later := modified.Format(http.TimeFormat), modified.Add(time.Hour).Format(http.TimeFormat)
	earlier := modified.Add(-time.Hour).Format(http.TimeFormat)
	requests := []struct {
		target string
		fields []string
		status int
		body   string
		field  string // "Name: value" of the answer
	}{
		{"/", nil, 200, "<p>home", "Content-Type: text/html; charset=utf-8"},
		{"/index.html", nil, 301, "", "Location: ./"},
		{"/a.txt", nil, 200, "0123456789", "Last-Modified: " + date},
		{"/a.txt", []string{"Range", "bytes=2-4"}, 206, "234", "Content-Range: bytes 2-4/10"},
		{"/a.txt", []string{"Range", "bytes=-3"}, 206, "789", "Content-Length: 3"},
		{"/a.txt", []string{"Range", "bytes=8-"}, 206, "89", "Content-Range: bytes 8-9/10"},
		{"/a.txt", []string{"Range", "bytes=10-"}, 416, "invalid range: failed to overlap\n", "Content-Range: bytes */10"},
		{"/a.txt", []string{"If-Modified-Since", date}, 304, "", "Last-Modified: " + date},
		{"/a.txt", []string{"If-Modified-Since", earlier}, 200, "0123456789", "Accept-Ranges: bytes"},
		{"/a.txt", []string{"If-Unmodified-Since", earlier}, 412, "", ""},
		{"/a.txt", []string{"If-Range", date, "Range", "bytes=0-0"}, 206, "0", ""},
		{"/a.txt", []string{"If-Range", later, "Range", "bytes=0-0"}, 200, "0123456789", ""},
		{"/tagged", []string{"If-None-Match", `"v0", W/"v1"`}, 304, "", `ETag: "v1"`},
		{"/tagged", []string{"If-None-Match", `"v2"`}, 200, "0123456789", `ETag: "v1"`},
		{"/tagged", []string{"If-Match", `"v2"`}, 412, "", ""},
		{"/tagged", []string{"If-Range", `"v1"`, "Range", "bytes=9-9"}, 206, "9", ""},
		{"/sub", nil, 301, "", "Location: sub/"},
		{"/static/b.css", nil, 200, "p{}", "Content-Type: text/css; charset=utf-8"},
		{"/memory/m.txt", []string{"Range", "bytes=3-"}, 206, "memory", ""},
		{"/none.txt", nil, 404, "404 page not found\n", "X-Content-Type-Options: nosniff"},
		{"/../../etc/passwd", nil, 404, "404 page not found\n", ""},
	}
	eachServer(t, func(t *testing.T, s server) {
		url := s.serve(t, site(t, "")).url
		c := newClient(t)
		c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		for _, r := range requests {
			target := r.target
			if strings.Contains(target, "..") {
				target = strings.ReplaceAll(target, "..", "%2e%2e") // the mux would redirect
			}
			a := c.get(url+target, r.fields...)
			a.want(t, r.status, r.body)
			if name, value, ok := strings.Cut(r.field, ": "); ok {
				a.wantField(t, name, value)
			}
		}
		head := c.do("HEAD", url+"/a.txt", nil)
		head.want(t, 200, "")
		if head.ContentLength != 10 {
			t.Errorf("HEAD: length %d", head.ContentLength)
		}
		if list := c.get(url + "/sub/"); !strings.Contains(list.body, `<a href="c.json">c.json</a>`) {
			t.Errorf("listing: %q", list.body)
		}
	})
}

func TestFileServerManyRanges(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		a := newClient(t).get(s.serve(t, site(t, "")).url+"/a.txt", "Range", "bytes=0-1,4-5,-1")
		kind, params, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
		if a.StatusCode != 206 || kind != "multipart/byteranges" || err != nil {
			t.Fatalf("%s, %s, %v", a.Status, kind, err)
		}
		parts := multipart.NewReader(strings.NewReader(a.body), params["boundary"])
		for _, want := range []string{"01", "45", "9"} {
			part, err := parts.NextPart()
			if err != nil {
				t.Fatal(err)
			}
			if p, err := io.ReadAll(part); err != nil || string(p) != want {
				t.Errorf("%q, %v; want %q", p, err, want)
			}
		}
	})
}

// Large files, to several clients at once, some of which do not wait for the end.
func TestFileServerLarge(t *testing.T) {
	big := pattern(12 << 20)
	whole := sha256.Sum256([]byte(big))
	eachServer(t, func(t *testing.T, s server) {
		url := s.serve(t, site(t, big)).url
		c := newClient(t)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				if err := fetch(c, url+"/big.bin", whole, i == 1); err != nil {
					t.Errorf("client %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		c.get(url+"/big.bin", "Range", "bytes=5000000-9999999").want(t, 206, big[5_000_000:10_000_000])
		c.get(url+"/copied").want(t, 200, "head "+big)
	})
}

// fetch compares an answer with a sum, or leaves in the middle.
func fetch(c *client, url string, sum [32]byte, leave bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if leave {
		_, err := io.CopyN(io.Discard, resp.Body, 100_000)
		return err
	}
	hash := sha256.New()
	if n, err := io.Copy(hash, resp.Body); err != nil || n != resp.ContentLength || [32]byte(hash.Sum(nil)) != sum {
		return fmt.Errorf("%d bytes of %d, %v, or others", n, resp.ContentLength, err)
	}
	return nil
}
