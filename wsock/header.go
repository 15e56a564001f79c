package wsock

import "encoding/binary"

const (
	finBit      = 0x80
	rsv1Bit     = 0x40 // RFC 7692, section 6: the message is compressed
	rsvOtherBit = 0x30
	opcodeBits  = 0x0F
	maskBit     = 0x80
	lengthBits  = 0x7F

	length16 = 126 // the length follows in 2 bytes
	length64 = 127 // the length follows in 8 bytes

	maxHeader = 14
)

// Header is the header of a frame (RFC 6455, section 5.2).
type Header struct {
	Op         Opcode // what the frame carries
	Fin        bool   // the last frame of its message
	Compressed bool   // RSV1, on the first frame of a compressed message
	Mask       Mask
	Length     int // of the payload, in bytes, not negative
}

// Size returns the number of bytes that [Header.Append] appends, at most 14.
func (h *Header) Size() int {
	n := 2
	switch {
	case h.Length > 0xFFFF:
		n += 8
	case h.Length >= length16:
		n += 2
	}
	if h.Mask.On {
		n += 4
	}
	return n
}

// Append appends the header to dst, with the length in its shortest form.
func (h *Header) Append(dst []byte) []byte {
	first := byte(h.Op)
	if h.Fin {
		first |= finBit
	}
	if h.Compressed {
		first |= rsv1Bit
	}
	second := byte(0)
	if h.Mask.On {
		second = maskBit
	}
	switch {
	case h.Length > 0xFFFF:
		dst = append(dst, first, second|length64)
		dst = binary.BigEndian.AppendUint64(dst, uint64(h.Length))
	case h.Length >= length16:
		dst = append(dst, first, second|length16)
		dst = binary.BigEndian.AppendUint16(dst, uint16(h.Length))
	default:
		dst = append(dst, first, second|byte(h.Length))
	}
	if h.Mask.On {
		dst = append(dst, h.Mask.Key[:]...)
	}
	return dst
}
