package ringkit

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Kernel TLS, where the kernel has it: in the matrix of ci/kernels, for one. Every
// test of the engines runs over it, too; here is what is particular to it.

// eachKernelTLS runs a test on the engines over kernel TLS.
func eachKernelTLS(t *testing.T, test func(*testing.T, engine)) {
	onEngines(t, []engine{*engineNamed("uring over kernel TLS"), *engineNamed("epoll over kernel TLS")}, test)
}

// A kernel without it changes nothing.
func TestKernelTLSIsOptional(t *testing.T) {
	onEngines(t, []engine{*engineNamed("uring"), *engineNamed("epoll")}, func(t *testing.T, e engine) {
		e.secure, e.kernel = true, true // but not skipped
		s := serve(t, e, &Server{Handler: HandlerFunc(helloNative)})
		if a := s.dial().get("/"); a.body != "Hello, World!" {
			t.Errorf("%d %q", a.status, a.body)
		}
		want := uint64(1)
		if KernelTLS() != nil {
			want = 0
		}
		if got := s.Stats().KernelTLS; got != want {
			t.Errorf("%d connections, want %d: %v", got, want, KernelTLS())
		}
	})
}

// Who does not ask for it does not get it.
func TestKernelTLSIsOff(t *testing.T) {
	eachKernelTLS(t, func(t *testing.T, e engine) {
		e.kernel = false
		s := serve(t, e, &Server{Handler: HandlerFunc(helloNative)})
		s.dial().get("/")
		if n := s.Stats().KernelTLS; n != 0 {
			t.Errorf("%d connections", n)
		}
	})
}

// What is not TLS 1.3 with AES-GCM and the listener's configuration stays with
// crypto/tls.
func TestKernelTLSNotForAll(t *testing.T) {
	eachKernelTLS(t, func(t *testing.T, e engine) {
		other := serverConfig()
		cfg := serverConfig()
		cfg.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			if len(h.SupportedProtos) > 0 {
				return other, nil
			}
			return nil, nil
		}
		s := serve(t, e, &Server{Handler: HandlerFunc(helloNative), TLSConfig: cfg})
		for i, c := range []*tls.Config{
			{MaxVersion: tls.VersionTLS12},
			{NextProtos: []string{"http/1.1"}},
		} {
			if a := s.spoken(c).get("/"); a.body != "Hello, World!" {
				t.Errorf("%d: %q", i, a.body)
			}
		}
		if n := s.Stats().KernelTLS; n != 0 {
			t.Errorf("%d connections", n)
		}
	})
}

// A KeyLogWriter of the user's gets what it is to get.
func TestKernelTLSKeyLog(t *testing.T) {
	eachKernelTLS(t, func(t *testing.T, e engine) {
		var log logBook
		cfg := serverConfig()
		cfg.KeyLogWriter = &log
		s := serve(t, e, &Server{Handler: HandlerFunc(helloNative), TLSConfig: cfg})
		s.dial().get("/")
		for _, label := range []string{"SERVER_HANDSHAKE_TRAFFIC_SECRET ", "CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "} {
			if !strings.Contains(log.String(), label) {
				t.Errorf("no %s in\n%s", label, log.String())
			}
		}
		if n := s.Stats().KernelTLS; n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// Answers of all lengths, written or from files, alone and in a pipeline.
func TestKernelTLSAnswers(t *testing.T) {
	content := noise(10 << 20)
	dir := t.TempDir()
	sizes := []int{0, 1, 100, 16 << 10, 16<<10 + 1, 64 << 10, 1<<20 + 7, len(content)}
	for _, n := range sizes {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), content[:n], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/file/", http.StripPrefix("/file/", http.FileServer(http.Dir(dir))))
	mux.HandleFunc("/written/{n}", func(w http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscan(r.PathValue("n"), &n)
		w.Header().Set("Content-Length", fmt.Sprint(n))
		w.Write(content[:n])
	})
	eachKernelTLS(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: mux})
		p := s.dial()
		var paths []string
		var want [][]byte
		for _, n := range sizes {
			for _, kind := range []string{"/written/", "/file/"} {
				paths, want = append(paths, fmt.Sprint(kind, n)), append(want, content[:n])
			}
		}
		for i, path := range paths {
			p.SetDeadline(time.Now().Add(patience))
			if a := p.get(path); a.status != 200 || a.body != string(want[i]) {
				t.Errorf("%s: %d, %d bytes, or others", path, a.status, len(a.body))
			}
		}
		p.SetDeadline(time.Now().Add(patience))
		go func() { // all at once
			for _, path := range paths {
				fmt.Fprintf(p, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
			}
		}()
		for i, path := range paths {
			p.SetReadDeadline(time.Now().Add(patience))
			if a := p.answer("GET"); a.status != 200 || a.body != string(want[i]) {
				t.Errorf("%s in a pipeline: %d, %d bytes, or others", path, a.status, len(a.body))
			}
		}
		if n := s.Stats().KernelTLS; n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// The end of an answer arrives, and the end of the connection behind it, however slowly
// the client reads: the kernel keeps what the socket has no room for, and would lose that
// with the socket.
func TestKernelTLSEnd(t *testing.T) {
	content := noise(6 << 20)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		w.Write(content)
	})
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) })
	mux.HandleFunc("/hijack", func(w http.ResponseWriter, r *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", len(content))
		c.Write(content)
		c.Close()
	})
	eachKernelTLS(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: mux})
		for _, path := range []string{"/", "/file", "/hijack"} {
			for i := range 4 {
				p := connectPeer(t, s.network, s.addr, 4096)
				fmt.Fprintf(p, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path)
				// The server has sent all that it can, of different lengths.
				time.Sleep(time.Duration(20+7*i) * time.Millisecond)
				a, err := io.ReadAll(p)
				if err != nil || !bytes.HasSuffix(a, content) {
					t.Errorf("%s: %d bytes, %v", path, len(a), err)
				}
			}
		}
	})
}

// A client that resets while files and answers are on their way leaves nothing behind.
func TestKernelTLSReset(t *testing.T) {
	content := noise(8 << 20)
	eachKernelTLS(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(content) })})
		for range 5 {
			p := s.dial()
			io.WriteString(p, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			io.ReadFull(p, make([]byte, 1000))
			p.reset()
		}
		if !eventually(func() bool { return s.conns() == 0 }) {
			t.Errorf("%d connections are left", s.conns())
		}
	})
}

// Each cipher suite of TLS 1.3, with a client that can be told which to use.
func TestKernelTLSSuites(t *testing.T) {
	content := noise(3 << 20)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) })
	eachKernelTLS(t, func(t *testing.T, e engine) {
		for suite, want := range map[string]uint64{
			"TLS_AES_128_GCM_SHA256": 1, "TLS_AES_256_GCM_SHA384": 1, "TLS_CHACHA20_POLY1305_SHA256": 0,
		} {
			s := serve(t, e, &Server{Handler: handler})
			out := runClient(t, nil, "curl", "-sS", "--tls13-ciphers", suite, "--cacert", trusted(t), s.url("/file"))
			if out != string(content) {
				t.Errorf("%s: %d bytes, or others", suite, len(out))
			}
			if n := s.Stats().KernelTLS; n != want {
				t.Errorf("%s: %d connections, want %d", suite, n, want)
			}
		}
	})
}
