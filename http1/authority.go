package http1

// parseAuthority checks an authority without userinfo (RFC 3986, section 3.2;
// RFC 9110, sections 4.2.4 and 7.2): a host that is not empty, and optionally a
// colon and a port of any number of digits, zero included.
func parseAuthority(b []byte) (host, port []byte, ok bool) {
	end, ok := scanHost(b)
	if !ok || end == 0 {
		return nil, nil, false
	}
	host = b[:end]
	if end == len(b) {
		return host, nil, true
	}
	if b[end] != ':' {
		return nil, nil, false
	}
	port = b[end+1:]
	return host, port, validPort(port)
}

// knownHost is the value of a Host field that was found valid. The requests that a
// parser sees one after the other mostly have the same, which need not be looked
// at again: that is a tenth of the time for a small request (BenchmarkParseSmall).
type knownHost struct {
	length uint8
	bytes  [55]byte
}

func (k *knownHost) is(value []byte) bool { return string(k.bytes[:k.length]) == string(value) }

func (k *knownHost) remember(value []byte) {
	if len(value) <= len(k.bytes) {
		k.length = uint8(copy(k.bytes[:], value))
	}
}

// scanHost returns the length of the host that b starts with.
func scanHost(b []byte) (end int, ok bool) {
	if len(b) > 0 && b[0] == '[' {
		for i, c := range b {
			if c == ']' {
				return i + 1, validIPv6(b[1:i])
			}
		}
		return 0, false
	}
	i := 0
	for i < len(b) {
		switch {
		case class[b[i]]&hostChar != 0:
			i++
		case b[i] == '%' && validEscape(b[i:]):
			i += 3
		default:
			return i, true
		}
	}
	return i, true
}

// validEscape reports whether b starts with a percent-encoded byte that is not ASCII.
// In a host the others are for no one (RFC 3986, section 3.2.2): those who decode them
// find delimiters, or another name than those who do not. The caller has seen the '%'.
func validEscape(b []byte) bool {
	return len(b) >= 3 && class[b[1]]&class[b[2]]&hexChar != 0 && b[1] >= '8'
}

func validPort(b []byte) bool {
	port := 0
	for _, c := range b {
		if !isDigit(c) {
			return false
		}
		port = port*10 + int(c-'0')
		if port > 65535 {
			return false
		}
	}
	return true
}

// validIPv6 reports whether b is an IPv6address (RFC 3986, section 3.2.2).
// Zones (RFC 6874) mean something only to the node that sends them, and
// IPvFuture addresses do not exist: both are refused.
func validIPv6(b []byte) bool {
	groups := 0 // of 16 bits
	elided := false
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		elided = true
		b = b[2:]
		if len(b) == 0 {
			return true
		}
	}
	for {
		n := 0
		for n < len(b) && class[b[n]]&hexChar != 0 {
			n++
		}
		if n < len(b) && b[n] == '.' {
			if !validIPv4(b) {
				return false
			}
			groups += 2
			break
		}
		if n == 0 || n > 4 {
			return false
		}
		groups++
		b = b[n:]
		if len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 {
			return false
		}
		b = b[1:]
		if b[0] == ':' {
			if elided {
				return false
			}
			elided = true
			b = b[1:]
			if len(b) == 0 {
				break
			}
		}
	}
	if elided {
		return groups < 8
	}
	return groups == 8
}

// validIPv4 reports whether b is an IPv4address (RFC 3986, section 3.2.2).
func validIPv4(b []byte) bool {
	for octet := range 4 {
		if octet > 0 {
			if len(b) == 0 || b[0] != '.' {
				return false
			}
			b = b[1:]
		}
		n, value := 0, 0
		for n < len(b) && n < 3 && isDigit(b[n]) {
			value = value*10 + int(b[n]-'0')
			n++
		}
		if n == 0 || value > 255 || n > 1 && b[0] == '0' {
			return false
		}
		b = b[n:]
	}
	return len(b) == 0
}
