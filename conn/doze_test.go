package conn_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/ringtest"
)

// drowsy sends lines back, and has its connections doze in the middle of a line.
func drowsy(ended chan<- error) *hooks {
	return &hooks{
		data: func(c *conn.Conn, in []byte) int {
			end := bytes.LastIndexByte(in, '\n') + 1
			if c.Write(in[:end]); end < len(in) {
				c.Doze()
			}
			return end
		},
		eof: (*conn.Conn).Close,
		closed: func(_ *conn.Conn, err error) {
			if ended != nil {
				ended <- err
			}
		},
	}
}

// dozing waits until n connections doze.
func (e *engine) dozing(n int) {
	e.Helper()
	for deadline := time.Now().Add(ringtest.Patience); ; time.Sleep(time.Millisecond) {
		got := 0
		for _, l := range e.loops {
			count := make(chan int)
			l.Do(func(l *conn.Loop) { count <- l.Dozing() })
			got += <-count
		}
		if got == n {
			return
		}
		if time.Now().After(deadline) {
			e.Fatalf("%d connections doze, want %d", got, n)
		}
	}
}

// turns returns how many turns the loops have made.
func (e *engine) turns() (n int) {
	for _, l := range e.loops {
		count := make(chan uint64)
		l.Do(func(l *conn.Loop) { count <- l.Counters().Turns })
		n += int(<-count)
	}
	return n
}

// onDozingEngines is onEngines with one loop, for tests that take their time.
func onDozingEngines(t *testing.T, run func(e *engine)) {
	if testing.Short() {
		t.Skip("a doze takes a while")
	}
	for _, r := range rings {
		if r.direct {
			continue // what dozes has a descriptor
		}
		t.Run(r.name, func(t *testing.T) { run(newEngine(t, 1, r.make, conn.Config{})) })
	}
}

// Connections that doze do not wake their loop, and lose nothing.
func TestEnginesDozing(t *testing.T) {
	onDozingEngines(t, func(e *engine) {
		const conns, bytesEach = 8, 30
		var peers []net.Conn
		for range conns {
			p := e.pair(drowsy(nil))
			defer p.Close()
			p.Write([]byte("x"))
			peers = append(peers, p)
		}
		e.dozing(conns)
		before, began := e.turns(), time.Now()
		for range bytesEach {
			for _, p := range peers {
				p.Write([]byte("y"))
				time.Sleep(time.Millisecond)
			}
		}
		looks := int(time.Since(began)/conn.DozeTime) + 1
		if n, most := e.turns()-before, len(e.loops)*(2*looks+4); n > most {
			e.Errorf("%d turns for %d bytes, want %d at most", n, conns*bytesEach, most)
		}
		want := "x" + strings.Repeat("y", bytesEach) + "\n"
		for _, p := range peers {
			p.Write([]byte("\n"))
			got := make([]byte, len(want))
			if _, err := io.ReadFull(p, got); err != nil || string(got) != want {
				e.Errorf("received %q, %v", got, err)
			}
		}
		e.dozing(0)
	})
}

// Whatever ends a doze is noticed.
func TestEnginesDozeEnds(t *testing.T) {
	much := strings.Repeat("z", 5000) + "\n"
	onDozingEngines(t, func(e *engine) {
		for _, end := range []struct {
			name string
			how  func(p *net.TCPConn)
			want error
		}{
			{"FIN", func(p *net.TCPConn) { p.CloseWrite() }, nil},
			{"reset", func(p *net.TCPConn) { p.SetLinger(0); p.Close() }, syscall.ECONNRESET},
			{"much", func(p *net.TCPConn) {
				io.WriteString(p, much)
				got := make([]byte, 1+len(much))
				if _, err := io.ReadFull(p, got); err != nil || string(got) != "x"+much {
					e.Errorf("much comes back as %d bytes, %v", len(got), err)
				}
				p.CloseWrite()
			}, nil},
			{"Abort", func(*net.TCPConn) { e.each(func(c *conn.Conn) { c.Abort(io.ErrNoProgress) }) }, io.ErrNoProgress},
			{"Close", func(*net.TCPConn) { e.each((*conn.Conn).Close) }, nil},
			{"Detach", func(p *net.TCPConn) {
				e.each(func(c *conn.Conn) {
					c.Detach(func(fd int, rest []byte, err error) {
						if string(rest) != "x" || err != nil {
							e.Errorf("detached with %q, %v", rest, err)
						}
						syscall.Close(fd)
					})
				})
			}, conn.ErrDetached},
		} {
			ended := make(chan error, 1)
			p := e.tcp(drowsy(ended))
			p.Write([]byte("x"))
			e.dozing(1)
			end.how(p)
			select {
			case err := <-ended:
				if !errors.Is(err, end.want) {
					e.Errorf("%s: closed with %v, want %v", end.name, err, end.want)
				}
			case <-time.After(ringtest.Patience):
				e.Fatalf("%s: the end of a connection that dozes is not noticed", end.name)
			}
			e.dozing(0)
			p.Close()
		}
	})
}

// each calls f for every connection, on its loop.
func (e *engine) each(f func(c *conn.Conn)) {
	for _, l := range e.loops {
		l.Do(func(l *conn.Loop) { l.Each(f) })
	}
}
