package wsock

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// peer is one end of a connection, as the package's documentation says to build it. A
// server echoes messages; a client notes what comes back.
type peer struct {
	conf    Config
	dec     Decoder
	enc     Encoder
	closing Closing
	deflate Deflater
	client  bool
	rng     *rand.Rand

	out    []byte
	events []string
}

func newPeer(client bool, limit int, agreed Compression) *peer {
	p := &peer{client: client, rng: rand.New(rand.NewPCG(1, 1))}
	p.conf = Config{Client: client, MaxMessage: limit, Buffers: new(kept)}
	p.dec.Init(&p.conf, agreed)
	p.enc.Init(client, agreed)
	return p
}

func (p *peer) mask() Mask {
	if !p.client {
		return Mask{}
	}
	return Masked([4]byte{byte(p.rng.Uint32()), byte(p.rng.Uint32()), byte(p.rng.Uint32()), byte(p.rng.Uint32())})
}

// input takes bytes that have arrived.
func (p *peer) input(in []byte) {
	for !p.closing.Done() {
		ev, n, err := p.dec.Next(in)
		in = in[n:]
		if err != nil {
			p.out = p.closing.Fail(p.out, err, p.mask())
			p.dec.Release()
			return
		}
		switch ev.Op {
		case 0:
			return
		case Text, Binary:
			p.note("%v %q", ev.Op, ev.Data)
			if !p.client && p.closing.Open() {
				p.out = p.enc.AppendMessage(p.out, ev.Message(), &p.deflate, p.mask())
			}
		case Ping:
			p.note("ping %q", ev.Data)
			if p.closing.Open() {
				p.out = AppendPong(p.out, ev.Data, p.mask())
			}
		case Pong:
			p.note("pong %q", ev.Data)
		case Close:
			p.note("close %d %q", ev.Code, ev.Data)
			p.out = p.closing.Received(p.out, &ev, p.mask())
		}
	}
}

func (p *peer) note(format string, args ...any) {
	p.events = append(p.events, fmt.Sprintf(format, args...))
}

// echoed sends input, in pieces of the given size, to an echoing server, and returns the
// server and what a client makes of its output.
func echoed(t *testing.T, input string, piece, limit int, agreed Compression) (server *peer, answers []string) {
	t.Helper()
	server = newPeer(false, limit, agreed)
	client := newPeer(true, 1<<30, agreed)
	for part := range slices.Chunk([]byte(input), max(1, piece)) {
		server.input(slices.Clone(part))
		client.input(server.out)
		server.out = server.out[:0]
	}
	if client.dec.err != nil {
		t.Fatalf("the server's output: %v", client.dec.err)
	}
	return server, client.events
}
