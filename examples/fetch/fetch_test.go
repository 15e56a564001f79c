package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// fetch runs the program.
func fetch(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var out, said bytes.Buffer
	code = run(ctx, args, strings.NewReader(stdin), &out, &said)
	return code, out.String(), said.String()
}

// serve starts a server that tells what it was sent.
func serve(t *testing.T) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %q %s %s", r.Method, r.Host, r.URL.Path, r.Header["X-Test"], r.Header.Get("Content-Type"), body)
	})
	mux.HandleFunc("/big/", func(w http.ResponseWriter, r *http.Request) { w.Write(bytes.Repeat([]byte("x"), 1<<20)) })
	mux.HandleFunc("/cut/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "short")
	})
	mux.Handle("/moved/", http.RedirectHandler("/echo/there", http.StatusFound))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

func TestBody(t *testing.T) {
	srv := serve(t)
	host := strings.TrimPrefix(srv.URL, "http://")
	data := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(data, []byte("of a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{srv.URL + "/echo/"}, "GET " + host + " /echo/ []  "},
		{[]string{host + "/echo/a"}, "GET " + host + " /echo/a []  "},
		{[]string{"-X", "DELETE", "-H", "X-Test: 1", "-H", "X-Test:2", srv.URL + "/echo/"}, "DELETE " + host + ` /echo/ ["1" "2"]  `},
		{[]string{"-H", "Host: example.com", srv.URL + "/echo/"}, "GET example.com /echo/ []  "},
		{[]string{"-d", "a=b", srv.URL + "/echo/"}, "POST " + host + " /echo/ [] application/x-www-form-urlencoded a=b"},
		{[]string{"-d", "@" + data, "-X", "PUT", "-H", "Content-Type: text/plain", srv.URL + "/echo/"}, "PUT " + host + " /echo/ [] text/plain of a file"},
		{[]string{"-d", "@-", srv.URL + "/echo/"}, "POST " + host + " /echo/ [] application/x-www-form-urlencoded standard input"},
		{[]string{"-L", srv.URL + "/moved/"}, "GET " + host + " /echo/there []  "},
	} {
		if code, out, said := fetch(t, "standard input", test.args...); code != allFetched || out != test.want {
			t.Errorf("%q: %d, %q, want %q; %s", test.args, code, out, test.want, said)
		}
	}
}

func TestHead(t *testing.T) {
	code, out, said := fetch(t, "", "-i", serve(t).URL+"/moved/")
	if code != allFetched || !strings.HasPrefix(out, "HTTP/1.1 302 Found\r\n") || !strings.Contains(out, "Location: /echo/there\r\n") || !strings.Contains(out, "\r\n\r\n<a href") {
		t.Errorf("%d, %q, %s", code, out, said)
	}
	if !strings.Contains(said, "/moved/: 302, ") {
		t.Errorf("said %q", said)
	}
	if _, _, said := fetch(t, "", "-s", serve(t).URL+"/echo/"); said != "" {
		t.Errorf("-s: said %q", said)
	}
}

func TestFiles(t *testing.T) {
	srv := serve(t)
	t.Chdir(t.TempDir())
	code, out, said := fetch(t, srv.URL+"/big/1\n\n "+srv.URL+"/big/two%20words \n", "-O", "-P", "2")
	if code != allFetched || out != "" || strings.Count(said, ": 200, 1.0 MiB in ") != 2 {
		t.Errorf("%d, %q, %s", code, out, said)
	}
	for _, name := range []string{"1", "two words"} {
		if info, err := os.Stat(name); err != nil || info.Size() != 1<<20 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if code, _, said := fetch(t, "", "-o", os.DevNull, srv.URL+"/big/"); code != allFetched {
		t.Error(said)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("the null device is %v, %v", info, err)
	}
	files(t, "1", "two words")
}

// files checks which files there are.
func files(t *testing.T, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if fmt.Sprint(names) != fmt.Sprint(want) {
		t.Errorf("the files %q, want %q", names, want)
	}
}

// What fails is said, and leaves files as they were.
func TestFailures(t *testing.T) {
	srv := serve(t)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("old", []byte("as it was"), 0o600); err != nil {
		t.Fatal(err)
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-o", "old", srv.URL + "/cut/"}, "read body: "},
		{[]string{"-o", "new", srv.URL + "/cut/"}, "read body: "},
		{[]string{"-o", "new", closed.URL}, "connection refused"},
		{[]string{"-f", "-o", "new", srv.URL + "/nothing"}, "status 404 Not Found"},
		{[]string{"-o", "new", "ftp://127.0.0.1/"}, "neither http nor https"},
		{[]string{"-o", "no/such/directory", srv.URL + "/echo/"}, "no such file"},
		{[]string{"-proxy", closed.URL, srv.URL + "/echo/"}, "connection refused"},
	} {
		code, _, said := fetch(t, "", test.args...)
		if code != someFailed || !strings.Contains(said, test.want) || !strings.HasPrefix(said, "fetch: ") {
			t.Errorf("%q: %d, %q, want %q in it", test.args, code, said, test.want)
		}
	}
	files(t, "old")
	if old, err := os.ReadFile("old"); string(old) != "as it was" {
		t.Errorf("the old file has %q, %v", old, err)
	}
	// One that fails does not keep the others from being fetched.
	code, out, _ := fetch(t, "", closed.URL, srv.URL+"/echo/")
	if code != someFailed || !strings.HasPrefix(out, "GET ") {
		t.Errorf("%d, %q", code, out)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"-o", "x", "a", "b"},
		{"-o", "x", "-O", "a/b"},
		{"-O", "example.com/"},
		{"-O", "example.com/..%2fx"},
		{"-O", "a.example/x", "b.example/x"},
		{"-P", "0", "a"},
		{"-H", "nothing", "a"},
		{"-d", "@/nonexistent", "a"},
		{"-d", "@-"},
		{"-timeout", "-1s", "a"},
		{"http://[a/"},
		{"-x"},
	} {
		if code, _, said := fetch(t, "", args...); code != wrongUsage || !strings.HasPrefix(said, "fetch: ") {
			t.Errorf("%q: %d, %q", args, code, said)
		}
	}
	if code, _, said := fetch(t, "", "-h"); code != allFetched || !strings.Contains(said, "-insecure") {
		t.Errorf("-h: %d, %q", code, said)
	}
}

func TestTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "secret") }))
	srv.Config.ErrorLog = quiet
	srv.StartTLS()
	defer srv.Close()
	if code, _, said := fetch(t, "", srv.URL); code != someFailed || !strings.Contains(said, "certificate") {
		t.Errorf("%d, %s", code, said)
	}
	if code, out, said := fetch(t, "", "-insecure", srv.URL); code != allFetched || out != "secret" {
		t.Errorf("%d, %q, %s", code, out, said)
	}
}

