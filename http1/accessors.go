package http1

var (
	slash    = []byte("/")
	asterisk = []byte("*")
)

// Method returns the method as it was sent. Methods are case-sensitive.
func (r *Request) Method() []byte { return r.slice(r.start, r.methodEnd) }

// MethodID returns the method. It is known as soon as the method is parsed,
// also when Parse later returns an error, so that the answer to a wrong HEAD
// request can be sent without a body.
func (r *Request) MethodID() Method { return r.method }

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

// HasBody reports whether bytes of a body follow the head (RFC 9112, section
// 6.3): it is chunked, or has a Content-Length above zero.
func (r *Request) HasBody() bool { return r.has(sawChunked) || r.length > 0 }

// KeepAlive reports whether the client wants the connection to persist (RFC
// 9112, section 9.3): with HTTP/1.1 unless it says "close", with HTTP/1.0 only
// if it says "keep-alive" and not "close".
func (r *Request) KeepAlive() bool { return r.persists() }

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
	return r.slice(r.upgrade, r.upgradeEnd), r.upgrades()
}
