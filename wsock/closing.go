package wsock

import "errors"

// CloseInfo says how a connection has ended.
type CloseInfo struct {
	// Code is the one the peer has sent, [CloseNoStatus] if its Close had none. If
	// no Close came it is [CloseAbnormal], and if the connection was failed it is the
	// code the peer was told.
	Code CloseCode

	// Reason is the peer's, at most 123 bytes of UTF-8.
	Reason string

	// Err is why there was no closing handshake: an [*Error], the error of the
	// transport, or what the owner has given. It is nil if Clean.
	Err error

	// Clean says that a Close went both ways (RFC 6455, section 7.1.4).
	Clean bool

	// Remote says that the peer began: with its Close, a violation, or by ending
	// the transport while no Close had been sent.
	Remote bool
}

// Closing is the closing handshake of one connection (RFC 6455, section 7), for
// either side: it says what to send on which event, and when to end the transport.
// The zero value is an open connection. It is not safe for concurrent use.
//
// A server ends the transport as soon as [Closing.Done] reports true and all output
// is sent. A client first gives the server a moment to do so (section 7.1.1). Either
// waits for the peer's Close for a limited time only, then calls [Closing.Lost].
type Closing struct {
	info *CloseInfo // not nil from the first Close, violation or loss on
	sent bool
	done bool
}

// Open reports whether messages, and Pings and Pongs, may be sent: nothing may
// once a Close has been (RFC 6455, section 5.5.1).
func (c *Closing) Open() bool { return !c.sent && !c.done }

// Done reports whether there is nothing more to wait for.
func (c *Closing) Done() bool { return c.done }

// Close begins the handshake: it appends a Close to dst, unless one has been sent
// or the connection is done. See [AppendClose] for code and reason. Messages that
// still arrive are to be delivered until the peer's Close has come.
func (c *Closing) Close(dst []byte, code CloseCode, reason string, mask Mask) []byte {
	if !c.Open() {
		return dst
	}
	c.sent = true
	c.info = &CloseInfo{Code: CloseAbnormal}
	return AppendClose(dst, code, reason, mask)
}

// Received takes the event of the peer's Close and appends the answer to dst, which
// has the same code, unless a Close has been sent already.
func (c *Closing) Received(dst []byte, ev *Event, mask Mask) []byte {
	if c.done {
		return dst
	}
	c.begin()
	c.done = true
	c.info.Code, c.info.Reason, c.info.Clean = ev.Code, string(ev.Data), true
	if c.sent {
		return dst
	}
	c.sent = true
	return AppendClose(dst, ev.Code, "", mask)
}

// Fail ends a connection that cannot go on, because of the error of the [Decoder] or
// one of the owner's. It appends a Close which tells an [*Error], and otherwise
// [CloseInternalError] without a reason, unless a Close has been sent. The connection
// is done: what the peer still sends is not read as frames (RFC 6455, section
// 7.1.7), but it should be taken off the transport for a moment, so that the peer
// gets to see the Close.
func (c *Closing) Fail(dst []byte, err error, mask Mask) []byte {
	if c.done {
		return dst
	}
	code, reason := CloseInternalError, ""
	violation, ok := errors.AsType[*Error](err)
	if ok {
		code, reason = violation.Code, violation.Reason
	}
	if c.info == nil {
		c.info = &CloseInfo{Remote: ok}
	}
	c.done = true
	c.info.Code, c.info.Err = code, err
	if c.sent {
		return dst
	}
	c.sent = true
	return AppendClose(dst, code, reason, mask)
}

// Lost says that the transport has ended, or that the peer's Close or Pong did not
// come in time; err tells which. After a complete handshake it changes nothing.
func (c *Closing) Lost(err error) {
	if c.done {
		return
	}
	c.begin()
	c.done = true
	c.info.Code, c.info.Err = CloseAbnormal, err
}

// begin notes that it is the peer who begins, unless this side has.
func (c *Closing) begin() {
	if c.info == nil {
		c.info = &CloseInfo{Remote: true}
	}
}

// Info returns how the connection has ended, once it is done.
func (c *Closing) Info() CloseInfo {
	if !c.done {
		return CloseInfo{Code: CloseAbnormal}
	}
	return *c.info
}
