// Package natsbus is a ringkit.Bus over NATS, so that groups span processes. It is a module
// of its own: who has one process has no need of it.
//
// Core NATS delivers at most once. The bus does not change that, but it says when something
// was lost: each message carries who has published it and its number, so a subscriber sees
// gaps; and a subscriber hears when its connection breaks and when it was too slow.
package natsbus

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Defaults of [Options].
const (
	DefaultPrefix        = "ringkit"
	DefaultReconnectWait = 500 * time.Millisecond
	DefaultPublishBuffer = 1 << 20
	DefaultPendingBytes  = 8 << 20
)

// maxPending bounds the messages that wait for a subscriber.
const maxPending = 1 << 16

// Options are settings of a bus. The zero value of each is a safe default.
type Options struct {
	// Prefix begins the subjects of the bus: topic "a" is prefix.a. Default "ringkit".
	Prefix string

	// ReconnectWait is how long it takes until a connection that has broken is tried
	// again; it is tried for ever. Default 500 ms.
	ReconnectWait time.Duration

	// PublishBuffer is how many bytes are kept that are published while there is no
	// connection; once there are as many, more is refused with [ErrFull]. Negative means none: then
	// Publish refuses with [ErrDisconnected]. Default 1 MiB.
	PublishBuffer int

	// PendingBytes is up to how many bytes wait for a subscriber that is slower than what
	// is published, before messages are lost. Default 8 MiB.
	PendingBytes int
}

// Errors of a bus.
var (
	// ErrDisconnected says that the broker cannot be reached.
	ErrDisconnected = errors.New("natsbus: no connection to the broker")
	// ErrFull says that too much has been published since the broker could be reached.
	ErrFull = errors.New("natsbus: too much waits for the broker")
	// ErrSlow says that a subscriber was too slow, and messages were dropped.
	ErrSlow = errors.New("natsbus: the subscriber was too slow, messages were dropped")
	// ErrForeign says that something in a subject was not published by a bus.
	ErrForeign = errors.New("natsbus: a message that no bus has published")
	// ErrTopic says that a topic cannot be one: it has to be words of letters, digits,
	// '-' and '_', with dots between them.
	ErrTopic = errors.New("natsbus: not a topic")
)

// LossError says that messages are missing.
type LossError struct {
	Topic string
	Count uint64 // how many, of one publisher
}

// Error implements error.
func (e *LossError) Error() string {
	return fmt.Sprintf("natsbus: %d messages on %q were lost", e.Count, e.Topic)
}

// Bus is a ringkit.Bus. It is safe for concurrent use.
type Bus struct {
	nc     *nats.Conn
	opts   Options
	id     publisher
	closed chan struct{} // when the connection is

	mu        sync.Mutex
	published map[string]uint64 // messages by topic
	subs      map[*nats.Subscription]*subscriber
}

// Connect connects to a broker, at a URL as nats.Connect has it. It fails if the broker
// cannot be reached now; when the connection breaks later it is made again.
func Connect(url string, opts Options) (*Bus, error) {
	if opts.Prefix == "" {
		opts.Prefix = DefaultPrefix
	}
	opts.ReconnectWait = orDefault(opts.ReconnectWait, DefaultReconnectWait)
	opts.PublishBuffer = orDefault(opts.PublishBuffer, DefaultPublishBuffer)
	opts.PendingBytes = orDefault(opts.PendingBytes, DefaultPendingBytes)
	if _, err := subject(opts.Prefix, "topic"); err != nil {
		return nil, err
	}
	b := &Bus{
		opts: opts, closed: make(chan struct{}),
		published: make(map[string]uint64), subs: make(map[*nats.Subscription]*subscriber),
	}
	rand.Read(b.id[:])
	nc, err := nats.Connect(url,
		nats.MaxReconnects(-1),
		nats.ReconnectWait(opts.ReconnectWait),
		nats.ReconnectBufSize(max(opts.PublishBuffer, -1)),
		nats.PingInterval(10*time.Second),
		nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { b.disconnected(err) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) { b.failed(sub, err) }),
		nats.ClosedHandler(func(*nats.Conn) { close(b.closed) }),
	)
	if err != nil {
		return nil, fmt.Errorf("natsbus: %s: %w", url, err)
	}
	b.nc = nc
	return b, nil
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

