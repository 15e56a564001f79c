package http1

// Response is the head of one response: first the state of its parser, then,
// once [Response.Parse] has returned a length, what was parsed. A Response is
// meant to be reused, must not be copied, and is not safe for concurrent use.
// [Response.Reset] has to come before each exchange, since what a response means
// depends on the request; the zero value is ready for the answer to a GET.
//
// It stores positions, not bytes. The slices its methods return are parts of
// the buffer that was last given to Parse or [Response.Rebase]: they are valid as
// long as that is, and must not be modified.
type Response struct {
	responseState
	method   Method // of the request
	interims uint32 // that came before this response
	message
}

// responseState is what Next clears. Positions are relative to the head.
type responseState struct {
	reason, reasonEnd uint32
	status            uint16
}

// Reset makes r ready for the response to a request with the given method, see
// [MethodOf], and lets go of the buffer. It keeps memory for up to 128 fields.
func (r *Response) Reset(method Method) {
	r.reset()
	r.responseState = responseState{}
	r.method = method
	r.interims = 0
}

// Next makes r ready for what follows an interim response to the same request: more
// of them, or the final one. Like Reset it lets go of the buffer.
func (r *Response) Next() {
	r.reset()
	r.responseState = responseState{}
	r.interims++
}

// Parse goes on parsing a response head (RFC 9112, sections 2, 4 and 5). buf
// starts at the first byte that does not belong to an earlier response. It contains
// all bytes given to earlier calls since Reset or Next, unchanged but not
// necessarily at the same address, and more after them. lim must be resolved, see
// [Limits.Resolve], and be the same in all calls for one response.
//
// It returns the length of the head, in bytes, when that is complete, with its final
// empty line. It returns zero and no error when it needs more bytes, and an
// [*Error] as soon as it finds a byte that no acceptable response can have, or a line
// which is complete and wrong. Once it has returned a length or an error, it returns
// the same until Reset or Next.
//
// Each head is parsed for itself, also that of an interim response: see
// [Response.Interim]. No empty line is ignored before it. What follows an error must
// not be used.
//
// The time for all calls together is linear in the length of the head.
func (r *Response) Parse(buf []byte, lim *Limits) (n int, err error) {
	if r.phase >= phaseDone {
		return r.outcome()
	}

	// As for requests, bytes beyond the limits must not matter.
	limited := len(buf) >= lim.Head
	if limited {
		buf = buf[:lim.Head]
	}
	if r.phase < phaseFields {
		complete, err := r.parseStatusLine(buf, lim)
		if err != nil {
			return 0, r.fail(err)
		}
		if !complete {
			if limited {
				return 0, r.fail(errResponseTooLarge)
			}
			return 0, nil
		}
	}
	for {
		known, status, err := r.nextKnown(buf, lim)
		switch status {
		case lineField:
			if err := r.acceptField(buf, known); err != nil {
				return 0, r.fail(err)
			}
		case lineMore:
			if limited {
				return 0, r.fail(errResponseTooLarge)
			}
			return 0, nil
		case lineEnd:
			return r.complete(buf), nil
		default:
			return 0, r.fail(err)
		}
	}
}

// parseStatusLine parses the status line (RFC 9112, section 4).
func (r *Response) parseStatusLine(buf []byte, lim *Limits) (complete bool, err *Error) {
	switch r.phase {
	case phaseStart:
		if len(buf) == 0 {
			return false, nil
		}
		r.phase = phaseVersion
		fallthrough

	case phaseVersion:
		if len(buf) >= len(responseVersion) && string(buf[:len(responseVersion)]) == "HTTP/1.1 " {
			r.minor, complete = 1, true
		} else if complete, err = r.parseVersion(buf, responseVersion); err != nil {
			return false, err
		}
		if !complete {
			return false, nil
		}
		if complete, err = r.parseStatusCode(buf[len(responseVersion):]); !complete || err != nil {
			return false, err
		}
		if r.Interim() && r.interims >= uint32(lim.Interim) {
			return false, errInterims
		}
		r.phase = phaseReason
		r.reason = uint32(len(responseVersion) + statusCodeLen)
		if buf[r.reason] == ' ' {
			r.reason++
		}
		r.line.pos = r.reason
		fallthrough

	default:
		i := scanText(buf, int(r.line.pos))
		r.line.pos = uint32(i)
		if i < len(buf) && buf[i] != '\r' {
			return false, framingError(buf[i], errReason)
		}
		if i+1 >= len(buf) {
			return false, nil
		}
		if buf[i+1] != '\n' {
			return false, errBareCR
		}
		r.reasonEnd = uint32(i)
		r.line.pos = uint32(i + len("\r\n"))
		r.phase = phaseFields
		return true, nil
	}
}

const statusCodeLen = len("200")

