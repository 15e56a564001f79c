package wsock

import "github.com/klauspost/compress/flate"

// DefaultThreshold is the length from which messages are compressed where nothing
// else is said, in bytes. Below it a processor costs more than the bytes saved.
const DefaultThreshold = 512

// Deflater compresses messages, each by itself or after a window. The zero value is
// ready. Its memory, 0.5 MB at level 1 and 0.9 MB above, is made with the first message
// and then kept, so a loop has one Deflater and not a connection. It is not safe for
// concurrent use.
type Deflater struct {
	// Level is 1, the fastest, to 9. Zero, and what is out of range, means 1. It must
	// not be changed once a message has been compressed.
	Level int

	// Threshold is the least length of a message that is compressed, in bytes. Zero
	// means [DefaultThreshold].
	Threshold int

	w   *flate.Writer
	dst appender
}

// appender is an io.Writer that appends.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

func (z *Deflater) worth(n int) bool {
	threshold := z.Threshold
	if threshold == 0 {
		threshold = DefaultThreshold
	}
	return n >= threshold
}

// append appends data, compressed with a window of 2^bits bytes, to dst (RFC 7692,
// section 7.2.1). It can refer to dict, which is at most as long as the window.
func (z *Deflater) append(dst, data, dict []byte, bits uint8) []byte {
	z.dst.b = dst
	size := 1 << bits
	if bits < maxWindowBits && len(dict)+len(data) > size {
		// The compressor's window is larger. It cannot look back too far in what is no
		// longer than the receiver's.
		dict = dict[min(len(dict), len(dict)+len(data)-size):]
		for len(data) > size {
			z.write(data[:size], nil)
			data = data[size:]
		}
	}
	z.write(data, dict)
	dst = z.dst.b
	z.dst.b = nil
	return dst[:len(dst)-4] // 00 00 FF FF, which is not sent
}

// write compresses a piece, ended with an empty block.
func (z *Deflater) write(p, dict []byte) {
	if z.w == nil {
		level := z.Level
		if level < flate.BestSpeed || level > flate.BestCompression {
			level = flate.BestSpeed
		}
		z.w, _ = flate.NewWriter(&z.dst, level) // which fails for other levels only
	}
	z.w.ResetDict(&z.dst, dict)
	// The appender does not fail, so neither do these.
	_, _ = z.w.Write(p)
	_ = z.w.Flush()
}
