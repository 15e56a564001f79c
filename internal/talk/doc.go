// Package talk has the parts that a channel of the server and a WebSocket of the client
// are made of: what waits to be sent, messages that are told in one go, the order of
// callbacks, how a WebSocket ends, and the memory that all this is lent.
//
// It has no policy of its own, and no locks: what is guarded by the owner's mutex, and what
// belongs to the loop, is said with each type.
package talk

const (
	// HandOver is how much a connection is given to send at a time; the rest waits in a
	// [Queue].
	HandOver = 256 << 10

	// FrameRoom is more than a frame, or a chunk, has around its data.
	FrameRoom = 32
)

// Share is how much of a queue of up to highWater bytes the connection has at most.
func Share(highWater int, dropsOldest bool) int {
	if dropsOldest {
		return min(HandOver, max(1, highWater/2)) // the rest can be dropped
	}
	return HandOver
}
