// Package client is an asynchronous HTTP/1.1 client on the event loops of ringkit: a
// connection costs no goroutine, neither idle nor with a request on it.
//
// # Four ways to ask
//
//	resp, err := client.Do(req)                        // waits for the response
//	f := client.Go(req); resp, err = f.Wait(ctx)       // starts now, has the answer later
//	client.Call(req, func(resp *http.Response, err error) { … })
//	hc := &http.Client{Transport: &client.Transport{}} // for all that is made for net/http
//
// Requests and responses are those of net/http. A [Client] follows redirects and keeps
// cookies, a [Transport] has the connections.
//
// # WebSockets and events
//
//	ws, err := client.Dial(ctx, "wss://…", client.Events{Message: …})
//	for event, err := range c.Subscribe(req) { … }
//
// A [WebSocket] stays on the event loop, and has callbacks there; its vocabulary is that of
// package wsock, as the server's. A stream of events that is lost is asked for again.
//
// # What is repeated
//
// A request is sent once. It is sent a second time, on a new connection, only if the
// connection it was on had been used before and has ended without a byte of a response,
// the method is idempotent (RFC 9110, section 9.2.2), and the body, if any, can be had
// again (http.Request.GetBody). In all other cases the error matches [ErrServerClosed].
//
// # Limits
//
// Everything has one: looking up names and connecting, TLS handshakes, waiting for a
// connection, for the head of a response and for the next part of its body, the size of
// heads and bodies, also of decoded ones, redirects, and the number of connections and of
// requests that wait. Their defaults are with the fields of [Transport].
//
// # Strictness
//
// Responses are read as RFC 9112 has it, without leniency: see package http1. One that
// cannot be accepted, or was cut short, is an error, and its connection is closed. So is
// one that sends something it was not asked for.
package client
