// Package http1 is a strict HTTP/1.1 codec for servers, without I/O: bytes in,
// parsed messages out, and responses appended to a slice of the caller.
//
// A [Request] parses the head of one request in place and incrementally. A
// [Body] then decodes its content, delimited by Content-Length or by the
// chunked transfer coding. The Append functions and [ResponseFraming] write
// the answer. None of them reads a socket or a clock, starts a goroutine or
// takes a lock. None allocates, except for what is rare and bounded: the fields
// of a head beyond the 32nd, trailers, and uncommon names in [CanonicalName].
// Functions that are not methods are safe for concurrent use, unless they append
// to the same slice.
//
// Where RFC 9112 lets a recipient choose between leniency and rejection, this
// package rejects, because two recipients that repair the same message
// differently are what request smuggling is made of (RFC 9112, section 11.2).
// Every rejection is an [*Error] which carries the status code to answer with;
// after any of them the connection has to be closed, since the end of the
// offending message is unknown.
package http1
