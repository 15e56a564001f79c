package talk

import (
	"sync"

	"github.com/ringkit/ringkit/wsock"
)

// Compressor has what it takes to compress a message. Neither the loop nor anybody who
// wants the mutex of its owner should wait until something long is compressed: who sends
// takes one of these.
type Compressor struct {
	Deflater wsock.Deflater
	Frame    []byte
}

var compressors = sync.Pool{New: func() any { return new(Compressor) }}

const frameKept = 256 << 10

// TakeCompressor returns one to be used by the caller alone.
func TakeCompressor() *Compressor { return compressors.Get().(*Compressor) }

// Free gives it back, with its frame.
func (z *Compressor) Free() {
	if cap(z.Frame) > frameKept {
		z.Frame = nil
	}
	compressors.Put(z)
}

var inflaters = sync.Pool{New: func() any { return new(wsock.Inflater) }}

// Inflate decompresses a message that costs too much for the loop.
func Inflate(d *wsock.Decoder) (wsock.Message, error) {
	z := inflaters.Get().(*wsock.Inflater)
	defer inflaters.Put(z)
	return d.Inflate(z)
}

// inflateInline is up to where the loop decompresses messages itself.
const inflateInline = 4 << 10

// Decoders is what the decoders of a loop have in common. It belongs to the loop.
type Decoders struct {
	Client  bool // they are the client's
	configs map[int]*wsock.Config
	buffers buffers
}

// Config returns the settings of decoders with a limit of so many bytes for a message.
func (s *Decoders) Config(maxMessage int) *wsock.Config {
	conf := s.configs[maxMessage]
	if conf == nil {
		if s.configs == nil {
			s.configs = make(map[int]*wsock.Config)
		}
		conf = &wsock.Config{Client: s.Client, MaxMessage: maxMessage, Buffers: &s.buffers, Inline: inflateInline}
		s.configs[maxMessage] = conf
	}
	return conf
}

// buffers lends memory to messages that come in parts, or compressed.
type buffers struct{ small, large bufferPool }

// bufferPool has buffers of one size.
type bufferPool [][]byte

const (
	smallBuffer = 2 << 10
	largeBuffer = 16 << 10
	buffersKept = 64 // of each size
)

// Take implements wsock.Buffers.
func (p *buffers) Take(n int) []byte {
	switch {
	case n <= smallBuffer:
		return p.small.take(smallBuffer)
	case n <= largeBuffer:
		return p.large.take(largeBuffer)
	}
	return make([]byte, 0, n)
}

// Put implements wsock.Buffers.
func (p *buffers) Put(b []byte) {
	switch cap(b) {
	case smallBuffer:
		p.small.put(b)
	case largeBuffer:
		p.large.put(b)
	}
}

func (p *bufferPool) take(size int) []byte {
	last := len(*p) - 1
	if last < 0 {
		return make([]byte, 0, size)
	}
	b := (*p)[last]
	*p = (*p)[:last]
	return b
}

func (p *bufferPool) put(b []byte) {
	if len(*p) < buffersKept {
		*p = append(*p, b[:0])
	}
}
