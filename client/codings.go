package client

import (
	"bufio"
	"compress/flate"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// coding is a content coding. What decodes it is pooled.
type coding struct {
	name string
	pool sync.Pool // of *machine
}

// decoder decodes a body. begin, which is called first, may read from src, and end is
// called last; then it can begin anew, however the last body ended. Read may end with
// io.EOF before src does.
type decoder interface {
	io.Reader
	begin(src *bufio.Reader) error
	end()
}

func newCoding(name string, newDecoder func() decoder) *coding {
	return &coding{name: name, pool: sync.Pool{New: func() any {
		return &machine{bufio.NewReaderSize(nil, 4096), newDecoder()}
	}}}
}

var gzipCoding = newCoding("gzip", func() decoder { return &gzipDecoder{} })

// codings are the content codings (RFC 9110, section 8.4.1) by their names in lower case.
var codings = map[string]*coding{
	"gzip":    gzipCoding,
	"x-gzip":  gzipCoding,
	"deflate": newCoding("deflate", func() decoder { return &deflateDecoder{} }),
	"br":      newCoding("br", func() decoder { return &brotliDecoder{} }),
	"zstd":    newCoding("zstd", func() decoder { return &zstdDecoder{} }),
}

// gzipDecoder decodes gzip (RFC 1952): members, one behind the other and with nothing
// between and behind them (section 2.2).
type gzipDecoder struct {
	z   gzip.Reader
	src *bufio.Reader
}

func (d *gzipDecoder) begin(src *bufio.Reader) error {
	d.src = src
	return d.nextMember()
}

// nextMember reads the header of a member of which there is at least a byte.
func (d *gzipDecoder) nextMember() error {
	err := d.z.Reset(d.src)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	d.z.Multistream(false)
	return err
}

// Read implements io.Reader. It looks for the next member only when there is nothing
// left to return of the one before.
func (d *gzipDecoder) Read(p []byte) (int, error) {
	for {
		n, err := d.z.Read(p)
		if err != io.EOF {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
		if _, err := d.src.Peek(1); err != nil {
			return 0, err
		}
		if err := d.nextMember(); err != nil {
			return 0, err
		}
	}
}

func (d *gzipDecoder) end() {}

// deflateDecoder decodes deflate, which is the zlib format (RFC 9110, section 8.4.1.2;
// RFC 1950), and the bare format of RFC 1951 that some servers send in its place. That
// has no checksum behind its end, so it needs a decoder that tells one that is cut short;
// the flate of klauspost/compress v1.20.0 does not always.
type deflateDecoder struct {
	wrapped io.ReadCloser // zlib; nil before the first
	bare    io.ReadCloser // flate; nil before the first
	r       io.Reader
}

func (d *deflateDecoder) begin(src *bufio.Reader) error {
	switch head, err := src.Peek(2); {
	case err != nil:
		return err // there is no body of one byte in either format
	case !isZlib(head):
		d.r = d.beginBare(src)
		return nil
	}
	err := d.beginWrapped(src)
	d.r = d.wrapped
	return err
}

// isZlib reports whether head is the beginning of the zlib format: the method is deflate,
// the window at most 32 KiB, and the check bits are right (RFC 1950, section 2.2). The
// bare format would begin so with a stored block, which nobody writes with these bits set.
func isZlib(head []byte) bool {
	return head[0]&15 == 8 && head[0]>>4 <= 7 && (int(head[0])<<8|int(head[1]))%31 == 0
}

func (d *deflateDecoder) beginBare(src *bufio.Reader) io.Reader {
	if d.bare == nil {
		d.bare = flate.NewReader(src)
	} else {
		_ = d.bare.(flate.Resetter).Reset(src, nil) // does not fail
	}
	return d.bare
}

func (d *deflateDecoder) beginWrapped(src *bufio.Reader) (err error) {
	if d.wrapped == nil {
		d.wrapped, err = zlib.NewReader(src)
		return err
	}
	return d.wrapped.(zlib.Resetter).Reset(src, nil)
}

func (d *deflateDecoder) Read(p []byte) (int, error) { return d.r.Read(p) }
func (d *deflateDecoder) end()                       {}

// brotliDecoder decodes br (RFC 7932). Its window has at most 16 MiB (section 9.1).
type brotliDecoder struct {
	z     brotli.Reader
	src   *bufio.Reader
	ended bool // z has got all it gets
}

func (d *brotliDecoder) begin(src *bufio.Reader) error {
	d.src, d.ended = src, false
	return d.z.Reset((*brotliSource)(d))
}

// Read implements io.Reader. At the end brotli.Reader complains about too much input also
// when it had to put the last bits together from two reads. Whether something is left
// over can be seen from whether it asks for more.
func (d *brotliDecoder) Read(p []byte) (int, error) {
	n, err := d.z.Read(p)
	if err != nil && err.Error() == "brotli: excessive input" {
		d.ended = true
		if _, end := d.z.Read(nil); end == io.EOF {
			err = io.EOF
		}
	}
	return n, err
}

func (d *brotliDecoder) end() {}

// brotliSource is what brotli.Reader reads from.
type brotliSource brotliDecoder

// Read implements io.Reader.
func (s *brotliSource) Read(p []byte) (int, error) {
	if s.ended {
		return 0, io.EOF
	}
	return s.src.Read(p)
}

// zstdWindow is the longest window of zstd in bytes (RFC 9659, section 3).
const zstdWindow = 8 << 20

// zstdDecoder decodes zstd (RFC 8878). zstd.Decoder.Read waits until p is full, which
// would hold up what a server flushes; WriteTo does not. So a goroutine is in it
// from begin to end, and hands over block by block. There is no reading ahead.
type zstdDecoder struct {
	z    *zstd.Decoder
	out  *io.PipeReader
	done chan struct{}
}

func (d *zstdDecoder) begin(src *bufio.Reader) (err error) {
	if d.z == nil {
		d.z, err = zstd.NewReader(nil,
			zstd.WithDecoderMaxWindow(zstdWindow),
			zstd.WithDecoderLowmem(true),
			zstd.WithDecoderConcurrency(1)) // no goroutines of its own
		if err != nil {
			return err
		}
	}
	if err := d.z.Reset(src); err != nil {
		return err
	}
	out, in := io.Pipe()
	d.out, d.done = out, make(chan struct{})
	go func() {
		defer close(d.done)
		_, err := d.z.WriteTo(in)
		_ = in.CloseWithError(err) // never fails; nil is io.EOF
	}()
	return nil
}

func (d *zstdDecoder) Read(p []byte) (int, error) { return d.out.Read(p) }

// end waits for the goroutine. If that is still reading from src, the body has been
// closed, which ends it.
func (d *zstdDecoder) end() {
	if d.done == nil {
		return
	}
	_ = d.out.Close() // never fails
	<-d.done
	_ = d.z.Reset(nil) // never fails
	d.done = nil
}
