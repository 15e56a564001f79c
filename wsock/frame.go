package wsock

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

// AppendFrame appends a frame with the given payload to dst; h.Length is set by
// it. payload is not modified: what is masked is the copy. It panics if a control
// frame is fragmented or has a payload longer than [MaxControl].
func AppendFrame(dst []byte, h Header, payload []byte) []byte {
	if h.Op.Control() && (len(payload) > MaxControl || !h.Fin) {
		panic("wsock: invalid control frame")
	}
	h.Length = len(payload)
	dst = slices.Grow(dst, maxHeader+len(payload))
	dst = h.Append(dst)
	dst = append(dst, payload...)
	h.mask(dst[len(dst)-len(payload):])
	return dst
}

// mask masks a payload that stands where it is sent from.
func (h *Header) mask(payload []byte) {
	if h.Mask.On {
		applyMask(payload, binary.LittleEndian.Uint32(h.Mask.Key[:]))
	}
}

// AppendMessage appends m, uncompressed and in one frame, to dst. The data of a
// Text must be UTF-8, which is not checked.
func AppendMessage(dst []byte, m Message, mask Mask) []byte {
	return AppendFrame(dst, Header{Op: m.Kind, Fin: true, Mask: mask}, m.Data)
}

// AppendPing appends a Ping with at most [MaxControl] bytes of data.
func AppendPing(dst, data []byte, mask Mask) []byte {
	return AppendFrame(dst, Header{Op: Ping, Fin: true, Mask: mask}, data)
}

// AppendPong appends a Pong. In answer to a Ping, data is what the Ping had (RFC
// 6455, section 5.5.3).
func AppendPong(dst, data []byte, mask Mask) []byte {
	return AppendFrame(dst, Header{Op: Pong, Fin: true, Mask: mask}, data)
}

// AppendClose appends a Close with code and as much of reason as fits, 123 bytes,
// cut between two characters; what is no UTF-8 in reason is replaced. With
// [CloseNoStatus] the frame is empty. Any other code that is not [CloseCode.Valid]
// panics.
func AppendClose(dst []byte, code CloseCode, reason string, mask Mask) []byte {
	var buf [MaxControl]byte
	payload := buf[:0]
	if code != CloseNoStatus {
		if !code.Valid() {
			panic("wsock: close code must not be sent")
		}
		payload = binary.BigEndian.AppendUint16(payload, uint16(code))
		for _, r := range reason {
			if len(payload)+utf8.RuneLen(r) > MaxControl {
				break
			}
			payload = utf8.AppendRune(payload, r)
		}
	}
	return AppendFrame(dst, Header{Op: Close, Fin: true, Mask: mask}, payload)
}

// parseClose returns what the payload of a Close says.
func parseClose(payload []byte) (code CloseCode, reason []byte, err *Error) {
	if len(payload) == 0 {
		return CloseNoStatus, nil, nil
	}
	if len(payload) == 1 {
		return 0, nil, errCloseLength
	}
	code = CloseCode(binary.BigEndian.Uint16(payload))
	if !code.Valid() {
		return 0, nil, errCloseCode
	}
	if !utf8.Valid(payload[2:]) {
		return 0, nil, errCloseReason
	}
	return code, payload[2:], nil
}
