package natsbus

import (
	"encoding/binary"

	"github.com/nats-io/nats.go"
)

// A message on the bus is an envelope and the data: who has published it, and its number
// among those of this publisher and topic, from 1.
const (
	idLength       = 8
	envelopeLength = idLength + 8
)

// publisher is the ID of a bus, made up by chance.
type publisher [idLength]byte

func appendEnvelope(dst []byte, from publisher, n uint64, data []byte) []byte {
	return append(binary.BigEndian.AppendUint64(append(dst, from[:]...), n), data...)
}

func parseEnvelope(data []byte) (from publisher, n uint64, rest []byte, err error) {
	if len(data) < envelopeLength {
		return from, 0, nil, ErrForeign
	}
	copy(from[:], data)
	return from, binary.BigEndian.Uint64(data[idLength:]), data[envelopeLength:], nil
}

// maxPublishers is how many publishers a subscriber knows. Of one that is forgotten, the
// one heard longest ago, a gap is not seen.
const maxPublishers = 256

// subscriber is a subscription. Its messages come one at a time.
type subscriber struct {
	topic   string
	receive func([]byte)
	lost    func(error)

	clock uint64
	known map[publisher]*heard
}

// heard is what a subscriber knows of a publisher.
type heard struct {
	n    uint64 // of the last message
	when uint64 // by the clock, which counts messages
}

func (s *subscriber) take(m *nats.Msg) {
	from, n, data, err := parseEnvelope(m.Data)
	if err != nil {
		s.lost(err)
		return
	}
	missing, again := s.note(from, n)
	if missing > 0 {
		s.lost(&LossError{s.topic, missing})
	}
	if !again {
		s.receive(data)
	}
}

// note notes message n of a publisher. It returns how many before it have not come, and
// whether it has come itself.
func (s *subscriber) note(from publisher, n uint64) (missing uint64, again bool) {
	s.clock++
	h := s.known[from]
	if h == nil {
		s.forget()
		if s.known == nil {
			s.known = make(map[publisher]*heard)
		}
		// What was published before this subscriber came is not lost.
		s.known[from] = &heard{n, s.clock}
		return 0, false
	}
	h.when = s.clock
	if n <= h.n {
		return 0, true
	}
	missing = n - h.n - 1
	h.n = n
	return missing, false
}

// forget makes room for one more publisher.
func (s *subscriber) forget() {
	if len(s.known) < maxPublishers {
		return
	}
	var oldest publisher
	at := s.clock
	for from, h := range s.known {
		if h.when < at {
			oldest, at = from, h.when
		}
	}
	delete(s.known, oldest)
}
