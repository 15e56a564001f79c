package proxyproto

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

// The header of version 2: the signature, version and command, family and
// transport, and the length of what follows.
const (
	headerLen2 = 16

	commandLocal = 0x20
	commandProxy = 0x21

	pathLen  = 108  // of a unix socket, sockaddr_un.sun_path
	typeCRC  = 0x03 // PP2_TYPE_CRC32C
	typeSize = 3    // of a TLV's type and length
)

// addressLen is how much room the addresses of a family take.
var addressLen = [4]int{0, 2*4 + 4, 2*16 + 4, 2 * pathLen}

// parse2 reads version 2, of which the first headerLen2 bytes are there.
func parse2(in []byte) (h Header, n int, err error) {
	command, family, transport := in[12], in[13]>>4, in[13]&15
	n = headerLen2 + int(binary.BigEndian.Uint16(in[14:]))
	switch {
	case command != commandLocal && command != commandProxy:
		return Header{}, 0, ErrVersion
	case n > MaxLength:
		return Header{}, 0, ErrTooLong
	case command == commandProxy && (int(family) >= len(addressLen) || transport > 2):
		return Header{}, 0, ErrFamily
	case len(in) < n:
		return Header{}, 0, nil
	case command == commandLocal || family == 0:
		return Header{}, n, nil // what else it says is to be ignored
	}
	block := in[headerLen2:n]
	if len(block) < addressLen[family] {
		return Header{}, 0, ErrTruncate
	}
	if err := checkTLVs(in[:n], headerLen2+addressLen[family]); err != nil {
		return Header{}, 0, err
	}
	if transport != 1 {
		return Header{}, n, nil // the addresses of a datagram are not those of a stream
	}
	switch family {
	case 1:
		h = addresses(block, 4)
	case 2:
		h = addresses(block, 16)
	case 3:
		h = Header{Family: Unix, SourcePath: path(block[:pathLen]), DestinationPath: path(block[pathLen : 2*pathLen])}
	}
	return h, n, nil
}

func addresses(block []byte, size int) Header {
	address := func(i int) netip.AddrPort {
		addr, _ := netip.AddrFromSlice(block[i*size : (i+1)*size])
		return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(block[2*size+2*i:]))
	}
	return Header{Family: TCP, Source: address(0), Destination: address(1)}
}

// path reads a sun_path, which is padded with zeros. An abstract name begins with
// one.
func path(p []byte) string {
	if p[0] == 0 {
		if name := bytes.TrimRight(p, "\x00"); len(name) > 0 {
			return "@" + string(name[1:])
		}
		return ""
	}
	if end := bytes.IndexByte(p, 0); end >= 0 {
		p = p[:end]
	}
	return string(p)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkTLVs walks over the values behind the addresses, and compares the checksum
// if there is one: it is that of the header with zeros in its place.
func checkTLVs(header []byte, at int) error {
	checked := false
	for at < len(header) {
		if len(header)-at < typeSize {
			return ErrTruncate
		}
		kind, size := header[at], int(binary.BigEndian.Uint16(header[at+1:]))
		at += typeSize
		if len(header)-at < size {
			return ErrTruncate
		}
		if kind == typeCRC {
			if checked || size != crc32.Size {
				return ErrChecksum
			}
			checked = true
			sum := crc32.Update(0, castagnoli, header[:at])
			sum = crc32.Update(sum, castagnoli, make([]byte, crc32.Size))
			sum = crc32.Update(sum, castagnoli, header[at+crc32.Size:])
			if sum != binary.BigEndian.Uint32(header[at:]) {
				return ErrChecksum
			}
		}
		at += size
	}
	return nil
}
