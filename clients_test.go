package ringkit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// filesAndForms is the kind of program that moves over from net/http: files,
// redirects, uploads.
func filesAndForms(t testing.TB, content string) http.Handler {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "big.bin"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/files/", http.StripPrefix("/files/", http.FileServer(http.Dir(dir))))
	mux.HandleFunc("/content", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "a.txt", time.Unix(1e9, 0), strings.NewReader(content))
	})
	mux.HandleFunc("POST /upload", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, err := io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%d %x %v", n, sum.Sum(nil), err)
	})
	mux.HandleFunc("POST /form", func(w http.ResponseWriter, r *http.Request) {
		file, header, err := r.FormFile("file")
		if err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		defer file.Close()
		n, _ := io.Copy(io.Discard, file)
		fmt.Fprintf(w, "%s %d %s", header.Filename, n, r.FormValue("field"))
	})
	mux.Handle("/old/", http.RedirectHandler("/new", http.StatusMovedPermanently))
	mux.Handle("POST /temporary", http.RedirectHandler("/upload", http.StatusTemporaryRedirect))
	mux.HandleFunc("/new", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "new") })
	return mux
}

func uploaded(body string) string {
	return fmt.Sprintf("%d %x <nil>", len(body), sha256.Sum256([]byte(body)))
}

// net/http's client, with all it does by itself.
func TestStandardClient(t *testing.T) {
	content := pattern(2 << 20)
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: filesAndForms(t, content)})
		transport := &http.Transport{ExpectContinueTimeout: patience, TLSClientConfig: testTrust()}
		client := &http.Client{Transport: transport, Timeout: patience}
		defer transport.CloseIdleConnections()
		do := func(req *http.Request, status int) (string, http.Header) {
			t.Helper()
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != status {
				t.Errorf("%s %s: %d, %v; want %d", req.Method, req.URL, resp.StatusCode, err, status)
			}
			return string(body), resp.Header
		}
		request := func(method, path string, body io.Reader, fields ...string) *http.Request {
			req, err := http.NewRequest(method, s.url(path), body)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(fields); i += 2 {
				req.Header.Set(fields[i], fields[i+1])
			}
			return req
		}

		for _, path := range []string{"/files/big.bin", "/content"} {
			body, header := do(request("GET", path, nil), 200)
			if body != content {
				t.Errorf("%s: %d bytes", path, len(body))
			}
			modified := header.Get("Last-Modified")
			do(request("GET", path, nil, "If-Modified-Since", modified), 304)
			do(request("GET", path, nil, "If-Unmodified-Since", "Mon, 01 Jan 1990 00:00:00 GMT"), 412)
			if body, header := do(request("GET", path, nil, "Range", "bytes=1000000-1999999"), 206); body != content[1_000_000:2_000_000] || header.Get("Content-Range") != fmt.Sprintf("bytes 1000000-1999999/%d", len(content)) {
				t.Errorf("%s: range of %d bytes, %q", path, len(body), header)
			}
			if body, header := do(request("GET", path, nil, "Range", "bytes=0-9,-10"), 206); !strings.Contains(body, content[:10]) || !strings.HasPrefix(header.Get("Content-Type"), "multipart/byteranges") {
				t.Errorf("%s: two ranges: %q, %q", path, short(body), header)
			}
			do(request("GET", path, nil, "Range", "bytes=99999999-"), 416)
			if body, header := do(request("HEAD", path, nil), 200); body != "" || header.Get("Content-Length") != fmt.Sprint(len(content)) {
				t.Errorf("%s: HEAD: %q", path, header)
			}
		}
		if body, _ := do(request("GET", "/old/page", nil), 200); body != "new" {
			t.Errorf("redirect: %q", body)
		}
		do(request("GET", "/nowhere", nil), 404)
		do(request("GET", "/upload", nil), 405)

		for _, fields := range [][]string{nil, {"Expect", "100-continue"}} {
			for _, path := range []string{"/upload", "/temporary"} {
				if body, _ := do(request("POST", path, strings.NewReader(content), fields...), 200); body != uploaded(content) {
					t.Errorf("upload to %s: %q", path, body)
				}
			}
			if body, _ := do(request("POST", "/upload", io.MultiReader(strings.NewReader(content)), fields...), 200); body != uploaded(content) {
				t.Errorf("chunked upload: %q", body)
			}
		}
		const form = "--b\r\nContent-Disposition: form-data; name=\"field\"\r\n\r\nvalue\r\n" +
			"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n%s\r\n--b--\r\n"
		if body, _ := do(request("POST", "/form", strings.NewReader(fmt.Sprintf(form, content)), "Content-Type", "multipart/form-data; boundary=b"), 200); body != fmt.Sprintf("a.txt %d value", len(content)) {
			t.Errorf("form: %q", body)
		}
	})
}

