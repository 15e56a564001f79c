package hold

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/ws"
)

// dialect is what is said on the connections.
type dialect struct {
	hello   []byte // sent first, nil for nothing
	ask     []byte // sent for an answer
	welcome func(in []byte) (int, error)
	answer  func(in []byte) (int, input, error)
}

// input is what has come.
type input uint8

const (
	partly   input = iota // of something
	answered              // what was asked
	pinged                // a frame that wants a Pong
)

func newDialect(c *Config) (*dialect, error) {
	switch {
	case !c.Socket && c.Deflate:
		return nil, errors.New("compression is for WebSockets")
	case !c.Socket:
		return &dialect{ask: client.Request(c.Path), answer: response}, nil
	}
	d := &dialect{hello: ws.Upgrade(c.Path, c.Deflate)}
	d.welcome = func(in []byte) (int, error) { return ws.Upgraded(in, c.Deflate) }
	if !c.Deflate {
		payload := ws.Payload(64)
		d.ask = ws.ClientFrame(payload)
		d.answer = echo(func(first byte, got []byte) error {
			if first != ws.TextFrame || !bytes.Equal(got, payload) {
				return fmt.Errorf("an echo that begins with %#x and %q", first, got[:min(len(got), 16)])
			}
			return nil
		})
		return d, nil
	}
	payload := ws.Payload(deflatedBytes)
	d.ask = ws.DeflatedFrame(payload)
	// The same message is compressed in the same way each time, since none is compressed
	// with the help of others: one has to be looked at.
	var known []byte
	d.answer = echo(func(first byte, got []byte) error {
		switch {
		case first != ws.DeflatedText:
			return fmt.Errorf("an echo that begins with %#x", first)
		case bytes.Equal(got, known):
			return nil
		}
		text, err := ws.Inflate(got, len(payload))
		if err != nil || !bytes.Equal(text, payload) {
			return fmt.Errorf("an echo of %d bytes that is another one: %v", len(got), err)
		}
		known = bytes.Clone(got)
		return nil
	})
	return d, nil
}

// deflatedBytes is the size of the message that is compressed: servers leave short ones as
// they are.
const deflatedBytes = 1 << 10

func response(in []byte) (int, input, error) {
	n, err := client.ParseResponse(in)
	if n == 0 || err != nil {
		return 0, partly, err
	}
	return n, answered, nil
}

// echo takes frames; check looks at those that are messages.
func echo(check func(first byte, payload []byte) error) func([]byte) (int, input, error) {
	return func(in []byte) (int, input, error) {
		head, size := ws.ParseFrame(in)
		switch {
		case head == 0 || len(in) < head+size:
			return 0, partly, nil
		case in[0] == ws.PingFrame:
			return head + size, pinged, nil
		}
		return head + size, answered, check(in[0], in[head:head+size])
	}
}
