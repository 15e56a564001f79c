package wsock

import (
	"crypto/sha1"
	"encoding/base64"
	"strings"
)

// Version is the only version of the protocol, the value of Sec-WebSocket-Version.
const Version = "13"

// HandshakeError is a handshake that cannot be accepted. All values are allocated
// once, when the package is loaded, and must not be modified; they may be compared
// and shared between goroutines.
type HandshakeError struct {
	// Status is what a server answers with: 400, 403, 405 or 426. It is zero if it
	// is the server's answer that is wrong, and a client has to give up.
	Status int

	// Reason says in a few words what was wrong. It is fixed text, without any byte
	// of the peer's.
	Reason string

	// Fields are the names and values of the fields that the answer has to have.
	Fields [][2]string
}

// Error implements the error interface.
func (e *HandshakeError) Error() string { return "wsock: " + e.Reason }

// ErrOrigin is for an owner that does not accept the Origin of a request (RFC 6455,
// section 10.2).
var ErrOrigin = &HandshakeError{Status: 403, Reason: "origin not allowed"}

// upgradeFields tell what the server expects (RFC 9110, section 15.5.22; RFC 6455,
// section 4.4).
var upgradeFields = [][2]string{{"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Version", Version}}

// Errors of a request, RFC 6455, section 4.2.1.
var (
	errMethod     = &HandshakeError{405, "a WebSocket handshake is a GET", [][2]string{{"Allow", "GET"}}}
	errHTTP       = &HandshakeError{Status: 400, Reason: "a WebSocket handshake takes HTTP/1.1"}
	errNoUpgrade  = &HandshakeError{426, "a WebSocket handshake is expected", upgradeFields}
	errConnection = &HandshakeError{Status: 400, Reason: "Connection does not name Upgrade"}
	errVersion    = &HandshakeError{426, "unsupported Sec-WebSocket-Version", upgradeFields}
	errKey        = &HandshakeError{Status: 400, Reason: "invalid Sec-WebSocket-Key"}
	errProtocols  = &HandshakeError{Status: 400, Reason: "invalid Sec-WebSocket-Protocol"}
	errExtensions = &HandshakeError{Status: 400, Reason: "invalid Sec-WebSocket-Extensions"}
)

// Errors of a response, RFC 6455, section 4.1.
var (
	errStatus      = &HandshakeError{Reason: "the server does not switch protocols"}
	errNotUpgraded = &HandshakeError{Reason: "the server does not switch to WebSocket"}
	errAccept      = &HandshakeError{Reason: "Sec-WebSocket-Accept does not fit the key"}
	errProtocol    = &HandshakeError{Reason: "the server has chosen a subprotocol that was not offered"}
	errNotOffered  = &HandshakeError{Reason: "the server has chosen an extension that was not offered"}
	errAnswer      = &HandshakeError{Reason: "the server's parameters of permessage-deflate do not fit the offer"}
)

// Request is what a server looks at in a client's handshake. The slices are the values
// of the fields they are named after, one for each line, with the prefix
// "Sec-WebSocket-" for the last three.
type Request struct {
	Method              string // "GET", or it is refused with a 405
	HTTP11              bool   // the version is HTTP/1.1
	Connection, Upgrade []string
	Key, Version        []string
	Protocol            []string
}

// Check checks a handshake (RFC 6455, section 4.2.1), all but its Origin, see
// [SameOrigin], and its extensions, see [CompressionOptions.Accept]. It returns the
// subprotocols the client offers, in its order. The error is a [*HandshakeError].
func (r *Request) Check() (protocols []string, err error) {
	if !hasToken(r.Upgrade, "websocket") {
		return nil, errNoUpgrade
	}
	if r.Method != "GET" {
		return nil, errMethod
	}
	if !r.HTTP11 {
		return nil, errHTTP
	}
	if !hasToken(r.Connection, "upgrade") {
		return nil, errConnection
	}
	if v, ok := single(r.Version); !ok || v != Version {
		return nil, errVersion
	}
	if key, ok := single(r.Key); !ok || !ValidKey(key) {
		return nil, errKey
	}
	protocols, ok := tokenList(r.Protocol)
	if !ok {
		return nil, errProtocols
	}
	return protocols, nil
}

