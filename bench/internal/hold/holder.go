package hold

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/bench/internal/ws"
)

// holder turns all connections on one thread.
type holder struct {
	Config
	*dialect
	poll     int // epoll descriptor
	conns    []connection
	kept     map[int32][]byte // what has come of something
	buf      []byte
	from, to unix.SockaddrInet4
	base     time.Time

	target  int // connections to have
	opening int // that have begun and have not been answered once
	active  bool
	stirred time.Duration // when something happened last
	said    time.Duration // when the last report was

	load   load
	report Report
	orders []byte // what has come of the next
	out    io.Writer
}

// connection has its request in flight if it is asking.
type connection struct {
	due   time.Duration // when that was due
	fd    int32
	state state
}

type state uint8

const (
	over state = iota
	connecting
	greeting // its hello has not been answered
	asking   // for the first time
	idle
	asked // by a load
)

const (
	bufferSize = 64 << 10
	maxPartial = 16 << 10 // bytes of something that has not come whole
	maxKinds   = 20       // of errors, that are told apart
	maxOrders  = 64 << 10 // bytes of an order

	reportEvery = 250 * time.Millisecond

	// ordersEvent is the index of what is no connection.
	ordersEvent = -1
)

// Run does what it is told on the descriptor in, a Config and then Orders, until that
// ends. Its reports go to out. All are lines of JSON. The connections end with it.
func Run(in int, out io.Writer) error {
	h := &holder{kept: make(map[int32][]byte), buf: make([]byte, bufferSize), base: time.Now(), out: out}
	if err := unix.SetNonblock(in, true); err != nil {
		return err
	}
	var err error
	if h.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	defer unix.Close(h.poll)
	defer h.close()
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: ordersEvent}
	if err := unix.EpollCtl(h.poll, unix.EPOLL_CTL_ADD, in, &event); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	events := make([]unix.EpollEvent, 512)
	for {
		n, err := wait(h.poll, events, h.sleep(), h.opening > 0 || h.load.flying > 0)
		if err != nil {
			return fmt.Errorf("epoll: %w", err)
		}
		for _, event := range events[:n] {
			if event.Fd != ordersEvent {
				h.ready(event.Fd, event.Events)
				continue
			}
			if err := h.readOrders(in); err != nil {
				if err == io.EOF {
					return nil
				}
				return err
			}
		}
		if h.active {
			if err := h.step(); err != nil {
				return err
			}
		}
	}
}

// now is the time since the holder's start.
func (h *holder) now() time.Duration { return time.Since(h.base) }

// readOrders reads what has come and does what it says. io.EOF is the end.
func (h *holder) readOrders(in int) error {
	for {
		n, err := unix.Read(in, h.buf)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return nil
		case err != nil:
			return fmt.Errorf("orders: %w", err)
		case n == 0:
			return io.EOF
		}
		h.orders = append(h.orders, h.buf[:n]...)
		for {
			line, rest, whole := bytes.Cut(h.orders, []byte("\n"))
			if !whole {
				break
			}
			if err := h.told(line); err != nil {
				return err
			}
			h.orders = slices.Clone(rest)
		}
		if len(h.orders) > maxOrders {
			return errors.New("an order without an end")
		}
	}
}

// told takes a line.
func (h *holder) told(line []byte) error {
	if h.dialect == nil {
		if err := json.Unmarshal(line, &h.Config); err != nil {
			return fmt.Errorf("config: %w", err)
		}
		if err := h.check(); err != nil {
			return err
		}
		h.conns = make([]connection, 0, h.Room)
		h.to = unix.SockaddrInet4{Port: h.Port, Addr: [4]byte{127, 0, 0, 1}}
		var err error
		h.dialect, err = newDialect(&h.Config)
		return err
	}
	var o Order
	if err := json.Unmarshal(line, &o); err != nil {
		return fmt.Errorf("order: %w", err)
	}
	switch {
	case h.active:
		return errors.New("an order before the last one is done")
	case o.Open > h.Room:
		return fmt.Errorf("%d connections: there is room for %d", o.Open, h.Room)
	}
	h.active, h.stirred = true, h.now()
	h.target = max(h.target, o.Open)
	if o.Close {
		h.close()
	}
	if o.Load == nil {
		return nil
	}
	if err := o.Load.check(); err != nil {
		return err
	}
	h.load.begin(o.Load, h.now())
	return nil
}

// sleep is how long there is nothing to do if nothing comes; negative is for ever.
func (h *holder) sleep() time.Duration {
	if !h.active {
		return -1
	}
	now := h.now()
	d := h.said + reportEvery - now
	if due, ok := h.load.next(); ok {
		d = min(d, due-now)
	}
	return max(0, d)
}

// step goes on with the order.
func (h *holder) step() error {
	h.open()
	h.fire()
	now := h.now()
	stuck := now-h.stirred > h.Timeout || h.load.on && now-h.load.end > h.Timeout
	if stuck && (h.opening > 0 || h.load.flying > 0) {
		h.giveUp()
	}
	done := h.opening == 0 && len(h.conns) >= h.target && h.load.over(now)
	if !done && now-h.said < reportEvery {
		return nil
	}
	h.said = now
	h.report.Done = done
	if done {
		h.active = false
		if err := h.load.finish(&h.report); err != nil {
			return err
		}
	}
	err := json.NewEncoder(h.out).Encode(&h.report)
	h.report.Latency = nil
	return err
}

