// Package ringkit is an HTTP/1.1 and WebSocket server for Linux on io_uring, or on epoll
// where the kernel has no io_uring for the process. Package client, beside it, is an
// asynchronous client on the same event loops.
//
// # Handlers
//
// A [Server] runs any [http.Handler]: a program moves over from net/http by using it
// instead of http.Server. A [HandlerFunc] is a native handler, which costs no
// allocation; [Split] joins the two. Handlers run on the event loop and may block all the
// same, see [Mode]. [Exchange.Later] answers when the handler has long returned.
//
// # Channels
//
// [OpenChannel] makes a [Channel] of a request: a WebSocket, or an answer over HTTP that
// is sent bit by bit or much later, for streaming, server-sent events and long polling. It
// holds no goroutine, and its queue is bounded. A [Group] broadcasts to many, with a [Bus]
// also to those of other processes.
//
// # Limits
//
// Everything that is waited for, queued or kept has a limit and a default, given with the
// fields of [Server] and [ChannelOptions]: 0 is the default, and a negative timeout or limit
// is none. What exceeds one is answered with the status that RFC 9110 has for it.
//
// # Engines
//
// The engine is chosen by trying, for each event loop, and said once in the log with the
// reason: io_uring needs Linux 6.0, and is at its best from 6.8 on. See [Engine], and
// docs/operations.md for what containers have to allow.
package ringkit