// parseStatusCode parses the status code that b starts with, and looks at the byte
// behind it. Many servers leave out the space when there is no reason phrase; with
// the end of the line there, nobody can take it for anything else. Like parseVersion
// it has no state.
func (r *Response) parseStatusCode(b []byte) (complete bool, err *Error) {
	code := uint16(0)
	for i := range min(len(b), statusCodeLen) {
		// RFC 9110, section 15: the first digit is the class. Codes above 599, which
		// are invalid too, are in use.
		if c := b[i]; !isDigit(c) || i == 0 && c == '0' {
			return false, framingError(c, errStatusCode)
		}
		code = code*10 + uint16(b[i]-'0')
	}
	if len(b) <= statusCodeLen {
		return false, nil
	}
	if c := b[statusCodeLen]; c != ' ' && c != '\r' {
		return false, framingError(c, errStatusCode)
	}
	r.status = code
	return true, nil
}

// acceptField checks the field just scanned, which the message depends on, and
// records what it says.
func (r *Response) acceptField(buf []byte, known knownName) *Error {
	delimits := known == nameContentLength || known == nameTransferEncoding
	if delimits && r.tunnels() {
		// RFC 9110, section 9.3.6: a client must ignore them.
		return nil
	}
	if err := r.acceptCommon(buf, known); err != nil {
		return err
	}
	// RFC 9110, section 8.6, and RFC 9112, section 6.1: a server must not send them.
	// What it takes for content here would be taken for the next response.
	if delimits && r.status < 200 && r.announces() {
		return errInterimContent
	}
	return nil
}

// announces reports whether the fields say that there are bytes of a body.
func (r *Response) announces() bool { return r.has(sawChunked) || r.length > 0 }

// tunnels reports whether the response turns the connection into a tunnel.
func (r *Response) tunnels() bool {
	return r.method == CONNECT && r.status >= 200 && r.status < 300
}

// StatusCode returns the status code, from 100 to 999. A client should treat one
// above 599 like a 5xx (RFC 9110, section 15).
func (r *Response) StatusCode() int { return int(r.status) }

// Reason returns the reason phrase as it was sent, which can be empty. A client
// should ignore it (RFC 9112, section 4).
func (r *Response) Reason() []byte { return r.slice(r.reason, r.reasonEnd) }

// Interim reports whether another response to the same request follows (RFC 9110,
// section 15.2), with the next byte after the head: 100 (Continue), 103 (Early
// Hints) and any other 1xx that the client may ignore, but not 101 (Switching
// Protocols). It has no body. [Response.Next] goes on to the response that follows;
// [Limits].Interim says how many of them Parse accepts.
func (r *Response) Interim() bool {
	return r.status >= 100 && r.status < 200 && r.status != 101
}

// LeavesHTTP reports whether what follows the head belongs to another protocol: see
// the function of that name. After 101 this is one of those that [Response.Upgrade]
// returns, which the client has to have asked for: that it did is for the caller to
// check, as is a 101 nobody asked for, which has to be treated as an error.
func (r *Response) LeavesHTTP() bool { return LeavesHTTP(r.method, r.StatusCode()) }

// Upgrade returns the value of the first Upgrade field, and whether Connection has
// the option "upgrade" and the protocol is not HTTP/1.0 (RFC 9110, section 7.8).
// With 101 that is the protocol the server switches to, with 426 those it demands.
func (r *Response) Upgrade() (protocols []byte, ok bool) {
	return r.slice(r.upgrade, r.upgradeEnd), r.upgrades()
}

// Framing returns how the body is delimited, given the method of the request (RFC
// 9112, section 6.3). It is NoBody after HEAD, with 1xx, 204 and 304, and with 2xx
// after CONNECT, whatever the fields say. It is UntilClose when no field says
// anything. With Length, [Response.ContentLength] is the number of bytes.
func (r *Response) Framing() Framing {
	switch {
	case alwaysEmpty(r.method, r.StatusCode()):
		return NoBody
	case r.has(sawChunked):
		return Chunked
	case r.has(sawLength):
		return Length
	}
	return UntilClose
}

// KeepAlive reports whether the connection can be used for another request when the
// body has ended (RFC 9112, section 9.3): the server wants it to persist, it still
// speaks HTTP/1.1, and it is certain where the body ends. That the request did not
// say "close" is for the caller to know. KeepAlive is false after an interim
// response, where the question has no answer yet.
func (r *Response) KeepAlive() bool {
	switch {
	case r.status < 200, r.tunnels(), !r.persists():
		return false
	case r.status == 204 && r.announces():
		// RFC 9110, section 15.3.5: it must not. Some that do send content.
		return false
	}
	return r.Framing() != UntilClose
}

// EOF returns what it means that the connection has ended after the bytes given to
// Parse: nil if the head of a final response is complete (then [Body.EOF] says
// whether its body is), the error that Parse has returned, or else an
// [*IncompleteError].
func (r *Response) EOF() error {
	switch r.phase {
	case phaseStart:
		if r.interims > 0 {
			return &IncompleteError{Where: AfterInterim}
		}
		return &IncompleteError{Where: AtStart}
	case phaseVersion, phaseReason:
		return &IncompleteError{Where: InStatusLine}
	case phaseFields:
		return &IncompleteError{Where: InHeader}
	case phaseError:
		return r.err
	}
	if r.Interim() {
		return &IncompleteError{Where: AfterInterim}
	}
	return nil
}
