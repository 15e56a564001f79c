package http1

// RequestHead is the part of a request's head that says what the request is: the
// request line, Host, and the fields that delimit its body.
type RequestHead struct {
	// Method is the method, any token.
	Method string

	// Form is the form of the request-target (RFC 9112, section 3.2): origin-form,
	// which is the zero value, to the server itself; absolute-form to a proxy;
	// authority-form with CONNECT and only with that; asterisk-form with OPTIONS only.
	Form Form

	// Scheme is "http" or "https". It matters to the absolute-form only.
	Scheme string

	// Authority is whom the request is for: a host and optionally a colon and a port,
	// without userinfo. It is the value of Host, and stands in the absolute-form and in
	// the authority-form, where a port is needed that is not zero.
	Authority string

	// Path is the path with the query, if there is one, percent-encoded, as in
	// "/where?q=now". In the absolute-form it can be empty, or start with the question
	// mark. In the last two forms it has to be empty.
	Path string

	// Framing is how the body is delimited: see [RequestFraming]. UntilClose is not
	// for requests.
	Framing Framing

	// Length is the length of the content in bytes. It matters to Length only.
	Length int64

	// Continue says that the client waits for a 100 (Continue) before it sends the
	// content (RFC 9110, section 10.1.1). Where there is no content it has no effect.
	Continue bool
}

// RequestFraming returns how to delimit the body of a request with the given method
// and length of the content in bytes, -1 if unknown (RFC 9112, section 6.3; RFC 9110,
// section 8.6): a length of zero is written with methods that expect content only.
// Content with CONNECT or TRACE, which have none, [AppendRequestStart] refuses.
func RequestFraming(method Method, length int64) Framing {
	switch {
	case length < 0:
		return Chunked
	case length > 0, method == POST, method == PUT, method == PATCH:
		return Length
	}
	return NoBody
}

// AppendRequestStart appends the request line of h (RFC 9112, section 3), Host, and
// Content-Length, Transfer-Encoding and Expect as h demands. Other fields follow
// with [AppendRequestField], and [AppendEnd] ends the head. A body in chunks is
// written like that of a response, see [AppendChunk].
//
// If a value cannot be sent, it returns dst as it was and an [*Error]. What it writes
// [Request.Parse] accepts, as far as its limits go, but for a NUL that is
// percent-encoded in the path.
func AppendRequestStart(dst []byte, h *RequestHead) ([]byte, error) {
	method := MethodOf(h.Method)
	if err := h.check(method); err != nil {
		return dst, err
	}
	out := append(dst, h.Method...)
	out = append(out, ' ')
	target := len(out)
	switch h.Form {
	case AbsoluteForm:
		out = append(append(append(out, h.Scheme...), "://"...), h.Authority...)
	case AuthorityForm:
		out = append(out, h.Authority...)
	case AsteriskForm:
		out = append(out, '*')
	}
	out = append(out, h.Path...)
	end := len(out)
	out = append(out, " HTTP/1.1\r\nHost: "...)
	host := len(out)
	out = append(out, h.Authority...)
	if err := checkTarget(out[:end+1], target); err != nil {
		return dst, err
	}
	_, port, ok := parseAuthority(out[host:])
	if !ok {
		return dst, errHost
	}
	if h.Form == AuthorityForm && !validConnectPort(port) {
		return dst, errTargetHost
	}
	out = append(out, "\r\n"...)
	switch h.Framing {
	case Length:
		out = AppendContentLength(out, h.Length)
	case Chunked:
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	}
	if h.Continue && h.hasContent() {
		out = append(out, "Expect: 100-continue\r\n"...)
	}
	return out, nil
}

// check looks at what has to fit together.
func (h *RequestHead) check(method Method) *Error {
	if !ValidToken(h.Method) {
		return errMethod
	}
	var ok bool
	switch h.Form {
	case OriginForm:
		ok = method != CONNECT && h.Path != "" && h.Path[0] == '/'
	case AbsoluteForm:
		ok = method != CONNECT && (h.Scheme == "http" || h.Scheme == "https") &&
			(h.Path == "" || h.Path[0] == '/' || h.Path[0] == '?')
	case AuthorityForm:
		ok = method == CONNECT && h.Path == ""
	case AsteriskForm:
		ok = method == OPTIONS && h.Path == ""
	}
	switch {
	case !ok:
		return errTargetForm
	case h.Framing > Chunked:
		return errRequestFraming
	case h.Framing == Length && h.Length < 0:
		return errLength
	case h.hasContent() && (method == CONNECT || method == TRACE):
		return errContent
	}
	return nil
}

func (h *RequestHead) hasContent() bool {
	return h.Framing == Chunked || h.Framing == Length && h.Length > 0
}

// checkTarget checks the bytes of the request-target that starts at i and ends
// with the space at the end of b.
func checkTarget(b []byte, i int) *Error {
	var query uint32
	end, _, err := scanTarget(b, i, &query)
	for err == errTargetNUL {
		// What a server makes of it is not for its client to decide.
		end, _, err = scanTarget(b, end+len("%00"), &query)
	}
	if err == errTargetEscape {
		return err
	}
	if err != nil || end != len(b)-1 {
		return errTargetChar
	}
	return nil
}

// AppendRequestField appends a field line of a request like [AppendField], but only if
// name and value are valid, and the field is not one that [AppendRequestStart] writes
// or that [Request.Parse] refuses. Otherwise it returns dst as it was and an
// [*Error].
func AppendRequestField[N, V ~string | ~[]byte](dst []byte, name N, value V) ([]byte, error) {
	switch {
	case !ValidFieldName(name):
		return dst, errNameChar
	case !ValidFieldValue(value):
		return dst, errValueChar
	}
	out := AppendField(dst, name, value)
	line := out[len(dst):]
	switch lookup(line[:len(name)]) {
	case nameHost, nameContentLength, nameTransferEncoding, nameExpect:
		return dst, errRequestField
	case nameDisguised:
		return dst, errDisguised
	case nameConnection:
		list := line[len(name)+len(": ") : len(line)-len("\r\n")]
		if connectionOptions(list)&sawForAllOption != 0 {
			return dst, errConnection
		}
	}
	return out, nil
}
