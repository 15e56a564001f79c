package wsock

import "strconv"

// permessageDeflate is the name of the extension, and the others are those of its
// parameters (RFC 7692, section 7.1).
const (
	permessageDeflate = "permessage-deflate"

	serverNoTakeover = "server_no_context_takeover"
	clientNoTakeover = "client_no_context_takeover"
	serverMaxBits    = "server_max_window_bits"
	clientMaxBits    = "client_max_window_bits"
)

const minWindowBits = 8

// CompressionOptions is what one side wants of permessage-deflate. The zero value asks
// that both sides compress every message by itself, so that neither keeps anything
// for a connection. The same options mean the same on either side.
type CompressionOptions struct {
	// ServerTakeover and ClientTakeover let the server, or the client, refer to
	// its earlier messages. For each of them that is used, both sides keep a window
	// for the connection, and the sender reads it anew for every message.
	ServerTakeover bool
	ClientTakeover bool

	// ServerBits and ClientBits limit the window of the server's, or the client's,
	// messages to 2^bits bytes: 8 to 15, where zero, and what is out of range, means
	// 15. A client that cannot be told (section 7.1.2.2) may not take its context
	// over.
	ServerBits uint8
	ClientBits uint8
}

func windowBits(bits uint8) uint8 {
	if bits < minWindowBits || bits > maxWindowBits {
		return maxWindowBits
	}
	return bits
}

// deflateParams are the parameters of one offer or answer.
type deflateParams struct {
	serverNoTakeover, clientNoTakeover bool
	serverBits                         uint8 // zero if absent
	clientBits                         uint8 // zero if absent or without a value
	clientBitsPresent                  bool
}

// parse reports whether e has only known parameters, each once, with the values they
// may have. The value of client_max_window_bits can be missing in an offer (RFC
// 7692, section 7.1.2.2).
func (p *deflateParams) parse(e *extension, offer bool) bool {
	for i, got := range e.Params {
		for _, earlier := range e.Params[:i] {
			if earlier.Name == got.Name {
				return false
			}
		}
		ok := !got.HasValue
		switch got.Name {
		case serverNoTakeover:
			p.serverNoTakeover = true
		case clientNoTakeover:
			p.clientNoTakeover = true
		case serverMaxBits:
			p.serverBits, ok = parseBits(got.Value)
		case clientMaxBits:
			p.clientBitsPresent = true
			if got.HasValue || !offer {
				p.clientBits, ok = parseBits(got.Value)
			}
		default:
			ok = false
		}
		if !ok {
			return false
		}
	}
	return true
}

// parseBits parses 8 to 15, without leading zeros.
func parseBits(s string) (bits uint8, ok bool) {
	switch {
	case len(s) == 1 && '8' <= s[0] && s[0] <= '9':
		return s[0] - '0', true
	case len(s) == 2 && s[0] == '1' && '0' <= s[1] && s[1] <= '5':
		return 10 + s[1] - '0', true
	}
	return 0, false
}

// Accept chooses the first of the client's offers of permessage-deflate that is
// valid, for a server. values are those of the request's Sec-WebSocket-Extensions;
// answer is the value of that field in the response, which has none if answer is
// empty: then nothing acceptable was offered. Other extensions are not accepted.
// The error, a [*HandshakeError], says that the values do not follow the grammar.
func (o *CompressionOptions) Accept(values []string) (agreed Compression, answer string, err error) {
	extensions, ok := parseExtensions(values)
	if !ok {
		return Compression{}, "", errExtensions
	}
	for _, e := range extensions {
		var offer deflateParams
		if e.Name == permessageDeflate && offer.parse(&e, true) {
			agreed, answer = o.accept(&offer)
			return agreed, answer, nil
		}
	}
	return Compression{}, "", nil
}

