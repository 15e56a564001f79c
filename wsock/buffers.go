package wsock

import "math"

// DefaultMaxMessage is the limit of a message where none is given, in bytes.
const DefaultMaxMessage = 4 << 20

// Buffers lends the memory in which messages are put together. A loop that pools
// its buffers implements it; it is called by [Decoder.Next] and [Decoder.Release] only.
type Buffers interface {
	// Take returns a slice of length 0 with a capacity of n bytes or more.
	Take(n int) []byte

	// Put takes back a slice that Take has returned, of any length.
	Put(b []byte)
}

// heap is used where no Buffers are given.
type heap struct{}

func (heap) Take(n int) []byte { return make([]byte, 0, n) }
func (heap) Put([]byte)        {}

// Config is what the decoders of one loop have in common. It is not safe for
// concurrent use, nor are decoders that share it: one of them at a time. It must
// not be changed, nor copied, once a decoder uses it.
type Config struct {
	// Client says that the decoders are on the client's side: frames must come
	// without a mask. A server's must come with one (RFC 6455, section 5.1).
	Client bool

	// Stream has the content of messages delivered as it arrives instead of
	// gathered. Compressed messages are gathered all the same.
	Stream bool

	// MaxMessage is the limit of a message, all its fragments together and after
	// inflation, in bytes. What is longer is refused with [CloseMessageTooBig], as
	// soon as it is announced. Zero, or less, means [DefaultMaxMessage].
	MaxMessage int

	// Buffers lends memory while a message is incomplete. Nil means the heap.
	Buffers Buffers

	// Inline is the length, in bytes before inflation, up to which Next decompresses a
	// message itself; what is longer, or has more than 16 times as much after inflation,
	// is left to [Decoder.Inflate]. A peer can make a byte cost half a microsecond,
	// so a loop that serves others sets a few thousand. Zero means that Next
	// decompresses everything.
	Inline int

	inflater Inflater
}

func (c *Config) limit() int {
	if c.MaxMessage <= 0 {
		return DefaultMaxMessage
	}
	return c.MaxMessage
}

// compressedLimit is how long a message may be before inflation. Compression by
// a sane sender never adds as much.
func (c *Config) compressedLimit() int {
	limit := min(c.limit(), math.MaxInt/2)
	return limit + limit>>4 + 1024
}

func (c *Config) buffers() Buffers {
	if c.Buffers == nil {
		return heap{}
	}
	return c.Buffers
}
