package http1

import "math"

// Defaults for the zero fields of [Limits].
const (
	DefaultRequestLine   = 8 << 10
	DefaultHead          = 64 << 10
	DefaultFields        = 256
	DefaultTrailer       = 8 << 10
	DefaultChunkExtLine  = 1 << 10
	DefaultChunkExtTotal = 16 << 10
	DefaultBody          = 1 << 30
	DefaultInterim       = 64
)

// Limits bounds what a peer can make the other store or do. A zero field means
// its default. Limits are resolved once, with [Limits.Resolve], and may then be
// shared by any number of goroutines as long as nobody changes them.
type Limits struct {
	// RequestLine is the greatest length of the request line in bytes, without
	// its CRLF. Default 8 KiB. A longer one is a 414, or a 400 when so many
	// bytes are still in the method.
	RequestLine int

	// Head is the greatest length of a head in bytes: an ignored empty line, the
	// request line or status line, all field lines and the final empty line. Default
	// 64 KiB. A longer one of a request is a 431 (RFC 6585, section 5).
	Head int

	// Fields is the greatest number of field lines in a head, and also in a
	// trailer section. Default 256. More are a 431.
	Fields int

	// Trailer is the greatest length of a trailer section in bytes with its
	// final empty line. Default 8 KiB. A longer one is a 431.
	Trailer int

	// ChunkExtLine is the greatest length in bytes of the extensions of one
	// chunk (RFC 9112, section 7.1.1). Default 1 KiB. Longer ones are a 400.
	ChunkExtLine int

	// ChunkExtTotal is the greatest length in bytes of the extensions of all
	// chunks of one body. Default 16 KiB. Longer ones are a 400.
	ChunkExtTotal int

	// Body is the greatest length of the content of one message in bytes,
	// without chunked framing. Default 1 GiB; negative means no limit. Longer
	// content is a 413.
	Body int64

	// Interim is the greatest number of interim responses, of Head bytes each, that
	// are accepted before the final one (RFC 9110, section 15.2). Default 64.
	Interim int
}

// Resolve returns the limits with every zero field replaced by its default.
func (l Limits) Resolve() Limits {
	// Positions are kept as uint32 and some are compared as int.
	const most = math.MaxInt32 / 2

	resolve := func(p *int, def int) {
		if *p <= 0 {
			*p = def
		}
		*p = min(*p, most)
	}
	resolve(&l.RequestLine, DefaultRequestLine)
	resolve(&l.Head, DefaultHead)
	resolve(&l.Fields, DefaultFields)
	resolve(&l.Trailer, DefaultTrailer)
	resolve(&l.ChunkExtLine, DefaultChunkExtLine)
	resolve(&l.ChunkExtTotal, DefaultChunkExtTotal)
	resolve(&l.Interim, DefaultInterim)
	switch {
	case l.Body == 0:
		l.Body = DefaultBody
	case l.Body < 0:
		l.Body = math.MaxInt64
	}
	return l
}