// accept answers a valid offer. All of them can be honoured: a window smaller than the
// compressor's is kept by compressing in pieces.
func (o *CompressionOptions) accept(offer *deflateParams) (agreed Compression, answer string) {
	agreed = Compression{
		Enabled:          true,
		ServerNoTakeover: offer.serverNoTakeover || !o.ServerTakeover,
		ClientNoTakeover: offer.clientNoTakeover || !o.ClientTakeover,
		ServerBits:       windowBits(o.ServerBits),
		ClientBits:       maxWindowBits,
	}
	var room [paramsRoom]byte
	dst := append(room[:0], permessageDeflate...)
	if offer.serverBits != 0 {
		agreed.ServerBits = min(agreed.ServerBits, offer.serverBits)
	}
	if offer.clientBits != 0 {
		agreed.ClientBits = offer.clientBits
	}
	if limit := windowBits(o.ClientBits); limit < agreed.ClientBits {
		if offer.clientBitsPresent {
			agreed.ClientBits = limit
			dst = appendBits(dst, clientMaxBits, limit)
		} else {
			agreed.ClientNoTakeover = true
		}
	}
	if agreed.ServerNoTakeover {
		dst = appendParam(dst, serverNoTakeover)
	}
	if agreed.ClientNoTakeover {
		dst = appendParam(dst, clientNoTakeover)
	}
	if offer.serverBits != 0 || agreed.ServerBits < maxWindowBits {
		dst = appendBits(dst, serverMaxBits, agreed.ServerBits)
	}
	return agreed, string(dst)
}

// paramsRoom is enough for the extension with all its parameters.
const paramsRoom = 128

// appendParam appends a parameter without a value to an extension.
func appendParam(dst []byte, name string) []byte {
	return append(append(dst, "; "...), name...)
}

// appendBits appends a parameter that says how large a window is.
func appendBits(dst []byte, name string, bits uint8) []byte {
	return strconv.AppendUint(append(appendParam(dst, name), '='), uint64(bits), 10)
}

// Offer returns the value of Sec-WebSocket-Extensions in a client's request.
func (o *CompressionOptions) Offer() string {
	dst := append(make([]byte, 0, paramsRoom), permessageDeflate...)
	if !o.ServerTakeover {
		dst = appendParam(dst, serverNoTakeover)
	}
	if !o.ClientTakeover {
		dst = appendParam(dst, clientNoTakeover)
	}
	if bits := windowBits(o.ServerBits); bits < maxWindowBits {
		dst = appendBits(dst, serverMaxBits, bits)
	}
	if bits := windowBits(o.ClientBits); bits < maxWindowBits {
		dst = appendBits(dst, clientMaxBits, bits)
	} else {
		dst = appendParam(dst, clientMaxBits)
	}
	return string(dst)
}

// Check checks the server's answer to [CompressionOptions.Offer], for a client. values
// are those of the response's Sec-WebSocket-Extensions. The error, a
// [*HandshakeError], says that the answer is none to the offer, and that the
// connection has to be failed (RFC 7692, section 7.1; RFC 6455, section 4.1).
// No answer is valid, and means no compression.
func (o *CompressionOptions) Check(values []string) (Compression, error) {
	extensions, ok := parseExtensions(values)
	if !ok {
		return Compression{}, errAnswer
	}
	if len(extensions) == 0 {
		return Compression{}, nil
	}
	var answer deflateParams
	e := &extensions[0]
	if len(extensions) > 1 || e.Name != permessageDeflate {
		return Compression{}, errNotOffered
	}
	if !answer.parse(e, false) {
		return Compression{}, errAnswer
	}
	serverBits, clientBits := windowBits(o.ServerBits), windowBits(o.ClientBits)
	switch {
	case !o.ServerTakeover && !answer.serverNoTakeover,
		serverBits < maxWindowBits && answer.serverBits == 0,
		answer.serverBits > serverBits,
		answer.clientBits > clientBits:
		return Compression{}, errAnswer
	}
	agreed := Compression{
		Enabled:          true,
		ServerNoTakeover: answer.serverNoTakeover,
		ClientNoTakeover: answer.clientNoTakeover || !o.ClientTakeover,
		ServerBits:       windowBits(answer.serverBits),
		ClientBits:       clientBits,
	}
	if answer.clientBits != 0 {
		agreed.ClientBits = answer.clientBits
	}
	return agreed, nil
}
