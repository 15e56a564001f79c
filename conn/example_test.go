package conn_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/conn"
)

// shout sends back what it receives, in upper case.
type shout struct{}

func (shout) Open(*conn.Conn)    {}
func (shout) Drained(*conn.Conn) {}
func (shout) Timeout(*conn.Conn) {}

func (shout) Data(c *conn.Conn, in []byte) (consumed int) {
	c.Write(bytes.ToUpper(in)) // leaves at the end of the turn
	return len(in)
}

func (shout) EOF(c *conn.Conn)               { c.Close() }
func (shout) Closed(c *conn.Conn, err error) { c.Loop().Quit() }

// A protocol on an event loop: whatever engine there is, it calls shout with what arrives.
func Example() {
	var auto conn.Engine // io_uring where it works, otherwise epoll
	ring, _, err := conn.KernelEngines.Open(auto)
	if err != nil {
		log.Fatal(err)
	}
	loop := conn.NewLoop(conn.Config{Ring: ring})

	ours, theirs, err := pair()
	if err != nil {
		log.Fatal(err)
	}
	loop.Do(func(l *conn.Loop) { l.Adopt(ours, shout{}) })
	ended := make(chan error)
	go func() { ended <- loop.Run() }()

	io.WriteString(theirs, "hello, ring")
	theirs.CloseWrite()
	answer, err := io.ReadAll(theirs)
	fmt.Printf("%s, %v, %v\n", answer, err, <-ended)
	// Output: HELLO, RING, <nil>, <nil>
}

// pair makes a connection: a descriptor for a loop, and the other end.
func pair() (fd int, other *net.TCPConn, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return -1, nil, err
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return -1, nil, err
	}
	accepted, err := l.Accept()
	if err != nil {
		return -1, nil, err
	}
	defer accepted.Close()
	f, err := accepted.(*net.TCPConn).File()
	if err != nil {
		return -1, nil, err
	}
	defer f.Close()
	if fd, err = unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		return -1, nil, err
	}
	return fd, c.(*net.TCPConn), unix.SetNonblock(fd, true)
}
