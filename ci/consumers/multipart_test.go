package consumers

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
)

// forms takes uploads in the two ways there are.
func forms() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /parsed", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1 << 20); err != nil { // the rest goes to temporary files
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		defer r.MultipartForm.RemoveAll()
		fmt.Fprintf(w, "title=%s", r.FormValue("title"))
		for _, header := range r.MultipartForm.File["file"] {
			f, err := header.Open()
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			fmt.Fprintf(w, " %s:%s", header.Filename, sumOf(f))
			f.Close()
		}
	})
	mux.HandleFunc("POST /read", func(w http.ResponseWriter, r *http.Request) {
		parts, err := r.MultipartReader()
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for {
			part, err := parts.NextPart()
			if err == io.EOF {
				return
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			if part.FileName() == "" {
				p, _ := io.ReadAll(part)
				fmt.Fprintf(w, "%s=%s", part.FormName(), p)
				continue
			}
			fmt.Fprintf(w, " %s:%s", part.FileName(), sumOf(part))
		}
	})
	return mux
}

func sumOf(r io.Reader) string {
	hash := sha256.New()
	n, err := io.Copy(hash, r)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d:%x", n, hash.Sum(nil)[:8])
}

// writeForm writes a form with files of the given sizes.
func writeForm(to io.Writer, boundary string, sizes ...int) error {
	m := multipart.NewWriter(to)
	errs := []error{m.SetBoundary(boundary), m.WriteField("title", "files")}
	for i, n := range sizes {
		part, err := m.CreateFormFile("file", fmt.Sprintf("f%d.bin", i))
		if err != nil {
			return err
		}
		_, err = io.WriteString(part, pattern(n))
		errs = append(errs, err)
	}
	return errors.Join(append(errs, m.Close())...)
}

func TestMultipart(t *testing.T) {
	const boundary = "a-boundary-of-parts"
	sizes := []int{5 << 20, 0, 100, 2 << 20}
	var whole strings.Builder
	if err := writeForm(&whole, boundary, sizes...); err != nil {
		t.Fatal(err)
	}
	want := "title=files"
	for i, n := range sizes {
		want += fmt.Sprintf(" f%d.bin:%s", i, sumOf(strings.NewReader(pattern(n))))
	}
	eachServer(t, func(t *testing.T, s server) {
		url := s.serve(t, forms()).url
		c := newClient(t)
		for _, target := range []string{"/parsed", "/read"} {
			c.do("POST", url+target, strings.NewReader(whole.String()),
				"Content-Type", "multipart/form-data; boundary="+boundary).want(t, 200, want)
			// Made while it is sent, so it has no length.
			pr, pw := io.Pipe()
			go func() { pw.CloseWithError(writeForm(pw, boundary, sizes...)) }()
			c.do("POST", url+target, pr, "Content-Type", "multipart/form-data; boundary="+boundary).want(t, 200, want)
			// Cut off, though complete as HTTP.
			if a := c.do("POST", url+target, strings.NewReader(whole.String()[:3<<20]),
				"Content-Type", "multipart/form-data; boundary="+boundary); !strings.Contains(a.body, "unexpected EOF") {
				t.Errorf("%s cut off: %s %q", target, a.Status, a.body)
			}
		}
		c.do("POST", url+"/read", strings.NewReader("x")).want(t, 400, "request Content-Type isn't multipart/form-data\n")
	})
}
