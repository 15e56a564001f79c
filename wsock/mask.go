package wsock

import (
	"encoding/binary"
	"math/bits"
)

// Mask says whether and how a frame is masked. The zero value is no mask, which is
// what a server sends.
type Mask struct {
	// On says that the frame is masked, with Key: a client's are, a server's are not.
	On bool

	// Key should come from a strong source of entropy, a new one for every frame
	// (RFC 6455, section 5.3).
	Key [4]byte
}

// Masked returns the mask with the given key.
func Masked(key [4]byte) Mask { return Mask{On: true, Key: key} }

// applyMask masks p, or unmasks it, in place (RFC 6455, section 5.3). key has the
// key's first byte in its low bits; what applyMask returns is the key for the bytes
// that follow p in the same frame.
func applyMask(p []byte, key uint32) (next uint32) {
	if key == 0 {
		return 0
	}
	next = bits.RotateLeft32(key, -8*(len(p)&3))
	wide := uint64(key)<<32 | uint64(key)
	for len(p) >= 32 {
		b := p[:32:32]
		binary.LittleEndian.PutUint64(b[0:], binary.LittleEndian.Uint64(b[0:])^wide)
		binary.LittleEndian.PutUint64(b[8:], binary.LittleEndian.Uint64(b[8:])^wide)
		binary.LittleEndian.PutUint64(b[16:], binary.LittleEndian.Uint64(b[16:])^wide)
		binary.LittleEndian.PutUint64(b[24:], binary.LittleEndian.Uint64(b[24:])^wide)
		p = p[32:]
	}
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^wide)
		p = p[8:]
	}
	for i := range p {
		p[i] ^= byte(wide >> (8 * (i & 7)))
	}
	return next
}
