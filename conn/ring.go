package conn

import (
	"time"

	"github.com/ringkit/ringkit/internal/ring"
)

// Ring is what a loop needs of an engine: completions. Package uring has it from
// the kernel, package fallback emulates it over epoll, the simulator invents it.
//
// Every operation completes at least once with its token, and exactly once
// without the flag More; operations are submitted by the next Enter at the
// latest. Memory given to Send and Connect is mapped (package mapped) and stays
// untouched until the completion.
type Ring interface {
	// Accept accepts connections until an error ends it; results are descriptors,
	// close-on-exec and non-blocking.
	Accept(t ring.Token, fd int)
	// Recv receives into a buffer of the ring, once or repeatedly, as the flag
	// More tells. 0 is the end of the stream, -ENOBUFS a want of buffers.
	Recv(t ring.Token, fd int)
	// Send sends all of p; a shorter result means it was interrupted.
	Send(t ring.Token, fd int, p []byte)
	// SendSome is Send for a socket that is sealed below, by kernel TLS: it sends at
	// least some of p.
	SendSome(t ring.Token, fd int, p []byte)
	// Connect connects to a raw socket address.
	Connect(t ring.Token, fd int, sockaddr []byte)
	// Poll waits once for events as of poll(2).
	Poll(t ring.Token, fd int, events uint32)
	// Cancel asks for the end of the operation target.
	Cancel(t, target ring.Token)
	// Shutdown is shutdown(2), at once.
	Shutdown(fd, how int)
	// Reset has CloseFD end the connection with a reset, where the protocol below
	// has one; what the peer has not been sent by then is lost.
	Reset(fd int)
	// CloseFD closes a descriptor that has nothing in flight; no completion.
	CloseFD(fd int)
	// Forget is CloseFD for a descriptor that stays open, for somebody else.
	// (A Ring may have a FileTable: then all of these know its files, too.)
	Forget(fd int)
	// Release gives a receive buffer back.
	Release(id uint16)

	// Enter submits what was prepared and waits for a completion: without limit
	// when timeout is negative, not at all when it is zero. It may return early.
	// An error means that the ring is unusable.
	Enter(timeout time.Duration) error
	// Next consumes the next completion.
	Next(c *ring.Completion) bool
	// Wake makes a waiting Enter return; any goroutine may call it.
	Wake()
	// Close cancels what is in flight, waits for it that long, and frees the ring.
	Close(wait time.Duration) error
}

// Protocol is what the connections of a loop speak. All methods are called by the
// goroutine that turns the loop, one at a time, and must not block. They may call
// any method of the connection, including Close and Abort.
type Protocol interface {
	// Open is called once, before anything else, for a new connection.
	Open(c *Conn)
	// Data is called with the input not consumed so far, and returns how much of
	// it is consumed. The rest comes again, in front of what arrives next. It is
	// valid until Data returns.
	Data(c *Conn, in []byte) (consumed int)
	// EOF is called once when the peer has ended its side; the connection can
	// still be written to. It comes as soon as it is known, also while the
	// connection is held and input is waiting.
	EOF(c *Conn)
	// Drained is called when all output has been sent.
	Drained(c *Conn)
	// Timeout is called when the deadline set with SetDeadline has passed.
	Timeout(c *Conn)
	// Closed is called exactly once, when the connection is over: err is nil if it
	// was closed by Close, else what ended it. The connection must not be used
	// afterwards.
	Closed(c *Conn, err error)
}
