package ringkit

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// Long answers of native handlers: from a reader, an iterator and a file.
func TestExchangeSends(t *testing.T) {
	content := pattern(300_000)
	file := filepath.Join(t.TempDir(), "file.txt")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	native := HandlerFunc(func(x *Exchange) {
		x.SetHeader("X-Own", "yes")
		x.WriteString("is dropped")
		switch path := x.Path(); {
		case strings.HasSuffix(path, "/reader"):
			x.SetStatus(201)
			x.SendReader(strings.NewReader(content), -1)
		case strings.HasSuffix(path, "/sized"):
			x.SendReader(strings.NewReader(content+"more"), int64(len(content)))
		case strings.HasSuffix(path, "/chunks"):
			x.SendChunks(func(yield func([]byte) bool) {
				for _, p := range []string{"one ", "two ", "three"} {
					if !yield([]byte(p)) {
						return
					}
				}
			})
		case strings.HasSuffix(path, "/file"):
			x.SendFile(file)
		case strings.HasSuffix(path, "/short"):
			x.SendReader(strings.NewReader("short"), 10)
		default:
			x.SendReader(io.MultiReader(strings.NewReader(content), iotest.ErrReader(errors.New("broken"))), -1)
		}
	})
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: native})
		p := s.dial()
		for _, c := range []struct {
			path   string
			status int
			body   string
			length string
		}{
			{"/reader", 201, content, ""},
			{"/sized", 200, content, "300000"},
			{"/chunks", 200, "one two three", ""},
			{"/file", 200, content, "300000"},
		} {
			a := p.get(c.path)
			if a.status != c.status || a.body != c.body || a.get("Content-Length") != c.length || a.get("X-Own") != "yes" {
				t.Errorf("%s: %d %q %v", c.path, a.status, short(a.body), a.fields)
			}
		}
		p.send(ask("GET", "/file", "Range: bytes=5-9"))
		p.expectAnswer(206, content[5:10])
		for _, path := range []string{"/short", "/broken"} {
			p := s.dial()
			p.send(ask("GET", path))
			if _, err := readAnswer(p.r, "GET"); err == nil {
				t.Errorf("%s: an answer that was cut short looks whole", path)
			}
		}
	})
}
