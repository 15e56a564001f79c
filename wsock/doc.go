// Package wsock is a WebSocket codec (RFC 6455) with permessage-deflate (RFC 7692),
// for servers and clients, without I/O: bytes in, events out, and frames appended
// to a slice of the caller. Nothing in it reads a socket or a clock, starts a
// goroutine or takes a lock.
//
// # In an event loop
//
// A loop has one [Config], with the limit of a message and the [Buffers] it pools; a
// connection has a [Decoder] and a [Closing], 112 bytes together. All input goes
// to the decoder, which takes any split of it and consumes everything:
//
//	for {
//		ev, n, err := dec.Next(in)
//		in = in[n:]
//		if err != nil {
//			out = closing.Fail(out, err, wsock.Mask{})
//			break
//		}
//		switch ev.Op {
//		case 0:
//			return // more input is needed
//		case wsock.Text, wsock.Binary:
//			if ev.Pending { // only with Config.Inline: costs too much for a loop
//				inflateElsewhere() // and then go on with in
//				return
//			}
//			deliver(ev.Message()) // copies what it keeps
//		case wsock.Ping:
//			if closing.Open() {
//				out = wsock.AppendPong(out, ev.Data, wsock.Mask{})
//			}
//		case wsock.Pong:
//			alive()
//		case wsock.Close:
//			out = closing.Received(out, &ev, wsock.Mask{})
//		}
//	}
//
// Messages that a peer has compressed can cost half a microsecond per byte. With
// [Config.Inline] the decoder leaves the longer ones to [Decoder.Inflate], which another
// goroutine can call while the loop serves others; this connection's input waits.
//
// When [Closing.Done] reports true, the output is flushed and the transport ended,
// and [Closing.Info] is what the connection's owner is told. [Decoder.Release] gives
// back what a message in progress holds, and the window; [Encoder.Release] does with its
// window.
//
// # Sending
//
// Frames are appended to the output: [AppendMessage], [AppendPing], [AppendPong],
// [AppendFrame] for fragments. An [Encoder] does it with the compression that has been
// agreed on, by a [Deflater] of the loop; a connection whose context is not taken over
// needs no state for it. What goes to many connections is encoded and compressed once,
// by [Prepare], and each Encoder says which of the two frames is for it. A server sends
// with the zero [Mask], a client with a new random key for each frame.
//
// # Handshake
//
// [Request.Check] tells with which status to refuse a request, [SameOrigin] whether a
// page of the same site sent it. [CompressionOptions.Accept] answers the offer of
// compression and says what to initialize the Decoder and the Encoder with,
// [ChooseProtocol] settles the subprotocol, and [AppendResponse] writes the answer. A
// client sends [NewKey] and [CompressionOptions.Offer] and checks what comes back with
// [Response.Check] and [CompressionOptions.Check].
//
// # Memory
//
// A message is delivered where it stands in the input, if it came in one piece. Only
// what comes in parts, or compressed, is copied, to a buffer that is taken while the
// message is incomplete. With takeover, which is not the default, decoder and encoder
// each keep a window of up to 32 KiB, as far as it has been filled; [Compression.Windows]
// tells, so that a server can bound them all together. Input is unmasked in place, so the
// caller must own it.
package wsock
