package http1

import "math"

// What a Body keeps of the memory for trailers when it is used again.
const (
	keptTrailer       = 4 << 10
	keptTrailerFields = 64
)

// Body decodes the body of one message (RFC 9112, sections 6 and 7). It is
// reusable. A Body is not safe for concurrent use.
type Body struct {
	lim      *Limits
	err      *Error
	remain   int64 // bytes still to come of the content, or of the chunk
	received int64
	extLine  int // bytes of this chunk's extensions
	extTotal int // bytes of all extensions
	digits   uint8
	state    bodyState

	line     lineScanner
	trailer  []byte
	trailers []field
}

type bodyState uint8

const (
	bodyDone bodyState = iota
	bodyLength
	bodyUntilClose
	chunkSize
	chunkExtSpace
	chunkExtNameStart
	chunkExtName
	chunkExtNameSpace
	chunkExtValueStart
	chunkExtValue
	chunkExtQuoted
	chunkExtEscape
	chunkExtQuotedEnd
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	trailerStart
	trailerFields
	trailerLF
)

// Init makes b ready for the body of r, whose head is complete. lim must be
// resolved, see [Limits.Resolve], and stay unchanged until the body has ended.
// Init returns a 413 [*Error] if Content-Length is above lim.Body, which
// [Body.Next] would return too.
func (b *Body) Init(r *Request, lim *Limits) error {
	switch {
	case r.Chunked():
		return b.InitFraming(Chunked, -1, lim)
	case r.HasBody():
		return b.InitFraming(Length, r.length, lim)
	}
	return b.InitFraming(NoBody, 0, lim)
}

// InitResponse is like Init for the body of a response.
func (b *Body) InitResponse(r *Response, lim *Limits) error {
	return b.InitFraming(r.Framing(), r.length, lim)
}

// InitFraming is like Init for a body whose framing is known. length matters
// only when that is [Length]. A body that is [UntilClose] is done only with [Body.EOF].
func (b *Body) InitFraming(framing Framing, length int64, lim *Limits) error {
	trailer, trailers := b.trailer[:0], b.trailers[:0]
	if cap(trailer) > keptTrailer {
		trailer = nil
	}
	if cap(trailers) > keptTrailerFields {
		trailers = nil
	}
	*b = Body{lim: lim, trailer: trailer, trailers: trailers}

	switch framing {
	case Length:
		if length > lim.Body {
			return b.fail(errBodyTooLarge)
		}
		if length > 0 {
			b.state = bodyLength
			b.remain = length
		}
	case Chunked:
		b.state = chunkSize
	case UntilClose:
		b.state = bodyUntilClose
	}
	return nil
}

// Next decodes input. in starts with the first byte not consumed so far. Next
// consumes n bytes of it, never one after the body, and returns the content
// they had, if any, as a part of in. done says that the body and its trailers
// have ended. It should be called, with the rest of the input, until done, or
// until n is zero and more input is needed.
//
// The error, an [*Error], comes back from every further call. All content
// before it has been returned.
func (b *Body) Next(in []byte) (data []byte, n int, done bool, err error) {
	if b.err != nil {
		return nil, 0, false, b.err
	}
	switch b.state {
	case bodyDone:
		return nil, 0, true, nil

	case bodyLength:
		data = b.take(in)
		if b.remain == 0 {
			b.state = bodyDone
		}
		return data, len(data), b.remain == 0, nil

	case bodyUntilClose:
		b.remain = b.lim.Body - b.received
		if b.remain == 0 && len(in) > 0 {
			return nil, 0, false, b.fail(errBodyTooLarge)
		}
		data = b.take(in)
		return data, len(data), false, nil
	}

	n, e := b.parseChunked(in)
	if e != nil {
		return nil, 0, false, b.fail(e)
	}
	if b.state == chunkData {
		data = b.take(in[n:])
		n += len(data)
		if b.remain == 0 {
			b.state = chunkDataCR
		}
	}
	return data, n, b.state == bodyDone, nil
}

// take returns as much of in as is content.
func (b *Body) take(in []byte) []byte {
	if int64(len(in)) > b.remain {
		in = in[:b.remain:b.remain]
	}
	b.remain -= int64(len(in))
	b.received += int64(len(in))
	return in
}

func (b *Body) fail(err *Error) error {
	b.err = err
	return err
}

// Done reports whether the body has ended, with its trailers.
func (b *Body) Done() bool { return b.state == bodyDone && b.err == nil }

// Received returns the number of bytes of content decoded so far.
func (b *Body) Received() int64 { return b.received }

// NumTrailers returns the number of trailer fields (RFC 9112, section 7.1.2).
// It is final when the body is done.
func (b *Body) NumTrailers() int { return len(b.trailers) }

// Trailer returns the name, as it was sent, and the value of trailer field i,
// where 0 <= i < [Body.NumTrailers]. The slices are valid until b is
// initialized again, and must not be modified.
func (b *Body) Trailer(i int) (name, value []byte) {
	f := b.trailers[i]
	return b.trailer[f.name:f.nameEnd:f.nameEnd], b.trailer[f.value:f.valueEnd:f.valueEnd]
}

// parseTrailer collects the trailer section, whose lines can be split between
// calls, and parses it. It returns the number of bytes that belong to it.
func (b *Body) parseTrailer(in []byte) (n int, err *Error) {
	had := len(b.trailer)
	room := b.lim.Trailer - had
	limited := len(in) >= room
	b.trailer = append(b.trailer, in[:min(len(in), room)]...)
	for {
		status, err := b.line.scan(b.trailer)
		switch status {
		case lineField:
			if err := b.addTrailer(); err != nil {
				return 0, err
			}
		case lineMore:
			if limited {
				return 0, errTrailerTooLarge
			}
			return len(in), nil
		case lineEnd:
			b.state = bodyDone
			b.trailer = b.trailer[:b.line.pos]
			return len(b.trailer) - had, nil
		default:
			return 0, err
		}
	}
}

func (b *Body) addTrailer() *Error {
	if len(b.trailers) == b.lim.Fields {
		return errTrailerTooLarge
	}
	f := b.line.field
	if neverTrailer(b.trailer[f.name:f.nameEnd]) {
		return errTrailerField
	}
	b.trailers = append(b.trailers, f)
	return nil
}

// maxChunkDigits is what a chunk size of 64 bits needs.
const maxChunkDigits = 16

// addDigit takes the hexadecimal digit c of a chunk size.
func (b *Body) addDigit(c byte) *Error {
	if b.digits == maxChunkDigits || b.remain > math.MaxInt64>>4 {
		return errChunkSize
	}
	b.digits++
	d := c - '0'
	if d > 9 {
		d = c | 0x20 - 'a' + 10
	}
	b.remain = b.remain<<4 | int64(d)
	return nil
}
