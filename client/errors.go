package client

import (
	"context"
	"errors"
	"net/url"
	"os"
)

// Errors of a [Transport], each inside an [*Error].
var (
	// ErrClosed is that of requests of a transport that is closed.
	ErrClosed = errors.New("the transport is closed")

	// ErrQueueFull says that MaxQueued requests wait for a connection already.
	ErrQueueFull = errors.New("too many requests wait for a connection")

	// ErrServerClosed says that the server has ended the connection without an answer.
	// With an idempotent method on a connection that had been used before, the request
	// has been repeated once.
	ErrServerClosed = errors.New("the server closed the connection without an answer")

	// ErrUnsupportedScheme is that of URLs whose scheme is neither http nor https.
	ErrUnsupportedScheme = errors.New("the scheme of the URL is neither http nor https")

	// ErrLoopEnded says that the event loop has ended, or its engine has failed.
	ErrLoopEnded = errors.New("the event loop of the connection has ended")
)

// op is what failed, in the words of Error.Op.
type op string

const (
	opRequest op = "request"
	opQueue   op = "wait for a connection"
	opDial    op = "dial"
	opProxy   op = "proxy"
	opTLS     op = "TLS handshake"
	opSend    op = "send request"
	opHead    op = "read response"
	opBody    op = "read body"

	opHandshake op = "WebSocket handshake"
)

// Error is what a request has failed with. errors.Is and errors.As look into it: for
// the errors of this package, [*github.com/ringkit/ringkit/http1.Error] for a response
// that cannot be accepted, [*github.com/ringkit/ringkit/http1.IncompleteError] and
// io.ErrUnexpectedEOF for one that was cut short, os.ErrDeadlineExceeded for a timeout,
// the causes of contexts, and the errors of packages net and crypto/tls.
type Error struct {
	// Op is what failed: "request", "wait for a connection", "dial", "proxy", "TLS
	// handshake", "send request", "read response", "read body" or "WebSocket handshake".
	Op string

	// Method and URL are those of the request; the URL is without a password.
	Method, URL string

	// Reused says that the connection had been used before. Sent says that some of the
	// request may have reached the server.
	Reused, Sent bool

	// Err says why, and is not nil.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	return "ringkit/client: " + e.Method + " " + e.URL + ": " + e.Op + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether it took too long: it implements net.Error, as far as that is
// not deprecated.
func (e *Error) Timeout() bool { return timedOut(e.Err) }

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// timeoutError is a timeout of this package.
type timeoutError string

func (e timeoutError) Error() string        { return string(e) }
func (e timeoutError) Timeout() bool        { return true }
func (e timeoutError) Temporary() bool      { return true }
func (e timeoutError) Is(target error) bool { return target == os.ErrDeadlineExceeded }

const (
	errDialTimeout   = timeoutError("it took too long")
	errQueueTimeout  = timeoutError("there was none in time")
	errHeaderTimeout = timeoutError("the server took too long to answer")
	errReadTimeout   = timeoutError("the server sent nothing for too long")
	errTotalTimeout  = timeoutError("the request took too long")
)

// redacted returns a URL for people to read.
func redacted(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.Redacted()
}
