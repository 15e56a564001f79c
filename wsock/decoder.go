package wsock

import "encoding/binary"

// Event is what [Decoder.Next] has found.
type Event struct {
	// Op is Text or Binary for a message, Ping, Pong or Close for what they say,
	// and zero if there is no event: more input is needed.
	Op Opcode

	// Fin is false if this is a part of a message whose next part is another event,
	// which happens only with [Config.Stream]. The parts of a Text can end inside of
	// a character.
	Fin bool

	// Pending says that the message is complete, and has no Data yet: it is what
	// [Decoder.Inflate] returns. It happens only with [Config.Inline].
	Pending bool

	// Code is the code of a Close, [CloseNoStatus] if it has none.
	Code CloseCode

	// Data is the content of a message, the data of a Ping or Pong, or the reason
	// of a Close. It is valid until the next call to Next and the end of the
	// validity of the input, whichever comes first.
	Data []byte
}

// Message returns the message, or the part of one, of an event that is one. It
// shares the event's Data.
func (e *Event) Message() Message { return Message{Kind: e.Op, Data: e.Data} }

// Decoder decodes the frames of one side of a connection (RFC 6455, section 5). It
// is small, and has no buffers while no message or control frame is incomplete:
// only the window of the compression, if the context is taken over. It is not safe
// for concurrent use.
type Decoder struct {
	conf *Config
	err  *Error

	// buf has what has been gathered of a message, and behind that of a control
	// frame. When an event has been returned it can be what that points to.
	buf []byte

	window *window // of the inflation, nil without takeover
	remain int     // bytes still to come of the payload
	total  int     // bytes of the message that its frames have announced
	key    uint32  // mask of the next byte of the payload

	head    [maxHeader]byte // of a header that has arrived in part
	headLen uint8
	ctlLen  uint8 // length of the control frame's payload

	state   decoderState
	flags   decoderFlag
	op      Opcode // of the message, zero between two of them
	control Opcode // of the control frame
	utf8    utf8State
}

type decoderState uint8

const (
	stateHead decoderState = iota
	stateData
	stateControl
	stateClosed // a Close has come: nothing after it counts
)

type decoderFlag uint8

const (
	flagCompression decoderFlag = 1 << iota // has been negotiated
	flagFin                                 // this frame ends its message
	flagCompressed                          // this message is
	flagLentMessage                         // buf is the last event's Data
	flagLentControl                         // the end of buf is
	flagPending                             // Inflate has to be called
)

// Init makes d ready for the first byte after the handshake. agreed is what the
// handshake has settled about compression, the zero value if nothing.
func (d *Decoder) Init(conf *Config, agreed Compression) {
	*d = Decoder{conf: conf}
	if !agreed.Enabled {
		return
	}
	d.flags = flagCompression
	if bits, takeover := agreed.receiving(conf.Client); takeover {
		d.window = &window{size: 1 << bits}
	}
}

// Between reports whether d is between two messages, has no part of a frame and
// can go on.
func (d *Decoder) Between() bool {
	return d.err == nil && d.op == 0 && d.state == stateHead && d.headLen == 0
}

// Release gives all memory back. d must be initialized before it is used again,
// and the Data of its last event must not be used any more.
func (d *Decoder) Release() {
	d.put()
	*d = Decoder{conf: d.conf, state: stateClosed}
}

// Next decodes input. in starts with the first byte not consumed so far; Next
// consumes n bytes of it, which it unmasks where they are, and returns the first
// event. It should be called with the rest of the input until there is no event,
// which is when all input has been consumed; that call also gives back the memory
// of the event before.
//
// The error, an [*Error], comes back from every further call. The connection has to
// be failed with it: see [Closing.Fail]. All that comes behind a Close is consumed
// and ignored (RFC 6455, section 1.4).
func (d *Decoder) Next(in []byte) (ev Event, n int, err error) {
	if d.flags&flagPending != 0 {
		panic("wsock: Next while a message is pending")
	}
	d.takeBack()
	if d.err != nil {
		return Event{}, 0, d.err
	}
	for n < len(in) {
		var e *Error
		switch d.state {
		case stateHead:
			var used int
			used, e = d.readHead(in[n:])
			n += used
			if e == nil && d.state == stateHead {
				return Event{}, n, nil // its rest has to come
			}
		case stateClosed:
			return Event{}, len(in), nil
		}
		if e == nil && (n < len(in) || d.remain == 0) {
			payload := in[n:min(len(in), n+d.remain)]
			n += len(payload)
			d.remain -= len(payload)
			d.key = applyMask(payload, d.key)
			if d.state == stateControl {
				ev, e = d.controlPayload(payload)
			} else {
				ev, e = d.dataPayload(payload)
			}
		}
		if e != nil {
			d.put()
			d.err = e
			return Event{}, n, e
		}
		if ev.Op != 0 {
			return ev, n, nil
		}
	}
	return Event{}, n, nil
}

// readHead reads as much of a header as there is. When it is complete, state says
// what follows.
func (d *Decoder) readHead(in []byte) (used int, err *Error) {
	h, had := in, int(d.headLen)
	if had > 0 {
		h = d.head[:had+copy(d.head[had:], in)]
	}
	if err := d.checkFirst(h[0]); err != nil {
		return 0, err
	}
	size := 2
	if len(h) >= 2 {
		if err := d.checkSecond(h[0], h[1]); err != nil {
			return 0, err
		}
		size = headSize(h[1])
	}
	if len(h) < size {
		if had == 0 {
			copy(d.head[:], h)
		}
		d.headLen = uint8(len(h))
		return len(in), nil
	}
	d.headLen = 0
	return size - had, d.startFrame(h[:size])
}

