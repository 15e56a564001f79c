// Package http1 is a strict HTTP/1.1 codec for servers and clients, without I/O: bytes
// in, parsed messages out, and messages appended to a slice of the caller.
//
// None of it reads a socket or a clock, starts a goroutine or takes a lock. None
// allocates, except for what is rare and bounded: the fields of a head beyond the
// 32nd, trailers, uncommon names in [CanonicalName], and an [*IncompleteError].
// Functions that are not methods are safe for concurrent use, unless they append
// to the same slice.
//
// # Servers
//
// A [Request] parses the head of one request in place and incrementally. A
// [Body] then decodes its content, delimited by Content-Length or by the
// chunked transfer coding. [ResponseFraming], [AppendStatusLine], [AppendField] and
// the other Append functions write the answer.
//
// # Clients
//
// [AppendRequestStart] and [AppendRequestField] write the head of a request, and check
// what they write. A [Response] parses the head of what comes back, also of each
// interim response before it, and a Body its content, which can last until the
// connection is closed. What the end of a connection means [Response.EOF] and
// [Body.EOF] say.
//
// # In an event loop
//
// An event loop has one Request or Response and one Body for a connection while a
// message is on its way, and needs none while the connection is idle. With the
// unconsumed input of a connection, which starts where the last message ended, it
// does the following for a response; for a request the steps about interim responses
// and the end of the connection fall away.
//
//  1. When the request is sent: Response.Reset, with the method of the request.
//  2. Input came, and the head is not complete: give all that is unconsumed to
//     [Response.Parse]. If it returns zero, keep that input and wait for more. Where
//     the input is does not matter: a receive buffer first, and a buffer of the
//     connection when it has to be kept. Parse does not look at it again but for the
//     few bytes at which it stopped.
//  3. Parse has returned a length: so much is consumed. After an interim response
//     ([Response.Interim]) tell whom it concerns, call [Response.Next] and go back
//     to 2 with what is left, if anything is. A 100 means that content may be sent.
//  4. The response is final. If the buffer will be used again before the fields are,
//     copy the head and call Rebase. If the connection now speaks another protocol
//     ([Response.LeavesHTTP]), what is unconsumed is the first of that. Otherwise call
//     [Body.InitResponse].
//  5. Call [Body.Next] with what is unconsumed, until it is done or consumes nothing.
//     It returns content as part of its input: use it, or copy it, before the buffer
//     is used again. To hold the peer back, do not call Next and receive no more.
//  6. The body is done: if [Response.KeepAlive] and the request did not say "close",
//     and all of the request is sent, the connection is idle. Input that is left then,
//     or that comes while nothing has been asked for, belongs to no request: close.
//  7. The connection ended: Response.EOF while there is no complete head of a final
//     response, Body.EOF after that. An [*IncompleteError] with AtStart on a connection
//     that had been idle is what a server leaves that closed it meanwhile.
//
// After any error the connection has to be closed: where the message ends is unknown.
//
// # Strictness
//
// Where RFC 9112 lets a recipient choose between leniency and rejection, this
// package rejects, because two recipients that repair the same message
// differently are what request smuggling is made of (RFC 9112, section 11.2), and
// response splitting (section 11.1). Every rejection is an [*Error]; that of a request
// carries the status code to answer with.
package http1
