package client

import (
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
	"sync"

	"github.com/ringkit/ringkit/wsock"
)

// maskers make masks. Who can choose what a client sends must not be able to foresee what
// that looks like on the wire (RFC 6455, section 10.3), so they are made by a strong
// generator that the system's entropy has seeded, which is faster than asking the system
// for each frame.
var maskers = sync.Pool{New: func() any {
	var seed [32]byte
	crand.Read(seed[:]) // which does not fail
	return rand.NewChaCha8(seed)
}}

// newMask returns the mask of a frame.
func newMask() wsock.Mask {
	g := maskers.Get().(*rand.ChaCha8)
	var key [4]byte
	binary.NativeEndian.PutUint32(key[:], uint32(g.Uint64()))
	maskers.Put(g)
	return wsock.Masked(key)
}
