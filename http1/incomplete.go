package http1

import (
	"io"
	"strconv"
)

// IncompleteError is a message whose connection ended before it did (RFC 9112,
// section 8). It wraps [io.ErrUnexpectedEOF].
type IncompleteError struct {
	// Where is how far the message came.
	Where Point

	// Missing is the number of bytes known to be missing, with InContent and InChunk;
	// otherwise it is zero.
	Missing int64
}

// Error implements the error interface.
func (e *IncompleteError) Error() string {
	text := "http1: connection closed " + e.Where.String()
	if e.Missing > 0 {
		text += " (bytes missing: " + strconv.FormatInt(e.Missing, 10) + ")"
	}
	return text
}

// Unwrap returns io.ErrUnexpectedEOF.
func (e *IncompleteError) Unwrap() error { return io.ErrUnexpectedEOF }

// Point is a place in a message at which its connection can end too early.
type Point uint8

// The places in the order in which they are reached.
const (
	AtStart       Point = iota // not a byte of any response has come
	AfterInterim               // an interim response has, of the final one nothing
	InStatusLine               // also that of an interim response
	InHeader                   // the header section
	InContent                  // content with a Content-Length
	InChunk                    // the data of a chunk, after which there is more
	BetweenChunks              // behind the data of a chunk, or in a line with a chunk size
	InTrailer                  // the trailer section, which may be just an empty line
)

var pointNames = [...]string{
	AtStart:       "before a response",
	AfterInterim:  "after an interim response",
	InStatusLine:  "in the status line",
	InHeader:      "in the header section",
	InContent:     "in the content",
	InChunk:       "in a chunk",
	BetweenChunks: "before the last chunk",
	InTrailer:     "in the trailer section",
}

// String returns the place in words.
func (p Point) String() string {
	if int(p) < len(pointNames) {
		return pointNames[p]
	}
	return "invalid point"
}

// EOF tells b that its connection has ended after the input given to [Body.Next].
// It returns nil if the body is whole: it was done, or it is UntilClose, and done from
// now on. Otherwise it returns the error that Next has returned, or an
// [*IncompleteError].
//
// Whether the end of a connection can be believed is for the caller to know: with TLS
// it cannot without a close_notify (RFC 9112, section 9.8).
func (b *Body) EOF() error {
	switch {
	case b.err != nil:
		return b.err
	case b.state == bodyUntilClose:
		b.state = bodyDone
		return nil
	case b.state == bodyDone:
		return nil
	case b.state == bodyLength:
		return &IncompleteError{InContent, b.remain}
	case b.state == chunkData:
		return &IncompleteError{InChunk, b.remain}
	case b.state >= trailerStart:
		return &IncompleteError{Where: InTrailer}
	}
	return &IncompleteError{Where: BetweenChunks}
}
