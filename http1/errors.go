package http1

// Error is a message that cannot be accepted. All values are allocated once,
// when the package is loaded, and must not be modified; they may be compared
// and shared between goroutines.
type Error struct {
	// Status is the status code to answer a request with: 400, 413, 414, 417, 431,
	// 501 or 505. The recipient of a response has nobody to answer; a gateway
	// answers its own client with 502 (Bad Gateway), whatever Status is. That is
	// also the Status of what only a response can have.
	Status int

	// Reason says in a few words what was wrong. It is fixed text, without any
	// byte of the message, and so can be sent to the client.
	Reason string
}

// Error implements the error interface.
func (e *Error) Error() string { return "http1: " + e.Reason }

// Errors of any line.
var (
	errBareLF = &Error{400, "bare LF"}
	errBareCR = &Error{400, "bare CR"}
)

// Errors of the request line.
var (
	errEmptyLines    = &Error{400, "more than one empty line before the request line"}
	errMethod        = &Error{400, "method is not a token"}
	errMethodTooLong = &Error{400, "method too long"}
	errRequestLine   = &Error{414, "request line too long"}
	errNoTarget      = &Error{400, "missing request-target"}
	errNoVersion     = &Error{400, "missing HTTP version"}
	errTargetChar    = &Error{400, "forbidden character in request-target"}
	errTargetEscape  = &Error{400, "invalid percent-encoding in request-target"}
	errTargetNUL     = &Error{400, "encoded NUL in request-target"}
	errTargetForm    = &Error{400, "invalid request-target"}
	errTargetHost    = &Error{400, "invalid authority in request-target"}
	errVersion       = &Error{400, "malformed HTTP version"}
	errMajorVersion  = &Error{505, "HTTP version not supported"}
)

// Errors of responses only.
var (
	errStatusCode       = &Error{502, "malformed status code"}
	errReason           = &Error{502, "control character in reason phrase"}
	errResponseTooLarge = &Error{502, "response head too large"}
	errInterims         = &Error{502, "too many interim responses"}
	errInterimContent   = &Error{502, "content with an interim response"}
)

// Errors of requests to be sent.
var (
	errRequestFraming = &Error{400, "request that ends with its connection"}
	errRequestField   = &Error{400, "field that comes from the head of the request"}
)

// Errors of field lines.
var (
	errHeadTooLarge   = &Error{431, "request head too large"}
	errTooManyFields  = &Error{431, "too many header fields"}
	errFold           = &Error{400, "field line starts with whitespace"}
	errNameSpace      = &Error{400, "whitespace in field name or before colon"}
	errNoColon        = &Error{400, "field line without colon"}
	errEmptyName      = &Error{400, "empty field name"}
	errNameChar       = &Error{400, "field name is not a token"}
	errValueChar      = &Error{400, "control character in field value"}
	errNoHost         = &Error{400, "missing Host"}
	errRepeatedHost   = &Error{400, "repeated Host"}
	errEmptyHost      = &Error{400, "empty Host"}
	errHost           = &Error{400, "invalid Host"}
	errLength         = &Error{400, "invalid Content-Length"}
	errRepeatedLength = &Error{400, "repeated Content-Length"}
	errCoding         = &Error{400, "invalid Transfer-Encoding"}
	errRepeatedCoding = &Error{400, "repeated Transfer-Encoding"}
	errUnknownCoding  = &Error{501, "unsupported transfer coding"}
	errCodingVersion  = &Error{400, "Transfer-Encoding with HTTP/1.0"}
	errCodingLength   = &Error{400, "both Transfer-Encoding and Content-Length"}
	errContent        = &Error{400, "content with a method that has none"}
	errConnection     = &Error{400, "Connection lists a field that is not for one connection"}
	errDisguised      = &Error{400, "underscore in the name of a field that delimits the content"}
	errExpect         = &Error{417, "unsupported expectation"}
)

// Errors of the body.
var (
	errBodyTooLarge     = &Error{413, "content too large"}
	errChunkSize        = &Error{400, "invalid chunk size"}
	errChunkExt         = &Error{400, "invalid chunk extension"}
	errChunkExtTooLarge = &Error{400, "chunk extensions too large"}
	errChunkEnd         = &Error{400, "chunk data not followed by CRLF"}
	errTrailerTooLarge  = &Error{431, "trailer section too large"}
	errTrailerField     = &Error{400, "field not allowed in trailers"}
)