// The client of net/http uses one connection for requests that follow each other.
func TestStandardClientKeepsConnection(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: askers()})
		transport := &http.Transport{TLSClientConfig: testTrust()}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport, Timeout: patience}
		used := map[net.Conn]bool{}
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { used[i.Conn] = true }})
		for i := range 50 {
			req, err := http.NewRequestWithContext(ctx, "PUT", s.url([]string{"/fast", "/slow"}[i%2]), strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(resp.Body); err != nil || !strings.HasSuffix(string(body), " hello") {
				t.Errorf("answer %q, %v", body, err)
			}
			resp.Body.Close()
		}
		if len(used) != 1 {
			t.Errorf("%d connections for 50 requests", len(used))
		}
	})
}

// Many clients of net/http at the same time; some give up in the middle.
func TestStandardClientsAtTheSameTime(t *testing.T) {
	content := pattern(1 << 20)
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: filesAndForms(t, content)})
		transport := &http.Transport{MaxIdleConnsPerHost: 32, TLSClientConfig: testTrust()}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport, Timeout: patience}
		var all sync.WaitGroup
		for n := range 8 {
			all.Go(func() {
				for i := range 4 {
					ctx, cancel := context.WithCancel(t.Context())
					req, err := http.NewRequestWithContext(ctx, "GET", s.url("/files/big.bin"), nil)
					if err != nil {
						t.Error(err)
					}
					resp, err := client.Do(req)
					if err != nil {
						t.Error(err)
						cancel()
						return
					}
					if (n+i)%3 == 0 {
						io.CopyN(io.Discard, resp.Body, 1000)
						cancel()
						_, err := io.Copy(io.Discard, resp.Body)
						if err != nil && !errors.Is(err, context.Canceled) {
							t.Error(err)
						}
					} else if body, err := io.ReadAll(resp.Body); err != nil || string(body) != content {
						t.Errorf("%d bytes, %v", len(body), err)
					}
					resp.Body.Close()
					cancel()
				}
			})
		}
		within(t, "the clients", all.Wait)
	})
}

func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed")
	}
	content := pattern(3 << 20)
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: filesAndForms(t, content)})
		file := filepath.Join(t.TempDir(), "upload")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name string
			args []string
			want string
		}{
			{"download", []string{s.url("/files/big.bin")}, content},
			{"HTTP/1.0", []string{"--http1.0", s.url("/files/big.bin")}, content},
			{"resume", []string{"--continue-at", "1000000", s.url("/files/big.bin")}, content[1_000_000:]},
			{"redirect", []string{"--location", s.url("/old/")}, "new"},
			{"upload", []string{"--data-binary", "@" + file, s.url("/upload")}, uploaded(content)},
			{"upload that waits", []string{"--header", "Expect: 100-continue", "--expect100-timeout", "20", "--data-binary", "@" + file, s.url("/upload")}, uploaded(content)},
			{"chunked upload", []string{"--header", "Transfer-Encoding: chunked", "--data-binary", "@" + file, s.url("/upload")}, uploaded(content)},
			{"form", []string{"--form", "field=value", "--form", "file=@" + file, s.url("/form")}, fmt.Sprintf("upload %d value", len(content))},
			{"two on one connection", []string{s.url("/new"), s.url("/new")}, "newnew"},
			{"status", []string{"--output", os.DevNull, "--write-out", "%{http_code} %{num_connects}", s.url("/nowhere")}, "404 1"},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			cmd := exec.CommandContext(ctx, curl, append([]string{"--insecure", "--silent", "--show-error", "--noproxy", "*"}, c.args...)...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			cancel()
			if err != nil || string(out) != c.want {
				t.Errorf("%s: %q, %v, %s; want %q", c.name, short(string(out)), err, stderr.String(), short(c.want))
			}
		}
	})
}
