package conn_test

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
)

// A detached connection goes on elsewhere: with the input that was not consumed,
// behind the output that was.
func TestDetach(t *testing.T) {
	for _, tr := range rings {
		t.Run(tr.name, func(t *testing.T) {
			e := newEngine(t, 1, tr.make, conn.Config{})
			type result struct {
				fd   int
				rest string
				err  error
			}
			results := make(chan result, 1)
			closed := make(chan error, 1)
			written := string(make([]byte, 300<<10))
			peer := e.pair(&hooks{
				data: func(c *conn.Conn, in []byte) int {
					c.Write([]byte(written))
					c.Detach(func(fd int, rest []byte, err error) { results <- result{fd, string(rest), err} })
					c.Write([]byte("not sent"))
					return 1
				},
				closed: func(_ *conn.Conn, err error) { closed <- err },
			})
			defer peer.Close()
			peer.Write([]byte("xrest"))
			got := make([]byte, len(written))
			readAll(t, peer, got)
			r := <-results
			if err := <-closed; r.err != nil || r.rest != "rest" || err != conn.ErrDetached {
				t.Fatalf("%+v, closed with %v", r, err)
			}
			f := os.NewFile(uintptr(r.fd), "detached")
			c, err := net.FileConn(f)
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
			defer c.Close()
			c.SetDeadline(time.Now().Add(10 * time.Second))
			for _, dir := range [][2]net.Conn{{peer, c}, {c, peer}} {
				dir[0].Write([]byte("hello"))
				if readAll(t, dir[1], got[:5]); string(got[:5]) != "hello" {
					t.Errorf("read %q", got[:5])
				}
			}
		})
	}
}

// A connection that fails before it is detached says so.
func TestDetachFails(t *testing.T) {
	for _, tr := range rings {
		t.Run(tr.name, func(t *testing.T) {
			e := newEngine(t, 1, tr.make, conn.Config{})
			failed := make(chan error, 2)
			peer := e.pair(&hooks{data: func(c *conn.Conn, in []byte) int {
				c.Write(make([]byte, 8<<20))
				c.Detach(func(_ int, _ []byte, err error) { failed <- err })
				c.Detach(func(_ int, _ []byte, err error) { failed <- err })
				return len(in)
			}})
			peer.Write([]byte("x"))
			if err := <-failed; !errors.Is(err, conn.ErrClosed) {
				t.Errorf("detached twice: %v", err)
			}
			peer.Close()
			if err := <-failed; err == nil {
				t.Error("detached although the peer is gone")
			}
		})
	}
}

func readAll(t *testing.T, c net.Conn, p []byte) {
	t.Helper()
	for n := 0; n < len(p); {
		m, err := c.Read(p[n:])
		if err != nil {
			t.Fatalf("after %d of %d bytes: %v", n, len(p), err)
		}
		n += m
	}
}

// A connection can be detached while input that was kept is delivered, with nothing in
// flight that would complete later.
func TestDetachWhileResuming(t *testing.T) {
	b := newBench(t, conn.Config{InputLimit: 4})
	told, rest := 0, ""
	c, peer := b.adopt(&hooks{
		open: func(c *conn.Conn) { c.Hold() },
		data: func(c *conn.Conn, in []byte) int {
			c.Detach(func(_ int, in []byte, err error) { told, rest = told+1, string(in) })
			return 1
		},
	})
	peer.WriteString("xrest")
	b.settle() // receiving has paused
	c.Resume()
	b.settle()
	if told != 1 || rest != "rest" {
		t.Errorf("told %d times, of %q", told, rest)
	}
	b.finish()
}
