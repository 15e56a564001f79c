// Command gnet shows what github.com/panjf2000/gnet, which is a library for network servers
// and not one for HTTP, takes for reading and writing: it counts blank lines and answers
// each with the same bytes, as the floors in C do. It parses nothing.
package main

import (
	"bytes"
	"fmt"
	"log"
	"net"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/logging"
	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/peer"
)

func main() {
	o := peer.Parse()
	o.Refuse("gnet")
	log.Fatal(gnet.Run(new(canned), "tcp4://"+o.Addr, gnet.WithNumEventLoop(1), gnet.WithTicker(true), gnet.WithLogLevel(logging.WarnLevel)))
}

// maxCopies bounds how many answers leave in one write.
const maxCopies = 256

// canned is a server with one event loop, beside which the answers are made.
type canned struct {
	gnet.BuiltinEventEngine
	answers atomic.Pointer[answers]
}

// answers are copies of the answer, one behind the other.
type answers struct {
	bytes []byte
	size  int // of one
}

func (s *canned) OnBoot(e gnet.Engine) gnet.Action {
	s.OnTick()
	fd, err := e.Dup()
	if err != nil {
		log.Fatal(err)
	}
	defer unix.Close(fd)
	at, err := unix.Getsockname(fd)
	if err != nil {
		log.Fatal(err)
	}
	in, ok := at.(*unix.SockaddrInet4)
	if !ok {
		log.Fatalf("listening on %T", at)
	}
	peer.Listening(&net.TCPAddr{IP: in.Addr[:], Port: in.Port})
	return gnet.None
}

// OnTick renews the date.
func (s *canned) OnTick() (time.Duration, gnet.Action) {
	one := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: gnet\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), client.ContentType, len(client.Body), client.Body)
	s.answers.Store(&answers{bytes.Repeat(one, maxCopies), len(one)})
	return time.Second, gnet.None
}

var blankLine = []byte("\r\n\r\n")

func (s *canned) OnTraffic(c gnet.Conn) gnet.Action {
	input, err := c.Peek(-1)
	if err != nil {
		return gnet.Close
	}
	n := bytes.Count(input, blankLine)
	if n == 0 {
		return gnet.None
	}
	if _, err := c.Discard(bytes.LastIndex(input, blankLine) + len(blankLine)); err != nil {
		return gnet.Close
	}
	a := s.answers.Load()
	for ; n > 0; n -= maxCopies {
		if _, err := c.Write(a.bytes[:min(n, maxCopies)*a.size]); err != nil {
			return gnet.Close
		}
	}
	return gnet.None
}
