// Package room is the chat room of examples/chat: people who come by WebSocket, by
// server-sent events and by long polling talk to each other, also on several servers
// that share a bus. It is in a package so that the program with a bus, which is in a module
// of its own, has the same room.
package room

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/ringkit/ringkit"
)

// Limits of a room.
const (
	MaxText    = 2000 // bytes of a message
	MaxName    = 24   // characters of a name
	MaxHistory = 100  // messages that are kept for those who come, or come back
	MaxPeople  = 1000 // that are connected to one server
)

// topic is what the room is called on the bus.
const topic = "chat.room"

// Room is a room. It is safe for concurrent use.
type Room struct {
	id    string // of this run, in the IDs of events
	bus   ringkit.Bus
	group ringkit.Group
	stop  func()
	done  chan struct{} // closed when keep has ended
	dirty chan struct{} // somebody came or went

	mu        sync.Mutex
	seq       uint64  // of the last event
	history   []entry // oldest first
	forgotten uint64  // seq of the last that is not in history any more
	sessions  map[string]*session
	servers   map[string]presence // by the IDs of their rooms
	shown     entry               // who is there, as all have been told
}

// event is what pages are told, a line of JSON.
type event struct {
	ID     string   `json:"id,omitempty"`
	Kind   string   `json:"kind"`
	Key    string   `json:"key,omitempty"` // of a message; its sender has made it up
	From   string   `json:"from,omitempty"`
	Text   string   `json:"text,omitempty"`
	At     int64    `json:"at,omitempty"` // Unix milliseconds
	People []person `json:"people,omitempty"`
	More   int      `json:"more,omitempty"` // people that are not listed
}

// Kinds of events.
const (
	said    = "said"    // a message
	people  = "people"  // who is there
	trouble = "trouble" // messages of other servers may be missing
	gap     = "gap"     // messages between two visits are missing
	refused = "refused" // a message, and why
)

// entry is an event that has a number.
type entry struct {
	seq  uint64
	key  string
	text string // of trouble, or who is there
	line string
}

// packet is what goes over the bus.
type packet struct {
	Said *event    `json:"said,omitempty"`
	Here *presence `json:"here,omitempty"`
}

// Errors of those who say something.
var (
	errLength  = fmt.Errorf("a message has 1 to %d bytes", MaxText)
	errKey     = errors.New("the key of a message is made of 16 to 64 hexadecimal digits")
	errUTF8    = errors.New("a message is UTF-8")
	errBus     = errors.New("the other servers cannot be reached")
	errFull    = errors.New("the room is full")
	errName    = errors.New("a name has at least one visible character")
	errSession = errors.New("you are not in the room")
)

// New opens a room. bus connects it with those of other servers, and may be nil.
func New(bus ringkit.Bus) (*Room, error) {
	var id [4]byte
	rand.Read(id[:])
	if bus == nil {
		bus = new(ringkit.LocalBus)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &Room{
		id: hex.EncodeToString(id[:]), bus: bus,
		done: make(chan struct{}), dirty: make(chan struct{}, 1),
		sessions: make(map[string]*session), servers: make(map[string]presence),
	}
	cancel, err := bus.Subscribe(topic, r.receive, r.lost)
	if err != nil {
		stop()
		return nil, err
	}
	r.stop = func() { stop(); <-r.done; cancel() }
	go r.keep(ctx)
	return r, nil
}

// Close ends the room's part in the bus; the server closes the channels.
func (r *Room) Close() { r.stop() }

// say sends a message to everybody, in all rooms.
func (r *Room) say(from, key, text string) error {
	switch {
	case !isHex(key):
		return errKey
	case !utf8.ValidString(text):
		return errUTF8
	case strings.TrimSpace(text) == "" || len(text) > MaxText:
		return errLength
	}
	e := &event{Kind: said, Key: key, From: from, Text: text, At: time.Now().UnixMilli()}
	return r.publish(packet{Said: e})
}

func (r *Room) publish(p packet) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := r.bus.Publish(topic, data); err != nil {
		return fmt.Errorf("%w: %w", errBus, err)
	}
	return nil
}

// receive is called with what comes from the bus, also from this room.
func (r *Room) receive(data []byte) {
	var p packet
	if json.Unmarshal(data, &p) != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := p.Said; e != nil && isHex(e.Key) && len(e.Text) <= MaxText && !r.has(e.Key) {
		r.tell(event{Kind: said, Key: e.Key, From: cleanName(e.From), Text: e.Text, At: e.At})
	}
	if p.Here != nil {
		r.meet(*p.Here)
	}
}

// has reports whether a message has been told: a page that has lost its connection says
// again what it has not seen come back.
func (r *Room) has(key string) bool {
	return slices.ContainsFunc(r.history, func(e entry) bool { return e.key == key })
}

// lost is called by the bus.
func (r *Room) lost(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.history); n > 0 && r.history[n-1].text == err.Error() {
		return
	}
	r.tell(event{Kind: trouble, Text: err.Error(), At: time.Now().UnixMilli()})
}

// tell numbers an event and sends it to everybody here. Who joins does so under the same
// lock, so everybody gets each event once, from the history or from the group.
func (r *Room) tell(e event) {
	r.seq++
	e.ID = r.cursor(r.seq)
	told := entry{seq: r.seq, key: e.Key, line: e.line()}
	if e.Kind == people {
		r.shown = told
	} else {
		if e.Kind == trouble {
			told.text = e.Text
		}
		if len(r.history) == MaxHistory {
			r.forgotten = r.history[0].seq
			r.history = slices.Delete(r.history, 0, 1)
		}
		r.history = append(r.history, told)
	}
	r.group.BroadcastEvent(ringkit.ServerEvent{ID: e.ID, Data: told.line})
}

func (e event) line() string {
	line, err := json.Marshal(e)
	if err != nil {
		panic(err) // it has nothing that cannot be marshaled
	}
	return string(line)
}

// cursor is the ID of an event. It says which run of the server has numbered it: another
// one does not know what has been told before.
func (r *Room) cursor(seq uint64) string { return r.id + "-" + strconv.FormatUint(seq, 10) }

// since returns what has been told after the event with an ID, in lines, and the ID of the
// last. "" is the ID of those who have seen nothing.
func (r *Room) since(id string) (lines, last string) {
	run, number, _ := strings.Cut(id, "-")
	seen, err := strconv.ParseUint(number, 10, 64)
	known := run == r.id && err == nil && seen <= r.seq
	if !known {
		seen = 0
	}
	var missed []entry
	for _, e := range append(slices.Clone(r.history), r.shown) {
		if e.seq > seen {
			missed = append(missed, e)
		}
	}
	slices.SortFunc(missed, func(a, b entry) int { return int(int64(a.seq) - int64(b.seq)) })
	var all []string
	if id != "" && (!known || seen < r.forgotten) {
		all = append(all, event{Kind: gap}.line())
	}
	for _, e := range missed {
		all = append(all, e.line)
		last = r.cursor(e.seq)
	}
	return strings.Join(all, "\n"), last
}

// isHex reports whether s can be a key or the ID of a session.
func isHex(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) >= 16 && len(s) <= 64
}
