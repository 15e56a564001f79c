// Package conn is the event loop and the connection under every protocol of
// ringkit: it owns the ring, the connection slots, the timers and the buffers,
// and calls a [Protocol] with what arrives. It knows nothing of HTTP.
//
// # A turn
//
// A [Loop] turns: one call into the kernel submits everything prepared since the
// last turn and waits; then completions, messages from other goroutines and
// timers are handled; at the end, what was written to each connection leaves in
// one send per connection. Everything a turn needs lives in the Loop, nothing on
// the stack of the goroutine that turns it, so that the goroutine may change
// between any two completions.
//
// # Ownership
//
// The goroutine that turns a loop owns all of its connections. Methods of [Conn]
// and [Loop] are for it alone, unless they say otherwise. Other goroutines keep a
// [Handle], which names a connection by slot and generation and finds nothing
// once the connection is gone, and send the loop a [Task].
//
// Received data is the protocol's until its Data method returns; sent data is
// copied into mapped blocks that belong to the kernel until their completion. A
// slot is recycled when nothing of it is in flight, never earlier.
package conn
