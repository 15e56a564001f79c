package ringkit

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/internal/check"
)

// secureIdlePercent is what an idle TLS connection may cost in resident memory of the
// process, of what it costs net/http.
const secureIdlePercent = 40

// Each server is a process of its own, and so is the client: this one. What grows
// while connections are made is the server's.
func TestSecureIdleMemory(t *testing.T) {
	if kind := os.Getenv(idleServerEnv); kind != "" {
		serveIdle(t, kind)
		return
	}
	if testing.Short() || check.Enabled {
		t.Skip("makes many connections; checks take memory")
	}
	const first, conns = 200, 3000
	each := make(map[string]int)
	kinds := []string{"net/http", "uring over TLS", "epoll over TLS"}
	if KernelTLS() == nil {
		kinds = append(kinds, "uring over kernel TLS", "epoll over kernel TLS")
	}
	for _, kind := range kinds {
		s := startIdle(t, kind)
		s.connect(first)
		before := s.resident()
		s.connect(conns)
		each[kind] = (s.resident() - before) / conns
		s.stop()
	}
	theirs := each["net/http"]
	for kind, ours := range each {
		t.Logf("%s: %d bytes per idle connection, %d %%", kind, ours, ours*100/theirs)
		if kind != "net/http" && ours*100 > secureIdlePercent*theirs {
			t.Errorf("%s: %d bytes per idle TLS connection, want at most %d %% of the %d that net/http takes", kind, ours, secureIdlePercent, theirs)
		}
	}
}

const idleServerEnv = "RINGKIT_TEST_IDLE_SERVER"

// serveIdle is the process of a server: it prints its address, and its memory for each
// line that it reads.
func serveIdle(t *testing.T, kind string) {
	dir := os.Getenv(idleServerEnv + "_DIR")
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "Hello, World!") })
	l := listenTCP(t)
	var closer io.Closer
	if kind == "net/http" {
		srv := &http.Server{Handler: handler}
		closer = srv
		go srv.ServeTLS(l, cert, key)
	} else {
		e := engineNamed(kind)
		srv := &Server{Handler: handler, newRing: e.newRing, KernelTLS: e.kernel}
		closer = srv
		go srv.ServeTLS(l, cert, key)
	}
	fmt.Println("address", l.Addr())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println("resident", residentOf(t))
	}
	closer.Close()
}

type idleServer struct {
	*testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Scanner
	addr  string
	conns []net.Conn
}

func startIdle(t *testing.T, kind string) *idleServer {
	t.Helper()
	if strings.HasPrefix(kind, "uring") {
		r, err := engineNamed(kind).newRing()
		if err != nil {
			t.Skip(err)
		}
		r.Close(0)
	}
	dir := t.TempDir()
	writeIdentity(t, testIdentity(), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	s := &idleServer{T: t, cmd: exec.Command(os.Args[0], "-test.run=^TestSecureIdleMemory$", "-test.timeout=2m")}
	s.cmd.Env = append(os.Environ(), idleServerEnv+"="+kind, idleServerEnv+"_DIR="+dir)
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.out = bufio.NewScanner(out)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	s.addr = s.said("address")
	return s
}

// said returns what the server says of something next.
func (s *idleServer) said(what string) string {
	s.Helper()
	for s.out.Scan() {
		if value, ok := strings.CutPrefix(s.out.Text(), what+" "); ok {
			return value
		}
	}
	s.Fatalf("the server ended without saying its %s", what)
	return ""
}

func (s *idleServer) resident() (n int) {
	s.Helper()
	fmt.Fprintln(s.in, "measure")
	fmt.Sscan(s.said("resident"), &n)
	return n
}

// connect makes n connections and has one request answered on each.
func (s *idleServer) connect(n int) {
	s.Helper()
	cfg := &tls.Config{RootCAs: testIdentity().pool, ServerName: "example.com"}
	buf := make([]byte, 4096)
	for range n {
		c, err := tls.Dial("tcp", s.addr, cfg)
		if err != nil {
			s.Fatal(err)
		}
		s.conns = append(s.conns, c)
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, smallRequest)
		if n, err := c.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 200") {
			s.Fatalf("%q, %v", buf[:n], err)
		}
	}
}

func (s *idleServer) stop() {
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
	if s.cmd != nil {
		s.in.Close()
		s.cmd.Wait()
		s.cmd = nil
	}
}
