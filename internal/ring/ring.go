// Package ring holds the few words that an engine and the event loop above it
// have to agree on: how an operation is named and what its completion says.
//
// The engines (packages uring and fallback, and the simulator) produce
// completions, package conn consumes them. Neither imports the other; both
// import this package.
package ring

import "fmt"

// Op is the kind of an operation. It travels in the token, so that a completion
// can be dispatched without looking anything up.
type Op uint8

// The operations of a ring.
const (
	OpNone    Op = iota // never submitted; a zero token is no operation
	OpAccept            // Res is a new descriptor; repeats while More is set
	OpRecv              // Res is a byte count, 0 at end of stream
	OpSend              // Res is a byte count
	OpConnect           // Res is 0
	OpPoll              // Res is the mask of ready events
	OpCancel            // Res is 0, or -ENOENT, or -EALREADY
	OpWake              // internal to an engine, never seen above it
	OpInstall           // internal to an engine
	numOps
)

var opNames = [numOps]string{"none", "accept", "recv", "send", "connect", "poll", "cancel", "wake", "install"}

func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return fmt.Sprintf("op(%d)", uint8(o))
}

// Token names one operation: op (8 bits) | generation (24 bits) | slot (32 bits).
// It is the user_data of an io_uring request. It is never a pointer, because a
// completion may arrive long after whatever it would have pointed to is gone:
// a slot whose generation has moved on makes such a completion harmless.
type Token uint64

// MaxGeneration is the largest generation a token can carry. The next one is 0.
const MaxGeneration = 1<<24 - 1

// MakeToken packs a token. Bits of gen above MaxGeneration are dropped.
func MakeToken(op Op, gen, slot uint32) Token {
	return Token(op)<<56 | Token(gen&MaxGeneration)<<32 | Token(slot)
}

// Op returns the operation kind.
func (t Token) Op() Op { return Op(t >> 56) }

// Generation returns the generation of the slot at the time of submission.
func (t Token) Generation() uint32 { return uint32(t>>32) & MaxGeneration }

// Slot returns the slot the operation belongs to.
func (t Token) Slot() uint32 { return uint32(t) }

func (t Token) String() string {
	return fmt.Sprintf("%v/%d.%d", t.Op(), t.Slot(), t.Generation())
}

// Direct returns the number that stands for a slot of a ring's table of files where
// otherwise a descriptor does: less than -1, so that a system call fails that is given one.
func Direct(slot uint32) (fd int) { return -2 - int(slot) }

// IsDirect reports whether a number is not that of a descriptor but of a slot.
func IsDirect(fd int) bool { return fd < -1 }

// FileSlot returns the slot that Direct was given.
func FileSlot(fd int) uint32 { return uint32(-2 - fd) }

// Flags of a completion.
const (
	// More says that the operation stays armed and will complete again. A
	// completion without it is terminal: nothing of the operation is left in
	// the kernel.
	More = 1 << iota
	// HasBuffer says that Buf and BufID are valid and that the buffer has to
	// be given back with Release, whatever Res is.
	HasBuffer
)

// Completion is the outcome of one operation.
type Completion struct {
	Token Token
	Res   int32 // a result >= 0, or -errno
	Flags uint8
	BufID uint16
	// Buf is the received data: a part of the engine's memory which is the
	// receiver's until it calls Release(BufID).
	Buf []byte
}

// More reports whether the operation is still armed.
func (c *Completion) More() bool { return c.Flags&More != 0 }

// HasBuffer reports whether a buffer came with the completion.
func (c *Completion) HasBuffer() bool { return c.Flags&HasBuffer != 0 }