// ValidKey reports whether key, without whitespace around it, is a
// Sec-WebSocket-Key: 16 bytes in base64.
func ValidKey(key string) bool {
	var raw [18]byte
	if len(key) != base64.StdEncoding.EncodedLen(16) {
		return false
	}
	n, err := base64.StdEncoding.Decode(raw[:], []byte(key))
	return err == nil && n == 16
}

// NewKey returns the Sec-WebSocket-Key for a nonce, which has to be chosen at random
// for each connection.
func NewKey(nonce [16]byte) string { return base64.StdEncoding.EncodeToString(nonce[:]) }

// AppendAccept appends the Sec-WebSocket-Accept for a key, without whitespace around
// it, to dst.
func AppendAccept[T ~string | ~[]byte](dst []byte, key T) []byte {
	const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	var buf [64]byte
	sum := sha1.Sum(append(append(buf[:0], key...), guid...))
	return base64.StdEncoding.AppendEncode(dst, sum[:])
}

// ChooseProtocol returns the first of the subprotocols a client offers that is
// supported, or the empty string. It is the string out of supported: the other may be part
// of a request that nobody needs any more.
func ChooseProtocol(offered, supported []string) string {
	for _, o := range offered {
		for _, s := range supported {
			if o == s {
				return s
			}
		}
	}
	return ""
}

// AppendResponse appends a server's answer to the handshake with the given key: the
// status line and the fields, without the empty line at their end. protocol and
// extensions are left out if empty; they must be valid field values.
func AppendResponse[T ~string | ~[]byte](dst []byte, key T, protocol, extensions string) []byte {
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = AppendAccept(dst, key)
	dst = append(dst, "\r\n"...)
	if protocol != "" {
		dst = append(append(append(dst, "Sec-WebSocket-Protocol: "...), protocol...), "\r\n"...)
	}
	if extensions != "" {
		dst = append(append(append(dst, "Sec-WebSocket-Extensions: "...), extensions...), "\r\n"...)
	}
	return dst
}

// Response is what a client looks at in the server's answer. The slices are the values
// of the fields they are named after, one for each line, with the prefix
// "Sec-WebSocket-" for the last two.
type Response struct {
	Status              int      // 101, or it is no WebSocket
	Connection, Upgrade []string // Upgrade, and websocket
	Accept, Protocol    []string // one value, and at most one
}

// Check checks the answer to a handshake with the given key and subprotocols (RFC
// 6455, section 4.1), all but its extensions, see [CompressionOptions.Check]. It
// returns the subprotocol the server has chosen, or the empty string. The error is a
// [*HandshakeError].
func (r *Response) Check(key string, offered []string) (protocol string, err error) {
	if r.Status != 101 {
		return "", errStatus
	}
	if !hasToken(r.Upgrade, "websocket") || !hasToken(r.Connection, "upgrade") {
		return "", errNotUpgraded
	}
	if accept, ok := single(r.Accept); !ok || accept != string(AppendAccept(nil, key)) {
		return "", errAccept
	}
	if len(r.Protocol) == 0 {
		return "", nil
	}
	protocol, ok := single(r.Protocol)
	if !ok || ChooseProtocol([]string{protocol}, offered) == "" {
		return "", errProtocol
	}
	return protocol, nil
}

// SameOrigin reports whether the Origin of a request names the host, the value of Host,
// that the request was sent to. It protects those who are logged in to a site from the
// pages of others (RFC 6455, section 10.2). The scheme is not compared: where a proxy
// ends TLS, the server does not know it. Without an Origin, which browsers always
// send, SameOrigin reports true.
func SameOrigin(origin, host string) bool {
	if origin == "" {
		return true
	}
	scheme, from, ok := strings.Cut(origin, "://")
	port := ":80"
	switch {
	case strings.EqualFold(scheme, "https"):
		port = ":443"
	case !strings.EqualFold(scheme, "http"):
		return false
	}
	from = strings.TrimSuffix(from, port)
	return ok && from != "" && strings.EqualFold(from, strings.TrimSuffix(host, port))
}