// open begins connections, as many at a time as the window has.
func (h *holder) open() {
	for h.opening < h.Window && len(h.conns) < h.target {
		i := len(h.conns)
		h.conns = append(h.conns, connection{fd: -1})
		fd, err := h.dial(i)
		if err != nil {
			h.count(err)
			continue
		}
		h.conns[i] = connection{fd: int32(fd), state: connecting}
		h.opening++
	}
}

// ready does what there is to do on a connection.
func (h *holder) ready(i int32, events uint32) {
	if int(i) >= len(h.conns) || h.conns[i].state == over {
		return // since this turn began
	}
	c := &h.conns[i]
	h.stirred = h.now()
	if c.state == connecting && events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		if err := h.begin(c); err != nil {
			h.end(i, err)
			return
		}
	}
	if events&(unix.EPOLLIN|unix.EPOLLERR|unix.EPOLLHUP|unix.EPOLLRDHUP) != 0 {
		// Events come with a change only: an end has to be found now.
		toEnd := events&(unix.EPOLLERR|unix.EPOLLHUP|unix.EPOLLRDHUP) != 0
		if err := h.read(i, toEnd); err != nil {
			h.end(i, err)
		}
	}
}

// begin says the first thing on a connection that is established.
func (h *holder) begin(c *connection) error {
	if err := connected(int(c.fd)); err != nil {
		return err
	}
	if h.hello != nil {
		c.state = greeting
		return write(c.fd, h.hello)
	}
	c.state = asking
	return write(c.fd, h.ask)
}

// read reads what has come on a connection.
func (h *holder) read(i int32, toEnd bool) error {
	for {
		n, err := unix.Read(int(h.conns[i].fd), h.buf)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return nil
		case err != nil:
			return fmt.Errorf("read: %w", err)
		case n == 0:
			return errors.New("read: the server has ended it")
		}
		if err := h.take(i, h.buf[:n]); err != nil {
			return err
		}
		if n < len(h.buf) && !toEnd {
			return nil
		}
	}
}

// take does with input what it says.
func (h *holder) take(i int32, in []byte) error {
	if kept, ok := h.kept[i]; ok {
		in = append(kept, in...)
		delete(h.kept, i)
	}
	for len(in) > 0 {
		n, err := h.hear(&h.conns[i], in)
		if err != nil {
			return err
		}
		if n == 0 {
			if len(in) > maxPartial {
				return fmt.Errorf("%d bytes that are no answer", len(in))
			}
			h.kept[i] = bytes.Clone(in)
			return nil
		}
		in = in[n:]
	}
	return nil
}

// hear takes one thing from the start of in, and returns its length, 0 for none.
func (h *holder) hear(c *connection, in []byte) (int, error) {
	if c.state == greeting {
		n, err := h.welcome(in)
		if n == 0 || err != nil {
			return 0, err
		}
		c.state = asking
		return n, write(c.fd, h.ask)
	}
	n, what, err := h.answer(in)
	switch {
	case err != nil:
		return 0, err
	case what == pinged:
		return n, write(c.fd, ws.Pong(in[:n]))
	case what == partly:
		return n, nil
	}
	switch c.state {
	case asking:
		h.opening--
		h.report.Held++
	case asked:
		h.answeredAt(c, h.now())
	default:
		return 0, errors.New("an answer that nobody asked for")
	}
	c.state = idle
	return n, nil
}

// end closes a connection that has ended, or of which there is no use any more.
func (h *holder) end(i int32, why error) {
	c := &h.conns[i]
	switch c.state {
	case connecting, greeting, asking:
		h.opening--
	case asked:
		h.load.flying--
	}
	switch c.state {
	case idle:
		h.report.Held--
		h.report.Lost++
		h.because(why)
	case asked:
		h.report.Held--
		h.count(why)
	default:
		h.count(why)
	}
	h.forget(i)
}

// forget closes a connection.
func (h *holder) forget(i int32) {
	unix.Close(int(h.conns[i].fd))
	h.conns[i] = connection{fd: -1}
	delete(h.kept, i)
}

// count counts a failure.
func (h *holder) count(why error) {
	h.report.Failed++
	h.because(why)
}

func (h *holder) because(why error) {
	if h.report.Errors == nil {
		h.report.Errors = make(map[string]int64)
	}
	kind := why.Error()
	if _, known := h.report.Errors[kind]; !known && len(h.report.Errors) >= maxKinds {
		kind = "others"
	}
	h.report.Errors[kind]++
}

// giveUp ends connections on which nothing happens any more.
func (h *holder) giveUp() {
	for i, c := range h.conns {
		switch c.state {
		case connecting, greeting, asking:
			h.end(int32(i), fmt.Errorf("nothing has happened for %v", h.Timeout))
		case asked:
			h.report.Missing++
			h.load.flying--
			h.report.Held--
			h.forget(int32(i))
		}
	}
}

// close resets all connections.
func (h *holder) close() {
	for i, c := range h.conns {
		if c.state != over {
			h.forget(int32(i))
		}
	}
	h.report.Held, h.opening, h.target = 0, 0, 0
	h.conns = h.conns[:0]
}
