package client

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// BodyTooLargeError is the error of reading a body beyond its limit.
type BodyTooLargeError struct {
	// Limit is the most bytes the body may have, after decoding.
	Limit int64
}

// Error implements the error interface.
func (e *BodyTooLargeError) Error() string {
	return fmt.Sprintf("client: body longer than %d bytes", e.Limit)
}

// CodingError is the error of a body whose Content-Encoding cannot be decoded. Err is
// io.ErrUnexpectedEOF when the body ends too early.
type CodingError struct {
	// Coding is the content coding, or all of Content-Encoding if that is refused.
	Coding string

	// Err says what is wrong.
	Err error
}

// Error implements the error interface.
func (e *CodingError) Error() string {
	return fmt.Sprintf("client: content coding %q: %v", e.Coding, e.Err)
}

// Unwrap returns e.Err.
func (e *CodingError) Unwrap() error { return e.Err }

var (
	errUnknownCoding = errors.New("not known")
	errManyCodings   = fmt.Errorf("more than %d of them", maxCodings)
	errBehindEnd     = errors.New("data behind the end")
)

// maxCodings is how many codings a body may have, one around the other. Two are rare.
const maxCodings = 4

// acceptEncoding returns the Accept-Encoding of a client that decodes what decodeBody
// does (RFC 9110, section 12.5.3).
func acceptEncoding() string { return "gzip, deflate, br, zstd" }

// decodeBody returns what body is without the content codings listed in encoding, the
// value of Content-Encoding (RFC 9110, section 8.4): gzip, deflate, br, zstd and x-gzip;
// identity is none. A body that is empty decodes to nothing whatever its coding.
//
// Reading more than limit bytes, or decoding more in between, fails with a
// *[BodyTooLargeError]; a body that is not what encoding says fails with a *[CodingError],
// also when there is something behind its end. Errors of body are passed on as they are.
// Nothing is read from body before the first Read.
//
// If encoding cannot be decoded, decodeBody returns a *[CodingError] and leaves body alone.
//
// The result may be closed while another goroutine reads, if body may be: its Close has
// to end its Read.
func decodeBody(encoding string, body io.ReadCloser, limit int64) (io.ReadCloser, error) {
	codings, err := parseCodings(encoding)
	if err != nil {
		return nil, err
	}
	d := &decodedBody{body: body}
	var r io.Reader = body
	for i, coding := range slices.Backward(codings) { // the last was applied last
		s := &stage{coding: coding, src: source{r: r}}
		d.stages = append(d.stages, s)
		r = s
		if i > 0 {
			r = &limitedReader{r: s, left: roomBetween(limit), limit: limit}
		}
	}
	d.r = &limitedReader{r: r, left: limit, limit: limit}
	return d, nil
}

// roomBetween returns how long a body may be between two codings: as long as one of limit
// bytes that does not compress at all. Otherwise what decodes to nothing, empty members of
// gzip for example, could be compressed itself and cost any time.
func roomBetween(limit int64) int64 {
	if room := limit + limit/8 + 1024; room > limit {
		return room
	}
	return limit
}

// parseCodings returns the codings a list names, in the order in which they were applied.
func parseCodings(encoding string) ([]*coding, error) {
	var list []*coding
	for name := range strings.SplitSeq(encoding, ",") {
		name = strings.ToLower(strings.Trim(name, " \t"))
		if name == "" || name == "identity" {
			continue
		}
		c := codings[name]
		if c == nil {
			return nil, &CodingError{name, errUnknownCoding}
		}
		if len(list) == maxCodings {
			return nil, &CodingError{encoding, errManyCodings}
		}
		list = append(list, c)
	}
	return list, nil
}

// decodedBody is a body behind its decoders.
type decodedBody struct {
	body   io.ReadCloser
	closed atomic.Bool

	mu     sync.Mutex // held while somebody reads
	r      io.Reader
	stages []*stage // in the order in which they decode
}

// Read implements io.Reader.
func (d *decodedBody) Read(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	return d.r.Read(p)
}

// Close implements io.Closer: it closes the body and gives the decoders back.
func (d *decodedBody) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	err := d.body.Close() // ends a Read in progress
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range slices.Backward(d.stages) { // none is read from by the next any more
		s.end(http.ErrBodyReadAfterClose)
	}
	return err
}

// stage takes one coding off a body.
type stage struct {
	coding  *coding
	src     source
	machine *machine // nil before the first Read, and once err is set
	err     error
}

// Read implements io.Reader.
func (s *stage) Read(p []byte) (int, error) {
	if s.machine == nil && s.err == nil {
		s.begin()
	}
	if s.err != nil || len(p) == 0 {
		return 0, s.err
	}
	n, err := s.machine.decoder.Read(p)
	if err == nil || err == io.EOF && n > 0 {
		return n, nil // to find out what is behind the end could take time
	}
	if err == io.EOF {
		err = s.behindEnd()
	} else {
		err = s.explain(err)
	}
	s.end(err)
	return n, err
}

// begin takes a machine and has it read the beginning of the body.
func (s *stage) begin() {
	s.machine = s.coding.pool.Get().(*machine)
	s.machine.src.Reset(&s.src)
	_, err := s.machine.src.Peek(1)
	if err == io.EOF { // no body: HEAD, or a server that did not care
		s.end(io.EOF)
		return
	}
	if err == nil {
		err = s.machine.decoder.begin(s.machine.src)
	}
	if err != nil {
		s.end(s.explain(err))
	}
}

// behindEnd returns io.EOF if the body ends where its coding does.
func (s *stage) behindEnd() error {
	switch _, err := s.machine.src.Peek(1); err {
	case nil:
		return &CodingError{s.coding.name, errBehindEnd}
	case io.EOF:
		return io.EOF
	default:
		return s.explain(err)
	}
}

// explain returns the error to report for one of a decoder.
func (s *stage) explain(err error) error {
	if s.src.err != nil && s.src.err != io.EOF {
		return s.src.err
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return &CodingError{s.coding.name, err}
}

// end gives the machine back, if there is one, and has Read fail with err from now on,
// unless it does already.
func (s *stage) end(err error) {
	if s.err == nil {
		s.err = err
	}
	if s.machine == nil {
		return
	}
	s.machine.decoder.end()
	s.machine.src.Reset(nil)
	s.coding.pool.Put(s.machine)
	s.machine = nil
}

// source is what a stage reads, with the error that ended it: decoders hide it.
type source struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	s.err = err
	return n, err
}

// machine is a decoder and the buffer it reads from.
type machine struct {
	src     *bufio.Reader
	decoder decoder
}

// limitedReader reads at most left bytes from r, and fails if there are more.
type limitedReader struct {
	r     io.Reader
	left  int64
	limit int64 // which the error names
	err   error
}

// Read implements io.Reader. It reads one byte more than it may return, for an end that
// comes just at the limit.
func (l *limitedReader) Read(p []byte) (int, error) {
	if l.err != nil || len(p) == 0 {
		return 0, l.err
	}
	if int64(len(p))-1 > l.left {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if int64(n) > l.left {
		n, err = int(l.left), &BodyTooLargeError{l.limit}
	}
	l.left -= int64(n)
	l.err = err
	return n, err
}
