package wsock

// Opcode says what a frame carries (RFC 6455, section 5.2).
type Opcode uint8

const (
	Continuation Opcode = 0x0 // a further fragment of a message
	Text         Opcode = 0x1 // UTF-8
	Binary       Opcode = 0x2
	Close        Opcode = 0x8
	Ping         Opcode = 0x9
	Pong         Opcode = 0xA
)

// MaxControl is the largest payload of a Close, Ping or Pong, in bytes (RFC 6455,
// section 5.5).
const MaxControl = 125

// Control reports whether op is that of a control frame, known or not.
func (op Opcode) Control() bool { return op&0x8 != 0 }

// Data reports whether op starts a message: Text or Binary.
func (op Opcode) Data() bool { return op == Text || op == Binary }

// String returns the name of op in lower case, such as "text", or "reserved".
func (op Opcode) String() string {
	switch op {
	case Continuation:
		return "continuation"
	case Text:
		return "text"
	case Binary:
		return "binary"
	case Close:
		return "close"
	case Ping:
		return "ping"
	case Pong:
		return "pong"
	}
	return "reserved"
}

// Message is one WebSocket message.
type Message struct {
	// Kind is Text or Binary.
	Kind Opcode

	// Data is the content, UTF-8 if Kind is Text. Who hands a message over says how
	// long Data may be used; nobody who is handed one modifies it.
	Data []byte
}
