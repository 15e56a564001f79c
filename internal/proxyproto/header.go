// Package proxyproto reads the header with which a proxy tells, in front of
// everything else, whose connection it passes on: the PROXY protocol, versions 1
// and 2 (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt). Bytes in,
// addresses out; no I/O.
package proxyproto

import (
	"bytes"
	"net/netip"
)

// MaxLength is the longest header that is accepted, in bytes. Version 1 allows 107
// and version 2 allows 64 KiB, of which more than this would be certificates.
const MaxLength = 4 << 10

// Header is what a proxy told.
type Header struct {
	Family Family
	// Source is the client and Destination what it connected to; for TCP.
	Source, Destination netip.AddrPort
	// The same for Unix: a path, "@name" for an abstract one, "" for none.
	SourcePath, DestinationPath string
}

// Family is the kind of addresses of a header.
type Family uint8

const (
	// None means that nothing was told: the connection's own addresses are the
	// right ones. The proxy connected for itself, or does not know the client.
	None Family = iota
	TCP
	Unix
)

// Error is why bytes are no header.
type Error string

func (e Error) Error() string { return "PROXY protocol: " + string(e) }

// Errors of Parse.
const (
	ErrAbsent   Error = "the connection does not begin with a header"
	ErrTooLong  Error = "the header is too long"
	ErrLine     Error = "the header line is malformed"
	ErrAddress  Error = "the header has an invalid address or port"
	ErrVersion  Error = "the header has an unknown version or command"
	ErrFamily   Error = "the header has an unknown address family"
	ErrTruncate Error = "the header is shorter than its contents"
	ErrChecksum Error = "the header's checksum is wrong"
)

const (
	signature1 = "PROXY "
	signature2 = "\r\n\r\n\x00\r\nQUIT\n"
)

// Parse reads the header at the beginning of in and returns its length in bytes. A
// length of 0 without an error means that more input is needed. The outcome does
// not depend on how much follows the header, nor on the pieces it came in.
func Parse(in []byte) (h Header, n int, err error) {
	switch {
	case begins(in, signature1):
		if len(in) < len(signature1) {
			return Header{}, 0, nil
		}
		return parse1(in)
	case begins(in, signature2):
		if len(in) < headerLen2 {
			return Header{}, 0, nil
		}
		return parse2(in)
	}
	return Header{}, 0, ErrAbsent
}

// begins reports whether in begins with a signature, as far as it goes.
func begins(in []byte, signature string) bool {
	n := min(len(in), len(signature))
	return bytes.Equal(in[:n], []byte(signature[:n]))
}
