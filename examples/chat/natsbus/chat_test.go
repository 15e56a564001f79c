package natsbus

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ringkit/ringkit"
	"github.com/ringkit/ringkit/examples/chat/room"
	"github.com/ringkit/ringkit/uring"
)

// Two chat servers on a broker, which is cut off and comes back. One of them needs longer to
// reach it again.
func TestChatServers(t *testing.T) {
	t.Setenv(ringkit.EngineVariable, "") // the test names the engines
	engines := []ringkit.Engine{ringkit.IOUring, ringkit.Epoll}
	if uring.Probe().Err != nil {
		engines[0] = ringkit.Epoll
	}
	b := startBroker(t)
	line := b.line()
	near := b.connect(Options{})
	far := line.connect()
	ann := b.visit(near, engines[0], "Ann")
	bob := b.visit(far, engines[1], "Bob")
	for _, v := range []*visitor{ann, bob} {
		v.until("both people", func(e event) bool { return len(e.People) == 2 })
	}
	ann.say("before")
	ann.hears("Ann", "before")
	bob.hears("Ann", "before")
	bob.say("I hear you")
	ann.hears("Bob", "I hear you")
	bob.hears("Bob", "I hear you")

	line.cut()
	b.stop()
	for _, v := range []*visitor{ann, bob} {
		v.until("the loss", func(e event) bool { return e.Kind == "trouble" && e.Text == ErrDisconnected.Error() })
	}
	ann.say("while it was away") // kept by Ann's server
	b.start()
	ann.hears("Ann", "while it was away") // and published, but Bob's server is not there
	line.mend()
	b.eventually("the other connection", far.nc.IsConnected)
	ann.say("after")
	ann.hears("Ann", "after")
	bob.until("how much was lost", func(e event) bool {
		return e.Kind == "trouble" && strings.Contains(e.Text, `messages on "chat.room" were lost`)
	})
	bob.hears("Ann", "after")
	bob.say("I have missed something")
	ann.hears("Bob", "I have missed something")
	if want := []string{"before", "I hear you", "while it was away", "after", "I have missed something"}; !slices.Equal(ann.heard(), want) {
		t.Errorf("Ann has heard %q", ann.heard())
	}
	if want := []string{"before", "I hear you", "after"}; !slices.Equal(bob.heard(), want) {
		t.Errorf("Bob has heard %q", bob.heard())
	}
	for _, v := range []*visitor{ann, bob} {
		for _, e := range v.all {
			t.Logf("%s is told: %s %s %s %v", v.name, e.Kind, e.From, e.Text, e.People)
		}
	}
}

// event is what a page is told.
type event struct {
	Kind, From, Text string
	People           []struct{ Name string }
}

// visitor has a stream of events from a server.
type visitor struct {
	*testing.T
	url, name string
	lines     *bufio.Scanner
	next      []event // of a batch
	all       []event // seen
	said      int
}

// visit starts a chat server on a bus, and visits it.
func (b *broker) visit(bus *Bus, e ringkit.Engine, name string) *visitor {
	b.Helper()
	r, err := room.New(bus)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(r.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &ringkit.Server{Handler: r.Handler(), Engine: e}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	b.Cleanup(func() {
		if err := srv.Shutdown(ctx); err != nil {
			b.Error(err)
		}
		cancel()
		<-served
	})
	v := &visitor{T: b.T, url: "http://" + l.Addr().String(), name: name}
	q := url.Values{"session": {v.session()}, "name": {name}}
	req, _ := http.NewRequestWithContext(ctx, "GET", v.url+"/events?"+q.Encode(), nil)
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != 200 {
		b.Fatal(resp, err)
	}
	b.Cleanup(func() { resp.Body.Close() })
	v.lines = bufio.NewScanner(resp.Body)
	return v
}

func (v *visitor) session() string { return fmt.Sprintf("%032x", v.name) }

func (v *visitor) say(text string) {
	v.Helper()
	v.said++
	body, _ := json.Marshal(map[string]string{"session": v.session(), "key": fmt.Sprintf("%030x%02x", v.name, v.said), "text": text})
	resp, err := http.Post(v.url+"/say", "application/json", strings.NewReader(string(body)))
	if err != nil {
		v.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		why, _ := io.ReadAll(resp.Body)
		v.Fatalf("%s says %q: %s %s", v.name, text, resp.Status, why)
	}
}

func (v *visitor) hears(from, text string) {
	v.Helper()
	v.until(fmt.Sprintf("%q", text), func(e event) bool { return e.From == from && e.Text == text })
}

// until reads events until one is as it should be.
func (v *visitor) until(what string, ok func(event) bool) {
	v.Helper()
	for {
		for len(v.next) > 0 {
			e := v.next[0]
			v.next = v.next[1:]
			v.all = append(v.all, e)
			if ok(e) {
				return
			}
		}
		if !v.lines.Scan() {
			v.Fatalf("%s waits for %s in vain: %v, after %+v", v.name, what, v.lines.Err(), v.all)
		}
		if data, is := strings.CutPrefix(v.lines.Text(), "data: "); is {
			var e event
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				v.Fatal(err)
			}
			v.next = append(v.next, e)
		}
	}
}

// heard returns the messages of all events.
func (v *visitor) heard() (texts []string) {
	for _, e := range v.all {
		if e.Kind == "said" {
			texts = append(texts, e.Text)
		}
	}
	return texts
}

// line is a connection to the broker that can be cut by itself.
type line struct {
	*broker
	l net.Listener

	mu    sync.Mutex
	whole bool
	conns map[net.Conn]bool
}

func (b *broker) line() *line {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ln := &line{broker: b, l: l, whole: true, conns: make(map[net.Conn]bool)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go ln.carry(c)
		}
	}()
	b.Cleanup(func() { l.Close(); ln.cut() })
	return ln
}

func (ln *line) connect() *Bus {
	ln.Helper()
	bus, err := Connect("nats://"+ln.l.Addr().String(), Options{ReconnectWait: DefaultReconnectWait / 10})
	if err != nil {
		ln.Fatal(err)
	}
	ln.Cleanup(bus.Close)
	return bus
}

func (ln *line) carry(c net.Conn) {
	defer c.Close()
	ln.mu.Lock()
	whole := ln.whole
	ln.mu.Unlock()
	if !whole {
		return
	}
	to, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ln.opts.Port))
	if err != nil {
		return
	}
	defer to.Close()
	ln.mu.Lock()
	ln.conns[c] = true
	ln.mu.Unlock()
	go func() {
		io.Copy(to, c)
		to.Close()
	}()
	io.Copy(c, to)
	ln.mu.Lock()
	delete(ln.conns, c)
	ln.mu.Unlock()
}

func (ln *line) cut() {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	ln.whole = false
	for c := range ln.conns {
		c.Close()
	}
}

func (ln *line) mend() {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	ln.whole = true
}
