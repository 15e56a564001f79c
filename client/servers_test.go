package client_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringkit/ringkit"
	"github.com/ringkit/ringkit/client"
	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/uring"
)

// Clients on each engine against real servers: nginx, and this project's on each engine.

func onEngines(t *testing.T, f func(t *testing.T, e conn.Engine)) {
	for _, e := range []conn.Engine{conn.IOUring, conn.Epoll} {
		t.Run(e.String(), func(t *testing.T) {
			if err := uring.Probe().Err; e == conn.IOUring && err != nil {
				t.Skip(err)
			}
			f(t, e)
		})
	}
}

func newClient(t *testing.T, e conn.Engine) (*client.Client, *client.Transport) {
	tr := &client.Transport{Engine: e, Loops: 2}
	t.Cleanup(func() { tr.Close() })
	return &client.Client{Transport: tr}, tr
}

const nginxConf = `
daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 256; }
http {
	access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	client_max_body_size 100m; keepalive_requests 50; gzip on; gzip_min_length 1; gzip_types *;
	default_type text/plain; types { text/html html; }
	server {
		listen %[2]s; root %[1]s/www;
		location /hello { return 200 "Hello, World!"; }
		location /moved { return 301 /hello; }
		location /put/ { dav_methods PUT DELETE; client_body_in_file_only off; }
		location /close { keepalive_timeout 0; return 200 "bye"; }
	}
}
`

// startNginx runs nginx with a directory of files and returns its URL.
func startNginx(t *testing.T) (url, dir string) {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		if path = "/usr/sbin/nginx"; !exists(path) {
			t.Skip("there is no nginx")
		}
	}
	dir = t.TempDir()
	os.Chmod(dir, 0o755)
	if err := os.MkdirAll(filepath.Join(dir, "www", "put"), 0o777); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	conf := filepath.Join(dir, "nginx.conf")
	user := ""
	if os.Getuid() == 0 {
		user = "user root;"
	}
	if err := os.WriteFile(conf, fmt.Appendf(nil, user+nginxConf, dir, addr), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-c", conf, "-p", dir, "-e", filepath.Join(dir, "error.log"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return "http://" + addr, filepath.Join(dir, "www")
		}
		if time.Now().After(end) {
			t.Fatalf("nginx does not listen: %s", out.String())
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func do(t *testing.T, c *client.Client, method, url string, body io.Reader, header ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, b
}

func TestNginx(t *testing.T) {
	url, dir := startNginx(t)
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	if err := os.WriteFile(filepath.Join(dir, "big.bin"), big, 0o644); err != nil {
		t.Fatal(err)
	}
	onEngines(t, func(t *testing.T, e conn.Engine) {
		c, tr := newClient(t, e)
		if resp, b := do(t, c, "GET", url+"/moved", nil); string(b) != "Hello, World!" || len(client.Visited(resp)) != 2 {
			t.Errorf("%q, %v", b, client.Visited(resp))
		}
		if resp, b := do(t, c, "GET", url+"/big.bin", nil); !bytes.Equal(b, big) || !resp.Uncompressed {
			t.Errorf("%d bytes, %+v", len(b), resp)
		}
		if resp, b := do(t, c, "GET", url+"/big.bin", nil, "Range", "bytes=5-9"); string(b) != "56789" || resp.StatusCode != 206 {
			t.Errorf("%q, %v", b, resp.Status)
		}
		if resp, b := do(t, c, "HEAD", url+"/big.bin", nil, "Accept-Encoding", "identity"); len(b) != 0 || resp.ContentLength != int64(len(big)) {
			t.Errorf("%q, %v", b, resp.ContentLength)
		}
		if resp, _ := do(t, c, "GET", url+"/missing", nil); resp.StatusCode != 404 {
			t.Errorf("%v", resp.Status)
		}
		if resp, _ := do(t, c, "POST", url+"/big.bin", strings.NewReader("x")); resp.StatusCode != 405 {
			t.Errorf("%v", resp.Status)
		}
		name := "/put/" + e.String()
		for _, body := range []io.Reader{bytes.NewReader(big), io.MultiReader(bytes.NewReader(big))} {
			if resp, b := do(t, c, "PUT", url+name, body); resp.StatusCode/100 != 2 {
				t.Logf("this nginx has no DAV: %v, %.100q", resp.Status, b)
				break
			}
			if _, b := do(t, c, "GET", url+name, nil); sha256.Sum256(b) != sha256.Sum256(big) {
				t.Errorf("%d bytes came back", len(b))
			}
		}
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for range 20 { // more than nginx allows on a connection
					resp, err := c.Get(context.Background(), url+"/hello")
					if err != nil {
						t.Error(err)
						return
					}
					if b, err := io.ReadAll(resp.Body); string(b) != "Hello, World!" || err != nil {
						t.Errorf("%q, %v", b, err)
					}
				}
			})
		}
		wg.Wait()
		do(t, c, "GET", url+"/close", nil)
		if s := tr.Stats(); s.Requests < 1280 || s.DialsFailed != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestOwnServer has both sides be ours, on every pair of engines: bodies of all kinds both
// ways, many at a time.
func TestOwnServer(t *testing.T) {
	onEngines(t, func(t *testing.T, server conn.Engine) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength >= 0 {
				w.Header().Set("Content-Length", fmt.Sprint(r.ContentLength))
			}
			http.NewResponseController(w).EnableFullDuplex()
			io.Copy(w, r.Body)
		})
		mux.HandleFunc("/gzip", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			io.Copy(z, r.Body)
			z.Close()
		})
		srv := &ringkit.Server{Engine: server, Handler: mux, MaxBodyBytes: 1 << 30}
		go srv.Serve(l)
		t.Cleanup(func() { srv.Close() })
		url := "http://" + l.Addr().String()
		onEngines(t, func(t *testing.T, e conn.Engine) {
			c, _ := newClient(t, e)
			var wg sync.WaitGroup
			for i := range 24 {
				wg.Go(func() {
					size := []int{0, 1, 1000, 64 << 10, 64<<10 + 1, 1 << 20, 5 << 20, 300}[i%8]
					body := bytes.Repeat([]byte{byte(i), 'x'}, size/2+1)[:size]
					var r io.Reader = bytes.NewReader(body)
					if i%3 == 0 {
						r = io.MultiReader(r) // in chunks
					}
					req, _ := http.NewRequest("POST", url+[]string{"/echo", "/gzip"}[i%2], r)
					resp, err := c.Do(req)
					if err != nil {
						t.Error(err)
						return
					}
					defer resp.Body.Close()
					if got, err := io.ReadAll(resp.Body); !bytes.Equal(got, body) || err != nil {
						t.Errorf("%d: %d of %d bytes, %v", i, len(got), len(body), err)
					}
				})
			}
			wg.Wait()
		})
	})
}
