package wsock

// Error is a violation of the protocol, or of a limit, by the peer. All values are
// allocated once, when the package is loaded, and must not be modified; they may be
// compared and shared between goroutines.
type Error struct {
	// Code is the code to close with: CloseProtocolError, CloseInvalidPayload or
	// CloseMessageTooBig.
	Code CloseCode

	// Reason says in a few words what was wrong. It is fixed text, without any byte
	// of the peer's, and short enough for a Close frame.
	Reason string
}

// Error implements the error interface.
func (e *Error) Error() string { return "wsock: " + e.Reason }

// Errors of frame headers, RFC 6455, section 5.2 unless another is named.
var (
	errReservedBits   = &Error{CloseProtocolError, "reserved bit set"}
	errReservedOpcode = &Error{CloseProtocolError, "reserved opcode"}
	errFragmentedCtl  = &Error{CloseProtocolError, "fragmented control frame"}                          // 5.5
	errLongControl    = &Error{CloseProtocolError, "control frame longer than 125 bytes"}               // 5.5
	errNoMessage      = &Error{CloseProtocolError, "continuation without a message"}                    // 5.4
	errInMessage      = &Error{CloseProtocolError, "new message before the end of the one before it"}   // 5.4
	errCompressedCont = &Error{CloseProtocolError, "compression bit on a frame that is no first frame"} // RFC 7692, 6.1
	errNotMasked      = &Error{CloseProtocolError, "frame of a client is not masked"}                   // 5.1
	errMasked         = &Error{CloseProtocolError, "frame of a server is masked"}                       // 5.1
	errNotMinimal     = &Error{CloseProtocolError, "length not in its shortest form"}
	errLength         = &Error{CloseProtocolError, "length with its highest bit set"}
	errTooBig         = &Error{CloseMessageTooBig, "message too big"} // 10.4
)

// Errors of payloads.
var (
	errCloseLength = &Error{CloseProtocolError, "close frame with half a code"}   // 5.5.1
	errCloseCode   = &Error{CloseProtocolError, "invalid close code"}             // 7.4
	errCloseReason = &Error{CloseInvalidPayload, "reason of a close is no UTF-8"} // 5.5.1
	errText        = &Error{CloseInvalidPayload, "text is no UTF-8"}              // 8.1
	errDeflate     = &Error{CloseInvalidPayload, "invalid compressed data"}       // RFC 7692, 7.2.2
)
