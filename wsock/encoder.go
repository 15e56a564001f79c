package wsock

import "slices"

// Encoder encodes the messages that one side of a connection sends, with the
// compression that has been agreed on. The zero value does not compress. It keeps
// nothing but the window, if the context is taken over. It is not safe for concurrent
// use; its frames have to be sent in the order they were encoded in.
type Encoder struct {
	window *window // nil without takeover
	agreed Compression
	bits   uint8 // of the window that the peer inflates with
}

// Init makes e ready for the first message. client tells the side.
func (e *Encoder) Init(client bool, agreed Compression) {
	*e = Encoder{agreed: agreed}
	if !agreed.Enabled {
		return
	}
	var takeover bool
	if e.bits, takeover = agreed.sending(client); takeover {
		e.window = &window{size: 1 << e.bits}
	}
}

// Release gives the window back. Messages must not be compressed any more.
func (e *Encoder) Release() { e.window = nil }

// Agreed returns what e was made ready with.
func (e *Encoder) Agreed() Compression { return e.agreed }

// AppendMessage appends m to dst, in one frame. It is compressed by z if that has been
// agreed on, z is not nil, m is long enough and gets shorter by it. The data of a Text
// must be UTF-8, which is not checked. 32 bytes more room than the data has are enough for
// dst to stay where it is.
func (e *Encoder) AppendMessage(dst []byte, m Message, z *Deflater, mask Mask) []byte {
	if z == nil || !e.agreed.Enabled || !z.worth(len(m.Data)) {
		return AppendMessage(dst, m, mask)
	}
	var dict []byte
	if e.window != nil {
		dict = e.window.data
	}
	dst, ok := appendCompressed(dst, m, z, dict, e.bits, mask)
	if !ok {
		return AppendMessage(dst, m, mask)
	}
	e.sent(m.Data)
	return dst
}

// sent notes that a message has been sent compressed: the next one may refer to it.
func (e *Encoder) sent(data []byte) {
	if e.window != nil {
		e.window.push(data)
	}
}

// appendCompressed appends a compressed frame, or reports false and returns dst, where it
// is, if it would not be shorter.
func appendCompressed(dst []byte, m Message, z *Deflater, dict []byte, bits uint8, mask Mask) ([]byte, bool) {
	// The payload is put where it stands behind the longest header, then moved.
	before, start := dst, len(dst)
	dst = slices.Grow(dst, maxHeader+len(m.Data)/2)[:start+maxHeader]
	dst = z.append(dst, m.Data, dict, bits)
	payload := dst[start+maxHeader:]
	if len(payload) >= len(m.Data) {
		return before, false
	}
	h := Header{Op: m.Kind, Fin: true, Compressed: true, Mask: mask, Length: len(payload)}
	dst = h.Append(dst[:start])
	body := dst[len(dst) : len(dst)+len(payload)]
	copy(body, payload)
	h.mask(body)
	return dst[:len(dst)+len(body)], true
}

// Prepared is a message whose frames have been encoded once, to be sent by a server
// on many connections. It is immutable, and safe for concurrent use.
type Prepared struct {
	plain      []byte // the frame
	compressed []byte // the frame, nil if that would not be shorter
	length     int    // of the message
}

// Prepare encodes m, which it copies. If z is nil it is not compressed for anybody.
func Prepare(m Message, z *Deflater) *Prepared {
	p := &Prepared{plain: AppendMessage(nil, m, Mask{}), length: len(m.Data)}
	if z != nil && z.worth(len(m.Data)) {
		if frame, ok := appendCompressed(nil, m, z, nil, maxWindowBits, Mask{}); ok {
			p.compressed = slices.Clip(frame)
		}
	}
	return p
}

// Frame returns the frame of p as e has to send it, which must not be modified. It is
// the same slice for all who have agreed on compression, and another one for all
// others: those who have not, and those whose window is shorter than the message.
func (e *Encoder) Frame(p *Prepared) []byte {
	if !e.agreed.Enabled || p.compressed == nil || e.bits < maxWindowBits && p.length > 1<<e.bits {
		return p.plain
	}
	e.sent(p.plain[len(p.plain)-p.length:])
	return p.compressed
}
