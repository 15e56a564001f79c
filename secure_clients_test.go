package ringkit

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/internal/check"
)

// TLS clients that are not Go's, where they are installed, and much data.

// runClient runs a program with some input and returns what it printed.
func runClient(t *testing.T, input io.Reader, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = input
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// trusted writes the certificate that clients trust to a file.
func trusted(t *testing.T) (cert string) {
	dir := t.TempDir()
	cert = filepath.Join(dir, "cert.pem")
	writeIdentity(t, testIdentity(), cert, filepath.Join(dir, "key.pem"))
	return cert
}

func TestSecureCurl(t *testing.T) {
	eachSecure(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: http.HandlerFunc(tellTLS)})
		for _, v := range []string{"1.2", "1.3"} {
			out := runClient(t, nil, "curl", "-sS", "--http1.1", "--tls-max", v, "--cacert", trusted(t), s.url("/one"), s.url("/two"))
			if strings.Count(out, "TLS "+v+` "http/1.1"`) != 2 {
				t.Errorf("%q", out)
			}
		}
		if n := s.Stats(); n.Handshakes != 2 {
			t.Errorf("%d handshakes for two runs of two requests", n.Handshakes)
		}
		if out := runClient(t, nil, "curl", "-sS", "--cacert", trusted(t), s.url("/")); !strings.Contains(out, `"http/1.1"`) {
			t.Errorf("of h2 and http/1.1 they chose %q", out)
		}
	})
}

// The commands of s_client: new keys, asked for and not, between requests; and a
// renegotiation, which a server refuses.
func TestSecureOpenSSL(t *testing.T) {
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip(err)
	}
	type step struct{ input, awaits string }
	request := step{"GET / HTTP/1.1\r\nHost: test\r\n\r", "HTTP/1.1 200 OK"}
	eachSecure(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: http.HandlerFunc(tellTLS)})
		for version, steps := range map[string][]step{
			"-tls1_3": {request, {"K", "KEYUPDATE"}, request, {"k", "KEYUPDATE"}, request},
			"-tls1_2": {request, {"R", "RENEGOTIATING"}, {"", "alert"}},
		} {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, path, "s_client", "-connect", s.addr, "-CAfile", trusted(t), version)
			var out logBook
			cmd.Stdout, cmd.Stderr = &out, &out
			input, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			counts := make(map[string]int)
			for _, step := range steps {
				if step.input != "" { // of a command it has to be all that it reads
					io.WriteString(input, step.input+"\n")
				}
				counts[step.awaits]++
				if !eventually(func() bool { return strings.Count(out.String(), step.awaits) >= counts[step.awaits] }) {
					t.Errorf("%s: no %q after %q:\n%s", version, step.awaits, step.input, out.String())
				}
			}
			input.Close()
			cmd.Wait()
		}
	})
}

func TestSecureNode(t *testing.T) {
	const program = `
const https = require('https'), fs = require('fs')
const agent = new https.Agent({keepAlive: true, maxSockets: 2, ca: fs.readFileSync(process.argv[2])})
const body = 'x'.repeat(200000)
let left = 20
for (let i = 0; i < 20; i++) {
  const req = https.request(process.argv[1], {agent, method: 'POST', servername: 'example.com'}, res => {
    let got = 0
    res.on('data', d => got += d.length)
    res.on('end', () => {
      if (res.statusCode !== 200 || got !== body.length) { console.log('bad', res.statusCode, got); process.exit(1) }
      if (--left === 0) { console.log('done'); agent.destroy() }
    })
  })
  req.on('error', e => { console.log(e); process.exit(1) })
  req.end(body)
}`
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	eachSecure(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: echo})
		out := runClient(t, nil, "node", "-e", program, s.url("/"), trusted(t))
		if out != "done\n" || s.Stats().Handshakes > 2 {
			t.Errorf("%s; %d handshakes", out, s.Stats().Handshakes)
		}
	})
}

// 64 MiB each way, with the memory that a queue may have.
func TestSecureMuch(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 256 MiB")
	}
	size := 64 << 20
	if check.Enabled {
		size = 8 << 20
	}
	mib := pattern(1 << 20)
	sum := sha256.Sum256([]byte(strings.Repeat(mib, size>>20)))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		for range size >> 20 {
			io.WriteString(w, mib)
		}
	})
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		io.Copy(h, r.Body)
		fmt.Fprintf(w, "%x", h.Sum(nil))
	})
	eachSecure(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: mux, MaxBodyBytes: -1})
		p := s.dial()
		go func() {
			fmt.Fprintf(p, "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n", size)
			for range size >> 20 {
				io.WriteString(p, mib)
			}
		}()
		if a := p.answer("POST"); a.body != fmt.Sprintf("%x", sum) {
			t.Errorf("uploaded: %s, want %x", a.body, sum)
		}
		p = s.dial()
		if a := p.get("/"); sha256.Sum256([]byte(a.body)) != sum {
			t.Errorf("downloaded: %d bytes, or others", len(a.body))
		}
	})
}

// A connection that is hijacked is a *tls.Conn, with what the client has sent behind
// its request.
func TestSecureHijack(t *testing.T) {
	results := make(chan string, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			results <- err.Error()
			return
		}
		defer c.Close()
		tc, ok := c.(*tls.Conn)
		line, err := rw.ReadString('\n')
		results <- fmt.Sprintf("%v %q %v", ok && tc.ConnectionState().HandshakeComplete, line, err)
		c.SetDeadline(time.Now().Add(patience))
		io.Copy(c, rw)
		tc.CloseWrite()
	})
	eachSecure(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: handler})
		for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			p := s.spoken(&tls.Config{MaxVersion: v})
			p.send("GET / HTTP/1.1\r\nHost: test\r\n\r\nhel", "lo\n")
			if got := expect(t, "the handler", results); got != `true "hello\n" <nil>` {
				t.Errorf("%s", got)
			}
			p.sendAside(pattern(300_000))
			got, err := readContent(p.r, 300_000)
			if err != nil || got != pattern(300_000) {
				t.Errorf("%d bytes came back, or others; %v", len(got), err)
			}
			p.halfClose()
			p.expectEnd()
		}
	})
}

// The handler of a connection learns of its client's address, as without TLS.
func TestSecureAddress(t *testing.T) {
	eachSecure(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, r.RemoteAddr+" "+r.Context().Value(http.LocalAddrContextKey).(net.Addr).String())
		})})
		p := s.dial()
		if a := p.get("/"); a.body != p.LocalAddr().String()+" "+s.addr {
			t.Errorf("%q", a.body)
		}
	})
}
