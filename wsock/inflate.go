package wsock

import (
	"bytes"
	"io"

	"github.com/klauspost/compress/flate"
)

// deflateTail is what the sender has left out at the end of a message (RFC 7692,
// section 7.2.1), and a final block that ends the stream for the decompressor.
const deflateTail = "\x00\x00\xff\xff" + "\x01\x00\x00\xff\xff"

// maxFinalBlocks is how many streams, each with a final block, a message can
// consist of. Each of them costs as much as a window, though it can have two bytes.
const maxFinalBlocks = 16

// inflater decompresses one message at a time. The zero value is ready. Its memory,
// some 40 KiB, is made with the first message and then kept.
type inflater struct {
	src bytes.Reader
	r   io.Reader
}

// inflate ends a compressed message, which is in buf.
func (d *Decoder) inflate() (Event, *Error) {
	out, err := d.inflateBuf()
	d.put()
	if err == nil && d.op == Text && utf8Start.check(out) != utf8Start {
		err = errText
	}
	d.buf = out
	if err != nil {
		return Event{}, err
	}
	if d.window != nil {
		d.window.push(out, d.conf.buffers())
	}
	d.flags |= flagLentMessage
	return d.message(out, true), nil
}

// inflateBuf returns the content of the message whose compressed form is in buf, in
// memory that has been taken for it.
func (d *Decoder) inflateBuf() (out []byte, err *Error) {
	if len(d.buf) == 0 {
		// Nothing is not quite what an empty message is compressed to (RFC 7692,
		// section 7.2.3.6), but everybody takes it for one.
		return nil, nil
	}
	compressed := len(d.buf)
	d.reserve(len(deflateTail), 0)
	d.buf = append(d.buf, deflateTail...)

	var dict []byte
	if d.window != nil {
		dict = d.window.data
	}
	limit := d.conf.limit()
	z := &d.conf.inflater
	z.src.Reset(d.buf)
	defer z.src.Reset(nil)
	out = d.conf.buffers().Take(min(limit+1, max(512, 4*compressed)))
	for range maxFinalBlocks {
		z.reset(dict)
		for {
			if len(out) == cap(out) {
				out = grow(out, limit+1, d.conf.buffers())
			}
			n, err := z.r.Read(out[len(out):min(cap(out), limit+1)])
			out = out[:len(out)+n]
			if len(out) > limit {
				return out, errTooBig
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				return out, errDeflate
			}
		}
		if z.src.Len() == 0 {
			return out, nil
		}
		// A block of the sender's was marked as final; what follows it refers back
		// as if it were not (RFC 7692, section 7.2.3.4).
		dict = lastWindow(dict, out)
	}
	return out, errDeflate
}

// reset begins a stream of blocks that can refer to dict.
func (z *inflater) reset(dict []byte) {
	if z.r == nil {
		z.r = flate.NewReaderDict(&z.src, dict)
		return
	}
	// The reader is one of flate's, whose Reset never fails.
	_ = z.r.(flate.Resetter).Reset(&z.src, dict)
}

// grow returns buf in twice the memory, but no more than limit.
func grow(buf []byte, limit int, bufs Buffers) []byte {
	larger := append(bufs.Take(min(limit, 2*cap(buf))), buf...)
	bufs.Put(buf)
	return larger
}

// lastWindow returns what the blocks after out can refer to, if those of out could
// to dict.
func lastWindow(dict, out []byte) []byte {
	const size = 1 << maxWindowBits
	if len(out) >= size || len(dict) == 0 {
		return out[max(0, len(out)-size):]
	}
	both := append(append(make([]byte, 0, len(dict)+len(out)), dict...), out...)
	return both[max(0, len(both)-size):]
}
