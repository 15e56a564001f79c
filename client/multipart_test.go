package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ringkit/ringkit/client"
)

// request makes a request of m.
func request(t testing.TB, m *client.Multipart) *http.Request {
	t.Helper()
	r, err := m.NewRequest(t.Context(), "POST", "http://a.example/upload")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// partOf is a part as a server finds it.
type partOf struct{ name, file, kind, content string }

// partsOf returns the parts of a body, as mime/multipart finds them.
func partsOf(t testing.TB, r *http.Request, body []byte) []partOf {
	t.Helper()
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "multipart/form-data" {
		t.Fatalf("%q: %v", r.Header, err)
	}
	var parts []partOf
	reader := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for {
		p, err := reader.NextRawPart()
		if err == io.EOF {
			return parts
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, partOf{p.FormName(), p.FileName(), p.Header.Get("Content-Type"), string(content)})
	}
}

// file makes a file.
func file(t testing.TB, name, content string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestMultipart(t *testing.T) {
	moved := strings.NewReader("not this, but this")
	if _, err := moved.Seek(10, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	var m client.Multipart
	m.AddField("title", "Beach")
	m.AddField("", "")
	m.AddFile("picture", "beach.png", bytes.NewReader([]byte{0x89, 'P', 'N', 'G'}))
	m.AddFile("notes", "", file(t, "notes.unknown", "a file"))
	m.AddPart(client.Part{Name: "json", ContentType: "application/json", Content: moved})
	m.AddPart(client.Part{Name: "nothing", FileName: "nothing.txt", ContentType: "text/plain"})
	want := []partOf{
		{"title", "", "", "Beach"},
		{"", "", "", ""},
		{"picture", "beach.png", "image/png", "\x89PNG"},
		{"notes", "notes.unknown", "application/octet-stream", "a file"},
		{"json", "", "application/json", "but this"},
		{"nothing", "nothing.txt", "text/plain", ""},
	}
	r := request(t, &m)
	first, err := io.ReadAll(iotest.OneByteReader(r.Body))
	if err != nil {
		t.Fatal(err)
	}
	if got := partsOf(t, r, first); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if r.ContentLength != int64(len(first)) {
		t.Errorf("Content-Length is %d, of %d bytes", r.ContentLength, len(first))
	}
	m.AddField("later", "not in the requests before")
	again, err := r.GetBody()
	if err != nil {
		t.Fatal(err)
	}
	if second, err := io.ReadAll(again); err != nil || !bytes.Equal(first, second) {
		t.Errorf("again: %d bytes, %v", len(second), err)
	}
	if rest, _ := io.ReadAll(moved); string(rest) != "but this" {
		t.Errorf("content has been moved: %q is left", rest)
	}
	if parts := partsOf(t, r, must(io.ReadAll(request(t, &m).Body))); len(parts) != len(want)+1 {
		t.Errorf("another request has %q", parts)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Content that can be read once is sent once.
func TestMultipartOnce(t *testing.T) {
	for name, part := range map[string]client.Part{
		"unknown":          {Content: iotest.HalfReader(strings.NewReader("content"))},
		"with a size":      {Content: iotest.HalfReader(strings.NewReader("content")), Size: 7},
		"bytes.Buffer":     {Content: bytes.NewBufferString("content")},
		"an end with data": {Content: iotest.DataErrReader(strings.NewReader("content")), Size: 7},
	} {
		var m client.Multipart
		m.AddPart(part)
		r := request(t, &m)
		body, err := io.ReadAll(r.Body)
		if err != nil || !strings.Contains(string(body), "\r\n\r\ncontent\r\n--") {
			t.Errorf("%s: %q, %v", name, body, err)
		}
		known := name != "unknown"
		if r.GetBody != nil || known != (r.ContentLength == int64(len(body))) || !known && r.ContentLength != -1 {
			t.Errorf("%s: Content-Length %d of %d", name, r.ContentLength, len(body))
		}
		if _, err := m.NewRequest(t.Context(), "POST", "http://a.example/"); err == nil {
			t.Errorf("%s: another request", name)
		}
	}
}

// As much is sent of a content as was said, or there is an error.
func TestMultipartSizes(t *testing.T) {
	for _, size := range []int64{1, 6, 7, 8, 1 << 40} {
		for name, content := range map[string]io.Reader{
			"stream": io.MultiReader(strings.NewReader("con"), strings.NewReader("tent")),
			"reader": strings.NewReader("content"),
		} {
			var m client.Multipart
			m.AddPart(client.Part{Content: content, Size: size})
			r := request(t, &m)
			body, err := io.ReadAll(r.Body)
			if size > 7 && !errors.Is(err, io.ErrUnexpectedEOF) || size <= 7 && (err != nil || int64(len(body)) != r.ContentLength) {
				t.Errorf("%s of size %d: %q, %v", name, size, body, err)
			}
		}
	}
	// A file that is cut short while it is sent.
	f := file(t, "shrinks", "content")
	var m client.Multipart
	m.AddFile("file", "", f)
	if err := os.Truncate(f.Name(), 3); err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(request(t, &m).Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("shorter file: %q, %v", body, err)
	}
}

// A pipe has no size, though it is an *os.File.
func TestMultipartPipe(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := out.WriteString("content"); err != nil {
		t.Fatal(err)
	}
	out.Close()
	var m client.Multipart
	m.AddFile("pipe", "name", in)
	r := request(t, &m)
	body, err := io.ReadAll(r.Body)
	if err != nil || r.ContentLength != -1 || !strings.Contains(string(body), "\r\n\r\ncontent\r\n") {
		t.Errorf("Content-Length %d, %q, %v", r.ContentLength, body, err)
	}
}

// Files of /proc are regular, and of no size until they are read.
func TestMultipartProc(t *testing.T) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var m client.Multipart
	m.AddFile("status", "", f)
	body, err := io.ReadAll(request(t, &m).Body)
	if err != nil || !strings.Contains(string(body), "\nPid:") {
		t.Errorf("%q, %v", body, err)
	}
}

// HTML standard, section 4.10.21.8.
func TestMultipartNames(t *testing.T) {
	for _, test := range []struct{ name, file, want string }{
		{"a", "b", `name="a"; filename="b"`},
		{`a"b`, `c"d`, `name="a%22b"; filename="c%22d"`},
		{`a\b%22`, `c\d%0A`, `name="a\b%22"; filename="c\d%0A"`},
		{"a\nb\rc\r\nd", "a\nb\rc\r\nd", `name="a%0D%0Ab%0D%0Ac%0D%0Ad"; filename="a%0Ab%0Dc%0D%0Ad"`},
		{"\u00e9", "\u20ac;=", "name=\"\u00e9\"; filename=\"\u20ac;=\""},
	} {
		var m client.Multipart
		m.AddPart(client.Part{Name: test.name, FileName: test.file, ContentType: "x/y"})
		body := string(must(io.ReadAll(request(t, &m).Body)))
		want := "\r\nContent-Disposition: form-data; " + test.want + "\r\nContent-Type: x/y\r\n\r\n\r\n--"
		if !strings.Contains(body, want) {
			t.Errorf("%q, %q: got %q, want %q", test.name, test.file, body, want)
		}
	}
}

func TestMultipartErrors(t *testing.T) {
	for name, part := range map[string]client.Part{
		"type": {ContentType: "text/plain\r\nX: y"},
		"size": {Size: -1, Content: strings.NewReader("x")},
	} {
		var m client.Multipart
		m.AddPart(part)
		m.AddField("a", "b")
		if _, err := m.NewRequest(t.Context(), "POST", "http://a.example/"); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	broken := errors.New("the disk is gone")
	for _, size := range []int64{0, 100} {
		var m client.Multipart
		m.AddPart(client.Part{Content: iotest.ErrReader(broken), Size: size})
		if _, err := io.ReadAll(request(t, &m).Body); err != broken {
			t.Errorf("content that fails: %v", err)
		}
	}
	var m client.Multipart
	if _, err := m.NewRequest(t.Context(), "POST", "http://a b/"); err == nil {
		t.Error("no error for the URL")
	}
	r := request(t, &m)
	r.Body.Close()
	if _, err := r.Body.Read(make([]byte, 1)); err != http.ErrBodyReadAfterClose {
		t.Errorf("after Close: %v", err)
	}
}

// A server of net/http reads it, and nothing of the file stays in memory.
func TestMultipartStreams(t *testing.T) {
	const size = 64 << 20
	var m client.Multipart
	m.AddPart(client.Part{Name: "file", FileName: "big", Content: io.LimitReader(endless{}, size), Size: size})
	r := request(t, &m)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	reader, err := r.MultipartReader()
	if err != nil {
		t.Fatal(err)
	}
	p, err := reader.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, p)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; n != size || err != nil || used > 1<<20 {
		t.Errorf("%d bytes, %v; took %d bytes", n, err, used)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func ExampleMultipart() {
	var form client.Multipart
	form.AddField("title", "Beach")
	form.AddFile("picture", "beach.jpg", strings.NewReader("all the bytes of it")) // or an *os.File
	r, err := form.NewRequest(context.Background(), "POST", "https://a.example/pictures")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.ContentLength > 0, r.GetBody != nil)
	if err := r.ParseMultipartForm(1 << 20); err != nil { // as the server does
		fmt.Println(err)
		return
	}
	fmt.Println(r.PostForm["title"], r.MultipartForm.File["picture"][0].Filename)
	// Output:
	// true true
	// [Beach] beach.jpg
}

func FuzzMultipart(f *testing.F) {
	f.Add("name", "file", "content", true)
	f.Add("a\r\nb", "\"\n", "--ringkit-\r\n", false)
	f.Fuzz(func(t *testing.T, name, fileName, content string, known bool) {
		var body io.Reader = strings.NewReader(content)
		if !known {
			body = iotest.HalfReader(body)
		}
		var m client.Multipart
		m.AddPart(client.Part{Name: name, FileName: fileName, ContentType: "x/y", Content: body})
		m.AddField("end", "of it")
		r := request(t, &m)
		sent, err := io.ReadAll(r.Body)
		if err != nil || known && int64(len(sent)) != r.ContentLength {
			t.Fatalf("%d bytes of %d, %v", len(sent), r.ContentLength, err)
		}
		boundary := strings.TrimPrefix(r.Header.Get("Content-Type"), "multipart/form-data; boundary=")
		sections := strings.Split(string(sent), "--"+boundary)
		if len(sections) != 4 || sections[3] != "--\r\n" {
			t.Fatalf("%q", sent)
		}
		head, rest, _ := strings.Cut(sections[1], "\r\n\r\n")
		if strings.Count(head, "\r\n") != 2 || rest != content+"\r\n" {
			t.Fatalf("%q", sent)
		}
	})
}
