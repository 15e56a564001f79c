package http1

var (
	slash    = []byte("/")
	asterisk = []byte("*")
)

// Rebase tells r that the bytes of its complete head, the first ones of head,
// have been moved or copied there.
func (r *Request) Rebase(head []byte) { r.head = head[:r.line.pos] }

// Head returns the whole head.
func (r *Request) Head() []byte { return r.head }

// Method returns the method as it was sent. Methods are case-sensitive.
func (r *Request) Method() []byte { return r.slice(r.start, r.methodEnd) }

// MethodID returns the method. It is known as soon as the method is parsed,
// also when Parse later returns an error, so that the answer to a wrong HEAD
// request can be sent without a body.
func (r *Request) MethodID() Method { return r.method }

// Minor returns the minor version of the protocol: 0 for HTTP/1.0, and 1 for
// HTTP/1.1 and for any higher one (RFC 9110, section 2.5).
func (r *Request) Minor() int { return int(r.minor) }

// Target returns the request-target as it was sent (RFC 9112, section 3.2).
func (r *Request) Target() []byte { return r.slice(r.target, r.targetEnd) }

// Form returns the form of the request-target.
func (r *Request) Form() Form { return r.form }

// RawPath returns the path of the request-target, still percent-encoded; its
// encoding is valid. It is never empty, except for the authority-form, which
// has no path: an absolute-form without one means "/", and in an OPTIONS
// request without a query "*" (RFC 9110, section 4.2.3; RFC 9112, section
// 3.2.4).
func (r *Request) RawPath() []byte {
	if r.form == AbsoluteForm && r.path == r.pathEnd {
		if r.method == OPTIONS && r.query == 0 {
			return asterisk
		}
		return slash
	}
	return r.slice(r.path, r.pathEnd)
}

// RawQuery returns what follows the first question mark of the request-target.
// Its percent-encoding has not been checked.
func (r *Request) RawQuery() []byte {
	if r.query == 0 {
		return nil
	}
	return r.slice(r.query+1, r.targetEnd)
}

// HasQuery reports whether the request-target has a query, which may be empty.
func (r *Request) HasQuery() bool { return r.query != 0 }

// Host returns the authority the request is for: that of the request-target if
// it has one, else the value of Host (RFC 9112, section 3.3). It is a valid
// host, optionally with a colon and a port, which may be empty; or it is empty
// itself, when Host is, or when an HTTP/1.0 request has none.
func (r *Request) Host() []byte { return r.slice(r.host, r.hostEnd) }

// NumFields returns the number of field lines.
func (r *Request) NumFields() int { return int(r.fields) }

// Field returns the name, as it was sent, and the value of field line i, where
// 0 <= i < [Request.NumFields]. The value has no whitespace around it, and no
// control characters but HTAB; it can have bytes from 0x80 on (RFC 9110,
// section 5.5).
func (r *Request) Field(i int) (name, value []byte) {
	f := r.at(i)
	return r.slice(f.name, f.nameEnd), r.slice(f.value, f.valueEnd)
}

// Get returns the value of the first field line with the given name, in any
// case, and whether there is one.
func (r *Request) Get(name string) ([]byte, bool) {
	for i := range int(r.fields) {
		f := r.at(i)
		if int(f.nameEnd-f.name) == len(name) && equalFold(r.slice(f.name, f.nameEnd), name) {
			return r.slice(f.value, f.valueEnd), true
		}
	}
	return nil, false
}

// ListHas reports whether any field line with the given name has the token
// among its comma-separated elements (RFC 9110, section 5.6.1). Neither name
// nor token are case-sensitive. Quoted strings are not understood.
func (r *Request) ListHas(name, token string) bool {
	for i := range int(r.fields) {
		n, value := r.Field(i)
		if equalFold(n, name) && listHas(value, token) {
			return true
		}
	}
	return false
}

// ContentLength returns the value of Content-Length, and -1 when there is none:
// then the request is chunked, or it has no body.
func (r *Request) ContentLength() int64 {
	if r.has(sawLength) {
		return r.length
	}
	return -1
}

// Chunked reports whether the body is in the chunked transfer coding.
func (r *Request) Chunked() bool { return r.has(sawChunked) }

// HasBody reports whether bytes of a body follow the head (RFC 9112, section
// 6.3): it is chunked, or has a Content-Length above zero.
func (r *Request) HasBody() bool { return r.has(sawChunked) || r.length > 0 }

// KeepAlive reports whether the client wants the connection to persist (RFC
// 9112, section 9.3): with HTTP/1.1 unless it says "close", with HTTP/1.0 only
// if it says "keep-alive" and not "close".
func (r *Request) KeepAlive() bool {
	return !r.has(sawClose) && (r.minor > 0 || r.has(sawKeepAlive))
}

// ExpectContinue reports whether the client may wait for a 100 (Continue)
// before it sends the body (RFC 9110, section 10.1.1). HTTP/1.0 has no such
// response, and without a body there is nothing to wait for.
func (r *Request) ExpectContinue() bool {
	return r.has(sawContinue) && r.minor > 0 && r.HasBody()
}

// Upgrade returns the value of the first Upgrade field, and whether the client
// asks to upgrade to what it lists (RFC 9110, section 7.8): Connection has the
// option "upgrade", and the protocol is not HTTP/1.0.
func (r *Request) Upgrade() (protocols []byte, requested bool) {
	return r.slice(r.upgrade, r.upgradeEnd), r.has(sawUpgrade) && r.has(sawUpgradeOption) && r.minor > 0
}

// ConnectionHas reports whether a Connection field lists the option, in any
// case (RFC 9110, section 7.6.1).
func (r *Request) ConnectionHas(option string) bool { return r.ListHas("Connection", option) }

func (r *Request) at(i int) *field {
	if i < inlineFields && i < int(r.fields) {
		return &r.inline[i]
	}
	return &r.more[i-inlineFields]
}

// slice returns a part of the head, or nil while there is no complete one.
func (r *Request) slice(from, to uint32) []byte {
	if from > to || int(to) > len(r.head) {
		return nil
	}
	return r.head[from:to:to]
}
