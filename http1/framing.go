package http1

import "math"

// parseContentLength parses the value of a Content-Length field (RFC 9110,
// section 8.6): digits only. The RFC lets a recipient accept a list of
// identical values; senders of those are broken, so this one does not. Nor does it
// accept zeros in front, which the grammar allows: there are recipients that take
// such a number for octal, or only look at so many digits.
func parseContentLength(b []byte) (n int64, ok bool) {
	if len(b) > 1 && b[0] == '0' {
		return 0, false
	}
	for _, c := range b {
		d := int64(c) - '0'
		if d < 0 || d > 9 || n > (math.MaxInt64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, len(b) > 0
}

// parseTransferEncoding accepts only the value "chunked" (RFC 9112, section
// 6.1). A list of tokens which could be valid, if only this package knew the
// coding, is told apart from nonsense.
func parseTransferEncoding(b []byte) *Error {
	if equalFold(b, "chunked") {
		return nil
	}
	chunked := false
	for more := true; more; {
		var coding []byte
		coding, b, more = nextElement(b)
		// RFC 9112, section 6.1: chunked is applied once, and last.
		if chunked || !ValidToken(coding) {
			return errCoding
		}
		chunked = equalFold(coding, "chunked")
	}
	return errUnknownCoding
}

// acceptField checks the field just scanned, if the message depends on it, and
// records what it says.
func (r *Request) acceptField(buf []byte, known knownName) *Error {
	value := buf[r.line.value:r.line.valueEnd]
	switch known {
	case nameHost:
		// RFC 9112, section 3.2: a repeated or invalid Host is a 400 in any
		// version of the protocol.
		if r.has(sawHost) {
			return errRepeatedHost
		}
		r.flags |= sawHost
		if len(value) == 0 {
			// RFC 9110, section 4.2.1: an http URI without a host is invalid. An
			// empty Host does no harm where the target has the authority.
			if r.hostEnd == 0 {
				return errEmptyHost
			}
			return nil
		}
		if !r.knownHost.is(value) {
			if _, _, ok := parseAuthority(value); !ok {
				return errHost
			}
			r.knownHost.remember(value)
		}
		// RFC 9112, section 3.2.2: the authority of the target takes precedence.
		if r.hostEnd == 0 {
			r.host, r.hostEnd = r.line.value, r.line.valueEnd
		}

	case nameDisguised:
		return errDisguised

	case nameExpect:
		// RFC 9110, section 10.1.1.
		if !equalFold(value, "100-continue") {
			return errExpect
		}
		r.flags |= sawContinue

	default:
		if err := r.acceptCommon(buf, known); err != nil {
			return err
		}
		if (r.length > 0 || r.has(sawChunked)) && r.neverContent() {
			return errContent
		}
		// To have an intermediary remove what says where the message ends, or whom
		// it is for, nobody has a reason but to make it and the server disagree.
		if r.has(sawForAllOption) {
			return errConnection
		}
	}
	return nil
}

// acceptCommon is the part of acceptField that requests and responses share.
func (m *message) acceptCommon(buf []byte, known knownName) *Error {
	value := buf[m.line.value:m.line.valueEnd]
	switch known {
	case nameContentLength:
		if m.has(sawLength) {
			return errRepeatedLength
		}
		if m.has(sawChunked) {
			return errCodingLength
		}
		n, ok := parseContentLength(value)
		if !ok {
			return errLength
		}
		m.flags |= sawLength
		m.length = n

	case nameTransferEncoding:
		// RFC 9112, section 6.1: a message with both fields, or one in HTTP/1.0,
		// is likely to be an attempt at request smuggling.
		if m.has(sawChunked) {
			return errRepeatedCoding
		}
		if m.has(sawLength) {
			return errCodingLength
		}
		if m.minor == 0 {
			return errCodingVersion
		}
		if err := parseTransferEncoding(value); err != nil {
			return err
		}
		m.flags |= sawChunked

	case nameConnection:
		m.flags |= connectionOptions(value)

	case nameUpgrade:
		if !m.has(sawUpgrade) {
			m.flags |= sawUpgrade
			m.upgrade, m.upgradeEnd = m.line.value, m.line.valueEnd
		}
	}
	return nil
}

// connectionOptions returns the options of a Connection field (RFC 9110, section
// 7.6.1) that this package knows. An option is the name of a field that an
// intermediary removes.
func connectionOptions(list []byte) (seen messageFlags) {
	for more := true; more; {
		var option []byte
		option, list, more = nextElement(list)
		switch {
		case equalFold(option, "keep-alive"):
			seen |= sawKeepAlive
		case equalFold(option, "close"):
			seen |= sawClose
		case equalFold(option, "upgrade"):
			seen |= sawUpgradeOption
		case equalFold(option, "content-length"), equalFold(option, "transfer-encoding"), equalFold(option, "host"):
			seen |= sawForAllOption
		}
	}
	return seen
}

// neverContent reports whether the method is one whose requests have no content (RFC
// 9110, sections 9.3.6 and 9.3.8). What looks like some after CONNECT is the tunnel's
// for one recipient and the request's for another.
func (r *Request) neverContent() bool { return r.method == CONNECT || r.method == TRACE }
