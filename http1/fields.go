package http1

// field is one field line: the positions of its name and of its value, without
// the whitespace around it, in the section it stands in.
type field struct {
	name, nameEnd, value, valueEnd uint32
}

// lineScanner splits a section of field lines (RFC 9112, section 5), which can
// be a request's header section or a trailer section. Every byte is looked at
// when it arrives and not again.
type lineScanner struct {
	field          // the current line, complete when scan returns lineField
	pos   uint32   // the first byte not looked at
	part  linePart // the part of the line pos is in
}

type linePart uint8

const (
	partStart linePart = iota
	partName
	partSpace
	partValue
	partLF
	partFinalLF
)

type lineStatus uint8

const (
	lineMore  lineStatus = iota // the section goes on after the end of the bytes
	lineField                   // a field line is complete
	lineEnd                     // the empty line is complete; pos is after it
	lineError
)

// scan goes on to the end of the current line. buf is the section so far.
func (s *lineScanner) scan(buf []byte) (lineStatus, *Error) {
	i := int(s.pos)
	switch s.part {
	case partStart:
		if i >= len(buf) {
			return lineMore, nil
		}
		if c := buf[i]; c == '\r' {
			i++
			return s.scanFinalLF(buf, i)
		} else if isSpace(c) {
			return lineError, errFold
		}
		s.name = uint32(i)
		fallthrough

	case partName:
		for i < len(buf) && class[buf[i]]&tokenChar != 0 {
			i++
		}
		if i >= len(buf) {
			return s.suspend(i, partName)
		}
		if buf[i] != ':' {
			return lineError, nameError(buf[i])
		}
		if i == int(s.name) {
			return lineError, errEmptyName
		}
		s.nameEnd = uint32(i)
		i++
		fallthrough

	case partSpace:
		for i < len(buf) && isSpace(buf[i]) {
			i++
		}
		if i >= len(buf) {
			return s.suspend(i, partSpace)
		}
		s.value = uint32(i)
		fallthrough

	case partValue:
		i = scanText(buf, i)
		if i >= len(buf) {
			return s.suspend(i, partValue)
		}
		if buf[i] != '\r' {
			return lineError, framingError(buf[i], errValueChar)
		}
		i++
		fallthrough

	case partLF:
		if i >= len(buf) {
			return s.suspend(i, partLF)
		}
		if buf[i] != '\n' {
			return lineError, errBareCR
		}
		end := i - 1
		for end > int(s.value) && isSpace(buf[end-1]) {
			end--
		}
		s.valueEnd = uint32(end)
		s.pos = uint32(i + 1)
		s.part = partStart
		return lineField, nil
	}
	return s.scanFinalLF(buf, i)
}

func (s *lineScanner) scanFinalLF(buf []byte, i int) (lineStatus, *Error) {
	if i >= len(buf) {
		return s.suspend(i, partFinalLF)
	}
	if buf[i] != '\n' {
		return lineError, errBareCR
	}
	s.pos = uint32(i + 1)
	return lineEnd, nil
}

func (s *lineScanner) suspend(i int, part linePart) (lineStatus, *Error) {
	s.pos = uint32(i)
	s.part = part
	return lineMore, nil
}

// nameError returns the error for the byte c in or after a field name.
func nameError(c byte) *Error {
	switch c {
	case ' ', '\t':
		// RFC 9112, section 5.1: a server must reject these.
		return errNameSpace
	case '\r':
		return errNoColon
	case '\n':
		return errBareLF
	}
	return errNameChar
}

// knownName is a field that matters to the message itself.
type knownName uint8

const (
	unknownName knownName = iota
	nameHost
	nameExpect
	nameUpgrade
	nameConnection
	nameContentLength
	nameTransferEncoding
	nameDisguised // Content_Length and Transfer_Encoding
)

// lookup returns which of the known fields the token name is.
func lookup(name []byte) knownName {
	var known string
	var id knownName
	switch len(name) {
	case 4:
		known, id = "host", nameHost
	case 6:
		known, id = "expect", nameExpect
	case 7:
		known, id = "upgrade", nameUpgrade
	case 10:
		known, id = "connection", nameConnection
	case 14:
		known, id = "content-length", nameContentLength
	case 17:
		known, id = "transfer-encoding", nameTransferEncoding
	default:
		return unknownName
	}
	for i, c := range name {
		// Of the bytes that can stand in a token, only the two cases of a
		// letter, or a hyphen, become that letter or hyphen.
		if c|0x20 != known[i] {
			if c == '_' && known[i] == '-' && equalFold(name[i+1:], known[i+1:]) {
				// Gateways that turn names into variables, as CGI does (RFC 3875,
				// section 4.1.18), take them for the same.
				return nameDisguised
			}
			return unknownName
		}
	}
	return id
}

// nextElement splits the first element off a comma-separated list (RFC 9110,
// section 5.6.1), without the whitespace around it. It may be empty.
func nextElement(list []byte) (element, rest []byte, more bool) {
	for i, c := range list {
		if c == ',' {
			return trimSpace(list[:i]), list[i+1:], true
		}
	}
	return trimSpace(list), nil, false
}

// listHas reports whether an element of list is the given token, without
// regard to case.
func listHas(list []byte, token string) bool {
	for more := true; more; {
		var element []byte
		element, list, more = nextElement(list)
		if equalFold(element, token) {
			return true
		}
	}
	return false
}
