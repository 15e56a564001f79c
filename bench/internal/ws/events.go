package ws

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/ringkit/ringkit/bench/internal/client"
)

// Server-sent events are what a room is over HTTP: whoever asks for Events gets a stream of
// them, and whoever asks for Publish has one sent to all streams.
const (
	Events  = "/events"
	Publish = "/publish" // answered like any other request when all have been told

	// EventSize is how many bytes of data an event has.
	EventSize = 64
)

// EventData returns the data of the events.
func EventData() string { return string(Payload(EventSize)) }

// Event returns an event as it is sent, but for what a chunk has around it.
func Event() []byte { return []byte("data: " + EventData() + "\n\n") }

// subscribe opens a stream, and returns when its head is there.
func (g *generator) subscribe() (client.Socket, error) {
	s, err := client.DialSocket(g.Port)
	if err != nil {
		return s, err
	}
	if err := g.readStreamHead(s); err != nil {
		s.Close()
		return -1, fmt.Errorf("stream of events: %w", err)
	}
	return s, nil
}

func (g *generator) readStreamHead(s client.Socket) error {
	if err := writeAll(s, client.Request(Events)); err != nil {
		return err
	}
	for have := 0; ; {
		n, err := recv(s, g.input[have:maxHead], 0)
		if err != nil {
			return err
		}
		have += n
		head, _, whole := bytes.Cut(g.input[:have], []byte("\r\n\r\n"))
		switch {
		case whole && bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) && bytes.Contains(head, []byte("text/event-stream")):
			return nil
		case whole || have == maxHead:
			return fmt.Errorf("the answer is %q", g.input[:have])
		}
	}
}

// publish has the server send an event, after it has answered the request for the last one.
func (g *generator) publish() error {
	if g.publisher == 0 {
		s, err := client.DialSocket(g.Port)
		if err != nil {
			return err
		}
		g.publisher = s
	} else if err := g.readPublished(); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	return writeAll(g.publisher, client.Request(Publish))
}

func (g *generator) readPublished() error {
	for have := 0; ; {
		n, err := recv(g.publisher, g.input[have:maxHead], 0)
		if err != nil {
			return err
		}
		have += n
		end, err := client.ParseResponse(g.input[:have])
		switch {
		case err != nil:
			return err
		case end == have && end > 0:
			return nil
		case have == maxHead:
			return io.ErrShortBuffer
		}
	}
}

var errManyEvents = errors.New("the server sent more events than were published")

// findEvent looks for the event in what has come, where chunks and comments are around it,
// and reports whether it is whole. have is how much of it has come before.
func findEvent(have int, in, want []byte) (now int, whole bool, err error) {
	for _, c := range in {
		if c != want[have] {
			have = 0 // around events is nothing in which one begins and breaks off
		}
		if c != want[have] {
			continue
		}
		if have++; have == len(want) {
			if have = 0; whole {
				return 0, true, errManyEvents
			}
			whole = true
		}
	}
	return have, whole, nil
}
