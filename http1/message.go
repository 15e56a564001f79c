package http1

const (
	inlineFields = 32

	// What Reset keeps of the fields of a message with more than inlineFields.
	keptFields = 96
)

// message is what the heads of requests and responses have in common: all after
// the first line, and the memory.
type message struct {
	head []byte  // set when the head is complete
	more []field // the fields beyond the inline ones
	messageState
	inline [inlineFields]field
}

// messageState is what reset clears. Positions are relative to the head.
type messageState struct {
	line                lineScanner
	length              int64 // Content-Length
	upgrade, upgradeEnd uint32
	fields              uint32
	flags               messageFlags
	phase               headPhase
	minor               uint8
	err                 *Error
}

type messageFlags uint16

const (
	sawHost messageFlags = 1 << iota
	sawLength
	sawChunked
	sawContinue
	sawClose
	sawKeepAlive
	sawUpgradeOption
	sawForAllOption // a field for all recipients, listed in Connection
	sawUpgrade
)

// headPhase is the part of a head that is being parsed.
type headPhase uint8

const (
	phaseStart headPhase = iota
	phaseMethod
	phaseTarget
	phaseVersion
	phaseReason
	phaseFields
	phaseDone
	phaseError
)

func (m *message) has(f messageFlags) bool { return m.flags&f != 0 }

func (m *message) reset() {
	m.head = nil
	m.messageState = messageState{}
	if cap(m.more) > keptFields {
		m.more = nil
	}
	m.more = m.more[:0]
}

// outcome returns what Parse has returned before.
func (m *message) outcome() (n int, err error) {
	if m.err != nil {
		return 0, m.err
	}
	return int(m.line.pos), nil
}

// complete ends the head, which is the first bytes of buf.
func (m *message) complete(buf []byte) int {
	m.phase = phaseDone
	m.head = buf[:m.line.pos]
	return len(m.head)
}

func (m *message) fail(err *Error) error {
	m.phase = phaseError
	m.err = err
	return err
}

// versionLen is the length of a version with the CRLF behind it.
const versionLen = len("HTTP/1.1\r\n")

// What stands where a version does (RFC 9112, section 2.3), with 'd' for a digit.
const (
	requestVersion  = "HTTP/d.d\r\n"
	responseVersion = "HTTP/d.d "
)

// parseVersion parses the version that b starts with, and what pattern has behind
// it. Having no state, it looks at these few bytes again each time that more of them
// arrive.
func (m *message) parseVersion(b []byte, pattern string) (complete bool, err *Error) {
	for i := range min(len(b), len(pattern)) {
		c := b[i]
		switch {
		case pattern[i] == 'd':
			if !isDigit(c) {
				return false, errVersion
			}
			if i == 7 && b[5] != '1' {
				return false, errMajorVersion
			}
		case c == pattern[i]:
		case c == '\n':
			return false, errBareLF
		case pattern[i] == '\n':
			return false, errBareCR
		default:
			return false, errVersion
		}
	}
	if len(b) < len(pattern) {
		return false, nil
	}
	// RFC 9110, section 2.5: a recipient takes a higher minor version for the
	// highest one it conforms to.
	m.minor = min(b[7]-'0', 1)
	return true, nil
}

// nextKnown stores field lines up to one that matters to the message itself, which
// is the current one when nextKnown returns lineField.
func (m *message) nextKnown(buf []byte, lim *Limits) (known knownName, status lineStatus, err *Error) {
	for {
		status, err = m.line.scan(buf)
		if status != lineField {
			return unknownName, status, err
		}
		if m.fields == uint32(lim.Fields) {
			return unknownName, lineError, errTooManyFields
		}
		f := m.line.field
		if m.fields < inlineFields {
			m.inline[m.fields] = f
		} else {
			m.more = append(m.more, f)
		}
		m.fields++
		if known = lookup(buf[f.name:f.nameEnd]); known != unknownName {
			return known, lineField, nil
		}
	}
}

// Rebase tells m that the bytes of its complete head, the first ones of head,
// have been moved or copied there.
func (m *message) Rebase(head []byte) { m.head = head[:m.line.pos] }

// Head returns the whole head.
func (m *message) Head() []byte { return m.head }

// Minor returns the minor version of the protocol: 0 for HTTP/1.0, and 1 for
// HTTP/1.1 and for any higher one (RFC 9110, section 2.5).
func (m *message) Minor() int { return int(m.minor) }

// NumFields returns the number of field lines.
func (m *message) NumFields() int { return int(m.fields) }

// Field returns the name, as it was sent, and the value of field line i, where
// 0 <= i < NumFields. The value has no whitespace around it, and no control
// characters but HTAB; it can have bytes from 0x80 on (RFC 9110, section 5.5).
func (m *message) Field(i int) (name, value []byte) {
	f := m.at(i)
	return m.slice(f.name, f.nameEnd), m.slice(f.value, f.valueEnd)
}

// Get returns the value of the first field line with the given name, in any
// case, and whether there is one.
func (m *message) Get(name string) ([]byte, bool) {
	for i := range int(m.fields) {
		f := m.at(i)
		if int(f.nameEnd-f.name) == len(name) && equalFold(m.slice(f.name, f.nameEnd), name) {
			return m.slice(f.value, f.valueEnd), true
		}
	}
	return nil, false
}

// ListHas reports whether any field line with the given name has the token
// among its comma-separated elements (RFC 9110, section 5.6.1). Neither name
// nor token are case-sensitive. Quoted strings are not understood.
func (m *message) ListHas(name, token string) bool {
	for i := range int(m.fields) {
		n, value := m.Field(i)
		if equalFold(n, name) && listHas(value, token) {
			return true
		}
	}
	return false
}

// ConnectionHas reports whether a Connection field lists the option, in any
// case (RFC 9110, section 7.6.1).
func (m *message) ConnectionHas(option string) bool { return m.ListHas("Connection", option) }

// ContentLength returns the value of Content-Length, and -1 when there is none:
// then the message is chunked, has no body, or is a response that ends with its
// connection.
func (m *message) ContentLength() int64 {
	if m.has(sawLength) {
		return m.length
	}
	return -1
}

// Chunked reports whether the body is in the chunked transfer coding.
func (m *message) Chunked() bool { return m.has(sawChunked) }

// persists reports whether the sender wants the connection to persist (RFC 9112,
// section 9.3): with HTTP/1.1 unless it says "close", with HTTP/1.0 only if it says
// "keep-alive" and not "close".
func (m *message) persists() bool {
	return !m.has(sawClose) && (m.minor > 0 || m.has(sawKeepAlive))
}

// upgrades reports whether the message has an Upgrade field and says so in
// Connection, and the protocol is not HTTP/1.0 (RFC 9110, section 7.8).
func (m *message) upgrades() bool {
	return m.has(sawUpgrade) && m.has(sawUpgradeOption) && m.minor > 0
}

func (m *message) at(i int) *field {
	if i < inlineFields && i < int(m.fields) {
		return &m.inline[i]
	}
	return &m.more[i-inlineFields]
}

// slice returns a part of the head, or nil while there is no complete one.
func (m *message) slice(from, to uint32) []byte {
	if from > to || int(to) > len(m.head) {
		return nil
	}
	return m.head[from:to:to]
}
