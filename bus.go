package ringkit

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/ringkit/ringkit/wsock"
)

// Bus carries what is broadcast between the processes that share a group. It delivers to
// all subscribers of a topic, those of the publishing process included; what one process
// publishes arrives in order. Its methods are called by any goroutine.
//
// The module examples/chat/natsbus has one over NATS.
type Bus interface {
	// Publish hands data over to be delivered; it does not keep it. An error means that
	// it is not going to be.
	Publish(topic string, data []byte) error

	// Subscribe has receive called for what is published from now on, one at a time,
	// and lost when something may not have arrived, or the bus cannot be reached.
	// data is the receiver's. cancel ends that.
	Subscribe(topic string, receive func(data []byte), lost func(error)) (cancel func(), err error)
}

// ErrConnected is returned by Group.Connect for a group that has a bus already.
var ErrConnected = errorString("the group is connected to a bus already")

// link connects a group to a bus.
type link struct {
	bus   Bus
	topic string
}

// Connect has the group share what is broadcast with the groups of other processes that
// are connected to the same topic of the bus. lost is called, on a goroutine of the bus,
// when messages may have been lost; it may be nil. disconnect ends that.
func (g *Group) Connect(bus Bus, topic string, lost func(error)) (disconnect func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.link != nil {
		return nil, ErrConnected
	}
	if lost == nil {
		lost = func(error) {}
	}
	cancel, err := bus.Subscribe(topic, func(data []byte) {
		p, err := parseBroadcast(data)
		if err != nil {
			lost(err)
			return
		}
		g.deliver(p)
	}, lost)
	if err != nil {
		return nil, fmt.Errorf("ringkit: subscribe to %q: %w", topic, err)
	}
	g.link = &link{bus, topic}
	return sync.OnceFunc(func() {
		cancel()
		g.mu.Lock()
		g.link = nil
		g.mu.Unlock()
	}), nil
}

// A broadcast on a bus is its kind, one byte, and its data. That of an event is JSON, and its
// kind is no opcode.
const kindEvent = 0xff

func (l *link) publish(m wsock.Message) error { return l.send(byte(m.Kind), m.Data) }

func (l *link) publishEvent(e ServerEvent) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return l.send(kindEvent, data)
}

func (l *link) send(kind byte, data []byte) error {
	data = append(append(make([]byte, 0, 1+len(data)), kind), data...)
	if err := l.bus.Publish(l.topic, data); err != nil {
		return fmt.Errorf("ringkit: publish to %q: %w", l.topic, err)
	}
	return nil
}

var errForeign = errors.New("ringkit: something on the bus is no broadcast")

func parseBroadcast(data []byte) (*Prepared, error) {
	if len(data) == 0 {
		return nil, errForeign
	}
	kind, data := data[0], data[1:]
	if kind == kindEvent {
		var e ServerEvent
		if json.Unmarshal(data, &e) != nil {
			return nil, errForeign
		}
		return PrepareEvent(e), nil
	}
	if !wsock.Opcode(kind).Data() {
		return nil, errForeign
	}
	return Prepare(wsock.Message{Kind: wsock.Opcode(kind), Data: data}), nil
}

// LocalBus is a Bus within the process. The zero value is ready.
type LocalBus struct {
	mu     sync.Mutex
	topics map[string][]*localSubscriber
}

type localSubscriber struct{ receive func([]byte) }

// Publish implements Bus: it calls the subscribers before it returns.
func (b *LocalBus) Publish(topic string, data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.topics[topic] {
		s.receive(slices.Clone(data))
	}
	return nil
}

// Subscribe implements Bus. Nothing is ever lost. receive must not use the bus.
func (b *LocalBus) Subscribe(topic string, receive func([]byte), _ func(error)) (cancel func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.topics == nil {
		b.topics = make(map[string][]*localSubscriber)
	}
	s := &localSubscriber{receive}
	b.topics[topic] = append(b.topics[topic], s)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.topics[topic] = slices.DeleteFunc(b.topics[topic], func(o *localSubscriber) bool { return o == s })
		if len(b.topics[topic]) == 0 {
			delete(b.topics, topic)
		}
	}, nil
}
