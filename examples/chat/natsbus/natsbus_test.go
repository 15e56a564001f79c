package natsbus

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/ringkit/ringkit"
)

var _ ringkit.Bus = (*Bus)(nil)

var patience = 20 * time.Second * scale()

func scale() time.Duration {
	n, err := strconv.Atoi(os.Getenv("RINGKIT_TIME_SCALE"))
	if err != nil || n < 1 {
		return 1
	}
	return time.Duration(n)
}

// broker is a NATS server in this process, which can be cut off and come back.
type broker struct {
	*testing.T
	opts server.Options
	srv  *server.Server
}

func startBroker(t *testing.T) *broker {
	b := &broker{T: t, opts: server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true}}
	b.start()
	t.Cleanup(b.stop)
	return b
}

func (b *broker) start() {
	b.Helper()
	opts := b.opts
	srv, err := server.NewServer(&opts)
	if err != nil {
		b.Fatal(err)
	}
	go srv.Start()
	if !srv.ReadyForConnections(patience) {
		b.Fatal("the broker does not start")
	}
	b.srv, b.opts.Port = srv, opts.Port // the same one when it comes back
}

func (b *broker) stop() {
	if b.srv != nil {
		b.srv.Shutdown()
		b.srv.WaitForShutdown()
		b.srv = nil
	}
}

func (b *broker) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", b.opts.Port) }

func (b *broker) connect(o Options) *Bus {
	b.Helper()
	o.ReconnectWait = 20 * time.Millisecond
	bus, err := Connect(b.url(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(bus.Close)
	return bus
}

// listener notes what a subscription brings.
type listener struct {
	mu     sync.Mutex
	heard  []string
	losses []error
}

func (b *broker) listen(bus *Bus, topic string) (l *listener, cancel func()) {
	b.Helper()
	l = new(listener)
	cancel, err := bus.Subscribe(topic, func(data []byte) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.heard = append(l.heard, string(data))
	}, func(err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.losses = append(l.losses, err)
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := bus.nc.FlushTimeout(patience); err != nil { // the broker knows of it
		b.Fatal(err)
	}
	return l, cancel
}

func (l *listener) snapshot() (heard []string, losses []error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.heard), slices.Clone(l.losses)
}

func (l *listener) lost(want error) bool {
	_, losses := l.snapshot()
	return slices.ContainsFunc(losses, func(err error) bool { return errors.Is(err, want) })
}

func (b *broker) eventually(what string, ok func() bool) {
	b.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.Fatal("waited in vain for ", what)
		}
	}
}

func (b *broker) expectHeard(l *listener, want ...string) {
	b.Helper()
	b.eventually(fmt.Sprintf("%d messages", len(want)), func() bool {
		heard, _ := l.snapshot()
		return len(heard) >= len(want)
	})
	if heard, _ := l.snapshot(); !slices.Equal(heard, want) {
		b.Errorf("heard %q, want %q", heard, want)
	}
}

// Everybody hears everything on their topic, in order, and nothing after cancel.
func TestDelivery(t *testing.T) {
	b := startBroker(t)
	one, two := b.connect(Options{}), b.connect(Options{})
	onOne, _ := b.listen(one, "room.a")
	onTwo, cancel := b.listen(two, "room.a")
	other, _ := b.listen(two, "room.b")
	var want []string
	for i := range 1000 {
		want = append(want, fmt.Sprint(i))
		if err := one.Publish("room.a", []byte(want[i])); err != nil {
			t.Fatal(err)
		}
	}
	b.expectHeard(onOne, want...)
	b.expectHeard(onTwo, want...)
	cancel()
	if err := one.Publish("room.a", []byte("later")); err != nil {
		t.Fatal(err)
	}
	b.expectHeard(onOne, append(want, "later")...)
	if err := two.Publish("room.b", nil); err != nil {
		t.Fatal(err)
	}
	b.expectHeard(other, "")
	b.expectHeard(onTwo, want...)
	for _, l := range []*listener{onOne, onTwo, other} {
		if _, losses := l.snapshot(); len(losses) > 0 {
			t.Errorf("lost: %v", losses)
		}
	}
	for _, topic := range []string{"", ".", "a..b", "a.*", ">", "a b", "ü"} {
		if err := one.Publish(topic, nil); !errors.Is(err, ErrTopic) {
			t.Errorf("Publish to %q: %v", topic, err)
		}
		if _, err := one.Subscribe(topic, nil, nil); !errors.Is(err, ErrTopic) {
			t.Errorf("Subscribe to %q: %v", topic, err)
		}
	}
}