// headSize returns the size of a header with the given second byte.
func headSize(second byte) int {
	size := 2
	switch second & lengthBits {
	case length16:
		size += 2
	case length64:
		size += 8
	}
	if second&maskBit != 0 {
		size += 4
	}
	return size
}

func (d *Decoder) checkFirst(first byte) *Error {
	op := Opcode(first & opcodeBits)
	compressed := first&rsv1Bit != 0
	if first&rsvOtherBit != 0 || compressed && d.flags&flagCompression == 0 {
		return errReservedBits
	}
	switch op {
	case Continuation:
		if compressed {
			return errCompressedCont
		}
		if d.op == 0 {
			return errNoMessage
		}
	case Text, Binary:
		if d.op != 0 {
			return errInMessage
		}
	case Close, Ping, Pong:
		if compressed {
			return errCompressedCont
		}
		if first&finBit == 0 {
			return errFragmentedCtl
		}
	default:
		return errReservedOpcode
	}
	return nil
}

func (d *Decoder) checkSecond(first, second byte) *Error {
	switch masked := second&maskBit != 0; {
	case masked && d.conf.Client:
		return errMasked
	case !masked && !d.conf.Client:
		return errNotMasked
	}
	if op := Opcode(first & opcodeBits); op.Control() {
		switch length := second & lengthBits; {
		case length > MaxControl:
			return errLongControl
		case op == Close && length == 1:
			return errCloseLength
		}
	}
	return nil
}

// startFrame takes a complete header, whose first two bytes have been checked.
func (d *Decoder) startFrame(h []byte) *Error {
	length := uint64(h[1] & lengthBits)
	switch length {
	case length16:
		length = uint64(binary.BigEndian.Uint16(h[2:]))
		if length < length16 {
			return errNotMinimal
		}
	case length64:
		length = binary.BigEndian.Uint64(h[2:])
		if length <= 0xFFFF {
			return errNotMinimal
		}
		if length>>63 != 0 {
			return errLength
		}
	}
	d.key = 0
	if h[1]&maskBit != 0 {
		d.key = binary.LittleEndian.Uint32(h[len(h)-4:])
	}
	op := Opcode(h[0] & opcodeBits)
	if op.Control() {
		d.state, d.control, d.ctlLen, d.remain = stateControl, op, uint8(length), int(length)
		return nil
	}
	if op != Continuation {
		d.op, d.total, d.utf8 = op, 0, utf8Start
		d.flags &^= flagCompressed
		if h[0]&rsv1Bit != 0 {
			d.flags |= flagCompressed
		}
	}
	d.flags &^= flagFin
	if h[0]&finBit != 0 {
		d.flags |= flagFin
	}
	limit := d.conf.limit()
	if d.flags&flagCompressed != 0 {
		limit = d.conf.compressedLimit()
	}
	if length > uint64(limit-d.total) {
		return errTooBig
	}
	d.state, d.remain = stateData, int(length)
	d.total += d.remain
	return nil
}

// dataPayload takes unmasked payload of a message.
func (d *Decoder) dataPayload(p []byte) (Event, *Error) {
	last := d.remain == 0 && d.flags&flagFin != 0
	if d.remain == 0 {
		d.state = stateHead
	}
	if d.flags&flagCompressed != 0 {
		if d.gatherData(p); !last {
			return Event{}, nil
		}
		return d.endCompressed()
	}
	if d.op == Text {
		d.utf8 = d.utf8.check(p)
		if d.utf8 == utf8Bad || last && d.utf8 != utf8Start {
			return Event{}, errText
		}
	}
	if d.conf.Stream {
		if len(p) == 0 && !last {
			return Event{}, nil
		}
		return d.message(p, last), nil
	}
	if last && len(d.buf) == 0 {
		return d.message(p, true), nil // all in this input: nothing is copied
	}
	d.gatherData(p)
	if !last {
		return Event{}, nil
	}
	d.flags |= flagLentMessage
	return d.message(d.buf, true), nil
}

// message makes the event of a message, or of a part of it.
func (d *Decoder) message(data []byte, last bool) Event {
	ev := Event{Op: d.op, Fin: last, Data: data[:len(data):len(data)]}
	if last {
		d.op = 0
	}
	return ev
}

// controlPayload takes unmasked payload of a control frame.
func (d *Decoder) controlPayload(p []byte) (Event, *Error) {
	if d.remain > 0 || len(p) < int(d.ctlLen) {
		d.gather(p, d.remain)
		if d.remain > 0 {
			return Event{}, nil
		}
		p = d.buf[len(d.buf)-int(d.ctlLen):]
		d.flags |= flagLentControl
	}
	d.state = stateHead
	ev := Event{Op: d.control, Fin: true, Data: p[:len(p):len(p)]}
	if d.control == Close {
		code, reason, err := parseClose(p)
		if err != nil {
			return Event{}, err
		}
		ev.Code, ev.Data = code, reason
		d.state = stateClosed
	}
	return ev, nil
}
