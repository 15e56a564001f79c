package ws

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/bench/internal/client"
)

// Config is what to do.
type Config struct {
	Port        int // on 127.0.0.1
	Path        string
	Connections int
	Size        int // of a message, in bytes
	WarmUp      time.Duration
	Duration    time.Duration
}

// Result is what a run found.
type Result struct {
	Elapsed  time.Duration `json:"elapsed"`
	Messages int64         `json:"messages"` // received, by each member of a room or stream of events
}

// Bounds of a run.
const (
	maxConnections = 100_000
	maxSize        = 0xFFFF
	maxDuration    = 5 * time.Minute

	// stallTime is after how long without a message there is going to be none.
	stallTime = 10 * time.Second
)

var errStalled = fmt.Errorf("nothing has happened for %v", stallTime)

// Ready is the line that a generator prints when it is connected and warm; it then waits
// for one before it goes on, so that the server can be looked at.
const Ready = "ready"

func (c Config) check() error {
	switch {
	case c.Port < 1 || c.Port > 65535:
		return fmt.Errorf("port %d", c.Port)
	case c.Connections < 1 || c.Connections > maxConnections:
		return fmt.Errorf("%d connections: want 1 to %d", c.Connections, maxConnections)
	case c.Path != Echo && c.Path != Room && c.Path != Events:
		return fmt.Errorf("path %q: want %s, %s or %s", c.Path, Echo, Room, Events)
	case c.Path == Events && c.Size != EventSize:
		return fmt.Errorf("events of %d bytes: they have %d", c.Size, EventSize)
	case c.Size < 1 || c.Size > maxSize:
		return fmt.Errorf("messages of %d bytes: want 1 to %d", c.Size, maxSize)
	case c.WarmUp <= 0 || c.WarmUp > maxDuration || c.Duration <= 0 || c.Duration > maxDuration:
		return fmt.Errorf("duration %v after %v: want up to %v", c.Duration, c.WarmUp, maxDuration)
	}
	return nil
}

// generator turns all connections on one thread.
type generator struct {
	Config
	poll    int // epoll descriptor
	conns   []connection
	frame   []byte // that is sent
	want    []byte // that comes back
	input   []byte
	waiting int // for so many messages
	count   int64

	publisher client.Socket // of events, 0 before the first
}

// connection is waiting for a message, or not.
type connection struct {
	socket client.Socket
	have   int // of it
}

// Run does what c says. It says Ready on out and waits for a line on in between warming up
// and what counts. found is called before the connections are closed. A wrong byte, or a
// connection that ends, is an error.
func Run(c Config, in io.Reader, out io.Writer, found func(Result) error) error {
	if err := c.check(); err != nil {
		return err
	}
	payload := Payload(c.Size)
	g := &generator{
		Config: c,
		frame:  ClientFrame(payload),
		want:   serverFrame(payload),
		input:  make([]byte, readSize),
	}
	if c.Path == Events {
		g.want = Event()
	}
	defer g.close()
	if err := g.connect(); err != nil {
		return err
	}
	if _, err := g.run(c.WarmUp); err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	fmt.Fprintln(out, Ready)
	if _, err := bufio.NewReader(in).ReadString('\n'); err != nil {
		return fmt.Errorf("waiting to go on: %w", err)
	}
	result, err := g.run(c.Duration)
	if err != nil {
		return err
	}
	return found(result)
}

func (g *generator) connect() (err error) {
	if g.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	for i := range g.Connections {
		socket, err := g.dial()
		if err != nil {
			return fmt.Errorf("connection %d: %w", i+1, err)
		}
		g.conns = append(g.conns, connection{socket: socket})
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		err = errors.Join(
			unix.SetNonblock(int(socket), true),
			unix.SetsockoptInt(int(socket), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
			unix.EpollCtl(g.poll, unix.EPOLL_CTL_ADD, int(socket), &event),
		)
		if err != nil {
			return fmt.Errorf("connection %d: %w", i+1, err)
		}
	}
	return nil
}

func (g *generator) dial() (client.Socket, error) {
	if g.Path == Events {
		return g.subscribe()
	}
	s, err := Dial(g.Port, g.Path, false)
	if err != nil || g.Path != Room {
		return s, err
	}
	said, err := readFrame(s, g.input)
	if err == nil && string(said) != Joined {
		err = fmt.Errorf("the server says %q, want %q", said, Joined)
	}
	if err != nil {
		s.Close()
	}
	return s, err
}

func (g *generator) close() {
	for _, c := range g.conns {
		Reset(c.socket)
	}
	if g.publisher > 0 {
		Reset(g.publisher)
	}
	if g.poll > 0 {
		unix.Close(g.poll)
	}
}

// Reset closes a connection without leaving its port behind for a minute.
func Reset(s client.Socket) {
	unix.SetsockoptLinger(int(s), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	s.Close()
}

// run sends messages for that time and waits for all that come back.
func (g *generator) run(duration time.Duration) (Result, error) {
	g.count = 0
	start := time.Now()
	if err := g.start(); err != nil {
		return Result{}, err
	}
	events := make([]unix.EpollEvent, 1024)
	last := start
	for more := true; g.waiting > 0; {
		n, err := unix.EpollWait(g.poll, events, 1000)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return Result{}, fmt.Errorf("epoll: %w", err)
		}
		now := time.Now()
		if n > 0 {
			last = now
		} else if now.Sub(last) > stallTime {
			return Result{}, fmt.Errorf("%w; %d messages are missing", errStalled, g.waiting)
		}
		more = now.Sub(start) < duration
		for _, event := range events[:n] {
			if err := g.ready(&g.conns[event.Fd], more); err != nil {
				return Result{}, err
			}
		}
		if g.waiting == 0 && more && g.Path != Echo {
			if err := g.start(); err != nil {
				return Result{}, err
			}
		}
	}
	return Result{time.Since(start), g.count}, nil
}

// start sends the first messages, in a room the only one for all.
func (g *generator) start() error {
	g.waiting = len(g.conns)
	senders := g.conns
	switch g.Path {
	case Room:
		senders = senders[:1]
	case Events:
		return g.publish()
	}
	for _, c := range senders {
		if err := writeAll(c.socket, g.frame); err != nil {
			return err
		}
	}
	return nil
}

// ready reads what has come; where each is answered, the next message is sent.
func (g *generator) ready(c *connection, more bool) error {
	n, err := unix.Read(int(c.socket), g.input)
	switch {
	case err == unix.EINTR || err == unix.EAGAIN:
		return nil
	case err != nil:
		return fmt.Errorf("read: %w", err)
	case n == 0:
		return errors.New("the server has ended a connection")
	}
	if g.Path == Events {
		var whole bool
		if c.have, whole, err = findEvent(c.have, g.input[:n], g.want); whole {
			g.count++
			g.waiting--
		}
		return err
	}
	in, want := g.input[:n], g.want[c.have:]
	if len(in) > len(want) || !bytes.Equal(in, want[:len(in)]) {
		return fmt.Errorf("the server sent something else, %d bytes", n)
	}
	if c.have += n; c.have < len(g.want) {
		return nil
	}
	c.have = 0
	g.count++
	g.waiting--
	if g.Path == Room || !more {
		return nil
	}
	g.waiting++
	return writeAll(c.socket, g.frame)
}
