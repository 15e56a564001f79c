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

// Inflater decompresses one message at a time. The zero value is ready. Its memory,
// some 40 KiB, is made with the first message and then kept. It is not safe for
// concurrent use.
type Inflater struct {
	src bytes.Reader
	r   io.Reader
}

// inlineRatio is how many times [Config.Inline] a message may have after inflation.
const inlineRatio = 16

// endCompressed ends a compressed message, which is in buf.
func (d *Decoder) endCompressed() (Event, *Error) {
	if len(d.buf) == 0 {
		// Nothing is not quite what an empty message is compressed to (RFC 7692,
		// section 7.2.3.6), but everybody takes it for one.
		return d.message(nil, true), nil
	}
	compressed := len(d.buf)
	d.reserve(len(deflateTail), 0)
	d.buf = append(d.buf, deflateTail...)

	bufs, limit := d.conf.buffers(), d.conf.limit()
	if inline := d.conf.Inline; inline > 0 {
		if compressed > inline {
			return d.pending(), nil
		}
		limit = min(limit, inlineRatio*inline)
	}
	out, err := d.conf.inflater.inflate(d.buf, d.dict(), limit, bufs)
	if err == errTooBig && limit < d.conf.limit() {
		bufs.Put(out)
		return d.pending(), nil
	}
	d.put()
	d.buf = out
	d.flags |= flagLentMessage
	if err = d.inflated(out, err); err != nil {
		return Event{}, err
	}
	return d.message(out, true), nil
}

// pending makes the event of a message that is left to [Decoder.Inflate].
func (d *Decoder) pending() Event {
	d.flags |= flagPending
	return Event{Op: d.op, Fin: true, Pending: true}
}

// Inflate decompresses the message of an event that is Pending, which has to be done
// before Next is called again. It can be called on another goroutine than Next is, as
// long as nobody else uses d or z. The Data of the message is memory of its own. The
// error is one that Next would have returned, and will.
func (d *Decoder) Inflate(z *Inflater) (Message, error) {
	if d.flags&flagPending == 0 {
		panic("wsock: no message is pending")
	}
	d.flags ^= flagPending | flagLentMessage // the next call of Next gives buf back
	out, err := z.inflate(d.buf, d.dict(), d.conf.limit(), heap{})
	if err = d.inflated(out, err); err != nil {
		d.err = err
		return Message{}, err
	}
	ev := d.message(out, true)
	return ev.Message(), nil
}

// inflated checks the content of a message and notes that later ones may refer to it.
func (d *Decoder) inflated(out []byte, err *Error) *Error {
	if err != nil {
		return err
	}
	if d.op == Text && utf8Start.check(out) != utf8Start {
		return errText
	}
	if d.window != nil {
		d.window.push(out)
	}
	return nil
}

// dict is what a message may refer to.
func (d *Decoder) dict() []byte {
	if d.window == nil {
		return nil
	}
	return d.window.data
}

// inflate returns the content of a message, at most limit bytes, in memory of bufs. That
// has to be given back also if there is an error. src ends with deflateTail.
func (z *Inflater) inflate(src, dict []byte, limit int, bufs Buffers) (out []byte, err *Error) {
	z.src.Reset(src)
	defer z.src.Reset(nil)
	out = bufs.Take(min(limit+1, max(512, 4*len(src))))
	for range maxFinalBlocks {
		z.reset(dict)
		for {
			if len(out) == cap(out) {
				out = grow(out, limit+1, bufs)
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
func (z *Inflater) reset(dict []byte) {
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
