package wsock

// Compression is what client and server have agreed on about permessage-deflate
// (RFC 7692, section 7.1). The zero value is no compression.
type Compression struct {
	// Enabled says that messages may be compressed.
	Enabled bool

	// ServerNoTakeover and ClientNoTakeover say that the server, or the client,
	// compresses each message by itself. Where they are false, the sender may refer
	// to earlier messages and the receiver has to keep them, as far as the window
	// goes.
	ServerNoTakeover bool
	ClientNoTakeover bool

	// ServerBits and ClientBits are the base-2 logarithm of the window, 8 to 15, that
	// the server, or the client, compresses with. Zero means 15: 32 KiB.
	ServerBits uint8
	ClientBits uint8
}

const maxWindowBits = 15

// receiving returns the window of what is received, and whether the sender takes
// its context over.
func (c Compression) receiving(client bool) (bits uint8, takeover bool) {
	if client {
		bits, takeover = c.ServerBits, !c.ServerNoTakeover
	} else {
		bits, takeover = c.ClientBits, !c.ClientNoTakeover
	}
	if bits == 0 {
		bits = maxWindowBits
	}
	return bits, takeover
}

// sending returns the same for what is sent.
func (c Compression) sending(client bool) (bits uint8, takeover bool) {
	return c.receiving(!client)
}

// Windows returns how many bytes one side keeps at most of what it has received and sent,
// for as long as the connection lasts: what takeover costs. client tells the side.
func (c Compression) Windows(client bool) (received, sent int) {
	if !c.Enabled {
		return 0, 0
	}
	if bits, takeover := c.receiving(client); takeover {
		received = 1 << bits
	}
	if bits, takeover := c.sending(client); takeover {
		sent = 1 << bits
	}
	return received, sent
}

// window is the end of what has been sent or received so far, as far as the next
// message may refer to it.
type window struct {
	data []byte // at most size bytes
	size int
}

// push adds data to the window.
func (w *window) push(data []byte) {
	if len(data) > w.size {
		data = data[len(data)-w.size:]
	}
	keep := min(len(w.data), w.size-len(data))
	old := w.data[len(w.data)-keep:]
	if need := keep + len(data); need > cap(w.data) {
		w.data = make([]byte, 0, min(w.size, max(2*need, 512)))
	}
	w.data = append(append(w.data[:0], old...), data...)
}