// While the broker is away what is published is kept, up to a limit; all hear of it.
func TestBrokerIsCut(t *testing.T) {
	b := startBroker(t)
	keeps, refuses := b.connect(Options{PublishBuffer: 1000}), b.connect(Options{PublishBuffer: -1})
	l, _ := b.listen(refuses, "t")
	own, _ := b.listen(keeps, "t")
	b.stop()
	b.eventually("the loss", func() bool { return l.lost(ErrDisconnected) && own.lost(ErrDisconnected) })
	if err := refuses.Publish("t", []byte("x")); !errors.Is(err, ErrDisconnected) {
		t.Errorf("Publish without a buffer: %v", err)
	}
	data := strings.Repeat("x", 100)
	kept := 0
	var err error
	for ; err == nil && kept < 100; kept++ {
		err = keeps.Publish("t", []byte(data))
	}
	if kept--; !errors.Is(err, ErrFull) || kept < 5 || kept > 11 {
		t.Errorf("%d messages were kept, then: %v", kept, err)
	}
	b.start()
	b.expectHeard(own, slices.Repeat([]string{data}, kept)...)
	b.eventually("the other connection", refuses.nc.IsConnected)
	if err := refuses.Publish("t", []byte("again")); err != nil {
		t.Fatal(err)
	}
	b.eventually("what is published again", func() bool {
		heard, _ := l.snapshot() // and maybe what was kept
		return len(heard) > 0 && heard[len(heard)-1] == "again"
	})
	b.expectHeard(own, append(slices.Repeat([]string{data}, kept), "again")...)
	if own.lost(ErrFull) || own.lost(ErrSlow) {
		t.Error("what was refused is told as lost")
	}
}

// A subscriber hears how many messages it has missed.
func TestGaps(t *testing.T) {
	b := startBroker(t)
	bus := b.connect(Options{})
	l, _ := b.listen(bus, "t")
	publish := func(from byte, n uint64) {
		t.Helper()
		if err := bus.nc.Publish("ringkit.t", appendEnvelope(nil, publisher{from}, n, fmt.Appendf(nil, "%c%d", from, n))); err != nil {
			t.Fatal(err)
		}
	}
	publish('a', 7) // the first that is heard
	publish('b', 1)
	publish('a', 8)
	publish('a', 12)
	publish('a', 12) // again
	publish('b', 3)
	publish('a', 13)
	if err := bus.nc.Publish("ringkit.t", []byte("foreign")); err != nil {
		t.Fatal(err)
	}
	publish('a', 14)
	b.expectHeard(l, "a7", "b1", "a8", "a12", "b3", "a13", "a14")
	_, losses := l.snapshot()
	var missing []uint64
	for _, err := range losses {
		if loss := (*LossError)(nil); errors.As(err, &loss) && loss.Topic == "t" {
			missing = append(missing, loss.Count)
		}
	}
	if !slices.Equal(missing, []uint64{3, 1}) || len(losses) != 3 || losses[2] != ErrForeign {
		t.Errorf("lost: %v", losses)
	}
}

// The number of publishers that are known is bounded.
func TestManyPublishers(t *testing.T) {
	var s subscriber
	id := func(i int) publisher { return publisher{byte(i), byte(i >> 8)} }
	for i := range 3 * maxPublishers {
		s.note(id(0), uint64(i+1)) // who goes on talking is not forgotten
		if missing, again := s.note(id(i+1), 5); missing > 0 || again {
			t.Fatalf("publisher %d: %d, %v", i, missing, again)
		}
	}
	if len(s.known) > maxPublishers {
		t.Errorf("%d are known", len(s.known))
	}
	if missing, _ := s.note(id(0), 3*maxPublishers+2); missing != 1 {
		t.Errorf("%d are missing", missing)
	}
}

// A subscriber that is too slow is told so, and how much it has missed.
func TestSlowSubscriber(t *testing.T) {
	b := startBroker(t)
	bus, fast := b.connect(Options{PendingBytes: 10_000}), b.connect(Options{})
	slow := make(chan struct{})
	var mu sync.Mutex
	var heard, missing uint64
	told := false
	cancel, err := bus.Subscribe("t", func([]byte) {
		<-slow
		mu.Lock()
		defer mu.Unlock()
		heard++
	}, func(err error) {
		mu.Lock()
		defer mu.Unlock()
		told = told || err == ErrSlow
		if loss := (*LossError)(nil); errors.As(err, &loss) {
			missing += loss.Count
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	if err := bus.nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	const messages = 100
	for range messages {
		if err := fast.Publish("t", make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	b.eventually("ErrSlow", func() bool { mu.Lock(); defer mu.Unlock(); return told })
	if err := errors.Join(fast.nc.FlushTimeout(patience), bus.nc.FlushTimeout(patience)); err != nil {
		t.Fatal(err) // all has arrived, and was dropped
	}
	close(slow)
	b.eventually("room", func() bool {
		n, _, err := subscriptionOf(bus).Pending()
		return err == nil && n == 0
	})
	if err := fast.Publish("t", nil); err != nil {
		t.Fatal(err)
	}
	b.eventually("all", func() bool { mu.Lock(); defer mu.Unlock(); return heard+missing == messages+1 })
	if missing == 0 {
		t.Error("nothing is missing")
	}
}

func subscriptionOf(b *Bus) (sub *nats.Subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for sub = range b.subs {
	}
	return sub
}

func TestConnectFails(t *testing.T) {
	b := startBroker(t)
	bus := b.connect(Options{})
	b.stop()
	if bus, err := Connect(b.url(), Options{}); err == nil {
		bus.Close()
		t.Error("connected to nothing")
	}
	bus.Close()
	if err := bus.Publish("t", nil); !errors.Is(err, ErrDisconnected) {
		t.Errorf("Publish after Close: %v", err)
	}
	if _, err := bus.Subscribe("t", nil, nil); err == nil {
		t.Error("Subscribe after Close")
	}
}