// Close sends what was published, if there is a connection, and ends the bus.
func (b *Bus) Close() {
	if b.nc.IsConnected() {
		_ = b.nc.FlushTimeout(time.Second) // who listens sees what is missing
	}
	b.nc.Close()
	<-b.closed
}

// Publish implements ringkit.Bus. While there is no connection messages are kept, see
// Options.PublishBuffer, and delivered to those who are connected then.
func (b *Bus) Publish(topic string, data []byte) error {
	subject, err := subject(b.opts.Prefix, topic)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock() // what is numbered first is published first
	n := b.published[topic] + 1
	err = b.nc.Publish(subject, appendEnvelope(make([]byte, 0, envelopeLength+len(data)), b.id, n, data))
	switch {
	case err == nil:
		b.published[topic] = n
		return nil
	case errors.Is(err, nats.ErrReconnectBufExceeded) && b.opts.PublishBuffer < 0:
		return ErrDisconnected
	case errors.Is(err, nats.ErrReconnectBufExceeded):
		return ErrFull
	case errors.Is(err, nats.ErrConnectionClosed):
		return fmt.Errorf("%w: %w", ErrDisconnected, err)
	}
	return err
}

// Subscribe implements ringkit.Bus. lost is called with [ErrDisconnected], [ErrSlow],
// [ErrForeign], a [LossError], or what the broker complains of, by goroutines of the bus.
// When cancel returns, a call of receive may still run.
func (b *Bus) Subscribe(topic string, receive func([]byte), lost func(error)) (cancel func(), err error) {
	subject, err := subject(b.opts.Prefix, topic)
	if err != nil {
		return nil, err
	}
	s := &subscriber{topic: topic, receive: receive, lost: lost}
	b.mu.Lock()
	defer b.mu.Unlock()
	sub, err := b.nc.Subscribe(subject, s.take)
	if err != nil {
		return nil, fmt.Errorf("natsbus: %w", err)
	}
	if err := sub.SetPendingLimits(maxPending, b.opts.PendingBytes); err != nil {
		_ = sub.Unsubscribe()
		return nil, fmt.Errorf("natsbus: %w", err)
	}
	b.subs[sub] = s
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.subs, sub)
		_ = sub.Unsubscribe() // it fails when the bus is closed
	}, nil
}

// disconnected tells all subscribers that the connection broke.
func (b *Bus) disconnected(err error) {
	if err == nil {
		return // it was closed by Close
	}
	for _, s := range b.subscribers(nil) {
		s.lost(ErrDisconnected)
	}
}

// failed tells a subscriber, or all if it concerns none, of an error.
func (b *Bus) failed(sub *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrSlowConsumer) {
		err = ErrSlow
	}
	for _, s := range b.subscribers(sub) {
		s.lost(err)
	}
}

// subscribers returns that of sub, or all if that is nil.
func (b *Bus) subscribers(sub *nats.Subscription) (list []*subscriber) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for own, s := range b.subs {
		if sub == nil || sub == own {
			list = append(list, s)
		}
	}
	return list
}

// subject returns the subject of a topic.
func subject(prefix, topic string) (string, error) {
	for word := range strings.SplitSeq(topic, ".") {
		if word == "" || strings.ContainsFunc(word, notInWord) {
			return "", fmt.Errorf("%w: %q", ErrTopic, topic)
		}
	}
	return prefix + "." + topic, nil
}

func notInWord(c rune) bool {
	letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
	return !letter && c != '-' && c != '_'
}
