package subject

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/proc"
	"github.com/ringkit/ringkit/bench/internal/procfs"
	"github.com/ringkit/ringkit/bench/internal/server"
)

// A yardstick that is wrong is worse than none: whatever way requests arrive, each
// gets its answer.
func TestFloors(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("no gcc")
	}
	builder, err := NewBuilder(t.Context(), t.TempDir(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{Uring, "uring-defer", "epoll"} {
		t.Run(name, func(t *testing.T) {
			s, err := builder.Build(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			srv, err := server.Start(t.Context(), server.Command{Path: s.Path, Args: s.Args(0), CPU: proc.AnyCPU})
			if err != nil && strings.Contains(err.Error(), "io_uring_") {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer srv.Stop()
			testFloor(t, srv)
		})
	}
}

func testFloor(t *testing.T, srv *server.Server) {
	if err := client.Probe(srv.Port, "/"); err != nil {
		t.Fatal(err)
	}
	fds, err := procfs.CountFDs(srv.PID)
	if err != nil {
		t.Fatal(err)
	}
	request := client.Request("/")

	t.Run("pipelined", func(t *testing.T) {
		conn := dialFloor(t, srv.Port)
		for _, n := range []int{1, 2, 16, 1000} {
			// More than the socket buffers hold: write and read at the same time.
			sent := make(chan error, 1)
			go func() { sent <- write(conn, bytes.Repeat(request, n)) }()
			readAnswers(t, conn, n)
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("in pieces", func(t *testing.T) {
		conn := dialFloor(t, srv.Port)
		const n = 3
		for piece := range slices.Chunk(bytes.Repeat(request, n), 5) {
			if err := write(conn, piece); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		readAnswers(t, conn, n)
	})
	t.Run("reader starts late", func(t *testing.T) {
		conn := dialFloor(t, srv.Port)
		const n = 50_000
		sent := make(chan error, 1)
		go func() { sent <- write(conn, bytes.Repeat(request, n)) }()
		time.Sleep(100 * time.Millisecond)
		readAnswers(t, conn, n)
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	})
	t.Run("half closed", func(t *testing.T) {
		conn := dialFloor(t, srv.Port)
		if err := errors.Join(write(conn, bytes.Repeat(request, 2)), conn.CloseWrite()); err != nil {
			t.Fatal(err)
		}
		readAnswers(t, conn, 2)
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("after the answers: %d bytes, %v", n, err)
		}
	})
	t.Run("more connections than buffers", func(t *testing.T) {
		conns := make([]*net.TCPConn, 600)
		for i := range conns {
			conns[i] = dialFloor(t, srv.Port)
		}
		for _, conn := range conns {
			if err := write(conn, bytes.Repeat(request, 2)); err != nil {
				t.Fatal(err)
			}
		}
		for i, conn := range conns {
			readAnswers(t, conn, 2)
			if i%2 == 0 {
				conn.SetLinger(0)
			}
			conn.Close()
		}
	})

	for deadline := time.Now().Add(5 * time.Second); ; {
		left, err := procfs.CountFDs(srv.PID)
		if err != nil {
			t.Fatal(err)
		}
		if left <= fds {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors, at start %d", left, fds)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func dialFloor(t *testing.T, port int) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

func write(conn net.Conn, data []byte) error {
	_, err := conn.Write(data)
	return err
}

// readAnswers reads n responses and checks each.
func readAnswers(t *testing.T, conn net.Conn, n int) {
	t.Helper()
	var data []byte
	buf := make([]byte, 64*1024)
	for n > 0 {
		size, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("waiting for %d answers: %v", n, err)
		}
		data = append(data, buf[:size]...)
		at := 0
		for {
			end, err := client.ParseResponse(data[at:])
			if err != nil {
				t.Fatal(err)
			}
			if end == 0 {
				break
			}
			at += end
			n--
		}
		data = append(data[:0], data[at:]...)
	}
	if n != 0 || len(data) != 0 {
		t.Fatalf("%d answers and %d bytes too many", -n, len(data))
	}
}
