package http1

import "strconv"

// Framing is how the body of a message is delimited (RFC 9112, section 6.3).
type Framing uint8

// The ways to delimit a body.
const (
	NoBody     Framing = iota // it has no body
	Length                    // Content-Length, which can be zero
	Chunked                   // "Transfer-Encoding: chunked"
	UntilClose                // a response that ends with its connection
)

var framingNames = [...]string{"no body", "length", "chunked", "until close"}

// String returns the framing in words.
func (f Framing) String() string {
	if int(f) < len(framingNames) {
		return framingNames[f]
	}
	return "invalid framing"
}

// BodyAllowed reports whether a response with the given status code, to a
// request with the given method, can have content (RFC 9110, section 6.4.1):
// not after HEAD, nor after CONNECT when it succeeds, nor with 1xx, 204, 205
// and 304.
func BodyAllowed(method Method, status int) bool {
	return status != 205 && !alwaysEmpty(method, status)
}

// alwaysEmpty reports whether a response ends with its header section whatever
// its fields say (RFC 9112, section 6.3, items 1 and 2).
func alwaysEmpty(method Method, status int) bool {
	switch {
	case status >= 100 && status < 200, status == 204, status == 304:
		return true
	case status >= 200 && status < 300:
		return method == HEAD || method == CONNECT
	}
	return method == HEAD
}

// LeavesHTTP reports whether what follows a response on its connection is not
// HTTP/1.1 any more: after 101 (RFC 9110, section 15.2.2), and after CONNECT when
// it succeeds (RFC 9110, section 9.3.6). A server that cannot go on with the other
// protocol has to close the connection, since the client is going to use that.
func LeavesHTTP(method Method, status int) bool {
	return status == 101 || method == CONNECT && status >= 200 && status < 300
}

// ResponseFraming returns how to delimit the body of a response, given the
// method and minor version of the request, the status code, and the length of
// the content in bytes, -1 if unknown (RFC 9112, sections 6.1 to 6.3).
//
//   - NoBody: write no body. After HEAD, and with 304, Content-Length and
//     Transfer-Encoding may be what they would be without (RFC 9110, section
//     8.6). With 1xx and 204, and with 2xx after CONNECT, neither may be there.
//   - Length: write Content-Length. With 205 it must be zero, whatever length
//     is (RFC 9110, section 15.3.6).
//   - Chunked: write "Transfer-Encoding: chunked".
//   - UntilClose: write "Connection: close", and close the connection after
//     the content. It is what is left for HTTP/1.0 when the length is unknown.
func ResponseFraming(method Method, minor int, status int, length int64) Framing {
	switch {
	case alwaysEmpty(method, status):
		return NoBody
	case length >= 0 || status == 205:
		return Length
	case minor > 0:
		return Chunked
	}
	return UntilClose
}

// AppendStatusLine appends a status line (RFC 9112, section 4) with its CRLF.
// The version is HTTP/1.1 whatever that of the request is (RFC 9110, section
// 6.2). A code that is not registered gets an empty reason phrase. A code that
// is no status code, below 100 or above 999, is written as 500.
func AppendStatusLine(dst []byte, status int) []byte {
	if status < 100 || status > 999 {
		status = 500
	}
	if line := statusLine(status); line != "" {
		return append(dst, line...)
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	return append(dst, " \r\n"...)
}

// AppendField appends a field line. It does not check what it writes: see
// [ValidFieldName] and [ValidFieldValue].
func AppendField[N, V ~string | ~[]byte](dst []byte, name N, value V) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// AppendContentLength appends a Content-Length of n bytes, where n is not
// negative.
func AppendContentLength(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, "\r\n"...)
}

// AppendEnd appends the empty line that ends a header section or a trailer
// section.
func AppendEnd(dst []byte) []byte { return append(dst, "\r\n"...) }

// AppendChunk appends data as one chunk (RFC 9112, section 7.1). It appends
// nothing when data is empty, since an empty chunk would end the body.
func AppendChunk(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	dst = AppendChunkHeader(dst, len(data))
	dst = append(dst, data...)
	return append(dst, "\r\n"...)
}

// AppendChunkHeader appends the line before a chunk of n bytes, for a caller
// that sends the data from elsewhere, with a CRLF after it. n must be above
// zero; otherwise nothing is appended.
func AppendChunkHeader(dst []byte, n int) []byte {
	if n <= 0 {
		return dst
	}
	dst = strconv.AppendUint(dst, uint64(n), 16)
	return append(dst, "\r\n"...)
}

// AppendLastChunk appends the end of a chunked body without trailers.
func AppendLastChunk(dst []byte) []byte { return append(dst, "0\r\n\r\n"...) }

// AppendTrailerStart appends the last chunk of a body with trailers (RFC 9112,
// section 7.1.2). Each trailer follows with [AppendField], and [AppendEnd] ends
// the body.
func AppendTrailerStart(dst []byte) []byte { return append(dst, "0\r\n"...) }
