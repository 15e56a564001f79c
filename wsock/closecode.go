package wsock

// CloseCode is the status code of a Close frame (RFC 6455, section 7.4). All those
// that the IANA has registered have a name here.
type CloseCode uint16

const (
	CloseNormal             CloseCode = 1000 // the purpose is fulfilled
	CloseGoingAway          CloseCode = 1001 // a server stops, a page is left
	CloseProtocolError      CloseCode = 1002
	CloseUnsupportedData    CloseCode = 1003 // Text or Binary cannot be accepted
	CloseNoStatus           CloseCode = 1005 // never sent: the Close frame had no code
	CloseAbnormal           CloseCode = 1006 // never sent: there was no Close frame
	CloseInvalidPayload     CloseCode = 1007 // no UTF-8, or no valid compressed data
	ClosePolicyViolation    CloseCode = 1008
	CloseMessageTooBig      CloseCode = 1009
	CloseMandatoryExtension CloseCode = 1010 // a client misses an extension
	CloseInternalError      CloseCode = 1011
	CloseServiceRestart     CloseCode = 1012
	CloseTryAgainLater      CloseCode = 1013
	CloseBadGateway         CloseCode = 1014
	CloseTLSHandshake       CloseCode = 1015 // never sent: TLS failed
)

// Valid reports whether c may be sent in a Close frame: it is registered for that,
// or is in the ranges left to libraries (3000 to 3999) and to private use (4000 to
// 4999). RFC 6455, sections 7.4.1 and 7.4.2.
func (c CloseCode) Valid() bool {
	switch {
	case c < CloseNormal:
		return false
	case c <= CloseUnsupportedData:
		return true
	case c < CloseInvalidPayload:
		return false
	}
	return c <= CloseBadGateway || 3000 <= c && c <= 4999
}

// String returns the meaning of c in a few words, such as "going away", or
// "unknown".
func (c CloseCode) String() string {
	switch c {
	case CloseNormal:
		return "normal closure"
	case CloseGoingAway:
		return "going away"
	case CloseProtocolError:
		return "protocol error"
	case CloseUnsupportedData:
		return "unsupported data"
	case CloseNoStatus:
		return "no status received"
	case CloseAbnormal:
		return "abnormal closure"
	case CloseInvalidPayload:
		return "invalid payload data"
	case ClosePolicyViolation:
		return "policy violation"
	case CloseMessageTooBig:
		return "message too big"
	case CloseMandatoryExtension:
		return "mandatory extension missing"
	case CloseInternalError:
		return "internal error"
	case CloseServiceRestart:
		return "service restart"
	case CloseTryAgainLater:
		return "try again later"
	case CloseBadGateway:
		return "bad gateway"
	case CloseTLSHandshake:
		return "TLS handshake failed"
	}
	return "unknown"
}
