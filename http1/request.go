package http1

// Request is the head of one request: first the state of its parser, then,
// once [Request.Parse] has returned a length, what was parsed. The zero value is
// ready for use. A Request is meant to be reused, must not be copied, and is not
// safe for concurrent use.
//
// It stores positions, not bytes. The slices its methods return are parts of
// the buffer that was last given to Parse or [Request.Rebase]: they are valid
// as long as that is, and must not be modified.
type Request struct {
	requestState
	knownHost knownHost
	message
}

// requestState is what Reset clears. Positions are relative to the head.
type requestState struct {
	start, methodEnd  uint32
	target, targetEnd uint32
	path, pathEnd     uint32
	query             uint32 // the first '?', or zero
	host, hostEnd     uint32 // hostEnd is zero while there is none
	method            Method
	form              Form
}

// Reset makes r ready for the next request and lets go of the buffer. It keeps
// memory for up to 128 fields.
func (r *Request) Reset() {
	r.reset()
	r.requestState = requestState{}
}

// Parse goes on parsing a request head (RFC 9112, sections 2 to 5). buf starts
// at the first byte that does not belong to an earlier request. It contains all
// bytes given to earlier calls since Reset, unchanged but not necessarily at
// the same address, and more after them. lim must be resolved, see
// [Limits.Resolve], and be the same in all calls for one request.
//
// It returns the length of the head, in bytes, when that is complete: with its
// final empty line, and with an empty line before the request line, one of
// which is ignored (RFC 9112, section 2.2). It returns zero and no error when
// it needs more bytes, and an [*Error] as soon as it finds a byte that no
// acceptable request can have, or a line which is complete and wrong. Once it
// has returned a length or an error, it returns the same until Reset.
//
// The time for all calls together is linear in the length of the head.
func (r *Request) Parse(buf []byte, lim *Limits) (n int, err error) {
	if r.phase >= phaseDone {
		return r.outcome()
	}

	// Bytes beyond the limits must not matter, or else the outcome would depend
	// on how the input is split.
	limited := len(buf) >= lim.Head
	if limited {
		buf = buf[:lim.Head]
	}
	if r.phase < phaseFields {
		complete, err := r.parseRequestLine(buf, lim)
		if err != nil {
			return 0, r.fail(err)
		}
		if !complete {
			if limited {
				return 0, r.fail(errRequestLine)
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
				return 0, r.fail(errHeadTooLarge)
			}
			return 0, nil
		case lineEnd:
			// RFC 9112, section 3.2.
			if r.minor > 0 && !r.has(sawHost) {
				return 0, r.fail(errNoHost)
			}
			return r.complete(buf), nil
		default:
			return 0, r.fail(err)
		}
	}
}

// parseRequestLine parses the request line (RFC 9112, section 3).
func (r *Request) parseRequestLine(buf []byte, lim *Limits) (complete bool, err *Error) {
	i := int(r.line.pos)
	if r.phase == phaseStart {
		if len(buf) == 0 || len(buf) == 1 && buf[0] == '\r' {
			return false, nil
		}
		if buf[0] == '\r' {
			if buf[1] != '\n' {
				return false, errBareCR
			}
			i = len("\r\n")
			r.start = uint32(i)
		}
		r.phase = phaseMethod
	}

	limited := false
	if end := int(r.start) + lim.RequestLine + len("\r\n"); len(buf) >= end {
		limited = true
		buf = buf[:end]
	}
	switch r.phase {
	case phaseMethod:
		for i < len(buf) && class[buf[i]]&tokenChar != 0 {
			i++
		}
		if i >= len(buf) {
			if limited {
				return false, errMethodTooLong
			}
			break
		}
		if buf[i] != ' ' || i == int(r.start) {
			return false, r.methodError(buf[i], i)
		}
		r.method = MethodOf(buf[r.start:i])
		r.methodEnd = uint32(i)
		i++
		r.target = uint32(i)
		r.phase = phaseTarget
		fallthrough

	case phaseTarget:
		var more bool
		i, more, err = scanTarget(buf, i, &r.query)
		if err != nil {
			return false, err
		}
		if more {
			break
		}
		if i == int(r.target) {
			return false, errNoTarget
		}
		r.targetEnd = uint32(i)
		i++
		r.phase = phaseVersion
		fallthrough

	case phaseVersion:
		if b := buf[i:]; len(b) >= versionLen && string(b[:versionLen]) == "HTTP/1.1\r\n" {
			r.minor, complete = 1, true
		} else if complete, err = r.parseVersion(b, requestVersion); err != nil {
			return false, err
		}
		if !complete {
			break
		}
		r.line.pos = uint32(i + versionLen)
		r.phase = phaseFields
		return true, r.parseTarget(buf)
	}

	if limited {
		return false, errRequestLine
	}
	r.line.pos = uint32(i)
	return false, nil
}

// methodError returns the error for the byte c at position i in or after a
// method.
func (r *Request) methodError(c byte, i int) *Error {
	switch {
	case c == '\n':
		return errBareLF
	case c == '\r' && i == int(r.start):
		return errEmptyLines
	case c == '\r':
		return errNoTarget
	}
	return errMethod
}