// An interrupt ends what is under way, and nothing else is begun.
func TestInterrupt(t *testing.T) {
	t.Chdir(t.TempDir())
	var begun sync.WaitGroup
	begun.Add(2)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(make([]byte, 1<<20))
		w.(http.Flusher).Flush()
		begun.Done()
		<-r.Context().Done()
	}))
	defer srv.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		begun.Wait()
		cancel()
	}()
	var said bytes.Buffer
	code := run(ctx, []string{"-P", "2", "-O", srv.URL + "/1", srv.URL + "/2", srv.URL + "/3"}, nil, io.Discard, &said)
	if code != someFailed || !strings.Contains(said.String(), "interrupted: 3 of 3 not fetched") {
		t.Errorf("%d, %s", code, &said)
	}
	files(t)
}

func TestProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "for "+r.RequestURI) }))
	defer proxy.Close()
	code, out, said := fetch(t, "", "-proxy", proxy.URL, "http://host.example/path")
	if code != allFetched || out != "for http://host.example/path" {
		t.Errorf("%d, %q, %s", code, out, said)
	}
}

func TestTimeout(t *testing.T) {
	over := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-over }))
	defer srv.Close()
	defer close(over)
	if code, _, said := fetch(t, "", "-timeout", "50ms", srv.URL); code != someFailed || !strings.Contains(said, "too long") {
		t.Errorf("%d, %s", code, said)
	}
}
