package http1

// Form is the form of a request-target (RFC 9112, section 3.2).
type Form uint8

// The forms of a request-target.
const (
	OriginForm    Form = iota // "/where?q=now"
	AbsoluteForm              // "http://www.example.org/pub/"
	AuthorityForm             // "www.example.com:80", with CONNECT only
	AsteriskForm              // "*", with OPTIONS only
)

var formNames = [...]string{"origin-form", "absolute-form", "authority-form", "asterisk-form"}

// String returns the name the RFC has for the form.
func (f Form) String() string {
	if int(f) < len(formNames) {
		return formNames[f]
	}
	return "invalid form"
}

// scanTarget looks at the bytes of a request-target from i on, and returns the
// position of the space after it. more means that the target, or a percent
// sign's two digits, go on after the end of buf. query is the position of the first
// question mark, or zero.
func scanTarget(buf []byte, i int, query *uint32) (end int, more bool, err *Error) {
	for i < len(buf) {
		c := buf[i]
		if class[c]&targetChar != 0 {
			i++
			continue
		}
		switch {
		case c == ' ':
			return i, false, nil
		case c == '?':
			if *query == 0 {
				*query = uint32(i)
			}
		case c == '\\':
			// Some take it for a slash, and so see another path.
			if *query == 0 {
				return i, false, errTargetChar
			}
		case c == '%':
			// Percent signs of a query are left to those who decode it: forms
			// and tools send them bare.
			if *query != 0 {
				break
			}
			for k := i + 1; k <= i+2; k++ {
				if k >= len(buf) {
					return i, true, nil
				}
				if class[buf[k]]&hexChar == 0 {
					return i, false, errTargetEscape
				}
			}
			if buf[i+1] == '0' && buf[i+2] == '0' {
				// It ends the path for whoever keeps strings as C does.
				return i, false, errTargetNUL
			}
			i += 2
		case c == '\r':
			return i, false, errNoVersion
		case c == '\n':
			return i, false, errBareLF
		default:
			return i, false, errTargetChar
		}
		i++
	}
	return i, true, nil
}

// parseTarget finds the form and the parts of the request-target, whose bytes
// are already known to be allowed.
func (r *Request) parseTarget(buf []byte) *Error {
	target := buf[r.target:r.targetEnd]
	r.path, r.pathEnd = r.target, r.targetEnd
	if r.query != 0 {
		r.pathEnd = r.query
	}
	switch {
	case r.method == CONNECT:
		// RFC 9110, section 9.3.6: a target with an empty or invalid port is to
		// be rejected.
		r.form = AuthorityForm
		r.pathEnd = r.path
		_, port, ok := parseAuthority(target)
		if !ok || !validConnectPort(port) {
			return errTargetHost
		}
		r.host, r.hostEnd = r.target, r.targetEnd
		return nil
	case target[0] == '/':
		r.form = OriginForm
		return nil
	case target[0] == '*' && len(target) == 1:
		r.form = AsteriskForm
		if r.method != OPTIONS {
			return errTargetForm
		}
		return nil
	}
	return r.parseAbsolute(target)
}

func (r *Request) parseAbsolute(target []byte) *Error {
	r.form = AbsoluteForm
	authority := schemeLen(target)
	if authority == 0 {
		return errTargetForm
	}
	end := authority
	for end < len(target) && target[end] != '/' && target[end] != '?' {
		end++
	}
	if _, _, ok := parseAuthority(target[authority:end]); !ok {
		return errTargetHost
	}
	r.host = r.target + uint32(authority)
	r.hostEnd = r.target + uint32(end)
	r.path = r.hostEnd
	return nil
}

// schemeLen returns the length of the "http://" or "https://" that b starts
// with, or zero. Schemes are case-insensitive (RFC 3986, section 3.1).
func schemeLen(b []byte) int {
	const http, https = "http://", "https://"
	if len(b) >= len(http) && equalFold(b[:len(http)], http) {
		return len(http)
	}
	if len(b) >= len(https) && equalFold(b[:len(https)], https) {
		return len(https)
	}
	return 0
}

// validConnectPort reports whether a valid port is one to connect to.
func validConnectPort(port []byte) bool {
	for _, c := range port {
		if c != '0' {
			return true
		}
	}
	return false
}
