package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// asService is set for processes of the tests that are to be the service.
const asService = "RINGKIT_EXAMPLE_SERVICE"

func TestMain(m *testing.M) {
	if os.Getenv(asService) != "" {
		if err := run("127.0.0.1:0"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// manager is what systemd is for the service: it has its socket, and hears how it is.
type manager struct {
	t      *testing.T
	socket *os.File
	addr   string
	notify *net.UnixConn
}

func newManager(t *testing.T) *manager {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	name := filepath.Join(t.TempDir(), "notify")
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { notify.Close() })
	return &manager{t, socket, l.Addr().String(), notify}
}

// start starts the service and waits until it says that it is ready.
func (m *manager) start() *exec.Cmd {
	m.t.Helper()
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), asService+"=1", "LISTEN_FDS=1", "LISTEN_FDNAMES=http", "NOTIFY_SOCKET="+m.notify.LocalAddr().String())
	cmd.ExtraFiles = []*os.File{m.socket}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	m.hear("READY=1")
	return cmd
}

func (m *manager) stop(cmd *exec.Cmd) {
	m.t.Helper()
	cmd.Process.Signal(syscall.SIGTERM)
	m.hear("STOPPING=1")
	if err := cmd.Wait(); err != nil {
		m.t.Errorf("the service ended with %v", err)
	}
}

func (m *manager) hear(want string) {
	m.t.Helper()
	m.notify.SetReadDeadline(time.Now().Add(20 * time.Second))
	b := make([]byte, 100)
	n, err := m.notify.Read(b)
	if err != nil || string(b[:n]) != want {
		m.t.Fatalf("systemd hears %q, %v; want %q", b[:n], err, want)
	}
}

// TestRestart has clients come all the time while the service is restarted. One whose
// connection ends before its request has arrived asks again; none is refused.
func TestRestart(t *testing.T) {
	m := newManager(t)
	first := m.start()
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	var mu sync.Mutex
	answered := map[string]int{} // by process
	asking, stopAsking := context.WithCancel(ctx)
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for asking.Err() == nil {
				text, err := m.ask(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				answered[text]++
				mu.Unlock()
			}
		})
	}
	by := func(cmd *exec.Cmd) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return answered[fmt.Sprintf("Hello from process %d!\n", cmd.Process.Pid)] > 100
		}
	}
	wait(t, ctx, by(first))
	m.stop(first)
	second := m.start()
	wait(t, ctx, by(second))
	stopAsking()
	clients.Wait()
	m.stop(second)
}

// ask asks on a connection of its own, and again if that ended without an answer: the
// service may have stopped before the request was there.
func (m *manager) ask(ctx context.Context) (string, error) {
	for {
		text, begun, err := m.askOnce(ctx)
		if err == nil || !begun || ctx.Err() != nil {
			return text, err
		}
	}
}

// askOnce reports whether the connection was made and the answer not begun.
func (m *manager) askOnce(ctx context.Context) (text string, begun bool, err error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", m.addr)
	if err != nil {
		return "", false, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: service\r\nConnection: close\r\n\r\n")
	answer := bufio.NewReader(c)
	if _, err := answer.Peek(1); err != nil {
		return "", true, err
	}
	resp, err := http.ReadResponse(answer, nil)
	if err != nil {
		return "", false, err
	}
	b, err := io.ReadAll(resp.Body)
	return string(b), false, err
}

func wait(t *testing.T, ctx context.Context, done func() bool) {
	t.Helper()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// The units name what is there. systemd says itself whether it understands them.
func TestUnits(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "ringkit-example")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	var units []string
	for _, name := range []string{"ringkit-example.socket", "ringkit-example.service"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		unit := filepath.Join(dir, name)
		moved := strings.ReplaceAll(string(text), "/usr/local/bin/ringkit-example", program)
		if err := os.WriteFile(unit, []byte(moved), 0o600); err != nil {
			t.Fatal(err)
		}
		units = append(units, unit)
	}
	out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, units...)...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "ringkit-example") {
			t.Error(strings.TrimSpace(line))
		}
	}
	if err != nil {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
